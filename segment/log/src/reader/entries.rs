//! Which batches of a segment a reader has to read.

use std::io;
use std::sync::Arc;

use robustmq_record::{Batch, BatchEntry, Offset, SegmentIndex, ShardId, ShardIndex, Term};

use super::{NAMESPACE, Wanted, read_entry};
use crate::catalog::Span;
use crate::error::ReadError;
use crate::segment::Segment;
use crate::state::LogState;
use crate::{file_names, files, indexes, repairs};

/// A batch to read, or indexes that the segment should hold and does not.
#[derive(Clone, Copy, Debug)]
pub(super) enum Item {
    Batch(BatchEntry),
    Hole { index_start: u64, index_end: u64 },
}

impl Item {
    pub(super) fn batch(&self) -> Option<BatchEntry> {
        match self {
            Self::Batch(entry) => Some(*entry),
            Self::Hole { .. } => None,
        }
    }
}

/// What to read of a segment.
#[derive(Debug, Default)]
pub(super) struct Selection {
    pub(super) items: Vec<Item>,
    /// Up to here the segment was looked at.
    pub(super) index_end: u64,
}

/// Part of a shard's indexes; `end` is exclusive.
#[derive(Clone, Copy, Debug)]
pub(super) struct Range {
    pub(super) start: u64,
    pub(super) end: u64,
}

/// Gathers items up to a number of batches, and notes holes between them.
struct Gather {
    selection: Selection,
    expected: u64,
    batches: usize,
    batches_max: usize,
}

impl Gather {
    fn new(range: Range, batches_max: usize) -> Self {
        Self {
            selection: Selection::default(),
            expected: range.start,
            batches: 0,
            batches_max,
        }
    }

    /// Passes an entry; false when no more are to come.
    fn pass(&mut self, entry: BatchEntry, wanted: bool) -> bool {
        if wanted && self.batches == self.batches_max {
            return false;
        }
        self.hole(entry.index);
        self.expected = entry.index + 1;
        if wanted {
            self.selection.items.push(Item::Batch(entry));
            self.batches += 1;
        }
        true
    }

    fn hole(&mut self, index_end: u64) {
        if self.expected < index_end {
            self.selection.items.push(Item::Hole {
                index_start: self.expected,
                index_end,
            });
        }
    }

    /// All entries of the range were passed.
    fn finish(mut self, range: Range) -> Selection {
        self.hole(range.end);
        self.selection.index_end = range.end;
        self.selection
    }

    /// Gathering stopped before the end of the range.
    fn stop(mut self) -> Selection {
        self.selection.index_end = self.expected;
        self.selection
    }
}

/// What to read of `range`, which lies in the span, for at most `batches_max`
/// batches (at least 1).
pub(super) fn select(
    state: &LogState,
    span: &Span,
    shard: ShardId,
    range: Range,
    wanted: Wanted<'_>,
    batches_max: usize,
) -> io::Result<Selection> {
    assert!(range.start < range.end, "there is something to look for");
    if let Some(tables) = &*span.segment.tables.read() {
        let entries = tables.shard(shard);
        let state_only = matches!(wanted, Wanted::State);
        return Ok(select_all(
            entries[entries.partition_point(|entry| entry.index < range.start)..]
                .iter()
                .copied(),
            range,
            batches_max,
            |entry| !state_only || entry.has_state,
        ));
    }
    let index = indexes::load(state, &span.segment)?;
    let Some(table) = index.shard(shard) else {
        return Ok(Gather::new(range, batches_max).finish(range));
    };
    let first = table.seek_index(range.start);
    let first = first.map_or(table.batch_count(), |entry| entry.ordinal);
    match wanted {
        Wanted::All => {
            let entries = (first..table.batch_count()).filter_map(|place| table.batch(place));
            Ok(select_all(entries, range, batches_max, |_| true))
        }
        Wanted::State => {
            let ordinals = table.state_batches().map(|entry| entry.ordinal).collect();
            Ok(select_some(&table, first, ordinals, range, batches_max))
        }
        Wanted::Topics(filters) => {
            let ordinals = table
                .postings(NAMESPACE, filters)
                .map_err(io::Error::other)?;
            Ok(select_some(&table, first, ordinals, range, batches_max))
        }
    }
}

fn select_all(
    entries: impl Iterator<Item = BatchEntry>,
    range: Range,
    batches_max: usize,
    wanted: impl Fn(&BatchEntry) -> bool,
) -> Selection {
    let mut gather = Gather::new(range, batches_max);
    for entry in entries.take_while(|entry| entry.index < range.end) {
        if !gather.pass(entry, wanted(&entry)) {
            return gather.stop();
        }
    }
    gather.finish(range)
}

