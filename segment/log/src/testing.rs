//! A log run step by step on a simulated disk, without threads, and what is
//! needed to know afterwards what it must hold.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use robustmq_record::{Batch, BatchBuilder, BatchLimits, Offset, RecordInput, ShardId};

use crate::disk::Disk;
use crate::disk_log::{Parts, index, restock};
use crate::retention::Retirement;
use crate::shard_log::{BatchSource, CommitSink, TakenBatch};
use crate::writer::Chore;
use crate::{
    AppendError, CarryForward, Clock, FatalLogError, Gap, LogConfig, LogReader, OpenError,
    ReadLimits, RecoveredLog, RecoveryReport, RetentionPolicies,
};

pub(crate) const SHARDS: u32 = 3;

/// A clock that goes when it is told to.
#[derive(Default)]
pub(crate) struct ManualClock {
    ms: AtomicU64,
}

impl ManualClock {
    pub(crate) fn advance(&self, time: Duration) {
        self.ms.fetch_add(time.as_millis() as u64, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn wall_ms(&self) -> u64 {
        1_700_000_000_000 + self.ms.load(Ordering::SeqCst)
    }

    fn monotonic(&self) -> Duration {
        Duration::from_millis(self.ms.load(Ordering::SeqCst))
    }
}

/// Payloads of one batch.
pub(crate) type Payloads = Vec<Vec<u8>>;

/// What became of a submitted batch.
#[derive(Clone, Debug)]
pub(crate) enum Fate {
    Stored { index: u64 },
    Refused(AppendError),
}

/// Everything that was submitted to a log, over all its runs, and the answers.
#[derive(Default)]
pub(crate) struct History {
    pub(crate) submitted: Mutex<Vec<(ShardId, Payloads)>>,
    pub(crate) fates: Mutex<BTreeMap<usize, Fate>>,
    pub(crate) committed: Mutex<Vec<Arc<Batch>>>,
    pub(crate) failures: AtomicU64,
}

/// Batches that wait, per shard.
#[derive(Default)]
pub(crate) struct Queue {
    waiting: Mutex<BTreeMap<ShardId, VecDeque<TakenBatch>>>,
}

impl BatchSource for Queue {
    fn take(&self, shard: ShardId) -> Option<TakenBatch> {
        self.waiting.lock().get_mut(&shard)?.pop_front()
    }
}

impl Queue {
    pub(crate) fn push(&self, shard: ShardId, taken: TakenBatch) {
        self.waiting
            .lock()
            .entry(shard)
            .or_default()
            .push_back(taken);
    }
}

impl CommitSink for History {
    fn committed(&self, batch: Arc<Batch>) {
        self.committed.lock().push(batch);
    }

    fn failed(&self, _error: FatalLogError) {
        self.failures.fetch_add(1, Ordering::SeqCst);
    }
}

/// A batch of records with these payloads, on topics `t/0`, `t/1`, …
pub(crate) fn builder(payloads: &Payloads, timestamp_ms: u64) -> BatchBuilder {
    let mut builder = BatchBuilder::new(BatchLimits::default());
    for (place, payload) in payloads.iter().enumerate() {
        let topic = format!("t/{}", place % 5);
        let record = RecordInput {
            qos: 1,
            namespace: "default",
            topic: &topic,
            client_id: "client",
            timestamp_ms,
            payload,
            ..RecordInput::default()
        };
        builder.try_push(&record).expect("test batches are small");
    }
    builder
}

/// A log in the hands of a test.
pub(crate) struct Bench {
    pub(crate) parts: Parts,
    pub(crate) queue: Arc<Queue>,
    pub(crate) history: Arc<History>,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) report: RecoveryReport,
}

pub(crate) fn config(clock: &Arc<ManualClock>) -> LogConfig {
    LogConfig {
        shards: SHARDS,
        segment_bytes: 4096,
        tail_cache_bytes: 6 << 10,
        open_files_max: 3,
        index_cache_bytes: 2 << 10,
        free_bytes_min: 0,
        clock: Arc::clone(clock) as Arc<dyn Clock>,
        ..LogConfig::default()
    }
}

/// Carries nothing: nothing in the tests is live beyond its retention.
pub(crate) struct NothingLive;

impl CarryForward for NothingLive {
    fn carry_forward(&self, _shard: ShardId, _end: Offset) -> bool {
        true
    }
}

impl Bench {
    pub(crate) fn open(disk: Arc<dyn Disk>, history: &Arc<History>) -> Result<Self, OpenError> {
        Self::open_with(disk, history, |_| ())
    }

