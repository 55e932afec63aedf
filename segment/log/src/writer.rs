//! The one that writes: gather, write once, sync once, complete in order.
//!
//! There is no timer in the way of a batch: while one round is synced, the next
//! one gathers at its source.
//!
//! **Invariants**
//! 1. A batch is reported as stored only by [`Writer::complete`], after the
//!    sync that covers it has returned.
//! 2. Indexes and log sequence numbers are given when a frame is placed; when
//!    its write finds no room they are taken back and given again.
//! 3. What a write without room has left behind is zeroed and synced before
//!    anything else is written: a refused batch never comes back.
//! 4. After a failed write or sync nothing is written any more, and everybody
//!    who waits gets an error.
//! 5. A segment is sealed, and that is synced, before the next one is written.
//!
//! **Not here**: the thread and its sleep (`disk_log`), making files (`supply`).

mod commands;
mod part;
mod roll;

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use robustmq_record::{
    Batch, BatchEntry, BodyEncoder, Control, DurableMark, FRAME_ALIGN, FrameFields, FrameStamp,
    HEADER_LEN, Lsn, ShardId, Term, encode_frame,
};

use crate::config::Durability;
use crate::disk::{DiskFile, is_disk_full, write_zeros};
use crate::error::{AppendError, FatalLogError};
use crate::inbox::Inbox;
use crate::position::ShardPosition;
use crate::segment::Segment;
use crate::shard_log::{BatchCompletion, BatchSource, CommitSink, TakenBatch};
use crate::state::{LogCounters, LogState, ShardCell};
use crate::supply::Supply;
use part::{Part, Placed};
pub(crate) use roll::{Chore, Sealed, begin};

/// Capacity of the write buffer that is kept from round to round.
const BUFFER_KEEP_MAX: usize = 16 << 20;

/// Rounds at the end for sources that do not stop giving.
const FINISH_ROUNDS_MAX: usize = 64;

/// The segment that is written to.
pub(crate) struct Active {
    pub(crate) segment: Arc<Segment>,
    pub(crate) file: Arc<dyn DiskFile>,
    /// Where the next write goes.
    pub(crate) position: u64,
    /// Up to here every byte was written before, at least with zeros.
    pub(crate) zeroed_end: u64,
}

/// What the writer starts with.
pub(crate) struct WriterSetup {
    pub(crate) state: Arc<LogState>,
    pub(crate) inbox: Arc<Inbox>,
    pub(crate) supply: Arc<Supply>,
    pub(crate) sealed: Arc<Sealed>,
    pub(crate) source: Arc<dyn BatchSource>,
    pub(crate) sink: Arc<dyn CommitSink>,
    pub(crate) active: Active,
    /// The number of the next frame; all before are durable.
    pub(crate) lsn_next: Lsn,
}

pub(crate) struct Writer {
    state: Arc<LogState>,
    inbox: Arc<Inbox>,
    supply: Arc<Supply>,
    sealed: Arc<Sealed>,
    source: Arc<dyn BatchSource>,
    sink: Arc<dyn CommitSink>,
    encoder: BodyEncoder,
    active: Active,
    lsn_next: Lsn,
    /// Everything up to and including this number is synced.
    durable_lsn: Lsn,
    /// The last frame written was a mark.
    marked: bool,
    part: Part,
    /// Bytes from the active position up to here may hold refused frames.
    dirty_end: u64,
    last_write: Duration,
    last_sync: Duration,
    woken: Vec<ShardId>,
    /// Which shard is served first; turns, so that none starves.
    turn: usize,
}

impl Writer {
    pub(crate) fn new(setup: WriterSetup) -> Self {
        let now = setup.state.config.clock.monotonic();
        Self {
            encoder: BodyEncoder::new(setup.state.config.compression),
            state: setup.state,
            inbox: setup.inbox,
            supply: setup.supply,
            sealed: setup.sealed,
            source: setup.source,
            sink: setup.sink,
            active: setup.active,
            lsn_next: setup.lsn_next,
            durable_lsn: Lsn(setup.lsn_next.0 - 1),
            marked: setup.lsn_next == Lsn(1),
            part: Part::new(setup.lsn_next),
            dirty_end: 0,
            last_write: now,
            last_sync: now,
            woken: Vec::new(),
            turn: 0,
        }
    }

