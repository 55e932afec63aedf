//! The one thread that writes: gather, write once, sync once, complete in order.
//!
//! There is no timer in the way of a batch: while one round syncs, the next
//! one gathers at its source.
//!
//! **Invariants**
//! 1. Indexes and log sequence numbers are given out when a frame is encoded
//!    into a round that will be written; a batch refused for lack of room uses
//!    none.
//! 2. After a failed write or sync nothing more is written, and every batch
//!    that was not completed gets an error.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use parking_lot::{Condvar, Mutex};
use robustmq_record::{
    Batch, BodyEncoder, Control, DurableMark, FrameFields, FrameHeader, FrameStamp, HEADER_LEN,
    Lsn, SegmentEnd, SegmentId, SegmentStart, ShardId, ShardState, encode_frame,
};

use crate::error::{AppendError, FatalLogError};
use crate::segment::{Segment, segment_name};
use crate::shared::Shared;
use crate::source::{BatchSource, CommitSink, Completion, TakenBatch};
use crate::spare::Spares;

/// Room kept at the end of a segment for the frame that seals it.
const SEAL_BYTES: u64 = 4096;

/// Quiet time after which the end of what is synced is written down, so that
/// damage to the last frames is not taken for a torn write.
const IDLE_MARK: Duration = Duration::from_millis(20);

/// Capacity of the round buffer that is kept.
const BUFFER_KEEP_MAX: usize = 4 << 20;

/// Wakes the writer: one bit per shard.
#[derive(Default)]
pub(crate) struct Bell {
    shards: AtomicU64,
    sleeping: AtomicBool,
    stopped: AtomicBool,
    lock: Mutex<()>,
    rung: Condvar,
}

impl Bell {
    pub(crate) fn ring(&self, shard: ShardId) {
        let before = self.shards.fetch_or(1 << shard.0, Ordering::SeqCst);
        if before & (1 << shard.0) == 0 && self.sleeping.load(Ordering::SeqCst) {
            let _guard = self.lock.lock();
            self.rung.notify_one();
        }
    }

    pub(crate) fn stop(&self) {
        self.stopped.store(true, Ordering::SeqCst);
        let _guard = self.lock.lock();
        self.rung.notify_one();
    }

    /// Shards that rang since the last call; waits up to `patience` for one.
    fn answer(&self, patience: Option<Duration>) -> Answer {
        let mut guard = self.lock.lock();
        loop {
            self.sleeping.store(true, Ordering::SeqCst);
            let shards = self.shards.swap(0, Ordering::SeqCst);
            let stopped = self.stopped.load(Ordering::SeqCst);
            if shards != 0 || stopped {
                self.sleeping.store(false, Ordering::SeqCst);
                return Answer::Shards { shards, stopped };
            }
            match patience {
                None => self.rung.wait(&mut guard),
                Some(patience) => {
                    if self.rung.wait_for(&mut guard, patience).timed_out() {
                        let shards = self.shards.swap(0, Ordering::SeqCst);
                        self.sleeping.store(false, Ordering::SeqCst);
                        let stopped = self.stopped.load(Ordering::SeqCst);
                        if shards == 0 && !stopped {
                            return Answer::Quiet;
                        }
                        return Answer::Shards { shards, stopped };
                    }
                }
            }
        }
    }
}

enum Answer {
    Shards { shards: u64, stopped: bool },
    Quiet,
}

struct Written {
    batch: Arc<Batch>,
    header: FrameHeader,
    position: u64,
    completion: Completion,
}

/// Where the writer goes on after recovery.
pub(crate) struct Resume {
    /// Position in the last segment; none if a new one must be started.
    pub(crate) position: Option<u64>,
    pub(crate) lsn_next: Lsn,
    /// Number of the first frame of the last segment.
    pub(crate) segment_lsn_start: Lsn,
    pub(crate) segment_next: SegmentId,
    pub(crate) shards: Vec<ShardState>,
}

pub(crate) struct Writer {
    shared: Arc<Shared>,
    source: Arc<dyn BatchSource>,
    sink: Arc<dyn CommitSink>,
    spares: Arc<Mutex<Spares>>,
    encoder: BodyEncoder,
    active: Option<Arc<Segment>>,
    position: u64,
    segment_next: SegmentId,
    lsn_next: Lsn,
    segment_lsn_start: Lsn,
    durable_lsn: Lsn,
    marked_lsn: Lsn,
    buffer: Vec<u8>,
    round: Vec<Written>,
    states: Vec<ShardState>,
    poisoned: Option<FatalLogError>,
}

