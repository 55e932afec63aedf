//! The log of a node as the engine knows it: every shard a Raft group, all of
//! them on one disk log.
//!
//! | thread | does |
//! | --- | --- |
//! | `raft` | proposes, votes, replicates, hands over what is committed |
//! | those of [`robustmq_log::DiskLog`] | write and sync |

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use openraft::{BasicNode, Raft, SnapshotPolicy};
use parking_lot::Mutex;
use robustmq_log::{
    AppendError, BatchSource, CommitRule, CommitSink, Disk, DiskLog, FatalLogError, LogConfig,
    LogReader, OpenError, RecoveredLog, RecoveryReport, ShardLog, ShardPosition, TakenBatch,
};
use robustmq_record::{Batch, ShardId};
use tokio::runtime::{Handle, Runtime};
use tokio::task::JoinHandle;

use crate::alone::Alone;
use crate::membership::MembershipStore;
use crate::proposer::{Bell, Proposer};
use crate::state_machine::{ShardStateMachine, StateMachineSetup};
use crate::storage::ShardStorage;
use crate::types::Types;

/// A shard's Raft group on this node.
pub(crate) type ShardRaft = Raft<Types, ShardStateMachine>;

/// How long the last batches may take when the log is shut down.
const SHUTDOWN_PATIENCE: Duration = Duration::from_secs(4);

/// How long the groups may take to lead before the log is opened without.
const START_PATIENCE: Duration = Duration::from_secs(5);

/// Who the node is and what it works with.
pub struct ReplicatedLogSetup {
    /// The directory of the log.
    pub disk: Arc<dyn Disk>,
    /// Its limits; when entries are committed is not up to them.
    pub config: LogConfig,
    /// Where memberships are kept.
    pub store: Arc<dyn MembershipStore>,
    /// Where batches come from.
    pub source: Arc<dyn BatchSource>,
    /// Who hears of committed ones.
    pub sink: Arc<dyn CommitSink>,
}

/// Why a replicated log could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum ReplicatedLogError {
    /// The disk log could not.
    #[error(transparent)]
    Log(#[from] OpenError),
    /// A group could not.
    #[error("shard {shard}: {reason}")]
    Group {
        /// The shard.
        shard: u32,
        /// What is wrong.
        reason: String,
    },
    /// The thread of the groups could not be started.
    #[error("a thread could not be started: {0}")]
    Thread(#[source] io::Error),
}

struct Group {
    raft: ShardRaft,
    bell: Arc<Bell>,
    proposer: Mutex<Option<JoinHandle<()>>>,
}

/// A log whose shards are Raft groups.
pub struct ReplicatedLog {
    log: Arc<DiskLog>,
    groups: Vec<Group>,
    source: Arc<dyn BatchSource>,
    runtime: Mutex<GroupRuntime>,
}

/// The groups' threads. Ends without waiting for them, so that it can be dropped
/// anywhere.
struct GroupRuntime(Option<Runtime>);

impl GroupRuntime {
    fn start() -> io::Result<Self> {
        let mut threads = tokio::runtime::Builder::new_multi_thread();
        let threads = threads.worker_threads(1).thread_name("raft");
        Ok(Self(Some(threads.enable_time().build()?)))
    }

    /// # Panics
    /// When the threads have ended.
    fn handle(&self) -> Handle {
        let runtime = self.0.as_ref().expect("it is asked while it runs");
        runtime.handle().clone()
    }

    /// Runs something on the threads and waits for it, wherever it is called: a
    /// thread that belongs to another runtime must not wait itself. `None` when
    /// the threads have ended.
    fn run<T: Send>(&self, future: impl Future<Output = T> + Send) -> Option<T> {
        let runtime = self.0.as_ref()?;
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| runtime.block_on(future));
            match waiting.join() {
                Ok(outcome) => Some(outcome),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        })
    }

    fn spawn(&self, future: impl Future<Output = ()> + Send + 'static) -> Option<JoinHandle<()>> {
        self.0.as_ref().map(|runtime| runtime.spawn(future))
    }
}

