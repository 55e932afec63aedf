//! Reading: from the tail cache, else from segments through their indexes.
//!
//! **Invariants**
//! 1. Nothing beyond the commit or the flush is seen.
//! 2. What is served was verified; what does not verify is a gap, is counted
//!    and logged. Nothing is skipped silently.
//! 3. Readers block neither the writer nor each other for longer than it takes
//!    to look at a list; one call does a bounded amount of work.
//!
//! **Not here**: which records of a batch a reader wants (it gets whole
//! batches).

mod back;
mod descent;
mod entries;
mod last;
mod run;
mod topics;
mod walk;

pub use back::ReadBackChunk;
pub use last::{LastOfTopics, LastQuery, TopicPick, TopicPicks};
pub use topics::{TopicFigures, TopicsPage, TopicsQuery};

use std::io;
use std::sync::Arc;

use robustmq_protocol::topic::FilterAutomaton;
use robustmq_record::{
    Batch, BatchEntry, FrameFault, HEADER_LEN, Offset, SegmentId, ShardId, Term, parse_header,
    read_batch,
};

use crate::disk::DiskFile;
use crate::error::ReadError;
use crate::position::ShardPosition;
use crate::repairs;
use crate::state::LogState;
use walk::Walk;

/// The namespace of all topics, until there are several.
pub(crate) const NAMESPACE: &str = "default";

/// How much one read returns at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadLimits {
    /// Bytes of batches; one batch is returned even if it is larger.
    pub bytes_max: usize,
    /// Number of batches.
    pub batches_max: usize,
}

impl Default for ReadLimits {
    /// 1 MiB and 1024 batches.
    fn default() -> Self {
        Self {
            bytes_max: 1 << 20,
            batches_max: 1024,
        }
    }
}

/// Why a range is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GapReason {
    /// Removed on purpose: by retention, compaction or a purge.
    Retention,
    /// Damaged on disk.
    Damage,
}

/// Offsets that a reader does not get.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// The first missing offset.
    pub start: Offset,
    /// After the last missing one.
    pub end: Offset,
    /// Why.
    pub reason: GapReason,
}

/// What a read found.
#[derive(Clone, Debug, Default)]
pub struct ReadChunk {
    /// The batches, in order.
    pub batches: Vec<Arc<Batch>>,
    /// Where to go on. Never before the offset asked for.
    pub next: Offset,
    /// What is not there, in order. With a filter, also ranges that might not
    /// have held a match.
    pub gaps: Vec<Gap>,
    /// Nothing visible follows `next` at present.
    pub at_end: bool,
}

/// What a caller wants of the batches it passes.
#[derive(Clone, Copy)]
pub(crate) enum Wanted<'a> {
    All,
    /// What views must see.
    State,
    /// Batches with a topic that one of the filters matches.
    Topics(&'a [FilterAutomaton]),
}

impl Wanted<'_> {
    /// Whether only topics that are named are wanted.
    pub(crate) fn is_exact(&self) -> bool {
        match self {
            Self::Topics(filters) => filters.iter().all(|filter| filter.exact().is_some()),
            Self::All | Self::State => false,
        }
    }

    pub(crate) fn wants(&self, batch: &Batch) -> bool {
        match self {
            Self::All => true,
            Self::State => batch.has_state(),
            Self::Topics(filters) => batch.topics().any(|(_, namespace, topic)| {
                let matches = |filter: &FilterAutomaton| filter.matches(topic.as_bytes());
                namespace == NAMESPACE && filters.iter().any(matches)
            }),
        }
    }
}

/// How far back [`LogReader::term_before`] looks.
const TERM_SEARCH_MAX: usize = 1024;

/// Reads all shards of a log; cheap to clone, usable from any thread. Reads may
/// block on the disk. Goes on working after the log was shut down.
#[derive(Clone)]
pub struct LogReader {
    state: Arc<LogState>,
}

impl std::fmt::Debug for LogReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LogReader").finish_non_exhaustive()
    }
}