impl Writer {
    pub(crate) fn new(
        shared: Arc<Shared>,
        source: Arc<dyn BatchSource>,
        sink: Arc<dyn CommitSink>,
        spares: Arc<Mutex<Spares>>,
        resume: Resume,
    ) -> Self {
        let active = resume
            .position
            .and_then(|_| shared.segments.read().last().cloned());
        let durable_lsn = Lsn(resume.lsn_next.0 - 1);
        Self {
            encoder: BodyEncoder::new(shared.config.compression),
            active,
            position: resume.position.unwrap_or(0),
            segment_next: resume.segment_next,
            lsn_next: resume.lsn_next,
            segment_lsn_start: resume.segment_lsn_start,
            durable_lsn,
            marked_lsn: durable_lsn,
            buffer: Vec::new(),
            round: Vec::new(),
            states: resume.shards,
            poisoned: None,
            shared,
            source,
            sink,
            spares,
        }
    }

    /// Runs until the bell is stopped and nothing is left at the sources.
    pub(crate) fn run(mut self, bell: &Bell) {
        loop {
            let mark_due = self.marked_lsn < self.durable_lsn && self.poisoned.is_none();
            match bell.answer(mark_due.then_some(IDLE_MARK)) {
                Answer::Quiet => self.mark(false),
                Answer::Shards { shards, stopped } => {
                    let shards = if stopped { u64::MAX } else { shards };
                    self.gather_and_commit(shards, bell);
                    if stopped {
                        self.mark(true);
                        return;
                    }
                }
            }
        }
    }

    fn gather_and_commit(&mut self, shards: u64, bell: &Bell) {
        let round_max = self.shared.config.round_bytes_max;
        for number in 0..self.shared.config.shards {
            if shards & (1 << number) == 0 {
                continue;
            }
            let shard = ShardId(number);
            if self.buffer.len() >= round_max {
                bell.shards.fetch_or(1 << number, Ordering::SeqCst);
                continue;
            }
            while let Some(taken) = self.source.take(shard) {
                self.add(shard, taken);
                if self.buffer.len() >= round_max {
                    bell.shards.fetch_or(1 << number, Ordering::SeqCst);
                    break;
                }
            }
        }
        self.commit();
    }

    /// Encodes a batch into the round, starting a new segment if it does not fit.
    fn add(&mut self, shard: ShardId, taken: TakenBatch) {
        let TakenBatch {
            builder,
            completion,
        } = taken;
        if let Some(error) = &self.poisoned {
            completion(Err(AppendError::Poisoned(error.clone())));
            return;
        }
        let ShardState {
            appended_index,
            term,
            commit_index,
            ..
        } = self.states[shard.0 as usize];
        let index = appended_index + 1;
        let batch = Arc::new(builder.finish(shard, index, term));
        let bytes_max = (HEADER_LEN + batch.body().len() + 8) as u64;
        if !self.fits(bytes_max)
            && let Err(error) = self.roll(bytes_max)
        {
            completion(Err(error));
            return;
        }
        let Some(active) = &self.active else {
            completion(Err(AppendError::DiskFull));
            return;
        };
        let fields = FrameFields {
            leader: self.shared.config.node_id,
            lsn: self.lsn_next,
            durable_lsn: self.durable_lsn,
            commit_hint: commit_index,
            ..FrameFields::of_batch(&batch)
        };
        let position = self.position + self.buffer.len() as u64;
        let body = self.encoder.encode(batch.body());
        let header = encode_frame(&fields, body, active.id, &mut self.buffer);
        self.lsn_next = self.lsn_next.next();
        let state = &mut self.states[shard.0 as usize];
        state.appended_index = index;
        state.appended_term = term;
        self.shared.shard(shard).set_appended_end(index + 1);
        self.round.push(Written {
            batch,
            header,
            position,
            completion,
        });
    }

    fn fits(&self, bytes: u64) -> bool {
        let Some(active) = &self.active else {
            return false;
        };
        let used = self.position + self.buffer.len() as u64;
        let len = active.file.len().unwrap_or(0);
        used + bytes + SEAL_BYTES <= len
    }

