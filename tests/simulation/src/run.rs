//! One run: a cluster is formed, faults come and go under traffic, everything
//! heals, and the oracle looks at what is there.

mod cluster;
mod faults;

use std::cell::RefCell;
use std::sync::{Arc, Once};
use std::time::Duration;

use parking_lot::Mutex;
use robustmq_replication::runtime::seed_thread;
use robustmq_views::testing::Chance;
use tokio::time::sleep;

use cluster::Cluster;
pub(crate) use cluster::Nodes;

use crate::network::Network;
use crate::node::World;
use crate::oracle::{Figures, Oracle};
use crate::trace::Trace;
use crate::workload::Publisher;
use crate::{Plan, Planted};

/// Publishers at a time.
const PUBLISHERS: u64 = 4;

/// How to run a seed.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// How many faults there are.
    pub steps: u64,
    /// How many nodes; as the seed says if this is none.
    pub nodes: Option<u64>,
    /// A fault of the product that is put in on purpose.
    pub planted: Option<Planted>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            steps: 25,
            nodes: None,
            planted: None,
        }
    }
}

/// What came of a seed.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The seed.
    pub seed: u64,
    /// Nodes at the beginning.
    pub nodes: u64,
    /// What is broken.
    pub failure: Option<String>,
    /// Of everything that happened: the same for the same seed.
    pub fingerprint: u32,
    /// How much happened.
    pub events: u64,
    /// How much was sent and stored.
    pub figures: Figures,
    /// How long it took, in virtual time.
    pub virtual_ms: u64,
    /// The last of what happened.
    pub lines: Vec<String>,
}

thread_local! {
    static PANIC: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Notes panics of tasks, which nobody else would see.
fn watch_panics() {
    static WATCHED: Once = Once::new();
    WATCHED.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            PANIC.with_borrow_mut(|panic| {
                if panic.is_none() {
                    *panic = Some(info.to_string());
                }
            });
            before(info);
        }));
    });
}

fn take_panic() -> Option<String> {
    PANIC.take()
}

/// Runs a seed.
///
/// # Panics
/// When a thread cannot be started.
#[must_use]
pub fn run(seed: u64, options: Options) -> Outcome {
    watch_panics();
    let thread = std::thread::Builder::new().name(format!("seed {seed}"));
    let ran = thread.spawn(move || run_here(seed, options));
    let ran = ran.expect("a thread can be started").join();
    ran.expect("a run ends by itself")
}

fn run_here(seed: u64, options: Options) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime of this thread can be made");
    seed_thread(Some(seed ^ 0x7261_6674));
    let outcome = runtime.block_on(simulate(seed, options));
    drop(runtime);
    seed_thread(None);
    outcome
}

async fn simulate(seed: u64, options: Options) -> Outcome {
    let plan = Plan::of(seed, options.nodes, options.steps);
    let nodes = plan.nodes;
    let trace = Arc::new(Trace::new());
    let mut chance = Chance::new(seed);
    let world = World {
        network: Network::new(chance.below(u64::MAX), Arc::clone(&trace)),
        oracle: Arc::new(Oracle::new(Arc::clone(&trace))),
        trace: Arc::clone(&trace),
        planted: options.planted,
    };
    let cluster = Cluster::new(world.clone(), chance.below(u64::MAX));
    if cluster.form(plan.nodes).await {
        let state = Arc::clone(&cluster.nodes);
        let publishers: Vec<_> = (0..PUBLISHERS)
            .map(|id| {
                let chance = Chance::new(chance.below(u64::MAX));
                let publisher = Publisher { id, chance };
                tokio::spawn(publisher.run(world.clone(), Arc::clone(&state)))
            })
            .collect();
        for (pause_ms, event) in plan.events {
            sleep(Duration::from_millis(pause_ms)).await;
            cluster.happen(event);
            if trace.failure().is_some() {
                break;
            }
        }
        sleep(Duration::from_secs(2)).await;
        cluster.heal();
        cluster.nodes.lock().is_over = true;
        for publisher in publishers {
            // A panic has been noted.
            drop(publisher.await);
        }
        if trace.failure().is_none() {
            let mut last = Publisher {
                id: PUBLISHERS,
                chance: Chance::new(chance.below(u64::MAX)),
            };
            if cluster.converges().await
                && cluster.serves(&mut last).await
                && cluster.converges().await
            {
                world.oracle.check(cluster.nodes.lock().running.values());
            }
        }
    }
    world.network.end();
    cluster.end();
    if let Some(panic) = take_panic() {
        trace.fail(format_args!("a panic: {panic}"));
    }
    let (fingerprint, events) = trace.fingerprint();
    Outcome {
        seed,
        nodes,
        failure: trace.failure(),
        fingerprint,
        events,
        figures: world.oracle.figures(),
        virtual_ms: trace.now_ms(),
        lines: trace.lines(),
    }
}

pub(crate) type Shared = Arc<Mutex<Nodes>>;
