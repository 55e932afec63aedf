//! One read towards the start of a shard.

use std::ops::ControlFlow;
use std::sync::Arc;

use robustmq_record::{Batch, Offset, ShardId};

use super::descent::{Descent, Part};
use super::entries::Range;
use super::walk::{PASSED_BYTES_MAX, SEGMENTS_MAX};
use super::{Gap, ReadLimits, Wanted};
use crate::catalog::Span;
use crate::error::ReadError;
use crate::state::LogState;

/// What a read towards the start found.
#[derive(Clone, Debug, Default)]
pub struct ReadBackChunk {
    /// The batches, newest first.
    pub batches: Vec<Arc<Batch>>,
    /// Where to go on: before this. Never behind the offset asked for.
    pub next_end: Offset,
    /// What is not there, newest first. With a filter, also ranges that might
    /// not have held a match.
    pub gaps: Vec<Gap>,
    /// Nothing that is kept lies before `next_end`.
    pub at_start: bool,
}

/// What was found so far, and how much of it there may be.
struct Gathered<'a> {
    wanted: Wanted<'a>,
    limits: ReadLimits,
    batches: Vec<Arc<Batch>>,
    bytes: usize,
    passed_bytes: usize,
}

impl Gathered<'_> {
    fn take(&mut self, batch: Arc<Batch>) -> ControlFlow<()> {
        if self.wanted.wants(&batch) {
            self.bytes += batch.size_bytes();
            self.batches.push(batch);
        } else {
            self.passed_bytes += batch.size_bytes();
        }
        match self.is_full() {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    }

    fn is_full(&self) -> bool {
        self.batches.len() >= self.limits.batches_max.max(1)
            || self.bytes >= self.limits.bytes_max.max(1)
            || self.passed_bytes >= PASSED_BYTES_MAX
    }

    /// The end of a range that is enough for once, where every batch of it is
    /// looked at: the rest has its turn later.
    fn narrowed(&self, span: &Span, range: Range) -> Range {
        let is_scanned = matches!(self.wanted, Wanted::All) || span.segment.tables.read().is_some();
        let room = self.limits.batches_max.saturating_sub(self.batches.len());
        let room = u64::try_from(room.max(1)).unwrap_or(u64::MAX);
        match is_scanned {
            true => Range {
                start: range.start.max(range.end.saturating_sub(room)),
                ..range
            },
            false => range,
        }
    }
}

/// See [`super::LogReader::read_back`].
pub(super) fn read_back(
    state: &LogState,
    shard: ShardId,
    end: Offset,
    wanted: Wanted<'_>,
    limits: ReadLimits,
) -> Result<ReadBackChunk, ReadError> {
    let mut descent = Descent::new(state, shard, end);
    let mut gathered = Gathered {
        wanted,
        limits,
        batches: Vec::new(),
        bytes: 0,
        passed_bytes: 0,
    };
    let (mut segments, mut at_start) = (0, false);
    while !gathered.is_full() && segments < SEGMENTS_MAX {
        match descent.next_part() {
            None => {
                at_start = true;
                break;
            }
            Some(Part::Cached(batches)) => {
                for batch in batches {
                    descent.index_end = batch.index();
                    if gathered.take(batch).is_break() {
                        break;
                    }
                }
            }
            Some(Part::Stored(span, range)) => {
                let part = gathered.narrowed(&span, range);
                segments += usize::from(part.start == range.start);
                let room = limits.bytes_max.saturating_sub(gathered.bytes) as u64;
                let mut take = |batch| gathered.take(batch);
                let outcome = descent.take_stored(&span, part, wanted, room, &mut take);
                descent.settle(&span, outcome)?;
            }
        }
    }
    Ok(ReadBackChunk {
        batches: gathered.batches,
        next_end: Offset::new(descent.index_end, 0).min(end),
        gaps: descent.gaps,
        at_start,
    })
}
