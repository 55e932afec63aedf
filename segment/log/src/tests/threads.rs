//! The log with its threads, on a real directory.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc;

use parking_lot::Mutex;
use robustmq_record::{Batch, BatchBuilder, BatchLimits, Offset, RecordInput, ShardId};

use crate::testing::{History, SHARDS, payloads, read_all};
use crate::{
    AppendError, BatchSource, DiskLog, LogConfig, ReadLimits, RealDisk, ShardLog, TakenBatch,
};

type Answer = Result<u64, AppendError>;

/// A batch that grows, and who waits for it.
type Open = (BatchBuilder, Vec<mpsc::Sender<Answer>>);

/// A mailbox per shard, as the engine has them: the open batch grows until it
/// is taken.
#[derive(Default)]
struct Mailboxes {
    open: Mutex<BTreeMap<ShardId, Open>>,
}

impl Mailboxes {
    fn push(&self, shard: ShardId, payload: &[u8]) -> mpsc::Receiver<Answer> {
        let (sender, receiver) = mpsc::channel();
        let mut open = self.open.lock();
        let new = || (BatchBuilder::new(BatchLimits::default()), Vec::new());
        let (builder, senders) = open.entry(shard).or_insert_with(new);
        let record = RecordInput {
            namespace: "default",
            topic: "t",
            payload,
            ..RecordInput::default()
        };
        builder.try_push(&record).expect("test batches are small");
        senders.push(sender);
        receiver
    }
}

impl BatchSource for Mailboxes {
    fn take(&self, shard: ShardId) -> Option<TakenBatch> {
        let (builder, senders) = self.open.lock().remove(&shard)?;
        let completion = Box::new(move |result: Result<Arc<Batch>, AppendError>| {
            let answer = result.map(|batch| batch.index());
            // A submitter may have given up.
            senders
                .into_iter()
                .for_each(|sender| drop(sender.send(answer.clone())));
        });
        Some(TakenBatch {
            builder,
            term: None,
            completion,
        })
    }
}

fn config() -> LogConfig {
    LogConfig {
        shards: SHARDS,
        segment_bytes: 64 << 10,
        tail_cache_bytes: 100 << 10,
        free_bytes_min: 0,
        ..LogConfig::default()
    }
}

#[test]
fn many_submitters_share_syncs_and_everything_is_read_again() {
    const SUBMITTERS: u32 = 16;
    const RECORDS: u32 = 200;
    let directory = tempfile::tempdir().expect("a temporary directory");
    let disk = Arc::new(RealDisk::new(directory.path()).expect("a disk"));
    let (mailboxes, sink) = (Arc::new(Mailboxes::default()), Arc::new(History::default()));
    let source = Arc::clone(&mailboxes) as Arc<dyn BatchSource>;
    let (log, report) = DiskLog::open(disk.clone(), config(), source, sink.clone()).expect("opens");
    assert_eq!(report.segments, 0);
    std::thread::scope(|scope| {
        for submitter in 0..SUBMITTERS {
            let (log, mailboxes) = (&log, &mailboxes);
            scope.spawn(move || {
                let shard = ShardId(submitter % SHARDS);
                for number in 0..RECORDS {
                    let payload = format!("{submitter}-{number}");
                    let answer = mailboxes.push(shard, payload.as_bytes());
                    log.wake(shard);
                    let index = answer.recv().expect("an answer").expect("stored");
                    assert!(
                        log.position(shard).visible_end() > index,
                        "what is acknowledged is visible"
                    );
                }
            });
        }
        // Readers run beside: they see a growing, gapless log.
        for shard in (0..SHARDS).map(ShardId) {
            let (reader, expected) = (log.reader(), expected_records(shard));
            scope.spawn(move || {
                let (mut next, mut records, mut last) = (Offset::ZERO, 0, 0);
                while records < expected {
                    let chunk = reader
                        .read(shard, next, None, ReadLimits::default())
                        .expect("reads");
                    assert!(chunk.gaps.is_empty());
                    for batch in &chunk.batches {
                        assert_eq!(batch.index(), last + 1);
                        last = batch.index();
                        records += batch.count();
                    }
                    next = chunk.next;
                    std::thread::yield_now();
                }
            });
        }
        fn expected_records(shard: ShardId) -> usize {
            let submitters = (0..SUBMITTERS).filter(|submitter| submitter % SHARDS == shard.0);
            submitters.count() * RECORDS as usize
        }
    });
    let counters = log.counters();
    let syncs = counters.syncs.load(std::sync::atomic::Ordering::Relaxed);
    let records = u64::from(SUBMITTERS * RECORDS);
    assert!(
        syncs * 3 < records,
        "{syncs} syncs for {records} records: the commit is not shared"
    );
    log.shutdown();
    let refused = mailboxes.push(ShardId(0), b"too late");
    log.wake(ShardId(0));
    assert!(matches!(refused.recv(), Ok(Err(AppendError::Shutdown))));
    drop(log);

    everything_is_read_again(disk, sink, SUBMITTERS, RECORDS);
}

fn everything_is_read_again(
    disk: Arc<RealDisk>,
    sink: Arc<History>,
    submitters: u32,
    records: u32,
) {
    let (log, report) =
        DiskLog::open(disk, config(), Arc::new(Mailboxes::default()), sink).expect("opens again");
    assert!(
        report.clean && report.torn_bytes == 0 && report.damaged.is_empty(),
        "{report:?}"
    );
    let mut found: Vec<Vec<u8>> = Vec::new();
    for shard in (0..SHARDS).map(ShardId) {
        let (batches, gaps) = read_all(&log.reader(), shard);
        assert_eq!(gaps, []);
        found.extend(batches.iter().flat_map(|batch| payloads(batch)));
    }
    found.sort_unstable();
    let mut expected: Vec<Vec<u8>> = (0..submitters)
        .flat_map(|submitter| {
            (0..records).map(move |number| format!("{submitter}-{number}").into_bytes())
        })
        .collect();
    expected.sort_unstable();
    assert!(found == expected);
}