impl LogReader {
    pub(crate) fn new(state: Arc<LogState>) -> Self {
        Self { state }
    }

    /// Batches of a shard from an offset on; with filters (without prefix) only
    /// those with a topic that one of them matches. The first batch may begin
    /// before `from`: see [`Batch::records_from`].
    ///
    /// # Errors
    /// When the shard does not exist or the disk refuses. Damage and removed
    /// ranges are gaps.
    pub fn read(
        &self,
        shard: ShardId,
        from: Offset,
        filters: Option<&[FilterAutomaton]>,
        limits: ReadLimits,
    ) -> Result<ReadChunk, ReadError> {
        let wanted = filters.map_or(Wanted::All, Wanted::Topics);
        self.walk(shard, from, wanted, limits)
    }

    /// Batches of a shard from an offset on that views must see.
    ///
    /// # Errors
    /// As [`LogReader::read`].
    pub fn read_state(
        &self,
        shard: ShardId,
        from: Offset,
        limits: ReadLimits,
    ) -> Result<ReadChunk, ReadError> {
        self.walk(shard, from, Wanted::State, limits)
    }

    /// Batches of a shard before an offset, newest first; with filters (without
    /// prefix) only those with a topic that one of them matches. The first
    /// batch may reach past `end`. Ends where nothing older is kept; that
    /// there was more before is no gap.
    ///
    /// # Errors
    /// As [`LogReader::read`].
    pub fn read_back(
        &self,
        shard: ShardId,
        end: Offset,
        filters: Option<&[FilterAutomaton]>,
        limits: ReadLimits,
    ) -> Result<ReadBackChunk, ReadError> {
        self.check(shard)?;
        let wanted = filters.map_or(Wanted::All, Wanted::Topics);
        back::read_back(&self.state, shard, end, wanted, limits)
    }

    /// The last messages of every topic of a shard that a filter matches.
    ///
    /// Looks through the topic indexes from the newest segment to the oldest
    /// (to where all was found, if the filter has no wildcard) and reads only
    /// batches that hold one of the messages or, where no index is yet, might.
    /// What it holds is bounded by `picks_max` and one segment's index.
    ///
    /// # Errors
    /// As [`LogReader::read`], and [`ReadError::TooMany`] when there are more
    /// than `picks_max`.
    pub fn last_of_topics(
        &self,
        shard: ShardId,
        query: LastQuery<'_>,
    ) -> Result<LastOfTopics, ReadError> {
        self.check(shard)?;
        last::last_of_topics(&self.state, shard, query)
    }

    /// The topics of a shard that a filter matches, with what they hold.
    ///
    /// What is in a segment with an index is counted by segment: of one that
    /// the start of the shard cuts in two, and of one part of which Raft made
    /// void in a later segment, everything counts. Every call looks through
    /// all segments; of those that have no index yet, through all batches.
    ///
    /// # Errors
    /// As [`LogReader::read`].
    pub fn topics(&self, shard: ShardId, query: TopicsQuery<'_>) -> Result<TopicsPage, ReadError> {
        self.check(shard)?;
        topics::topics(&self.state, shard, query)
    }

    fn check(&self, shard: ShardId) -> Result<(), ReadError> {
        match self.state.has_shard(shard) {
            true => Ok(()),
            false => Err(ReadError::Shard(shard)),
        }
    }

    fn walk(
        &self,
        shard: ShardId,
        from: Offset,
        wanted: Wanted<'_>,
        limits: ReadLimits,
    ) -> Result<ReadChunk, ReadError> {
        self.check(shard)?;
        Walk::new(&self.state, shard, from, wanted, limits).run()
    }

    /// The visible batch at an index; `None` if it is not there or damaged.
    ///
    /// # Errors
    /// As [`LogReader::read`].
    pub fn batch(&self, shard: ShardId, index: u64) -> Result<Option<Arc<Batch>>, ReadError> {
        if self.state.has_shard(shard) && index >= self.state.position(shard).visible_end() {
            return Ok(None);
        }
        self.entry_repaired(shard, index)
    }

