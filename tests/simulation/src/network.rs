//! The network between nodes: requests and answers take their time, are lost,
//! and do not pass where a way is cut; each way by itself, so cuts can be
//! one-sided.
//!
//! What one node sends another arrives in order, as on a connection, except for
//! what is lost.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use robustmq_replication::{CallFailed, Groups, Transport};
use robustmq_views::testing::Chance;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::trace::Trace;

/// How the network is at present.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Weather {
    /// The longest a message takes.
    pub(crate) delay_ms_max: u64,
    /// Of a thousand messages, how many are lost.
    pub(crate) lost_permille: u64,
}

impl Weather {
    pub(crate) const FAIR: Self = Self {
        delay_ms_max: 4,
        lost_permille: 0,
    };
}

/// A request on its way.
struct Parcel {
    at: Instant,
    kind: u16,
    body: Bytes,
    answered: oneshot::Sender<Result<Bytes, CallFailed>>,
}

struct State {
    chance: Chance,
    weather: Weather,
    nodes: BTreeMap<u64, Arc<Groups>>,
    /// The run of each node that is up: what an earlier one sends is not sent.
    runs: BTreeMap<u64, u64>,
    /// From, to.
    cuts: BTreeSet<(u64, u64)>,
    ways: BTreeMap<(u64, u64), mpsc::UnboundedSender<Parcel>>,
}

/// The network. Clones are the same one.
#[derive(Clone)]
pub(crate) struct Network {
    state: Arc<Mutex<State>>,
    trace: Arc<Trace>,
}

impl Network {
    pub(crate) fn new(seed: u64, trace: Arc<Trace>) -> Self {
        let state = State {
            chance: Chance::new(seed),
            weather: Weather::FAIR,
            nodes: BTreeMap::new(),
            runs: BTreeMap::new(),
            cuts: BTreeSet::new(),
            ways: BTreeMap::new(),
        };
        Self {
            state: Arc::new(Mutex::new(state)),
            trace,
        }
    }

    /// A run of a node begins: it can send.
    pub(crate) fn announce(&self, node: u64, run: u64) {
        self.state.lock().runs.insert(node, run);
    }

    /// The node can be reached from now on.
    pub(crate) fn attach(&self, node: u64, groups: Arc<Groups>) {
        self.state.lock().nodes.insert(node, groups);
    }

    /// The node is gone, with everything that is under way to it and from it.
    pub(crate) fn detach(&self, node: u64) {
        let mut state = self.state.lock();
        state.nodes.remove(&node);
        state.runs.remove(&node);
        state
            .ways
            .retain(|&(from, to), _| from != node && to != node);
    }

    pub(crate) fn cut(&self, from: u64, to: u64) {
        self.state.lock().cuts.insert((from, to));
    }

    pub(crate) fn mend(&self, from: u64, to: u64) {
        self.state.lock().cuts.remove(&(from, to));
    }

    pub(crate) fn heal(&self) {
        let mut state = self.state.lock();
        state.cuts.clear();
        state.weather = Weather::FAIR;
    }

    /// Lets go of all nodes.
    pub(crate) fn end(&self) {
        let nodes = {
            let mut state = self.state.lock();
            state.ways.clear();
            std::mem::take(&mut state.nodes)
        };
        drop(nodes);
    }

    pub(crate) fn set_weather(&self, weather: Weather) {
        self.state.lock().weather = weather;
    }

    /// How a node reaches others.
    pub(crate) fn transport_of(&self, node: u64, run: u64) -> Arc<dyn Transport> {
        Arc::new(Way {
            network: self.clone(),
            from: node,
            run,
        })
    }

    /// How long the next message takes, or none if it is lost.
    fn send(&self, from: u64, to: u64) -> Option<Duration> {
        let mut state = self.state.lock();
        let Weather {
            delay_ms_max,
            lost_permille,
        } = state.weather;
        let (delay, luck) = (
            1 + state.chance.below(delay_ms_max),
            state.chance.below(1000),
        );
        let passes = luck >= lost_permille && !state.cuts.contains(&(from, to));
        passes.then_some(Duration::from_millis(delay))
    }

    fn groups(&self, node: u64) -> Option<Arc<Groups>> {
        self.state.lock().nodes.get(&node).cloned()
    }

    /// Puts a request on its way.
    fn post(&self, from: u64, to: u64, parcel: Parcel) {
        let mut state = self.state.lock();
        let network = self.clone();
        let way = state.ways.entry((from, to)).or_insert_with(|| {
            let (way, parcels) = mpsc::unbounded_channel();
            tokio::spawn(network.carry(from, to, parcels));
            way
        });
        // The way is there as long as it can be found.
        let _ = way.send(parcel);
    }

    /// Delivers what goes one way, in order.
    async fn carry(self, from: u64, to: u64, mut parcels: mpsc::UnboundedReceiver<Parcel>) {
        while let Some(parcel) = parcels.recv().await {
            sleep_until(parcel.at).await;
            let is_cut = self.state.lock().cuts.contains(&(from, to));
            let Some(target) = self.groups(to).filter(|_| !is_cut) else {
                continue;
            };
            self.trace.count(&[
                from,
                to,
                u64::from(parcel.kind),
                u64::from(crc32fast::hash(&parcel.body)),
            ]);
            let answer = target.handle(parcel.kind, parcel.body);
            let network = self.clone();
            tokio::spawn(async move {
                let answer = answer.await.map_err(CallFailed::Refused);
                if let Some(delay) = network.send(to, from) {
                    sleep(delay).await;
                    // Whoever asked may have given up.
                    let _ = parcel.answered.send(answer);
                } else {
                    // Nobody knows: whoever asked waits in vain.
                    sleep(Duration::from_secs(60)).await;
                }
            });
        }
    }
}

/// The way from one run of a node to others.
struct Way {
    network: Network,
    from: u64,
    run: u64,
}

impl Transport for Way {
    fn call(
        &self,
        node: u64,
        _address: &str,
        kind: u16,
        body: Bytes,
        patience: Duration,
    ) -> BoxFuture<'static, Result<Bytes, CallFailed>> {
        let is_up = {
            let state = self.network.state.lock();
            state.nodes.contains_key(&node) && state.runs.get(&self.from) == Some(&self.run)
        };
        if !is_up {
            let failed = Err(CallFailed::Unreachable("it is down".to_owned()));
            return async move {
                sleep(Duration::from_millis(1)).await;
                failed
            }
            .boxed();
        }
        let (answered, answer) = oneshot::channel();
        if let Some(delay) = self.network.send(self.from, node) {
            let at = Instant::now() + delay;
            let parcel = Parcel {
                at,
                kind,
                body,
                answered,
            };
            self.network.post(self.from, node, parcel);
        } else {
            drop(body);
            return async move {
                let _answered = answered;
                sleep(patience).await;
                Err(CallFailed::Lost("no answer".to_owned()))
            }
            .boxed();
        }
        async move {
            match timeout(patience, answer).await {
                Ok(Ok(answer)) => answer,
                Ok(Err(_)) => Err(CallFailed::Lost("the connection broke".to_owned())),
                Err(_) => Err(CallFailed::Lost("no answer".to_owned())),
            }
        }
        .boxed()
    }
}