impl Drop for GroupRuntime {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

/// The disk log gets its entries from Raft alone, and tells nobody but of its
/// failure.
struct Underneath(Arc<dyn CommitSink>);

impl BatchSource for Underneath {
    fn take(&self, _shard: ShardId) -> Option<TakenBatch> {
        None
    }
}

impl CommitSink for Underneath {
    fn committed(&self, _batch: Arc<Batch>) {}

    fn failed(&self, error: FatalLogError) {
        self.0.failed(error);
    }
}

impl ReplicatedLog {
    /// Opens the log of a node that is alone: a cluster of one.
    ///
    /// `prepare` is called with the recovered log, before anything is
    /// committed; when it returns, the sink must be at work.
    ///
    /// # Errors
    /// See [`ReplicatedLogError`].
    pub fn open_alone<T, E: From<ReplicatedLogError>>(
        setup: ReplicatedLogSetup,
        prepare: impl FnOnce(&DiskLog) -> Result<T, E>,
    ) -> Result<(Self, RecoveryReport, T), E> {
        let (node_id, shards) = (setup.config.node_id.0, setup.config.shards);
        let config = LogConfig {
            commit: CommitRule::Told,
            ..setup.config
        };
        let (log, report) = open_log(setup.disk, config, Arc::clone(&setup.sink))?;
        let prepared = prepare(&log)?;
        let runtime = GroupRuntime::start().map_err(ReplicatedLogError::Thread)?;
        let proposed_bytes = Arc::new(AtomicUsize::new(0));
        let turn = Arc::new(Mutex::new(()));
        let mut groups = Vec::new();
        for shard in (0..shards).map(ShardId) {
            let failed = |reason: String| ReplicatedLogError::Group {
                shard: shard.0,
                reason,
            };
            let storage = ShardStorage::new(Arc::clone(&log), shard, runtime.handle());
            let storage = storage.from_commit();
            let machine = StateMachineSetup {
                sink: Arc::clone(&setup.sink),
                turn: Arc::clone(&turn),
                store: Arc::clone(&setup.store),
                checkpoint: None,
                alone: Some(node_id),
            };
            let machine = ShardStateMachine::open(&storage, machine);
            let machine = machine.map_err(|error| failed(error.to_string()))?;
            let raft = runtime.run(begin(node_id, shard, storage, machine));
            let raft = raft.unwrap_or_else(|| Err("its threads have ended".to_owned()));
            let raft = raft.map_err(failed)?;
            let bell = Arc::new(Bell::default());
            let proposer = Proposer {
                shard,
                raft: raft.clone(),
                log: Arc::clone(&log),
                source: Arc::clone(&setup.source),
                bell: Arc::clone(&bell),
                proposed_bytes: Arc::clone(&proposed_bytes),
            };
            groups.push(Group {
                raft,
                bell,
                proposer: Mutex::new(runtime.spawn(proposer.run())),
            });
        }
        let replicated = Self {
            log,
            groups,
            source: setup.source,
            runtime: Mutex::new(runtime),
        };
        replicated.wait_for_the_lead();
        Ok((replicated, report, prepared))
    }

    /// Waits until every group leads and has committed what the last run left:
    /// then all that was ever acknowledged is there to be seen. On a full disk
    /// that must wait, and reading need not.
    fn wait_for_the_lead(&self) {
        let lead = async {
            for group in &self.groups {
                let is_ready = |metrics: &openraft::RaftMetrics<Types>| {
                    metrics.state == openraft::ServerState::Leader
                        && metrics.last_applied.map(|id| id.index) >= metrics.last_log_index
                };
                let waited = group.raft.wait(None).metrics(is_ready, "the lead").await;
                if let Err(error) = waited {
                    tracing::error!(%error, "a shard's group has ended");
                }
            }
        };
        let in_time = async { tokio::time::timeout(START_PATIENCE, lead).await.is_ok() };
        if self.runtime.lock().run(in_time) == Some(false) {
            tracing::warn!("not every shard can be written to yet; what is stored can be read");
        }
    }