    /// As [`LogReader::entry`]; if it is damaged, it is got from somebody else
    /// and stored again, if there is somebody ([`crate::DiskLog::repair_with`]).
    ///
    /// # Errors
    /// As [`LogReader::read`].
    pub fn entry_repaired(
        &self,
        shard: ShardId,
        index: u64,
    ) -> Result<Option<Arc<Batch>>, ReadError> {
        let found = self.entry(shard, index)?;
        let position = self.state.position(shard);
        let should_be = position.local_start <= index && index < position.flushed_end;
        let repair = || should_be.then(|| repairs::repaired(&self.state, shard, index));
        Ok(found.or_else(|| repair().flatten()))
    }

    /// As [`LogReader::batch`], also where it is not committed yet: Raft reads
    /// its entries so.
    ///
    /// # Errors
    /// As [`LogReader::read`].
    pub fn entry(&self, shard: ShardId, index: u64) -> Result<Option<Arc<Batch>>, ReadError> {
        self.check(shard)?;
        let position = self.state.position(shard);
        if index < position.local_start || index >= position.flushed_end {
            return Ok(None);
        }
        if let Some(batch) = self.state.tail_cache.get(shard, index) {
            return Ok(Some(batch));
        }
        entries::read_one(&self.state, shard, index)
    }

    /// The term of the last batch before `index_end` that is there, committed
    /// or not; looks a few indexes back, where retention took some out.
    ///
    /// # Errors
    /// As [`LogReader::read`].
    pub fn term_before(&self, shard: ShardId, index_end: u64) -> Result<Option<Term>, ReadError> {
        self.check(shard)?;
        let first = self.state.position(shard).local_start;
        let indexes = (first..index_end).rev().take(TERM_SEARCH_MAX);
        for index in indexes {
            if let Some(term) = entries::term(&self.state, shard, index)? {
                return Ok(Some(term));
            }
        }
        Ok(None)
    }

    /// The batch at an index if it is in memory, committed or not.
    #[must_use]
    pub fn cached(&self, shard: ShardId, index: u64) -> Option<Arc<Batch>> {
        if !self.state.has_shard(shard) {
            return None;
        }
        self.state.tail_cache.get(shard, index)
    }

    /// The offset of the first batch with a record of this time or later; the
    /// visible end if there is none. Batches behind it may hold earlier
    /// records: clocks are no order.
    ///
    /// # Errors
    /// As [`LogReader::read`].
    pub fn find_time(&self, shard: ShardId, timestamp_ms: u64) -> Result<Offset, ReadError> {
        self.check(shard)?;
        entries::find_time(&self.state, shard, timestamp_ms)
    }

    /// Where a shard stands.
    ///
    /// # Panics
    /// When there is no such shard.
    #[must_use]
    pub fn position(&self, shard: ShardId) -> ShardPosition {
        self.state.position(shard)
    }
}

/// Reads and verifies one batch. The outer error is the disk's.
pub(crate) fn read_entry(
    file: &dyn DiskFile,
    id: SegmentId,
    shard: ShardId,
    entry: &BatchEntry,
) -> io::Result<Result<Batch, FrameFault>> {
    let mut frame = vec![0; entry.frame_len as usize];
    let read = file.read_at(entry.position, &mut frame)?;
    Ok(parse_entry(&frame[..read], id, shard, entry))
}

/// Verifies the bytes of a batch's frame.
pub(crate) fn parse_entry(
    frame: &[u8],
    id: SegmentId,
    shard: ShardId,
    entry: &BatchEntry,
) -> Result<Batch, FrameFault> {
    let header = parse_header(frame, id)?;
    let batch = read_batch(&header, &frame[HEADER_LEN..], id)?;
    let place = (batch.shard(), batch.index(), batch.term());
    if place != (shard, entry.index, entry.term) {
        return Err(FrameFault::Field("another batch is in its place"));
    }
    Ok(batch)
}

#[cfg(test)]
mod tests;
