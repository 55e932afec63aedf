//! One read: along a shard, from cache and segments, until enough is found.

use std::io;
use std::sync::Arc;

use robustmq_record::{Batch, BatchEntry, Offset, ShardId};

use super::entries::{Item, Range, io_error, select};
use super::{Gap, GapReason, ReadChunk, ReadLimits, Wanted, parse_entry};
use crate::catalog::Span;
use crate::disk::DiskFile;
use crate::error::ReadError;
use crate::files;
use crate::state::{LogCounters, LogState};

/// Segments looked at by one call, so that a filter that matches nothing does
/// not hold its thread for long.
const SEGMENTS_MAX: usize = 64;
/// Bytes of batches that turn out not to match, looked at by one call.
const PASSED_BYTES_MAX: usize = 16 << 20;
/// Bytes read from the disk at once; a larger frame is read alone.
const RUN_BYTES_MAX: u64 = 1 << 20;
/// Bytes between two frames that are read along rather than skipped.
const RUN_HOLE_BYTES_MAX: u64 = 16 << 10;
/// How often a segment may be retired under a reader's hands before it gives up.
const RETRIES_MAX: usize = 16;

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

/// How the reading of a segment ended.
enum Outcome {
    Done,
    /// The segment went into other hands; look it up again.
    Retired,
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
        let (mut segments, mut retries) = (0, 0);
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
            segments += 1;
            match self.take_stored(&span, end) {
                Ok(Outcome::Done) => (),
                Ok(Outcome::Retired) => retries += 1,
                Err(_) if span.segment.is_retired() => retries += 1,
                Err(source) => return Err(io_error(&span.segment, source)),
            }
            if retries > RETRIES_MAX {
                let source = io::Error::other("the segment is replaced again and again");
                return Err(io_error(&span.segment, source));
            }
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

    fn take_stored(&mut self, span: &Span, visible_end: u64) -> io::Result<Outcome> {
        let end = span.index_end.unwrap_or(u64::MAX).min(visible_end);
        let range = Range {
            start: self.index,
            end,
        };
        let room = self.limits.batches_max.max(1) - self.chunk.batches.len();
        let selection = select(self.state, span, self.shard, range, self.wanted, room)?;
        let file = files::open(self.state, &span.segment)?;
        let reason = if span.segment.info.compacted {
            GapReason::Retention
        } else {
            GapReason::Damage
        };
        let mut items = &selection.items[..];
        while let Some((first, rest)) = items.split_first() {
            match first {
                Item::Hole {
                    index_start,
                    index_end,
                } => {
                    self.index = *index_start;
                    self.gap(*index_end, reason);
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

    /// How many of the items, which begin with a batch, are read at once.
    fn run_of(&self, items: &[Item]) -> usize {
        let entries = items.iter().map_while(|item| match item {
            Item::Batch(entry) => Some(entry),
            Item::Hole { .. } => None,
        });
        let room = (self.limits.bytes_max.saturating_sub(self.bytes) as u64).min(RUN_BYTES_MAX);
        let (mut count, mut start, mut end) = (0, 0, 0);
        for entry in entries {
            let entry_end = entry.position + u64::from(entry.frame_len);
            if count == 0 {
                start = entry.position;
            } else if entry.position < end
                || entry.position - end > RUN_HOLE_BYTES_MAX
                || entry_end - start > room
            {
                break;
            }
            end = entry_end;
            count += 1;
        }
        count
    }

    fn take_run(
        &mut self,
        span: &Span,
        file: &dyn DiskFile,
        items: &[Item],
    ) -> io::Result<Outcome> {
        let entries = items.iter().filter_map(|item| match item {
            Item::Batch(entry) => Some(*entry),
            Item::Hole { .. } => None,
        });
        let entries: Vec<BatchEntry> = entries.collect();
        let (Some(first), Some(last)) = (entries.first(), entries.last()) else {
            return Ok(Outcome::Done);
        };
        let len = last.position + u64::from(last.frame_len) - first.position;
        let mut bytes = vec![0; len as usize];
        let read = file.read_at(first.position, &mut bytes)?;
        bytes.truncate(read);
        for entry in &entries {
            if self.is_full() {
                break;
            }
            let start = ((entry.position - first.position) as usize).min(bytes.len());
            let end = (start + entry.frame_len as usize).min(bytes.len());
            let id = span.segment.id();
            match parse_entry(&bytes[start..end], id, self.shard, entry) {
                Ok(batch) => self.take(Arc::new(batch)),
                Err(_) if span.segment.is_retired() => return Ok(Outcome::Retired),
                Err(fault) => {
                    LogCounters::add(&self.state.counters.damages, 1);
                    tracing::warn!(
                        segment = id.0,
                        position = entry.position,
                        shard = self.shard.0,
                        index = entry.index,
                        %fault,
                        "a batch is damaged and left out"
                    );
                    self.index = entry.index;
                    self.gap(entry.index + 1, GapReason::Damage);
                }
            }
        }
        Ok(Outcome::Done)
    }
}
