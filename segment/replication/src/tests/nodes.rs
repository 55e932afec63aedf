//! Nodes with real logs in one process, and a network that can be cut.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use robustmq_log::{
    AppendError, BatchSource, CommitRule, CommitSink, Disk, DiskLog, LogConfig, LogReader,
    MemoryDisk, ShardLog, SystemClock, TakenBatch,
};
use robustmq_record::{Batch, BatchBuilder, BatchLimits, KIND_MESSAGE, RecordInput, ShardId};
use tokio::sync::oneshot;

use super::{Committed, Numbers, SHARD};
use crate::{
    CallFailed, GroupStatus, Groups, GroupsSetup, MemoryMembershipStore, Timing, Transport,
};

/// How long anything may take.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// Shards of records; the metadata group comes on top.
const SHARDS: u32 = 2;

/// Carries requests within the process, but not to or from nodes cut off.
#[derive(Clone, Default)]
pub(super) struct Network {
    nodes: Arc<Mutex<BTreeMap<u64, Arc<Groups>>>>,
    pub(super) cut_off: Arc<Mutex<HashSet<u64>>>,
}

struct From {
    network: Network,
    node: u64,
}

impl Transport for From {
    fn call(
        &self,
        node: u64,
        _address: &str,
        kind: u16,
        body: Bytes,
        timeout: Duration,
    ) -> BoxFuture<'static, Result<Bytes, CallFailed>> {
        let failed = |reason: &str| {
            let failed = CallFailed::Unreachable(reason.to_owned());
            futures_util::future::ready(Err(failed)).boxed()
        };
        {
            let cut_off = self.network.cut_off.lock();
            if cut_off.contains(&self.node) || cut_off.contains(&node) {
                return failed("cut off");
            }
        }
        let Some(target) = self.network.nodes.lock().get(&node).cloned() else {
            return failed("down");
        };
        let answer = target.handle(kind, body);
        async move {
            match tokio::time::timeout(timeout, answer).await {
                Ok(answer) => answer.map_err(CallFailed::Refused),
                Err(_) => Err(CallFailed::Lost("it takes too long".to_owned())),
            }
        }
        .boxed()
    }
}

/// Batches that wait to be taken.
#[derive(Default)]
pub(super) struct Waiting(Mutex<Vec<TakenBatch>>);

impl BatchSource for Waiting {
    fn take(&self, shard: ShardId) -> Option<TakenBatch> {
        if shard != SHARD {
            return None;
        }
        let mut waiting = self.0.lock();
        (!waiting.is_empty()).then(|| waiting.remove(0))
    }
}

/// A node's disk and what it keeps besides.
#[derive(Default)]
struct Kept {
    disk: Arc<MemoryDisk>,
    store: Arc<MemoryMembershipStore>,
    runs: AtomicU64,
}

/// A node that runs.
pub(super) struct Running {
    pub(super) log: Arc<DiskLog>,
    pub(super) groups: Arc<Groups>,
    pub(super) committed: Arc<Committed>,
    waiting: Arc<Waiting>,
}

impl Running {
    /// Gives the node a message; its end comes through the channel.
    pub(super) fn push(&self, payload: &str) -> oneshot::Receiver<Result<Arc<Batch>, AppendError>> {
        let (told, outcome) = oneshot::channel();
        let mut builder = BatchBuilder::new(BatchLimits::default());
        let record = RecordInput {
            namespace: "default",
            topic: "t",
            payload: payload.as_bytes(),
            ..RecordInput::default()
        };
        builder.try_push(&record).expect("it is small");
        self.waiting.0.lock().push(TakenBatch {
            builder,
            term: None,
            // A test that has given up does not wait.
            completion: Box::new(move |outcome| drop(told.send(outcome))),
        });
        self.groups.wake(SHARD);
        outcome
    }

    pub(super) async fn store(&self, payload: &str) -> Arc<Batch> {
        let outcome = tokio::time::timeout(PATIENCE, self.push(payload)).await;
        let outcome = outcome.expect("in time").expect("it ends");
        outcome.expect("it is stored")
    }

    pub(super) fn status(&self) -> GroupStatus {
        let mut all = self.groups.status();
        all.swap_remove(SHARD.0 as usize)
    }

    pub(super) fn messages(&self) -> Vec<String> {
        messages(&self.log.reader())
    }
}

/// The messages that a shard's readers see.
pub(super) fn messages(reader: &LogReader) -> Vec<String> {
    let position = reader.position(SHARD);
    let indexes = position.local_start..position.visible_end();
    let batches = indexes.filter_map(|index| reader.batch(SHARD, index).expect("it can be read"));
    let mut found = Vec::new();
    for batch in batches {
        let messages = batch.records().filter(|one| one.kind() == KIND_MESSAGE);
        found.extend(messages.map(|one| String::from_utf8_lossy(one.payload()).into_owned()));
    }
    found
}