    pub(crate) fn open_with(
        disk: Arc<dyn Disk>,
        history: &Arc<History>,
        change: impl FnOnce(&mut LogConfig),
    ) -> Result<Self, OpenError> {
        let clock = Arc::new(ManualClock::default());
        let mut config = config(&clock);
        change(&mut config);
        let queue = Arc::new(Queue::default());
        let log = RecoveredLog::open(disk, config)?;
        let report = log.report().clone();
        let source = Arc::clone(&queue) as Arc<dyn BatchSource>;
        let parts = log.assemble(source, Arc::clone(history) as Arc<dyn CommitSink>)?;
        Ok(Self {
            parts,
            queue,
            history: Arc::clone(history),
            clock,
            report,
        })
    }

    /// Submits a batch; it is written by the next [`Bench::step`].
    pub(crate) fn submit(&self, shard: u32, payloads: Payloads) -> usize {
        let shard = ShardId(shard);
        let builder = builder(&payloads, self.clock.wall_ms());
        let number = {
            let mut submitted = self.history.submitted.lock();
            submitted.push((shard, payloads));
            submitted.len() - 1
        };
        let history = Arc::clone(&self.history);
        let completion = Box::new(move |result: Result<Arc<Batch>, AppendError>| {
            let fate = match result {
                Ok(batch) => Fate::Stored {
                    index: batch.index(),
                },
                Err(error) => Fate::Refused(error),
            };
            let before = history.fates.lock().insert(number, fate);
            assert!(before.is_none(), "completed once");
        });
        let taken = TakenBatch {
            builder,
            term: None,
            completion,
        };
        self.queue.push(shard, taken);
        self.parts.inbox.wake(shard);
        number
    }

    /// Writes everything that waits.
    pub(crate) fn step(&mut self) {
        while self.parts.writer.round() {}
    }

    /// Lets time pass, and the writer note that it is idle.
    pub(crate) fn idle(&mut self) {
        self.clock.advance(Duration::from_secs(1));
        self.parts.writer.idle();
    }

    /// Does what the background thread would do.
    pub(crate) fn background(&self) {
        self.parts.sealed.ring();
        for _ in 0..100 {
            match self.parts.sealed.try_next() {
                Some(Chore::Restock) => restock(&self.parts.supply),
                Some(Chore::Index(segment)) => drop(index(&self.parts.state, &segment)),
                Some(Chore::Stop) | None => break,
            }
        }
    }

    pub(crate) fn retire(&self, policies: &RetentionPolicies) {
        let retirement = Retirement {
            state: &self.parts.state,
            supply: &self.parts.supply,
            policies,
            now_ms: self.clock.wall_ms(),
            carry: &NothingLive,
        };
        // The simulated machine may have stopped.
        let _ = retirement.run();
    }

    pub(crate) fn reader(&self) -> LogReader {
        LogReader::new(Arc::clone(&self.parts.state))
    }

    /// Everything a shard holds: its batches and gaps.
    pub(crate) fn read_all(&self, shard: u32) -> (Vec<Arc<Batch>>, Vec<Gap>) {
        read_all(&self.reader(), ShardId(shard))
    }
}

pub(crate) fn read_all(reader: &LogReader, shard: ShardId) -> (Vec<Arc<Batch>>, Vec<Gap>) {
    let limits = ReadLimits {
        bytes_max: 3000,
        batches_max: 7,
    };
    let (mut batches, mut gaps) = (Vec::new(), Vec::new());
    let mut next = Offset::ZERO;
    loop {
        let chunk = reader
            .read(shard, next, None, limits)
            .expect("the disk reads");
        assert!(
            chunk.next >= next && (chunk.next > next || chunk.at_end),
            "reading goes on"
        );
        next = chunk.next;
        batches.extend(chunk.batches);
        gaps.extend(chunk.gaps);
        if chunk.at_end {
            return (batches, gaps);
        }
    }
}

pub(crate) fn payloads(batch: &Batch) -> Payloads {
    batch
        .records()
        .map(|record| record.payload().to_vec())
        .collect()
}

/// A batch for tests: `count` payloads of about `size` bytes, told apart by
/// `seed`.
pub(crate) fn some_payloads(seed: u64, count: usize, size: usize) -> Payloads {
    (0..count)
        .map(|place| {
            let mut payload = format!("{seed}-{place}-").into_bytes();
            let mut mixed = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
            while payload.len() < size {
                mixed ^= mixed << 13;
                mixed ^= mixed >> 7;
                mixed ^= mixed << 17;
                payload.push(mixed as u8);
            }
            payload
        })
        .collect()
}
