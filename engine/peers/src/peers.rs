//! The way in: starts, asks, stops.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use hashbrown::HashMap;
use parking_lot::{Mutex, RwLock};
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, mpsc, watch};

use crate::error::{CallError, PeersError};
use crate::exchange::Exchange;
use crate::hello::Hello;
use crate::limits::PeerLimits;
use crate::link::Link;
use crate::notices::Notices;
use crate::places::Places;
use crate::request::{Answer, Request};
use crate::stats::{Counters, Stats};
use crate::tls::{Tls, TlsFiles};
use crate::{accept, visit};

/// Time for connections to say farewell.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(2);

/// The part of its time that a handshake has before it may have to give way to another one.
const HANDSHAKE_GRACE: u32 = 4;

/// Decides who may come.
pub trait Roster: Send + Sync + 'static {
    /// Called by both ends of a new connection with what the other one says of itself, when TLS has proved
    /// that its certificate is of the cluster's authority and names that node, and its cluster is this one
    /// (or one of the two has none yet). Must not wait.
    ///
    /// # Errors
    /// Why not, and what to do: a text for the log lines of both nodes.
    fn admit(&self, hello: &Hello) -> Result<(), String>;

    /// The cluster this node belongs to, if any.
    fn own_cluster_id(&self) -> Option<String>;
}

/// Answers what other nodes ask.
pub trait Handler: Send + Sync + 'static {
    /// Called for every request, those of one lane in the order in which they were sent over one connection. The
    /// call itself must not wait: it holds up everything that comes from that node. The future it returns runs
    /// on a task of its own and has to come to an end, for until then it counts against what the other node
    /// may have in flight; it does so also when the connection is gone. An error is the answer
    /// [`CallError::Refused`].
    fn handle(&self, from: u64, request: Request) -> BoxFuture<'static, Result<Bytes, String>>;
}

/// What connections between nodes need.
pub struct PeerSetup {
    /// Number of this node.
    pub node_id: u64,
    /// Incarnation of its data directory.
    pub incarnation: u128,
    /// Where others come in; port 0 takes any.
    pub bind: SocketAddr,
    /// Where others are told to come; the address it is bound to if `None`.
    pub advertise: Option<String>,
    /// Its certificate.
    pub tls: TlsFiles,
    /// Who may come.
    pub roster: Arc<dyn Roster>,
    /// Who answers.
    pub handler: Arc<dyn Handler>,
    /// Bounds.
    pub limits: PeerLimits,
}

/// Connections with the other nodes; clones are the same.
#[derive(Clone)]
pub struct Peers {
    inside: Arc<Inside>,
}

/// What all parts use.
pub(crate) struct Inside {
    pub(crate) node_id: u64,
    pub(crate) incarnation: u128,
    pub(crate) advertise: String,
    pub(crate) local_addr: SocketAddr,
    pub(crate) tls: Tls,
    pub(crate) roster: Arc<dyn Roster>,
    pub(crate) handler: Arc<dyn Handler>,
    pub(crate) limits: PeerLimits,
    pub(crate) runtime: Handle,
    pub(crate) counters: Counters,
    pub(crate) handshakes: Arc<Places>,
    pub(crate) visits: Arc<Semaphore>,
    /// Of this run of the process, by chance.
    pub(crate) run: u64,
    attempt_next: AtomicU64,
    chance: AtomicU64,
    links: RwLock<HashMap<u64, Arc<Link>>>,
    notices: Notices,
    /// Every task holds one; `None` when shutting down.
    running: Mutex<Option<mpsc::Sender<()>>>,
    ended: tokio::sync::Mutex<mpsc::Receiver<()>>,
    pub(crate) stop: watch::Sender<bool>,
}