    /// Writes and syncs the round, then reports it.
    fn commit(&mut self) {
        if self.buffer.is_empty() {
            return;
        }
        let Some(active) = self.active.clone() else {
            return;
        };
        let written = active.file.write_at(&self.buffer, self.position);
        let result = written
            .map_err(|error| ("writing the log", error))
            .and_then(|()| {
                active
                    .file
                    .sync_data()
                    .map_err(|error| ("syncing the log", error))
            });
        if let Err((action, error)) = result {
            self.poison(action, error);
            return;
        }
        self.position += self.buffer.len() as u64;
        active.set_end(self.position, false);
        self.buffer.clear();
        self.buffer.shrink_to(BUFFER_KEEP_MAX);
        self.durable_lsn = Lsn(self.lsn_next.0 - 1);
        for done in std::mem::take(&mut self.round) {
            active.add(&done.header, done.position, done.batch.timestamp_ms_max());
            let (shard, index) = (done.batch.shard(), done.batch.index());
            self.states[shard.0 as usize].commit_index = index;
            self.shared.cache.push(&done.batch);
            self.shared.shard(shard).set_flushed_end(index + 1);
            self.sink.committed(Arc::clone(&done.batch));
            (done.completion)(Ok(done.batch));
        }
    }

    fn poison(&mut self, action: &'static str, error: io::Error) {
        let fatal = FatalLogError {
            action,
            source: Arc::new(error),
        };
        self.poisoned = Some(fatal.clone());
        for lost in std::mem::take(&mut self.round) {
            (lost.completion)(Err(AppendError::Poisoned(fatal.clone())));
        }
        self.buffer.clear();
        self.sink.failed(fatal);
    }

    /// Ends the active segment and starts the next one.
    fn roll(&mut self, bytes_min: u64) -> Result<(), AppendError> {
        let id = self.segment_next;
        let name = segment_name(id);
        let start = Control::SegmentStart(SegmentStart {
            segment_id: id,
            node_id: self.shared.config.node_id,
            created_ms: now_ms(),
            compacted: false,
            shards: self.states.clone(),
        });
        let need = bytes_min + 2 * SEAL_BYTES;
        let taken = self.spares.lock().take(&name, need);
        let file = match taken {
            Ok(file) => file,
            Err(error) if is_full(&error) => return Err(AppendError::DiskFull),
            Err(error) => {
                self.poison("starting a segment", error);
                return Err(self.failure());
            }
        };
        self.seal();
        if self.poisoned.is_some() {
            return Err(self.failure());
        }
        let segment = Arc::new(Segment::new(id, file, self.shared.config.shards));
        self.shared.segments.write().push(Arc::clone(&segment));
        self.segment_next = SegmentId(id.0 + 1);
        self.active = Some(segment);
        self.position = 0;
        self.segment_lsn_start = self.lsn_next;
        let stamp = self.stamp();
        start.encode(&stamp, id, &mut self.buffer);
        self.lsn_next = self.lsn_next.next();
        Ok(())
    }

    fn failure(&self) -> AppendError {
        match &self.poisoned {
            Some(error) => AppendError::Poisoned(error.clone()),
            None => AppendError::Shutdown,
        }
    }

    /// Writes what is gathered and the frame that seals the active segment.
    fn seal(&mut self) {
        let Some(active) = self.active.clone() else {
            return;
        };
        let end = Control::SegmentEnd(SegmentEnd {
            frames: self.lsn_next.0 - self.segment_lsn_start.0 + 1,
            position: self.position + self.buffer.len() as u64,
            clean: false,
        });
        let stamp = self.stamp();
        end.encode(&stamp, active.id, &mut self.buffer);
        self.lsn_next = self.lsn_next.next();
        self.commit();
        active.set_end(self.position, true);
    }

    /// Writes down how far the log is synced. At the end of a run it is synced
    /// too; on the way it need not be: it only guards against misreading
    /// damage, and the next sync carries it along.
    fn mark(&mut self, clean: bool) {
        let Some(active) = self.active.clone() else {
            return;
        };
        if self.poisoned.is_some() || !self.fits(HEADER_LEN as u64) {
            return;
        }
        let mark = Control::DurableMark(DurableMark { clean });
        let stamp = self.stamp();
        mark.encode(&stamp, active.id, &mut self.buffer);
        self.lsn_next = self.lsn_next.next();
        if clean {
            self.commit();
        } else if let Err(error) = active.file.write_at(&self.buffer, self.position) {
            self.poison("writing the log", error);
        } else {
            self.position += self.buffer.len() as u64;
            self.buffer.clear();
        }
        self.marked_lsn = self.durable_lsn;
    }

    fn stamp(&self) -> FrameStamp {
        FrameStamp {
            lsn: self.lsn_next,
            durable_lsn: self.durable_lsn,
            leader: self.shared.config.node_id,
            commit_hint: 0,
            timestamp_ms: now_ms(),
        }
    }
}

fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}

fn now_ms() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |elapsed| elapsed.as_millis() as u64)
}