    /// Does what is waiting; false if there was nothing.
    pub(crate) fn round(&mut self) -> bool {
        let commands = self.inbox.take_commands();
        let mut worked = !commands.is_empty();
        for command in commands {
            self.command(command);
        }
        let mut woken = std::mem::take(&mut self.woken);
        self.inbox.take_woken(&mut woken);
        if !woken.is_empty() {
            self.turn = (self.turn + 1) % woken.len();
            woken.rotate_left(self.turn);
        }
        let mut gathered = 0;
        for &shard in &woken {
            if !self.state.has_shard(shard) || !self.state.commits_itself() {
                continue;
            }
            while gathered < self.state.config.round_bytes_max
                && let Some(taken) = self.source.take(shard)
            {
                gathered += taken.builder.size_bytes();
                worked = true;
                self.place_taken(shard, taken);
            }
            if gathered >= self.state.config.round_bytes_max {
                // There may be more; the next round asks again.
                self.inbox.mark(shard);
            }
        }
        self.woken = woken;
        // A failure has been told to everybody who is concerned.
        let _ = self.flush();
        worked
    }

    /// Gives the batch its place, or completes it with the reason why not.
    fn place_taken(&mut self, shard: ShardId, taken: TakenBatch) {
        let TakenBatch {
            builder,
            completion,
            term: _,
        } = taken;
        if let Some(fatal) = self.state.fatal() {
            return completion(Err(AppendError::Poisoned(fatal.clone())));
        }
        if builder.is_empty() {
            return completion(Err(AppendError::Conflict("the batch holds no record")));
        }
        let position = self.state.position(shard);
        let batch = builder.finish(shard, position.appended_end, position.term);
        let mut completion = Some(completion);
        if let Err(error) = self.place_batch(Arc::new(batch), &mut completion) {
            LogCounters::add(&self.state.counters.batches_refused, 1);
            if let Some(completion) = completion {
                completion(Err(error));
            }
        }
    }

    /// Encodes a batch that has its index. Takes the completion on success.
    fn place_batch(
        &mut self,
        batch: Arc<Batch>,
        completion: &mut Option<BatchCompletion>,
    ) -> Result<(), AppendError> {
        let shard = batch.shard();
        // A frame is at most as long as its body uncompressed.
        self.make_room(frame_len(batch.size_bytes()), true)?;
        self.begin_segment();
        let cell = self.state.cell(shard);
        assert!(
            cell.position.appended_end == batch.index() && cell.appended_term <= batch.term(),
            "entries follow each other"
        );
        let fields = FrameFields {
            leader: self.state.config.node_id,
            lsn: self.lsn_next,
            durable_lsn: self.durable_lsn,
            commit_hint: cell.position.commit_end - 1,
            ..FrameFields::of_batch(&batch)
        };
        let position = self.active.position + self.part.buffer.len() as u64;
        let body = self.encoder.encode_of(shard.0 as usize, batch.body());
        let id = self.active.segment.id();
        let header = encode_frame(&fields, body, id, &mut self.part.buffer);
        self.lsn_next = self.lsn_next.next();
        self.change_cell(shard, |cell| {
            cell.position.change(|position| {
                position.appended_end = batch.index() + 1;
                position.term = position.term.max(batch.term());
            });
            cell.appended_term = batch.term();
        });
        let entry = BatchEntry {
            ordinal: 0,
            index: batch.index(),
            term: batch.term(),
            position,
            frame_len: header.frame_len() as u32,
            count: batch.count() as u32,
            has_state: batch.has_state(),
            timestamp_ms_min: batch.timestamp_ms_min(),
            timestamp_ms_max: batch.timestamp_ms_max(),
        };
        self.part.placed.push_back(Placed::Batch {
            batch,
            entry,
            completion: completion.take(),
        });
        Ok(())
    }

    /// Changes a shard's cell in a way that is undone if the part is.
    fn change_cell(&mut self, shard: ShardId, change: impl FnOnce(&mut ShardCell)) {
        let mut cell = self.state.cells[shard.0 as usize].lock();
        self.part.undo.push((shard, *cell));
        change(&mut cell);
    }

    fn place_control(&mut self, control: &Control, shard: Option<ShardId>) {
        let stamp = FrameStamp {
            lsn: self.lsn_next,
            durable_lsn: self.durable_lsn,
            leader: self.state.config.node_id,
            commit_hint: shard.map_or(0, |shard| self.state.position(shard).commit_end - 1),
            timestamp_ms: self.state.config.clock.wall_ms(),
        };
        let id = self.active.segment.id();
        control.encode(&stamp, id, &mut self.part.buffer);
        self.lsn_next = self.lsn_next.next();
    }