impl Peers {
    /// Binds and begins to accept, on the current tokio runtime.
    ///
    /// # Errors
    /// [`PeersError`]: the address or the certificates cannot be used.
    pub async fn start(setup: PeerSetup) -> Result<Self, PeersError> {
        let tls = Tls::new(
            setup.node_id,
            setup.tls,
            setup.limits.certificate_check_interval,
        )?;
        let bind = |source| PeersError::Bind {
            address: setup.bind,
            source,
        };
        let listener = TcpListener::bind(setup.bind).await.map_err(bind)?;
        let local_addr = listener.local_addr().map_err(bind)?;
        let (run, chance) = (random()?, random()?);
        let (running, ended) = mpsc::channel(1);
        let inside = Arc::new(Inside {
            node_id: setup.node_id,
            incarnation: setup.incarnation,
            advertise: setup.advertise.unwrap_or_else(|| local_addr.to_string()),
            local_addr,
            tls,
            roster: setup.roster,
            handler: setup.handler,
            handshakes: Arc::new(Places::new(
                setup.limits.handshakes_max,
                setup.limits.handshake_timeout / HANDSHAKE_GRACE,
            )),
            visits: Arc::new(Semaphore::new(setup.limits.visits_max)),
            limits: setup.limits,
            runtime: Handle::current(),
            counters: Counters::default(),
            run,
            attempt_next: AtomicU64::new(0),
            chance: AtomicU64::new(chance | 1),
            links: RwLock::new(HashMap::new()),
            notices: Notices::default(),
            running: Mutex::new(Some(running.clone())),
            ended: tokio::sync::Mutex::new(ended),
            stop: watch::Sender::new(false),
        });
        let accepting = Arc::clone(&inside);
        tokio::spawn(async move {
            let _running = running;
            accept::run(&accepting, listener).await;
        });
        Ok(Self { inside })
    }

    /// Where others come in.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.inside.local_addr
    }

    /// Sends a request and waits for the answer. `address` (`host:port`) is where to dial when there is no
    /// connection; its name is looked up at each dial. The request is queued when the future is first polled,
    /// and taken back if the future is dropped before any of it was sent.
    ///
    /// # Errors
    /// [`CallError`], which tells whether the request may have been done.
    pub async fn call(
        &self,
        node: u64,
        address: &str,
        request: Request,
        timeout: Duration,
    ) -> Result<Bytes, CallError> {
        let (exchange, id, answer) = self.queue(node, address, request)?;
        let mut abandoned = Abandoned {
            exchange: Some(exchange),
            id,
        };
        match tokio::time::timeout(timeout, answer).await {
            Ok(outcome) => {
                abandoned.exchange = None;
                outcome
            }
            Err(_) => match abandoned.withdraw() {
                true => Err(CallError::Unreachable("not sent in time".to_owned())),
                false => Err(CallError::TimedOut),
            },
        }
    }

    /// Queues a request now and returns its answer, to come: requests of one lane are sent in the order of the
    /// calls. There is no limit on the time; a lost connection ends it. The request is sent also when the
    /// answer is dropped.
    ///
    /// Should the connection be lost, everything that was sent or queued ends with an error, and later requests
    /// go over another connection: whoever needs order across that must not send again what failed behind
    /// what came later.
    ///
    /// # Errors
    /// [`CallError`]; nothing was sent then. While dials fail it is [`CallError::Unreachable`] at once, without
    /// a dial, until the pause between dials is over.
    pub fn send(&self, node: u64, address: &str, request: Request) -> Result<Answer, CallError> {
        let (_, _, answer) = self.queue(node, address, request)?;
        Ok(answer)
    }

    fn queue(
        &self,
        node: u64,
        address: &str,
        request: Request,
    ) -> Result<(Arc<Exchange>, u64, Answer), CallError> {
        if node == self.inside.node_id {
            let reason = "it is this node itself".to_owned();
            return Err(CallError::Unreachable(reason));
        }
        let link = self.inside.link(node);
        link.send(&self.inside, address, request)
    }

    /// Asks whoever is at an address, over a connection of its own: for a node that is about to join.
    ///
    /// # Errors
    /// [`CallError`]
    pub async fn call_address(
        &self,
        address: &str,
        request: Request,
        timeout: Duration,
    ) -> Result<(Hello, Bytes), CallError> {
        visit::call(&self.inside, address, request, timeout).await
    }

    /// There is a connection with the node.
    #[must_use]
    pub fn is_connected(&self, node: u64) -> bool {
        let link = self.inside.links.read().get(&node).cloned();
        link.is_some_and(|link| link.is_connected())
    }

    /// Ends the connection with a node, for one that has left; what waits ends with [`CallError::Shutdown`].
    /// It may come again if the roster admits it.
    pub fn disconnect(&self, node: u64) {
        let link = self.inside.links.write().remove(&node);
        if let Some(link) = link {
            link.close();
        }
    }

    /// What happened so far.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let links: Vec<_> = self.inside.links.read().values().cloned().collect();
        let mut peers: Vec<_> = links.iter().map(|link| link.look()).collect();
        peers.sort_unstable_by_key(|peer| peer.node);
        self.inside.counters.read(peers)
    }

    /// Ends all connections and gives the port back. Requests that wait end with [`CallError::Shutdown`].
    /// Futures of the handler go on to their end.
    pub async fn shutdown(&self) {
        self.inside.running.lock().take();
        self.inside.stop.send_replace(true);
        let links: Vec<_> = self.inside.links.read().values().cloned().collect();
        for link in links {
            link.close();
        }
        let ended = async { while self.inside.ended.lock().await.recv().await.is_some() {} };
        let _ = tokio::time::timeout(SHUTDOWN_TIMEOUT, ended).await;
    }
}

