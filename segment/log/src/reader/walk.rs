//! One read: along a shard, from cache and segments, until enough is found.

use std::io;
use std::sync::Arc;

use robustmq_record::{Batch, BatchEntry, Offset, ShardId};

use super::entries::{Item, Range, select};
use super::run::{self, Fetched, Outcome, Retries, Run};
use super::{Gap, GapReason, ReadChunk, ReadLimits, Wanted};
use crate::catalog::Span;
use crate::disk::DiskFile;
use crate::error::ReadError;
use crate::segment::Segment;
use crate::state::LogState;
use crate::{files, indexes, repairs};

/// Segments looked at by one call, so that a filter that matches nothing does
/// not hold its thread for long.
pub(super) const SEGMENTS_MAX: usize = 64;
/// Batches of few topics that the disk is told of ahead.
const PREFETCHED_BATCHES: usize = 64;
/// Indexes of segments that the disk is told of ahead.
const PREFETCHED_INDEXES: usize = 32;
/// Segments looked at for them.
const PREFETCHED_SEGMENTS: usize = 16;
/// Bytes of batches that turn out not to match, looked at by one call.
pub(super) const PASSED_BYTES_MAX: usize = 16 << 20;

pub(super) struct Walk<'a> {
    state: &'a LogState,
    shard: ShardId,
    from: Offset,
    wanted: Wanted<'a>,
    limits: ReadLimits,
    chunk: ReadChunk,
    /// Where to go on; the slot matters only at the start.
    index: u64,
    bytes: usize,
    passed_bytes: usize,
}

impl<'a> Walk<'a> {
    pub(super) fn new(
        state: &'a LogState,
        shard: ShardId,
        from: Offset,
        wanted: Wanted<'a>,
        limits: ReadLimits,
    ) -> Self {
        Self {
            state,
            shard,
            from,
            wanted,
            limits,
            chunk: ReadChunk::default(),
            index: from.index().max(1),
            bytes: 0,
            passed_bytes: 0,
        }
    }

    pub(super) fn run(mut self) -> Result<ReadChunk, ReadError> {
        let (mut segments, mut retries) = (0, Retries::default());
        loop {
            let position = self.state.position(self.shard);
            let end = position.visible_end();
            if self.index < position.local_start {
                self.gap(position.local_start, GapReason::Retention);
            }
            if self.index >= end {
                self.chunk.at_end = true;
                break;
            }
            if self.is_full() || segments == SEGMENTS_MAX {
                break;
            }
            if self.take_cached(end) {
                continue;
            }
            let Some(span) = self.state.catalog().find(self.shard, self.index) else {
                // Before all segments, and yet not before the start: its
                // segment was removed a moment ago, or by somebody else.
                let start = self.state.catalog().start(self.shard).min(end);
                self.gap(start.max(self.index + 1), GapReason::Damage);
                continue;
            };
            if segments == 0 && self.wanted.is_exact() {
                self.prefetch(end);
            }
            segments += 1;
            let outcome = self.take_stored(&span, end);
            retries.settle(&span, outcome)?;
        }
        self.chunk.next = Offset::new(self.index, 0).max(self.from);
        Ok(self.chunk)
    }

    fn is_full(&self) -> bool {
        self.chunk.batches.len() >= self.limits.batches_max.max(1)
            || self.bytes >= self.limits.bytes_max.max(1)
            || self.passed_bytes >= PASSED_BYTES_MAX
    }

    /// Goes on at `index_end`, with a gap before.
    fn gap(&mut self, index_end: u64, reason: GapReason) {
        let start = Offset::new(self.index, 0).max(self.from);
        let end = Offset::new(index_end, 0);
        self.index = index_end;
        match self.chunk.gaps.last_mut() {
            Some(last) if last.end == start && last.reason == reason => last.end = end,
            _ if start < end => self.chunk.gaps.push(Gap { start, end, reason }),
            _ => (),
        }
    }

    /// Takes a batch, or passes it.
    fn take(&mut self, batch: Arc<Batch>) {
        self.index = batch.index() + 1;
        if batch.offset_end() <= self.from || !self.wanted.wants(&batch) {
            self.passed_bytes += batch.size_bytes();
            return;
        }
        self.bytes += batch.size_bytes();
        self.chunk.batches.push(batch);
    }

    /// Takes what is in the tail cache; false if that is nothing.
    fn take_cached(&mut self, end: u64) -> bool {
        let mut found = Vec::new();
        let room = self.limits.batches_max.max(1) - self.chunk.batches.len();
        let mut bytes = self.bytes;
        let bytes_max = self.limits.bytes_max.max(1);
        self.state
            .tail_cache
            .visit(self.shard, self.index, |batch| {
                if batch.index() >= end || found.len() >= room || bytes >= bytes_max {
                    return false;
                }
                bytes += batch.size_bytes();
                found.push(Arc::clone(batch));
                true
            });
        let any = !found.is_empty();
        found.into_iter().for_each(|batch| self.take(batch));
        any
    }

