//! A node alone: what was stored is there after any end, and a log from before
//! it was a group's is taken up.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use robustmq_log::{
    AppendError, BatchSource, CommitSink, Disk, DiskLog, LogConfig, LogReader, MemoryDisk,
    OpenError, ShardLog, TakenBatch,
};
use robustmq_record::{Batch, BatchBuilder, BatchLimits, KIND_MESSAGE, RecordInput, ShardId};

use super::{Committed, SHARD};
use crate::{MembershipStore, MemoryMembershipStore, ReplicatedLog, ReplicatedLogSetup};

type Outcome = Result<Arc<Batch>, AppendError>;

/// Batches that wait to be taken.
#[derive(Default)]
struct Waiting(Mutex<Vec<TakenBatch>>);

impl BatchSource for Waiting {
    fn take(&self, shard: ShardId) -> Option<TakenBatch> {
        if shard != SHARD {
            return None;
        }
        let mut waiting = self.0.lock();
        (!waiting.is_empty()).then(|| waiting.remove(0))
    }
}

impl Waiting {
    /// Gives a batch of one message; its outcome comes through the channel.
    fn push(&self, payload: &str) -> std::sync::mpsc::Receiver<Outcome> {
        let (told, outcome) = std::sync::mpsc::channel();
        let mut builder = BatchBuilder::new(BatchLimits::default());
        let record = RecordInput {
            namespace: "default",
            topic: "t",
            payload: payload.as_bytes(),
            ..RecordInput::default()
        };
        builder.try_push(&record).expect("it is small");
        self.0.lock().push(TakenBatch {
            builder,
            completion: Box::new(move |outcome| told.send(outcome).expect("the test waits")),
        });
        outcome
    }
}

fn config() -> LogConfig {
    LogConfig {
        shards: 2,
        segment_bytes: 64 << 10,
        ..LogConfig::default()
    }
}

struct Node {
    disk: Arc<MemoryDisk>,
    store: Arc<MemoryMembershipStore>,
    waiting: Arc<Waiting>,
}

impl Node {
    fn new() -> Self {
        Self {
            disk: Arc::default(),
            store: Arc::default(),
            waiting: Arc::default(),
        }
    }

    fn start(&self) -> (ReplicatedLog, Arc<Committed>) {
        let committed = Arc::new(Committed::default());
        let setup = ReplicatedLogSetup {
            disk: Arc::clone(&self.disk) as Arc<dyn Disk>,
            config: config(),
            store: Arc::clone(&self.store) as Arc<dyn MembershipStore>,
            source: Arc::clone(&self.waiting) as Arc<dyn BatchSource>,
            sink: Arc::clone(&committed) as Arc<dyn CommitSink>,
        };
        let started = ReplicatedLog::open_alone(setup, |_| Ok::<_, crate::ReplicatedLogError>(()));
        (started.expect("it starts").0, committed)
    }

    fn store(&self, log: &ReplicatedLog, payload: &str) -> Arc<Batch> {
        let outcome = self.waiting.push(payload);
        log.wake(SHARD);
        let outcome = outcome.recv_timeout(Duration::from_secs(30));
        outcome.expect("it ends").expect("it is stored")
    }
}

/// The messages that a shard's readers see.
fn messages(reader: &LogReader) -> Vec<String> {
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

#[test]
fn what_was_stored_is_there_after_every_start() {
    let node = Node::new();
    let mut expected = Vec::new();
    for round in 0..5 {
        let (log, committed) = node.start();
        assert_eq!(messages(&log.reader()), expected, "round {round}");
        for number in 0..20 {
            let payload = format!("{round}/{number}");
            let batch = node.store(&log, &payload);
            // Whoever is told that it is stored can read it, and the engine was
            // told before.
            let read = log.reader().batch(SHARD, batch.index());
            assert!(read.expect("it can be read").is_some());
            let told = committed
                .0
                .lock()
                .iter()
                .any(|one| one.shard() == SHARD && one.index() == batch.index());
            assert!(told, "{payload}");
            expected.push(payload);
        }
        let committed = committed.0.lock();
        let of_shard = committed.iter().filter(|one| one.shard() == SHARD);
        let indexes: Vec<u64> = of_shard.map(|one| one.index()).collect();
        assert!(indexes.is_sorted(), "in the log's order: {indexes:?}");
        if round % 2 == 0 {
            log.shutdown();
        }
    }
}

#[test]
fn what_comes_after_the_end_is_refused() {
    let node = Node::new();
    let (log, _) = node.start();
    node.store(&log, "stored");
    log.shutdown();
    let outcome = node.waiting.push("too late");
    log.wake(SHARD);
    let outcome = outcome
        .recv_timeout(Duration::from_secs(30))
        .expect("it ends");
    assert!(matches!(outcome, Err(AppendError::Shutdown)), "{outcome:?}");
}

#[test]
fn a_log_from_before_it_was_a_groups_goes_on() -> Result<(), OpenError> {
    let node = Node::new();
    let disk = Arc::clone(&node.disk) as Arc<dyn Disk>;
    let source = Arc::clone(&node.waiting) as Arc<dyn BatchSource>;
    let (log, _) = DiskLog::open(disk, config(), source, Arc::new(Committed::default()))?;
    let outcome = node.waiting.push("before");
    log.wake(SHARD);
    let before = outcome.recv_timeout(Duration::from_secs(30));
    let before = before.expect("it ends").expect("it is stored");
    drop(log);
    let (log, _) = node.start();
    assert_eq!(messages(&log.reader()), ["before"]);
    let after = node.store(&log, "after");
    assert!(after.index() > before.index());
    assert_eq!(messages(&log.reader()), ["before", "after"]);
    Ok(())
}