/// Selects the batches with these ordinals (rising) from `first` on. Where the
/// table has no holes, the other batches are not even looked at.
fn select_some(
    table: &ShardIndex<'_>,
    first: u32,
    ordinals: Vec<u32>,
    range: Range,
    batches_max: usize,
) -> Selection {
    let ordinals = &ordinals[ordinals.partition_point(|&ordinal| ordinal < first)..];
    let whole = u64::from(table.batch_count()) == table.index_end() - table.index_start()
        && table.index_start() <= range.start
        && table.index_end() >= range.end;
    if !whole {
        let entries = (first..table.batch_count()).filter_map(|place| table.batch(place));
        let wanted = |entry: &BatchEntry| ordinals.binary_search(&entry.ordinal).is_ok();
        return select_all(entries, range, batches_max, wanted);
    }
    let mut selection = Selection::default();
    for entry in ordinals.iter().filter_map(|&ordinal| table.batch(ordinal)) {
        if entry.index >= range.end {
            break;
        }
        if selection.items.len() == batches_max {
            selection.index_end = entry.index;
            return selection;
        }
        selection.items.push(Item::Batch(entry));
    }
    selection.index_end = range.end;
    selection
}

/// Indexes of the range that the table does not have, newest first.
pub(super) fn holes(table: &ShardIndex<'_>, range: Range) -> Vec<Range> {
    let is_whole = u64::from(table.batch_count()) == table.index_end() - table.index_start();
    let covers = table.index_start() <= range.start && table.index_end() >= range.end;
    if is_whole && covers {
        return Vec::new();
    }
    let first = table.seek_index(range.start);
    let first = first.map_or(table.batch_count(), |entry| entry.ordinal);
    let entries = (first..table.batch_count()).filter_map(|place| table.batch(place));
    let selection = select_all(entries, range, usize::MAX, |_| false);
    let hole = |item: &Item| match item {
        Item::Batch(_) => None,
        Item::Hole {
            index_start,
            index_end,
        } => Some(Range {
            start: *index_start,
            end: *index_end,
        }),
    };
    selection.items.iter().rev().filter_map(hole).collect()
}

/// The entry of one batch.
fn find(
    state: &LogState,
    segment: &Arc<Segment>,
    shard: ShardId,
    index: u64,
) -> io::Result<Option<BatchEntry>> {
    if let Some(tables) = &*segment.tables.read() {
        let entries = tables.shard(shard);
        let place = entries.binary_search_by_key(&index, |entry| entry.index);
        return Ok(place.ok().map(|place| entries[place]));
    }
    let loaded: SegmentIndex = indexes::load(state, segment)?;
    Ok(loaded
        .shard(shard)
        .and_then(|table| table.find_index(index)))
}

/// The term of the batch at an index, as the segment's index says.
pub(super) fn term(
    state: &LogState,
    shard: ShardId,
    index: u64,
) -> Result<Option<Term>, ReadError> {
    let Some(span) = state.catalog().find(shard, index) else {
        return Ok(None);
    };
    match find(state, &span.segment, shard, index) {
        Ok(entry) => Ok(entry.map(|entry| entry.term)),
        Err(_) if span.segment.is_retired() => Ok(None),
        Err(source) => Err(io_error(&span.segment, source)),
    }
}

pub(super) fn read_one(
    state: &LogState,
    shard: ShardId,
    index: u64,
) -> Result<Option<Arc<Batch>>, ReadError> {
    let Some(span) = state.catalog().find(shard, index) else {
        return Ok(None);
    };
    let segment = &span.segment;
    let read = || {
        let Some(entry) = find(state, segment, shard, index)? else {
            return Ok(None);
        };
        let file = files::open(state, segment)?;
        Ok(read_entry(&*file, segment.id(), shard, &entry)?.ok())
    };
    match read() {
        Ok(batch) => Ok(batch
            .map(Arc::new)
            .or_else(|| repairs::stored(state, shard, index))),
        Err(_) if segment.is_retired() => Ok(None),
        Err(source) => Err(io_error(segment, source)),
    }
}

pub(super) fn io_error(segment: &Segment, source: io::Error) -> ReadError {
    ReadError::Io {
        file: file_names::segment(segment.id()),
        source,
    }
}

pub(super) fn find_time(
    state: &LogState,
    shard: ShardId,
    timestamp_ms: u64,
) -> Result<Offset, ReadError> {
    let position = state.position(shard);
    let end = position.visible_offset_end();
    for segment in state.catalog().segments() {
        let found = match &*segment.tables.read() {
            Some(tables) => {
                let entries = tables.shard(shard).iter();
                let mut later = entries.filter(|entry| entry.timestamp_ms_max >= timestamp_ms);
                Some(later.next().map(|entry| entry.index))
            }
            None => None,
        };
        let found = match found {
            Some(found) => found,
            None => match indexes::load(state, segment) {
                Ok(index) => index
                    .shard(shard)
                    .filter(|table| table.timestamp_ms_max() >= timestamp_ms)
                    .and_then(|table| table.find_time(timestamp_ms))
                    .map(|entry| entry.index),
                Err(_) if segment.is_retired() => None,
                Err(source) => return Err(io_error(segment, source)),
            },
        };
        if let Some(index) = found {
            let index = index.max(position.local_start);
            return Ok(Offset::new(index, 0).min(end));
        }
    }
    Ok(end)
}