/// Nodes, some of which run.
#[derive(Default)]
pub(super) struct Nodes {
    pub(super) network: Network,
    kept: BTreeMap<u64, Kept>,
    pub(super) running: BTreeMap<u64, Running>,
}

pub(super) fn config(commit: CommitRule) -> LogConfig {
    LogConfig {
        shards: SHARDS + 1,
        segment_bytes: 64 << 10,
        commit,
        ..LogConfig::default()
    }
}

fn address(node: u64) -> String {
    format!("node-{node}")
}

impl Nodes {
    /// A node's disk.
    pub(super) fn disk(&mut self, id: u64) -> Arc<MemoryDisk> {
        Arc::clone(&self.kept.entry(id).or_default().disk)
    }

    /// Starts a node; one of them begins the cluster.
    pub(super) async fn run(&mut self, id: u64, begins: bool) {
        let kept = self.kept.entry(id).or_default();
        let (waiting, committed) = (Arc::new(Waiting::default()), Arc::new(Committed::default()));
        let disk = Arc::clone(&kept.disk) as Arc<dyn Disk>;
        let opened = DiskLog::open(
            disk,
            config(CommitRule::Told),
            Arc::clone(&waiting) as Arc<dyn BatchSource>,
            Arc::new(Committed::default()),
        );
        let log = Arc::new(opened.expect("it opens").0);
        if begins {
            for shard in (0..=SHARDS).map(ShardId) {
                log.commit(shard, log.position(shard).appended_end);
            }
        }
        let groups = Groups::start(GroupsSetup {
            node_id: id,
            address: address(id),
            run: kept.runs.fetch_add(1, Ordering::Relaxed),
            shards: SHARDS,
            log: Arc::clone(&log),
            store: Arc::clone(&kept.store) as _,
            source: Arc::clone(&waiting) as Arc<dyn BatchSource>,
            sink: Arc::clone(&committed) as Arc<dyn CommitSink>,
            metadata_sink: Arc::new(Committed::default()),
            checkpoint: Arc::new(Numbers::default()),
            transport: Arc::new(From {
                network: self.network.clone(),
                node: id,
            }),
            clock: Arc::new(SystemClock::default()),
            timing: Timing {
                heartbeat: Duration::from_millis(50),
                election: Duration::from_millis(600),
            },
            begins,
            executor: None,
        });
        let groups = Arc::new(groups.await.expect("they start"));
        self.network.nodes.lock().insert(id, Arc::clone(&groups));
        let running = Running {
            log,
            groups,
            committed,
            waiting,
        };
        self.running.insert(id, running);
    }

    /// Node 1 with all that it has, joined by the others.
    pub(super) async fn cluster(others: impl IntoIterator<Item = u64>) -> Self {
        let mut nodes = Self::default();
        nodes.run(1, true).await;
        for id in others {
            nodes.run(id, false).await;
            nodes.add(id).await;
        }
        nodes
    }

    /// Makes a node a voter of all groups.
    pub(super) async fn add(&self, id: u64) {
        for shard in (0..=SHARDS).map(ShardId) {
            let add = async {
                loop {
                    for running in self.running.values() {
                        let added = running.groups.add(shard, id, &address(id), true).await;
                        match added {
                            Ok(()) => return,
                            Err(error) => println!("{shard:?}: {error}"),
                        }
                    }
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            };
            let added = tokio::time::timeout(PATIENCE, add).await;
            added.expect("somebody leads");
        }
    }

    /// Ends a node without any farewell.
    pub(super) async fn kill(&mut self, id: u64) {
        self.network.cut_off.lock().insert(id);
        self.network.nodes.lock().remove(&id);
        let running = self.running.remove(&id).expect("it runs");
        let ended = tokio::task::spawn_blocking(move || {
            running.groups.shutdown();
            running.log.shutdown();
        });
        ended.await.expect("it ends");
        self.network.cut_off.lock().remove(&id);
    }

    /// Who leads among nodes that are not cut off.
    pub(super) async fn leader(&self) -> u64 {
        let look = async {
            loop {
                for (id, running) in &self.running {
                    let is_cut_off = self.network.cut_off.lock().contains(id);
                    if !is_cut_off && running.groups.leads(SHARD) {
                        return *id;
                    }
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let found = tokio::time::timeout(PATIENCE, look).await;
        found.expect("somebody leads")
    }

    /// Waits until all nodes' readers see the same.
    pub(super) async fn wait_for_the_same(&self) -> Vec<String> {
        let wait = async {
            loop {
                let mut all = self.running.values().map(Running::messages);
                let first = all.next().expect("one runs");
                if all.all(|other| other == first) {
                    return first;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let same = tokio::time::timeout(PATIENCE, wait).await;
        same.expect("they come to agree")
    }
}
