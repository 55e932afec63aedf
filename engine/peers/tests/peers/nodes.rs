//! Nodes in this process, over real sockets on loopback.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use robustmq_peers::{
    Handler, Hello, PeerLimits, PeerSetup, Peers, Request, Roster, TlsFiles, certificates,
};
use tempfile::TempDir;
use tokio::sync::watch;

/// Long enough for a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Answers with what was asked.
pub(crate) const ECHO: u16 = 1;
/// Says no.
pub(crate) const REFUSE: u16 = 2;
/// Answers when the node is released.
pub(crate) const HOLD: u16 = 3;
/// Answers with as many bytes as the body says.
pub(crate) const FILL: u16 = 4;
/// Falls over.
pub(crate) const PANIC: u16 = 5;

/// What a node was asked.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) seen: Mutex<Vec<(u64, u16, Bytes)>>,
    pub(crate) released: watch::Sender<bool>,
}

impl Handler for Asked {
    fn handle(&self, from: u64, request: Request) -> BoxFuture<'static, Result<Bytes, String>> {
        let Request { kind, body, .. } = request;
        self.seen.lock().push((from, kind, body.clone()));
        let mut released = self.released.subscribe();
        async move {
            match kind {
                REFUSE => Err("not today".to_owned()),
                HOLD => {
                    let _ = released.wait_for(|released| *released).await;
                    Ok(body)
                }
                FILL => {
                    let size = std::str::from_utf8(&body).expect("a number");
                    Ok(vec![7; size.parse().expect("a number")].into())
                }
                PANIC => panic!("asked to"),
                _ => Ok(body),
            }
        }
        .boxed()
    }
}

/// A roster of one cluster.
#[derive(Debug)]
pub(crate) struct Members {
    pub(crate) cluster_id: Mutex<Option<String>>,
    pub(crate) banned: Mutex<Vec<u64>>,
}

impl Roster for Members {
    fn admit(&self, hello: &Hello) -> Result<(), String> {
        match self.banned.lock().contains(&hello.node_id) {
            true => Err(format!("node {} was removed", hello.node_id)),
            false => Ok(()),
        }
    }

    fn own_cluster_id(&self) -> Option<String> {
        self.cluster_id.lock().clone()
    }
}

/// Certificates of some nodes.
pub(crate) struct Authority {
    pub(crate) folder: TempDir,
}

impl Authority {
    pub(crate) fn new(nodes: &[u64]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        certificates::issue(folder.path(), nodes, 30).expect("certificates");
        Self { folder }
    }

    pub(crate) fn files(&self, node: u64) -> TlsFiles {
        files(self.folder.path(), node)
    }
}

pub(crate) fn files(folder: &Path, node: u64) -> TlsFiles {
    TlsFiles {
        ca: folder.join("ca.pem"),
        certificate: folder.join(format!("node-{node}.pem")),
        key: folder.join(format!("node-{node}-key.pem")),
    }
}

/// Limits that let tests end soon.
pub(crate) fn limits() -> PeerLimits {
    PeerLimits {
        backoff_min: Duration::from_millis(5),
        backoff_max: Duration::from_millis(20),
        // Other tests keep the machine busy.
        silence_max: Duration::from_secs(10),
        connect_timeout: Duration::from_secs(10),
        handshake_timeout: Duration::from_secs(10),
        ..PeerLimits::default()
    }
}

pub(crate) struct Node {
    pub(crate) id: u64,
    pub(crate) peers: Peers,
    pub(crate) asked: Arc<Asked>,
    pub(crate) members: Arc<Members>,
}

impl Node {
    pub(crate) async fn start(authority: &Authority, id: u64) -> Self {
        Self::start_with(authority.files(id), id, limits(), any_port()).await
    }

    pub(crate) async fn start_with(
        tls: TlsFiles,
        id: u64,
        limits: PeerLimits,
        bind: SocketAddr,
    ) -> Self {
        let asked = Arc::new(Asked {
            seen: Mutex::default(),
            released: watch::Sender::new(false),
        });
        let members = Arc::new(Members {
            cluster_id: Mutex::new(Some("one".to_owned())),
            banned: Mutex::default(),
        });
        let setup = PeerSetup {
            node_id: id,
            incarnation: u128::from(id) << 100,
            bind,
            advertise: None,
            tls,
            roster: Arc::clone(&members) as _,
            handler: Arc::clone(&asked) as _,
            limits,
        };
        Self {
            id,
            peers: Peers::start(setup).await.expect("the node starts"),
            asked,
            members,
        }
    }

    pub(crate) fn address(&self) -> String {
        self.peers.local_addr().to_string()
    }

    pub(crate) async fn ask(&self, other: &Self, kind: u16, body: &'static str) -> Outcome {
        self.ask_at(other.id, &other.address(), kind, body).await
    }

    pub(crate) async fn ask_at(
        &self,
        node: u64,
        address: &str,
        kind: u16,
        body: &'static str,
    ) -> Outcome {
        let request = Request::new(kind, Bytes::from_static(body.as_bytes()));
        self.peers.call(node, address, request, PATIENCE).await
    }

    /// Bodies that came, in the order in which they came.
    pub(crate) fn seen(&self) -> Vec<Bytes> {
        let seen = self.asked.seen.lock();
        seen.iter().map(|(_, _, body)| body.clone()).collect()
    }
}

pub(crate) type Outcome = Result<Bytes, robustmq_peers::CallError>;

pub(crate) fn any_port() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

/// Waits until something is so.
pub(crate) async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let end = tokio::time::Instant::now() + PATIENCE;
    while !is_so() {
        assert!(
            tokio::time::Instant::now() < end,
            "not within {PATIENCE:?}: {what}"
        );
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}