    /// Writes and syncs what was placed, and completes it.
    fn flush(&mut self) -> Result<(), AppendError> {
        if let Some(fatal) = self.state.fatal() {
            let error = AppendError::Poisoned(fatal.clone());
            self.refuse(&error);
            return Err(error);
        }
        if self.part.buffer.is_empty() {
            // Commands that needed no frame; what they wait for is written.
            self.tell();
            return Ok(());
        }
        let position = self.active.position;
        let end = position + self.part.buffer.len() as u64;
        let written = self.clean().and_then(|()| {
            self.dirty_end = end;
            self.active.file.write_at(position, &self.part.buffer)?;
            self.zero_ahead(end)
        });
        if let Err(error) = written {
            if is_disk_full(&error) {
                self.refuse(&AppendError::DiskFull);
                return Err(AppendError::DiskFull);
            }
            return Err(self.poison("writing the log", error));
        }
        self.dirty_end = 0;
        let now = self.state.config.clock.monotonic();
        self.last_write = now;
        let sync = match self.state.config.durability {
            Durability::Synced => true,
            Durability::Interval(interval) => now.saturating_sub(self.last_sync) >= interval,
            Durability::Unsynced => false,
        };
        if sync || self.part.must_sync {
            self.sync(Lsn(self.lsn_next.0 - 1))?;
        }
        let counters = &self.state.counters;
        LogCounters::add(&counters.rounds, 1);
        LogCounters::add(&counters.bytes_written, self.part.buffer.len() as u64);
        self.complete(end);
        Ok(())
    }

    fn sync(&mut self, lsn: Lsn) -> Result<(), AppendError> {
        if let Err(error) = self.active.file.sync_data() {
            return Err(self.poison("syncing the log", error));
        }
        LogCounters::add(&self.state.counters.syncs, 1);
        self.last_sync = self.state.config.clock.monotonic();
        self.durable_lsn = lsn;
        Ok(())
    }

    /// Zeroes what a refused write may have left behind.
    fn clean(&mut self) -> io::Result<()> {
        let (start, end) = (self.active.position, self.dirty_end);
        if start < end {
            let end = end.min(self.active.file.len()?);
            write_zeros(&*self.active.file, start, end)?;
            self.active.file.sync_data()?;
            self.dirty_end = 0;
        }
        Ok(())
    }

    /// The part is durable by policy: makes it visible and tells everybody, in
    /// order. The only place where something becomes stored.
    fn complete(&mut self, position_end: u64) {
        self.active.position = position_end;
        let room = self.active.segment.info.len.saturating_sub(position_end);
        self.state.active_room.store(room, Ordering::Relaxed);
        self.part.begin(self.lsn_next);
        self.part.buffer.shrink_to(BUFFER_KEEP_MAX);
        let batches = self.part.placed.iter();
        let batches = batches.filter(|placed| matches!(placed, Placed::Batch { .. }));
        self.marked = false;
        if batches.count() > 0 {
            let mut tables = self.active.segment.tables.write();
            let tables = tables.as_mut().expect("the active segment has tables");
            for placed in &self.part.placed {
                if let Placed::Batch { batch, entry, .. } = placed {
                    tables.push(batch.shard(), *entry);
                }
            }
        }
        self.tell();
    }

    /// Tells everybody, in order. One by one: should a call panic, the others
    /// are still here to be told.
    fn tell(&mut self) {
        if self.part.placed.is_empty() {
            return;
        }
        while let Some(placed) = self.part.placed.pop_front() {
            match placed {
                Placed::Batch {
                    batch, completion, ..
                } => self.complete_batch(batch, completion),
                Placed::Command(completion) => completion(Ok(())),
            }
        }
        self.sink.settled();
    }

    fn complete_batch(&self, batch: Arc<Batch>, completion: Option<BatchCompletion>) {
        let counters = &self.state.counters;
        LogCounters::add(&counters.batches, 1);
        LogCounters::add(&counters.records, batch.count() as u64);
        self.state.tail_cache.push(Arc::clone(&batch));
        let commits = self.state.commits_itself();
        self.state.change_position(batch.shard(), |position| {
            position.flushed_end = batch.index() + 1;
            if commits {
                position.commit_end = position.flushed_end;
            }
        });
        if commits {
            self.sink.committed(Arc::clone(&batch));
        }
        if let Some(completion) = completion {
            completion(Ok(batch));
        }
    }

