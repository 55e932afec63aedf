//! A node alone: what was stored is there after any end, and a log from before
//! it was a group's is taken up.

use std::sync::Arc;

use parking_lot::Mutex;
use robustmq_log::{BatchSource, CommitRule, Disk, DiskLog, OpenError, ShardLog, TakenBatch};
use robustmq_record::{BatchBuilder, BatchLimits, RecordInput, ShardId};

use super::nodes::{Nodes, config, messages};
use super::{Committed, SHARD};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_stored_is_there_after_every_start() {
    let mut nodes = Nodes::default();
    let mut expected = Vec::new();
    for round in 0..5 {
        nodes.run(1, true).await;
        let node = &nodes.running[&1];
        assert_eq!(node.messages(), expected, "round {round}");
        for number in 0..20 {
            let payload = format!("{round}/{number}");
            let batch = node.store(&payload).await;
            // Whoever is told that it is stored can read it, and the engine was
            // told before.
            let read = node.log.reader().batch(SHARD, batch.index());
            assert!(read.expect("it can be read").is_some());
            let told = node.committed.0.lock();
            let mut told = told.iter();
            assert!(
                told.any(|one| one.shard() == SHARD && one.index() == batch.index()),
                "{payload}"
            );
            expected.push(payload);
        }
        nodes.kill(1).await;
    }
}

/// Gives one batch.
struct One(Mutex<Option<TakenBatch>>);

impl BatchSource for One {
    fn take(&self, shard: ShardId) -> Option<TakenBatch> {
        (shard == SHARD).then(|| self.0.lock().take()).flatten()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_from_before_it_was_a_groups_goes_on_and_others_get_all_of_it()
-> Result<(), OpenError> {
    let mut nodes = Nodes::default();
    let disk = nodes.disk(1) as Arc<dyn Disk>;
    let (told, outcome) = std::sync::mpsc::channel();
    let mut builder = BatchBuilder::new(BatchLimits::default());
    let record = RecordInput {
        namespace: "default",
        topic: "t",
        payload: b"before",
        ..RecordInput::default()
    };
    builder.try_push(&record).expect("it is small");
    let source = One(Mutex::new(Some(TakenBatch {
        builder,
        term: None,
        completion: Box::new(move |outcome| told.send(outcome).expect("the test waits")),
    })));
    let (log, _) = DiskLog::open(
        disk,
        config(CommitRule::Flushed),
        Arc::new(source),
        Arc::new(Committed::default()),
    )?;
    log.wake(SHARD);
    let before = outcome.recv_timeout(super::nodes::PATIENCE);
    let before = before.expect("it ends").expect("it is stored");
    assert_eq!(messages(&log.reader()), ["before"]);
    drop(log);
    nodes.run(1, true).await;
    let after = nodes.running[&1].store("after").await;
    assert!(after.index() > before.index());
    nodes.run(2, false).await;
    nodes.add(2).await;
    let found = nodes.wait_for_the_same().await;
    assert_eq!(found, ["before", "after"]);
    Ok(())
}
