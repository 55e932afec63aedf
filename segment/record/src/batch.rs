//! A batch: records appended together; one Raft entry, one unit of compression.
//!
//! **Invariants**
//! 1. A batch holds at least one record; slots increase.
//! 2. Every record was decoded once (by the builder's hand or by
//!    [`Batch::parse`]), so reading it again cannot fail.

mod parse;
mod retain;

use std::fmt;

use bytes::Bytes;

use crate::error::FormatError;
use crate::ids::{Offset, ShardId, Term};
use crate::names::Names;
use crate::record::{RawRecord, RecordRef};
use crate::wire::{Input, put_varint};

/// Bytes before the first record.
pub(crate) const HEADER_LEN: usize = 24;
const FLAG_COMPACTED: u32 = 1;
const FLAG_HAS_STATE: u32 = 2;

/// The start of a batch's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) dictionary_position: u32,
    pub(crate) count: u32,
    pub(crate) compacted: bool,
    pub(crate) has_state: bool,
    pub(crate) timestamp_base_ms: u64,
}

impl Header {
    /// Fills the header's place at the front of a body.
    pub(crate) fn write(&self, out: &mut [u8]) {
        let flags = if self.compacted { FLAG_COMPACTED } else { 0 }
            | if self.has_state { FLAG_HAS_STATE } else { 0 };
        out[0..4].copy_from_slice(&self.dictionary_position.to_le_bytes());
        out[4..8].copy_from_slice(&self.count.to_le_bytes());
        out[8..12].copy_from_slice(&flags.to_le_bytes());
        out[12..16].fill(0);
        out[16..24].copy_from_slice(&self.timestamp_base_ms.to_le_bytes());
    }

    fn read(body: &[u8]) -> Result<Self, FormatError> {
        let mut input = Input::new("batch header", body);
        let dictionary_position = input.u32()?;
        let count = input.u32()?;
        let flags = input.u32()?;
        if flags & !(FLAG_COMPACTED | FLAG_HAS_STATE) != 0 {
            return Err(input.error("unknown flags"));
        }
        if input.u32()? != 0 {
            return Err(input.error("reserved bytes are not zero"));
        }
        Ok(Self {
            dictionary_position,
            count,
            compacted: flags & FLAG_COMPACTED != 0,
            has_state: flags & FLAG_HAS_STATE != 0,
            timestamp_base_ms: input.u64()?,
        })
    }
}

/// The distinct names of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Dictionary {
    pub(crate) namespaces: Names,
    pub(crate) topics: Names,
    pub(crate) clients: Names,
}

impl Dictionary {
    /// Appends the counts, the tables and the texts.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        let tables = [&self.namespaces, &self.topics, &self.clients];
        tables
            .iter()
            .for_each(|names| put_varint(out, names.count() as u64));
        tables.iter().for_each(|names| names.write_table(out));
        tables.iter().for_each(|names| names.write_text(out));
    }
}

/// What a batch is made of; names the fields that [`Batch::new`] checks.
pub(crate) struct BatchParts {
    pub(crate) shard: ShardId,
    pub(crate) index: u64,
    pub(crate) term: Term,
    pub(crate) body: Bytes,
    pub(crate) positions: Vec<u32>,
    pub(crate) slots: Option<Vec<u16>>,
    pub(crate) dictionary: Dictionary,
    pub(crate) has_state: bool,
    pub(crate) timestamp_base_ms: u64,
    pub(crate) timestamp_ms_min: u64,
    pub(crate) timestamp_ms_max: u64,
}

/// Records appended together, uncompressed and validated.
///
/// Meant to be shared as `Arc<Batch>`: disk, tail cache and subscribers look
/// at the same bytes.
#[derive(Clone)]
pub struct Batch {
    shard: ShardId,
    index: u64,
    term: Term,
    body: Bytes,
    /// Where each record starts in the body.
    positions: Box<[u32]>,
    /// Each record's slot where that is not its place in `positions`.
    slots: Option<Box<[u16]>>,
    dictionary: Dictionary,
    has_state: bool,
    timestamp_base_ms: u64,
    timestamp_ms_min: u64,
    timestamp_ms_max: u64,
}

impl Batch {
    pub(crate) fn new(parts: BatchParts) -> Self {
        assert!(!parts.positions.is_empty(), "a batch holds a record");
        assert!(
            (1..=Offset::INDEX_MAX).contains(&parts.index),
            "an index is 1 to 2^48 - 1"
        );
        if let Some(slots) = &parts.slots {
            assert!(
                slots.len() == parts.positions.len(),
                "every record has a slot"
            );
        }
        Self {
            shard: parts.shard,
            index: parts.index,
            term: parts.term,
            body: parts.body,
            positions: parts.positions.into_boxed_slice(),
            slots: parts.slots.map(Vec::into_boxed_slice),
            dictionary: parts.dictionary,
            has_state: parts.has_state,
            timestamp_base_ms: parts.timestamp_base_ms,
            timestamp_ms_min: parts.timestamp_ms_min,
            timestamp_ms_max: parts.timestamp_ms_max,
        }
    }

    /// The same records as the entry `index` of `term`.
    ///
    /// # Panics
    /// When `index` is 0 or above [`Offset::INDEX_MAX`].
    #[must_use]
    pub fn placed(self, index: u64, term: Term) -> Self {
        assert!(
            (1..=Offset::INDEX_MAX).contains(&index),
            "an index is 1 to 2^48 - 1"
        );
        Self {
            index,
            term,
            ..self
        }
    }