    /// Has the disk begin with what this call and the next ones will read: the
    /// batches of few topics lie far apart, and reading them one after the
    /// other would wait for the disk every time.
    fn prefetch(&self, visible_end: u64) {
        self.prefetch_indexes();
        let (mut index, mut left) = (self.index, PREFETCHED_BATCHES);
        for _ in 0..PREFETCHED_SEGMENTS {
            let Some(span) = self.state.catalog().find(self.shard, index) else {
                return;
            };
            let end = span.index_end.unwrap_or(u64::MAX).min(visible_end);
            let is_indexed = span.segment.tables.read().is_none();
            if index >= end || left == 0 || !is_indexed {
                return;
            }
            let range = Range { start: index, end };
            let selected = select(self.state, &span, self.shard, range, self.wanted, left);
            let file = files::open(self.state, &span.segment);
            // Reading itself will tell what is wrong.
            let (Ok(selection), Ok(file)) = (selected, file) else {
                return;
            };
            for entry in selection.items.iter().filter_map(Item::batch) {
                file.will_need(entry.position, u64::from(entry.frame_len));
                left -= 1;
            }
            index = selection.index_end;
        }
    }

    /// The same for the indexes of the segments that follow.
    fn prefetch_indexes(&self) {
        let index = self.index;
        let catalog = self.state.catalog();
        let starts = |segment: &Segment| segment.info.starts[self.shard.0 as usize];
        let ahead = catalog.segments().iter().rev();
        let ahead: Vec<_> = ahead.take_while(|one| starts(one) > index).collect();
        let ahead = ahead.into_iter().rev().take(PREFETCHED_INDEXES);
        for (number, segment) in ahead.enumerate() {
            if segment.tables.read().is_none() {
                let is_near = number < PREFETCHED_INDEXES / 2;
                indexes::will_need(self.state, segment, is_near);
            }
        }
    }

    fn take_stored(&mut self, span: &Span, visible_end: u64) -> io::Result<Outcome> {
        let end = span.index_end.unwrap_or(u64::MAX).min(visible_end);
        let range = Range {
            start: self.index,
            end,
        };
        let room = self.limits.batches_max.max(1) - self.chunk.batches.len();
        let selection = select(self.state, span, self.shard, range, self.wanted, room)?;
        let file = files::open(self.state, &span.segment)?;
        let reason = run::hole_reason(span);
        let mut items = &selection.items[..];
        while let Some((first, rest)) = items.split_first() {
            match first {
                Item::Hole {
                    index_start,
                    index_end,
                } => {
                    self.index = *index_start;
                    self.take_hole(*index_end, reason);
                    if self.is_full() {
                        return Ok(Outcome::Done);
                    }
                    items = rest;
                }
                Item::Batch(_) => {
                    if self.is_full() {
                        return Ok(Outcome::Done);
                    }
                    let run = self.run_of(items);
                    if let Outcome::Retired = self.take_run(span, &*file, &items[..run])? {
                        return Ok(Outcome::Retired);
                    }
                    items = &items[run..];
                }
            }
        }
        if !self.is_full() {
            self.index = selection.index_end;
        }
        Ok(Outcome::Done)
    }

    /// Passes batches that the segment should hold and does not: those that
    /// were repaired are there, the others are a gap.
    fn take_hole(&mut self, index_end: u64, reason: GapReason) {
        while self.index < index_end && !self.is_full() {
            let repaired = match reason {
                GapReason::Damage => repairs::repaired(self.state, self.shard, self.index),
                GapReason::Retention => None,
            };
            match repaired {
                Some(batch) => self.take(batch),
                None if reason == GapReason::Retention => self.gap(index_end, reason),
                None => self.gap(self.index + 1, reason),
            }
        }
    }

    /// How many of the items, which begin with a batch, are read at once.
    fn run_of(&self, items: &[Item]) -> usize {
        let entries = items.iter().map_while(Item::batch);
        let room = self.limits.bytes_max.saturating_sub(self.bytes) as u64;
        run::length(entries, room)
    }

    fn take_run(
        &mut self,
        span: &Span,
        file: &dyn DiskFile,
        items: &[Item],
    ) -> io::Result<Outcome> {
        let entries: Vec<BatchEntry> = items.iter().filter_map(Item::batch).collect();
        let run = Run::read(self.state, span, self.shard, file, &entries)?;
        for entry in &entries {
            if self.is_full() {
                break;
            }
            match run.batch(entry) {
                Fetched::Batch(batch) => self.take(batch),
                Fetched::Retired => return Ok(Outcome::Retired),
                Fetched::Damaged => {
                    self.index = entry.index;
                    self.gap(entry.index + 1, GapReason::Damage);
                }
            }
        }
        Ok(Outcome::Done)
    }
}
