//! From an offset towards the start of a shard: what lies next before, until
//! there is nothing more that is kept.

use std::io;
use std::ops::ControlFlow;
use std::sync::Arc;

use robustmq_record::{Batch, BatchEntry, Offset, ShardId};

use super::entries::{Item, Range, select};
use super::run::{self, Fetched, Outcome, Retries, Run};
use super::{Gap, GapReason, Wanted};
use crate::catalog::Span;
use crate::error::ReadError;
use crate::state::LogState;
use crate::{files, repairs};

/// Batches taken from the tail cache at a time.
const CACHED_BATCHES: usize = 256;

/// Where a walk towards the start of a shard stands.
pub(super) struct Descent<'a> {
    pub(super) state: &'a LogState,
    pub(super) shard: ShardId,
    /// From here on everything was dealt with.
    pub(super) index_end: u64,
    /// Where the caller's range ends.
    offset_end: Offset,
    /// What is not there, newest first.
    pub(super) gaps: Vec<Gap>,
    retries: Retries,
}

/// What lies next.
pub(super) enum Part {
    /// Batches of the tail cache, newest first.
    Cached(Vec<Arc<Batch>>),
    /// Part of a segment, not empty.
    Stored(Span, Range),
}

impl<'a> Descent<'a> {
    pub(super) fn new(state: &'a LogState, shard: ShardId, offset_end: Offset) -> Self {
        let visible_end = state.position(shard).visible_end();
        let index_end = offset_end.index() + u64::from(offset_end.slot() > 0);
        Self {
            state,
            shard,
            index_end: index_end.min(visible_end),
            offset_end,
            gaps: Vec::new(),
            retries: Retries::default(),
        }
    }

    /// What lies before `index_end`; `None` when nothing does.
    pub(super) fn next_part(&mut self) -> Option<Part> {
        loop {
            let start = self.state.position(self.shard).local_start;
            if self.index_end <= start {
                return None;
            }
            let cache = &self.state.tail_cache;
            let mut cached = cache.before(self.shard, self.index_end, CACHED_BATCHES);
            cached.retain(|batch| batch.index() >= start);
            if !cached.is_empty() {
                return Some(Part::Cached(cached));
            }
            let Some(span) = self.state.catalog().find(self.shard, self.index_end - 1) else {
                // As in a walk forward: its segment was removed a moment ago,
                // or by somebody else.
                self.gap(start, GapReason::Damage);
                continue;
            };
            let range = Range {
                start: span.index_start.max(start),
                end: self.index_end,
            };
            return Some(Part::Stored(span, range));
        }
    }

    /// Takes note of how the reading of a part ended.
    pub(super) fn settle(
        &mut self,
        span: &Span,
        outcome: io::Result<Outcome>,
    ) -> Result<Outcome, ReadError> {
        self.retries.settle(span, outcome)
    }

    /// Goes on before `index_start`, with a gap behind it.
    pub(super) fn gap(&mut self, index_start: u64, reason: GapReason) {
        let start = Offset::new(index_start, 0);
        let end = Offset::new(self.index_end, 0).min(self.offset_end);
        self.index_end = index_start;
        match self.gaps.last_mut() {
            Some(last) if last.start == end && last.reason == reason => last.start = start,
            _ if start < end => self.gaps.push(Gap { start, end, reason }),
            _ => (),
        }
    }

    /// Hands over what is wanted of a part of a segment, newest first, until
    /// `take` says no more.
    pub(super) fn take_stored(
        &mut self,
        span: &Span,
        range: Range,
        wanted: Wanted<'_>,
        run_bytes_max: u64,
        take: &mut dyn FnMut(Arc<Batch>) -> ControlFlow<()>,
    ) -> io::Result<Outcome> {
        let selection = select(self.state, span, self.shard, range, wanted, usize::MAX)?;
        let file = files::open(self.state, &span.segment)?;
        let mut items = &selection.items[..];
        while let Some((last, rest)) = items.split_last() {
            if let Item::Hole {
                index_start,
                index_end,
            } = last
            {
                self.index_end = *index_end;
                let hole = self.take_hole(*index_start, run::hole_reason(span), wanted, take);
                if hole.is_break() {
                    return Ok(Outcome::Done);
                }
                items = rest;
                continue;
            }
            let batches = items.iter().rev().map_while(Item::batch);
            let count = run::length(batches, run_bytes_max);
            let (rest, run) = items.split_at(items.len() - count);
            let entries: Vec<BatchEntry> = run.iter().filter_map(Item::batch).collect();
            let run = Run::read(self.state, span, self.shard, &*file, &entries)?;
            for entry in entries.iter().rev() {
                match self.take_one(&run, entry) {
                    Fetched::Retired => return Ok(Outcome::Retired),
                    Fetched::Damaged => (),
                    Fetched::Batch(batch) => {
                        if take(batch).is_break() {
                            return Ok(Outcome::Done);
                        }
                    }
                }
            }
            items = rest;
        }
        self.index_end = range.start;
        Ok(Outcome::Done)
    }

    /// Passes batches that the segment should hold and does not: those that
    /// were repaired are there, the others are a gap.
    fn take_hole(
        &mut self,
        index_start: u64,
        reason: GapReason,
        wanted: Wanted<'_>,
        take: &mut dyn FnMut(Arc<Batch>) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        if reason == GapReason::Retention {
            self.gap(index_start, reason);
        }
        while self.index_end > index_start {
            let index = self.index_end - 1;
            match repairs::repaired(self.state, self.shard, index) {
                None => self.gap(index, reason),
                Some(batch) => {
                    self.index_end = index;
                    if wanted.wants(&batch) {
                        take(batch)?;
                    }
                }
            }
        }
        ControlFlow::Continue(())
    }

    /// Verifies a batch that was read and passes it; damage is a gap.
    pub(super) fn take_one(&mut self, run: &Run<'_>, entry: &BatchEntry) -> Fetched {
        let fetched = run.batch(entry);
        match fetched {
            Fetched::Retired => (),
            Fetched::Batch(_) => self.index_end = entry.index,
            Fetched::Damaged => {
                self.index_end = entry.index + 1;
                self.gap(entry.index, GapReason::Damage);
            }
        }
        fetched
    }
}