    /// The shard whose log the batch is in.
    #[must_use]
    pub fn shard(&self) -> ShardId {
        self.shard
    }

    /// The batch's Raft index.
    #[must_use]
    pub fn index(&self) -> u64 {
        self.index
    }

    /// The Raft term the batch was appended in.
    #[must_use]
    pub fn term(&self) -> Term {
        self.term
    }

    /// The offset of the first record that is there.
    #[must_use]
    pub fn first_offset(&self) -> Offset {
        Offset::new(self.index, self.slot_at(0))
    }

    /// The offset after the last record that is there.
    #[must_use]
    pub fn offset_end(&self) -> Offset {
        Offset::new(self.index, self.slot_at(self.count() - 1)).next()
    }

    /// Records in the batch; at least one.
    #[must_use]
    pub fn count(&self) -> usize {
        self.positions.len()
    }

    /// The earliest timestamp.
    #[must_use]
    pub fn timestamp_ms_min(&self) -> u64 {
        self.timestamp_ms_min
    }

    /// The latest timestamp.
    #[must_use]
    pub fn timestamp_ms_max(&self) -> u64 {
        self.timestamp_ms_max
    }

    /// The first record's timestamp, which the frame header repeats.
    #[must_use]
    pub fn timestamp_base_ms(&self) -> u64 {
        self.timestamp_base_ms
    }

    /// Whether views must see the batch: it holds a retained message or a
    /// record of another kind than messages.
    #[must_use]
    pub fn has_state(&self) -> bool {
        self.has_state
    }

    /// Whether records were removed, so that slots have gaps.
    #[must_use]
    pub fn is_compacted(&self) -> bool {
        self.slots.is_some()
    }

    /// The batch as bytes, for [`Batch::parse`] and for the body of a frame.
    #[must_use]
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// Bytes of the body.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        self.body.len()
    }

    /// Bytes of memory held, about: the body and the tables made from it.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        let names = &self.dictionary;
        size_of::<Self>()
            + self.body.len()
            + size_of_val(&*self.positions)
            + self.slots.as_deref().map_or(0, size_of_val)
            + names.namespaces.memory_bytes()
            + names.topics.memory_bytes()
            + names.clients.memory_bytes()
    }

    /// The record with this slot; `None` when there never was one or it was
    /// removed by compaction.
    #[must_use]
    pub fn record(&self, slot: u16) -> Option<RecordRef<'_>> {
        let place = match &self.slots {
            None => usize::from(slot),
            Some(slots) => slots.binary_search(&slot).ok()?,
        };
        (place < self.count()).then(|| self.record_at(place))
    }

    /// All records in the order of their offsets.
    pub fn records(&self) -> impl DoubleEndedIterator<Item = RecordRef<'_>> + ExactSizeIterator {
        (0..self.count()).map(|place| self.record_at(place))
    }

    /// The records at `offset` and above.
    pub fn records_from(&self, offset: Offset) -> impl Iterator<Item = RecordRef<'_>> {
        let start = match self.index.cmp(&offset.index()) {
            std::cmp::Ordering::Greater => 0,
            std::cmp::Ordering::Less => self.count(),
            std::cmp::Ordering::Equal => match &self.slots {
                None => usize::from(offset.slot()).min(self.count()),
                Some(slots) => slots.partition_point(|&slot| slot < offset.slot()),
            },
        };
        (start..self.count()).map(|place| self.record_at(place))
    }

    /// Distinct topics: number, namespace, name. Numbers count up from 0.
    pub fn topics(&self) -> impl ExactSizeIterator<Item = (u32, &str, &str)> {
        (0..self.dictionary.topics.count()).map(|id| {
            let (namespace, topic) = self.topic(id as u32);
            (id as u32, namespace, topic)
        })
    }

    /// How many distinct topics there are; their numbers are below.
    #[must_use]
    pub fn topic_count(&self) -> usize {
        self.dictionary.topics.count()
    }

    /// The namespace and name of a topic by its number in this batch.
    ///
    /// # Panics
    /// When the number is not below [`Batch::topic_count`].
    #[must_use]
    pub fn topic(&self, topic_id: u32) -> (&str, &str) {
        let (namespace, topic) = self.dictionary.topics.get(topic_id);
        (self.dictionary.namespaces.get(namespace).1, topic)
    }

    pub(crate) fn client(&self, client_id: u32) -> &str {
        self.dictionary.clients.get(client_id).1
    }

    fn slot_at(&self, place: usize) -> u16 {
        match &self.slots {
            None => place as u16,
            Some(slots) => slots[place],
        }
    }

    fn record_at(&self, place: usize) -> RecordRef<'_> {
        let position = self.positions[place] as usize;
        let mut input = Input::at("record", &self.body, position);
        let raw = RawRecord::read(&mut input, self.is_compacted())
            .expect("records are written by the builder or validated by parse");
        RecordRef {
            batch: self,
            slot: self.slot_at(place),
            raw,
        }
    }
}

impl PartialEq for Batch {
    /// Batches are equal when their place and their bytes are.
    fn eq(&self, other: &Self) -> bool {
        (self.shard, self.index, self.term) == (other.shard, other.index, other.term)
            && self.body == other.body
    }
}

impl Eq for Batch {}

impl fmt::Debug for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batch")
            .field("shard", &self.shard)
            .field("index", &self.index)
            .field("term", &self.term)
            .field("count", &self.count())
            .field("size_bytes", &self.size_bytes())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