    /// Takes back what was placed and not written.
    fn refuse(&mut self, error: &AppendError) {
        for (shard, before) in self.part.undo.drain(..).rev() {
            let mut cell = self.state.cells[shard.0 as usize].lock();
            // Others move the start and the commit in the meantime.
            let position = ShardPosition {
                appended_end: before.position.appended_end,
                term: before.position.term,
                ..cell.position
            };
            *cell = ShardCell { position, ..before };
        }
        self.lsn_next = self.part.lsn_start;
        self.part.buffer.clear();
        self.part.must_sync = false;
        while let Some(placed) = self.part.placed.pop_front() {
            match placed {
                Placed::Batch { completion, .. } => {
                    LogCounters::add(&self.state.counters.batches_refused, 1);
                    if let Some(completion) = completion {
                        completion(Err(error.clone()));
                    }
                }
                Placed::Command(completion) => completion(Err(error.clone())),
            }
        }
    }

    /// The log has failed for good.
    pub(crate) fn poison(&mut self, action: &'static str, error: io::Error) -> AppendError {
        let fatal = FatalLogError::new(action, error);
        if self.state.set_fatal(fatal.clone()) {
            tracing::error!(%fatal, "the log has failed");
            self.sink.failed(fatal.clone());
        }
        let error = AppendError::Poisoned(fatal);
        self.refuse(&error);
        error
    }

    /// How long the writer may sleep before [`Writer::idle`] has work.
    pub(crate) fn idle_after(&self) -> Option<Duration> {
        if self.state.fatal().is_some() {
            return None;
        }
        let now = self.state.config.clock.monotonic();
        let unsynced = self.durable_lsn.0 + 1 < self.lsn_next.0;
        let mark = !self.marked || unsynced;
        let mark = mark.then_some(self.last_write + self.state.config.idle_mark_after);
        let sync = match self.state.config.durability {
            Durability::Interval(interval) if unsynced => Some(self.last_sync + interval),
            _ => None,
        };
        let due = [mark, sync].into_iter().flatten().min();
        due.map(|due| due.saturating_sub(now))
    }

    /// Does what is due when nothing else is: syncs what is not yet, and notes
    /// on the disk that all of it is durable, so that damage of the last frames
    /// will not be taken for a torn write.
    pub(crate) fn idle(&mut self) {
        if self.idle_after() != Some(Duration::ZERO) || self.state.fatal().is_some() {
            return;
        }
        let unsynced = self.durable_lsn.0 + 1 < self.lsn_next.0;
        if unsynced && self.sync(Lsn(self.lsn_next.0 - 1)).is_err() {
            return;
        }
        let now = self.state.config.clock.monotonic();
        if now.saturating_sub(self.last_write) >= self.state.config.idle_mark_after {
            self.mark(false);
        }
    }

    fn mark(&mut self, clean: bool) {
        if self.has_room(HEADER_LEN as u64, false) && self.active.position > 0 {
            self.place_control(&Control::DurableMark(DurableMark { clean }), None);
            self.part.must_sync = true;
            // A failure has been told; without room the mark is left out.
            let _ = self.flush();
        }
        self.marked = true;
    }

    /// Writes everything that waits and notes the orderly end.
    pub(crate) fn finish(&mut self) {
        let shards = (0..self.state.config.shards).map(ShardId);
        for _ in 0..FINISH_ROUNDS_MAX {
            shards.clone().for_each(|shard| {
                self.inbox.mark(shard);
            });
            if !self.round() {
                break;
            }
        }
        for command in self.inbox.close() {
            self.command(command);
        }
        for shard in shards {
            while let Some(taken) = self.source.take(shard) {
                (taken.completion)(Err(AppendError::Shutdown));
            }
        }
        let _ = self.flush();
        if self.state.fatal().is_none() {
            self.mark(true);
        }
        if self.state.fatal().is_none() && self.durable_lsn.0 + 1 < self.lsn_next.0 {
            let _ = self.sync(Lsn(self.lsn_next.0 - 1));
        }
    }
}

/// Bytes of a frame with a body of this size.
fn frame_len(body_len: usize) -> u64 {
    (HEADER_LEN + body_len.next_multiple_of(FRAME_ALIGN)) as u64
}

/// The term of a local log that was never told one.
pub(crate) const FIRST_TERM: Term = Term(1);