/// Takes a request back that nobody waits for any more.
struct Abandoned {
    exchange: Option<Arc<Exchange>>,
    id: u64,
}

impl Abandoned {
    fn withdraw(&mut self) -> bool {
        self.exchange
            .take()
            .is_some_and(|exchange| exchange.withdraw(self.id))
    }
}

impl Drop for Abandoned {
    fn drop(&mut self) {
        self.withdraw();
    }
}

impl Inside {
    pub(crate) fn link(&self, node: u64) -> Arc<Link> {
        if let Some(link) = self.links.read().get(&node) {
            return Arc::clone(link);
        }
        let mut links = self.links.write();
        Arc::clone(
            links
                .entry(node)
                .or_insert_with(|| Arc::new(Link::new(node))),
        )
    }

    /// What a task holds while it runs; `None` when shutting down.
    pub(crate) fn running(&self) -> Option<mpsc::Sender<()>> {
        self.running.lock().clone()
    }

    /// The number of the next greeting.
    pub(crate) fn attempt(&self) -> u64 {
        self.attempt_next.fetch_add(1, Ordering::SeqCst)
    }

    /// A number between two, by chance.
    pub(crate) fn chance(&self, least: f64, most: f64) -> f64 {
        let mut number = self.chance.load(Ordering::Relaxed);
        number ^= number << 13;
        number ^= number >> 7;
        number ^= number << 17;
        self.chance.store(number, Ordering::Relaxed);
        least + (most - least) * ((number >> 40) as f64 / (1_u64 << 24) as f64)
    }

    /// Logs what someone has to look after, once in a while.
    pub(crate) fn warn_once(&self, node: u64, address: &str, what: &str, reason: &str) {
        if self.notices.is_due(format!("{what} {node} {reason}")) {
            tracing::warn!(node, address, reason, "{what}");
        }
    }

    /// As [`Self::warn_once`], of one who has not said who it is.
    pub(crate) fn warn_of_stranger(&self, address: SocketAddr, reason: &str) {
        if self.notices.is_due(format!("{} {reason}", address.ip())) {
            tracing::warn!(%address, reason, "a connection to the port between nodes is refused");
        }
    }
}

fn random() -> Result<u64, PeersError> {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).map_err(|error| PeersError::Random(error.to_string()))?;
    Ok(u64::from_le_bytes(bytes))
}
