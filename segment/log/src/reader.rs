//! Reading what is committed: from the tail cache, else from segments.

use std::sync::Arc;

use robustmq_protocol::topic::FilterAutomaton;
use robustmq_record::{Batch, Offset, ShardId};

use crate::error::ReadError;
use crate::segment::{Entry, Segment};
use crate::shared::Shared;

/// Bytes looked through by one call, so that a filter that matches nothing
/// does not hold its thread for long.
const EXAMINED_BYTES_MAX: usize = 8 << 20;

/// How much one read returns at most (one batch more than the bytes allow).
#[derive(Clone, Copy, Debug)]
pub struct ReadLimits {
    /// Bytes of batches.
    pub bytes_max: usize,
    /// Number of batches.
    pub batches_max: usize,
}

/// Why a range is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GapReason {
    /// Removed by retention.
    Retention,
    /// Damaged on disk.
    Damage,
}

/// Batches that a reader does not get.
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
    /// Batches with a match, in order.
    pub batches: Vec<Arc<Batch>>,
    /// Where to go on.
    pub next: Offset,
    /// What was not there.
    pub gaps: Vec<Gap>,
    /// Whether `next` is the end of what is committed.
    pub at_end: bool,
}

/// A reader of all shards; cheap to clone.
#[derive(Clone, Debug)]
pub struct LogReader {
    shared: Arc<Shared>,
}

/// What a caller wants of the batches it passes.
#[derive(Clone, Copy)]
enum Wanted<'a> {
    All,
    State,
    Topics(&'a [FilterAutomaton]),
}

impl LogReader {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// Batches of a shard from an offset on; with filters, only those that hold
    /// a matching topic.
    ///
    /// # Errors
    /// When a file cannot be read. Damage and removed ranges are gaps.
    pub fn read(
        &self,
        shard: ShardId,
        from: Offset,
        filters: Option<&[FilterAutomaton]>,
        limits: ReadLimits,
    ) -> Result<ReadChunk, ReadError> {
        self.walk(
            shard,
            from,
            filters.map_or(Wanted::All, Wanted::Topics),
            limits,
        )
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

    /// One batch, if it is there.
    ///
    /// # Errors
    /// When it cannot be read or is damaged.
    pub fn batch(&self, shard: ShardId, index: u64) -> Result<Option<Arc<Batch>>, ReadError> {
        if index >= self.shared.shard(shard).flushed_end() {
            return Ok(None);
        }
        if let Some(cached) = self.shared.cache.get(shard, index) {
            return Ok(Some(cached));
        }
        match self.locate(shard, index, false) {
            Some((segment, entry)) if entry.index == index => {
                segment.read(&entry).map(|batch| Some(Arc::new(batch)))
            }
            _ => Ok(None),
        }
    }

    fn walk(
        &self,
        shard: ShardId,
        from: Offset,
        wanted: Wanted<'_>,
        limits: ReadLimits,
    ) -> Result<ReadChunk, ReadError> {
        let end = self.shared.shard(shard).flushed_end();
        let start = self.shared.shard(shard).log_start();
        let mut chunk = ReadChunk::default();
        let mut index = from.index();
        if index < start {
            // Indexes begin at 1: what lies before was never there.
            if from.index() > 0 || start > 1 {
                let first = Offset::new(from.index().max(1), from.slot());
                chunk.gap(first, Offset::new(start, 0), GapReason::Retention);
            }
            index = start;
        }
        let (mut bytes, mut examined) = (0usize, 0usize);
        while index < end {
            let full = bytes >= limits.bytes_max || chunk.batches.len() >= limits.batches_max;
            if full || examined >= EXAMINED_BYTES_MAX {
                break;
            }
            let state_only = matches!(wanted, Wanted::State);
            let Some((found, batch)) = self.fetch(shard, index, end, state_only, &mut chunk)?
            else {
                index = end;
                break;
            };
            index = found + 1;
            let Some(batch) = batch else { continue };
            examined += batch.size_bytes();
            if is_wanted(&batch, wanted) {
                bytes += batch.size_bytes();
                chunk.batches.push(batch);
            }
        }
        chunk.next = Offset::new(index, 0).max(from);
        chunk.at_end = index >= end;
        Ok(chunk)
    }

    /// The first batch at or after `index`, and its index; without a batch if
    /// it is damaged. None if there is no batch before `end`.
    fn fetch(
        &self,
        shard: ShardId,
        index: u64,
        end: u64,
        state_only: bool,
        chunk: &mut ReadChunk,
    ) -> Result<Option<(u64, Option<Arc<Batch>>)>, ReadError> {
        if !state_only && let Some(cached) = self.shared.cache.get(shard, index) {
            return Ok(Some((index, Some(cached))));
        }
        let Some((segment, entry)) = self.locate(shard, index, state_only) else {
            if !state_only {
                chunk.gap(
                    Offset::new(index, 0),
                    Offset::new(end, 0),
                    GapReason::Damage,
                );
            }
            return Ok(None);
        };
        if entry.index > index && !state_only {
            chunk.gap(
                Offset::new(index, 0),
                Offset::new(entry.index, 0),
                GapReason::Damage,
            );
        }
        if entry.index >= end {
            return Ok(None);
        }
        match segment.read(&entry) {
            Ok(batch) => Ok(Some((entry.index, Some(Arc::new(batch))))),
            Err(error @ ReadError::Damaged { .. }) => {
                tracing::warn!(shard = shard.0, index = entry.index, %error, "a damaged batch is left out");
                let after = Offset::new(entry.index + 1, 0);
                chunk.gap(Offset::new(entry.index, 0), after, GapReason::Damage);
                Ok(Some((entry.index, None)))
            }
            Err(error) => Err(error),
        }
    }

    fn locate(
        &self,
        shard: ShardId,
        index: u64,
        state_only: bool,
    ) -> Option<(Arc<Segment>, Entry)> {
        let segments = self.shared.segments.read();
        segments.iter().find_map(|segment| {
            let (_, last) = segment.range(shard)?;
            if last < index {
                return None;
            }
            let entry = segment.entry_from(shard, index, state_only)?;
            Some((Arc::clone(segment), entry))
        })
    }
}

impl ReadChunk {
    fn gap(&mut self, start: Offset, end: Offset, reason: GapReason) {
        match self.gaps.last_mut() {
            Some(last) if last.end == start && last.reason == reason => last.end = end,
            _ => self.gaps.push(Gap { start, end, reason }),
        }
    }
}

fn is_wanted(batch: &Batch, wanted: Wanted<'_>) -> bool {
    match wanted {
        Wanted::All => true,
        Wanted::State => batch.has_state(),
        Wanted::Topics(filters) => batch
            .topics()
            .any(|(_, _, topic)| filters.iter().any(|filter| accepts(filter, topic))),
    }
}

fn accepts(filter: &FilterAutomaton, topic: &str) -> bool {
    let mut state = filter.start();
    for byte in topic.bytes() {
        if !filter.can_match(&state) {
            return false;
        }
        state = filter.accept(&state, byte);
    }
    filter.is_match(&state)
}
