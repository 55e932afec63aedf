//! Neighbouring batches of a segment, read at once; and what happens to a
//! segment under a reader's hands.

use std::io;
use std::sync::Arc;

use robustmq_record::{Batch, BatchEntry, ShardId};

use super::entries::io_error;
use super::{GapReason, parse_entry};
use crate::catalog::Span;
use crate::disk::DiskFile;
use crate::error::ReadError;
use crate::repairs;
use crate::state::{LogCounters, LogState};

/// Bytes read from the disk at once; a larger frame is read alone.
pub(super) const RUN_BYTES_MAX: u64 = 1 << 20;
/// Bytes between two frames that are read along rather than skipped.
const RUN_HOLE_BYTES_MAX: u64 = 16 << 10;
/// How often a segment may be retired under a reader's hands before it gives up.
const RETRIES_MAX: usize = 16;

/// How the reading of a segment ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Done,
    /// The segment went into other hands; look it up again.
    Retired,
}

/// Counts how often a segment was retired under a reader's hands.
#[derive(Default)]
pub(super) struct Retries(usize);

impl Retries {
    /// An error of a retired segment is none: it is looked up again.
    pub(super) fn settle(
        &mut self,
        span: &Span,
        outcome: io::Result<Outcome>,
    ) -> Result<Outcome, ReadError> {
        match outcome {
            Ok(Outcome::Done) => return Ok(Outcome::Done),
            Err(source) if !span.segment.is_retired() => {
                return Err(io_error(&span.segment, source));
            }
            Ok(Outcome::Retired) | Err(_) => self.0 += 1,
        }
        if self.0 > RETRIES_MAX {
            let source = io::Error::other("the segment is replaced again and again");
            return Err(io_error(&span.segment, source));
        }
        Ok(Outcome::Retired)
    }
}

/// Why indexes are missing from a segment.
pub(super) fn hole_reason(span: &Span) -> GapReason {
    if span.segment.info.compacted {
        GapReason::Retention
    } else {
        GapReason::Damage
    }
}

/// How many of the entries, which rise or fall, are near enough to be read at
/// once; the first one always is.
pub(super) fn length(entries: impl Iterator<Item = BatchEntry>, bytes_max: u64) -> usize {
    let bytes_max = bytes_max.min(RUN_BYTES_MAX);
    let (mut count, mut start, mut end) = (0, 0u64, 0u64);
    for entry in entries {
        let entry_end = entry.position + u64::from(entry.frame_len);
        let hole = match entry.position >= end {
            true => entry.position - end,
            false => start.saturating_sub(entry_end),
        };
        let overlaps = entry.position < end && entry_end > start;
        let len = entry_end.max(end) - entry.position.min(start);
        if count > 0 && (overlaps || hole > RUN_HOLE_BYTES_MAX || len > bytes_max) {
            break;
        }
        if count == 0 {
            (start, end) = (entry.position, entry_end);
        }
        (start, end) = (start.min(entry.position), end.max(entry_end));
        count += 1;
    }
    count
}

/// The bytes of neighbouring batches.
pub(super) struct Run<'a> {
    state: &'a LogState,
    span: &'a Span,
    shard: ShardId,
    position: u64,
    bytes: Vec<u8>,
}

/// What is where a batch should be.
pub(super) enum Fetched {
    Batch(Arc<Batch>),
    /// It was counted and logged.
    Damaged,
    Retired,
}

impl<'a> Run<'a> {
    /// Reads from the first of the entries to the last.
    pub(super) fn read(
        state: &'a LogState,
        span: &'a Span,
        shard: ShardId,
        file: &dyn DiskFile,
        entries: &[BatchEntry],
    ) -> io::Result<Self> {
        let starts = entries.iter().map(|entry| entry.position);
        let ends = entries
            .iter()
            .map(|entry| entry.position + u64::from(entry.frame_len));
        let (position, end) = (starts.min().unwrap_or(0), ends.max().unwrap_or(0));
        let mut bytes = vec![0; end.saturating_sub(position) as usize];
        let read = file.read_at(position, &mut bytes)?;
        bytes.truncate(read);
        Ok(Self {
            state,
            span,
            shard,
            position,
            bytes,
        })
    }

    /// Verifies one of the batches that were read.
    pub(super) fn batch(&self, entry: &BatchEntry) -> Fetched {
        let start = ((entry.position - self.position) as usize).min(self.bytes.len());
        let end = (start + entry.frame_len as usize).min(self.bytes.len());
        let id = self.span.segment.id();
        match parse_entry(&self.bytes[start..end], id, self.shard, entry) {
            Ok(batch) => Fetched::Batch(Arc::new(batch)),
            Err(_) if self.span.segment.is_retired() => Fetched::Retired,
            Err(fault) => {
                if let Some(batch) = repairs::stored(self.state, self.shard, entry.index) {
                    return Fetched::Batch(batch);
                }
                LogCounters::add(&self.state.counters.damages, 1);
                tracing::warn!(
                    segment = id.0,
                    position = entry.position,
                    shard = self.shard.0,
                    index = entry.index,
                    %fault,
                    "a batch is damaged"
                );
                let repaired = repairs::repaired(self.state, self.shard, entry.index);
                repaired.map_or(Fetched::Damaged, Fetched::Batch)
            }
        }
    }
}