    /// The log underneath, for whoever keeps house in it.
    #[must_use]
    pub fn disk_log(&self) -> &Arc<DiskLog> {
        &self.log
    }
}

/// Opens the disk log of a node that is alone.
fn open_log(
    disk: Arc<dyn Disk>,
    config: LogConfig,
    sink: Arc<dyn CommitSink>,
) -> Result<(Arc<DiskLog>, RecoveryReport), ReplicatedLogError> {
    let shards = config.shards;
    let recovered = RecoveredLog::open(disk, config)?;
    let report = recovered.report().clone();
    let underneath = Arc::new(Underneath(sink));
    let log = recovered.start(Arc::clone(&underneath) as _, underneath)?;
    for shard in (0..shards).map(ShardId) {
        // This node is the majority: nobody can put other entries in the place
        // of those that it has.
        log.commit(shard, log.position(shard).appended_end);
    }
    Ok((Arc::new(log), report))
}

/// Starts a group of this node alone, and has it lead at once.
async fn begin(
    node_id: u64,
    shard: ShardId,
    storage: ShardStorage,
    machine: ShardStateMachine,
) -> Result<ShardRaft, String> {
    let config = openraft::Config {
        cluster_name: format!("shard-{}", shard.0),
        snapshot_policy: SnapshotPolicy::Never,
        ..openraft::Config::default()
    };
    let config = config.validate().map_err(|error| error.to_string())?;
    let raft = Raft::new(node_id, Arc::new(config), Alone, storage, machine).await;
    let raft = raft.map_err(|error| error.to_string())?;
    if raft
        .is_initialized()
        .await
        .map_err(|error| error.to_string())?
    {
        let elected = raft.trigger().elect(false).await;
        elected.map_err(|error| error.to_string())?;
    } else {
        let nodes = BTreeMap::from([(node_id, BasicNode::new(""))]);
        let begun = raft.initialize(nodes).await;
        begun.map_err(|error| error.to_string())?;
    }
    Ok(raft)
}

impl ShardLog for ReplicatedLog {
    fn wake(&self, shard: ShardId) {
        let bell = &self.groups[shard.0 as usize].bell;
        bell.wake();
        if bell.is_stopping()
            && let Some(taken) = self.source.take(shard)
        {
            (taken.completion)(Err(AppendError::Shutdown));
        }
    }

    fn position(&self, shard: ShardId) -> ShardPosition {
        self.log.position(shard)
    }

    fn reader(&self) -> LogReader {
        self.log.reader()
    }

    fn has_room(&self) -> bool {
        self.log.has_room()
    }

    fn shutdown(&self) {
        let runtime = std::mem::replace(&mut *self.runtime.lock(), GroupRuntime(None));
        for group in &self.groups {
            group.bell.stop();
        }
        let ended = async {
            for group in &self.groups {
                let proposer = group.proposer.lock().take();
                if let Some(proposer) = proposer
                    && let Err(error) = proposer.await
                {
                    tracing::error!(%error, "a shard's proposer failed");
                }
            }
        };
        let in_time = runtime.run(async {
            let in_time = tokio::time::timeout(SHUTDOWN_PATIENCE, ended).await.is_ok();
            for group in &self.groups {
                if let Err(error) = group.raft.shutdown().await {
                    tracing::error!(%error, "a shard's group failed");
                }
            }
            in_time
        });
        if in_time == Some(false) {
            tracing::warn!("batches that could not be stored in time are given up");
        }
        drop(runtime);
        self.log.shutdown();
    }
}

impl Drop for ReplicatedLog {
    fn drop(&mut self) {
        self.shutdown();
    }
}
