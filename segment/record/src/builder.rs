//! Gathers records into a batch: one pass, one copy.
//!
//! **Invariants**
//! 1. What the builder writes, [`Batch::parse`] accepts, with equal content.
//! 2. Slots are given in order, starting at 0, without gaps.
//! 3. The body never grows beyond the limits, but for a record that alone is
//!    larger: it gets a batch of its own.

use bytes::Bytes;

use crate::batch::{self, Batch, BatchParts, Dictionary};
use crate::frame::RAW_LEN_MAX;
use crate::ids::{ShardId, Term};
use crate::names::NameBuilder;
use crate::record::{RawRecord, RecordInput};
use crate::wire::{VARINT_LEN_MAX, varint_len};

/// The most records a batch can hold: slots have 16 bits.
pub const RECORDS_MAX: usize = 65_536;

/// How large a batch may grow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchLimits {
    /// Bytes of the body, uncompressed. A single larger record still fits an
    /// empty batch. At most [`RAW_LEN_MAX`].
    pub bytes_max: usize,
    /// Records, from 1 to [`RECORDS_MAX`].
    pub records_max: usize,
}

impl Default for BatchLimits {
    /// 1 MiB and [`RECORDS_MAX`].
    fn default() -> Self {
        Self {
            bytes_max: 1 << 20,
            records_max: RECORDS_MAX,
        }
    }
}

/// The record does not fit: append it to the next batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the batch is full")]
pub struct BatchFull;

/// A batch that grows. Empty ones hold no memory.
#[derive(Debug)]
pub struct BatchBuilder {
    limits: BatchLimits,
    /// Header (filled in at the end) and records.
    body: Vec<u8>,
    positions: Vec<u32>,
    /// The records' slots, in a batch whose slots have gaps.
    slots: Option<Vec<u16>>,
    namespaces: NameBuilder,
    topics: NameBuilder,
    clients: NameBuilder,
    has_state: bool,
    timestamp_base_ms: u64,
    timestamp_ms_min: u64,
    timestamp_ms_max: u64,
}

impl BatchBuilder {
    /// An empty batch.
    ///
    /// # Panics
    /// When the limits are outside what [`BatchLimits`] allows.
    #[must_use]
    pub fn new(limits: BatchLimits) -> Self {
        assert!(limits.bytes_max <= RAW_LEN_MAX, "a batch fits a frame");
        assert!(
            (1..=RECORDS_MAX).contains(&limits.records_max),
            "a batch holds 1 to 65536 records"
        );
        Self {
            limits,
            body: Vec::new(),
            positions: Vec::new(),
            slots: None,
            namespaces: NameBuilder::default(),
            topics: NameBuilder::default(),
            clients: NameBuilder::default(),
            has_state: false,
            timestamp_base_ms: 0,
            timestamp_ms_min: u64::MAX,
            timestamp_ms_max: 0,
        }
    }

    /// Like [`BatchBuilder::new`], with room for a body of `bytes` (as large as
    /// the batch before, say), so that it needs not grow step by step.
    #[must_use]
    pub fn with_capacity(limits: BatchLimits, bytes: usize) -> Self {
        let mut builder = Self::new(limits);
        builder.body.reserve(bytes.min(limits.bytes_max));
        builder
    }

    /// From now on only what a frame can hold limits the batch: for the last
    /// record, which must find room.
    pub fn lift_limits(&mut self) {
        self.limits = BatchLimits {
            bytes_max: RAW_LEN_MAX,
            records_max: RECORDS_MAX,
        };
    }

    /// A builder for records that keep the slots they had.
    pub(crate) fn compacting() -> Self {
        let limits = BatchLimits {
            bytes_max: RAW_LEN_MAX,
            records_max: RECORDS_MAX,
        };
        Self {
            slots: Some(Vec::new()),
            ..Self::new(limits)
        }
    }

    /// Appends a record and tells its slot.
    ///
    /// # Errors
    /// [`BatchFull`] when a limit would be passed; the batch is unchanged.
    ///
    /// # Panics
    /// When the quality of service is above 2, the namespace holds U+0000, or
    /// the record alone is above [`RAW_LEN_MAX`] (no MQTT packet is).
    pub fn try_push(&mut self, record: &RecordInput<'_>) -> Result<u16, BatchFull> {
        self.try_push_with(record, 0, |_| ())
    }

    /// Like [`BatchBuilder::try_push`] for properties that do not lie in one
    /// piece: `write_properties` appends exactly `properties_len` bytes that
    /// follow those of `record`. It is called only when the record fits.
    ///
    /// # Errors
    /// As [`BatchBuilder::try_push`].
    ///
    /// # Panics
    /// As [`BatchBuilder::try_push`], and when `write_properties` does not
    /// append what was announced.
    pub fn try_push_with(
        &mut self,
        record: &RecordInput<'_>,
        properties_len: usize,
        write_properties: impl FnOnce(&mut Vec<u8>),
    ) -> Result<u16, BatchFull> {
        if self.count() >= self.limits.records_max {
            return Err(BatchFull);
        }
        let slot = self.count() as u16;
        self.append(None, record, properties_len, write_properties)?;
        Ok(slot)
    }

    /// Appends a record to a compacting builder under the slot it had.
    pub(crate) fn push_at(&mut self, slot: u16, record: &RecordInput<'_>) {
        let slots = self
            .slots
            .as_mut()
            .expect("only a compacting builder is given slots");
        assert!(
            slots.last().is_none_or(|&before| before < slot),
            "slots increase"
        );
        slots.push(slot);
        let appended = self.append(Some(slot), record, 0, |_| ());
        assert!(appended.is_ok(), "what came out of a frame fits a frame");
    }

    fn append(
        &mut self,
        slot: Option<u16>,
        record: &RecordInput<'_>,
        extra: usize,
        write_extra: impl FnOnce(&mut Vec<u8>),
    ) -> Result<(), BatchFull> {
        let first = self.is_empty();
        let base = if first {
            record.timestamp_ms
        } else {
            self.timestamp_base_ms
        };
        let namespace = self.namespaces.find(0, record.namespace);
        let namespace_id = namespace.id_to_be(&self.namespaces);
        let topic = self.topics.find(namespace_id, record.topic);
        let client = self.clients.find(namespace_id, record.client_id);
        let (topic_id, client_id) = (topic.id_to_be(&self.topics), client.id_to_be(&self.clients));
        let raw = RawRecord::new(record, slot, topic_id, client_id, base);
        let len = raw.body_len(extra);
        let names = namespace.size() + topic.size() + client.size();
        let size = self.size_bytes() + varint_len(len as u64) + len + names;
        assert!(size <= RAW_LEN_MAX || !first, "a record fits a frame");
        if size > self.limits.bytes_max && !first {
            return Err(BatchFull);
        }

        if first {
            self.body.resize(batch::HEADER_LEN, 0);
            self.timestamp_base_ms = base;
        }
        if namespace.size() > 0 {
            assert!(
                !record.namespace.contains('\0'),
                "a namespace holds no U+0000"
            );
        }
        self.namespaces.resolve(namespace, 0, record.namespace);
        self.topics.resolve(topic, namespace_id, record.topic);
        self.clients.resolve(client, namespace_id, record.client_id);
        self.positions.push(self.body.len() as u32);
        raw.write(&mut self.body, len, extra, write_extra);
        self.has_state |= raw.is_state();
        self.timestamp_ms_min = self.timestamp_ms_min.min(record.timestamp_ms);
        self.timestamp_ms_max = self.timestamp_ms_max.max(record.timestamp_ms);
        Ok(())
    }

    /// Whether nothing was appended yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.positions.is_empty()
    }

    /// Records appended.
    #[must_use]
    pub fn count(&self) -> usize {
        self.positions.len()
    }

    /// What the finished body takes at most as it stands, dictionary included.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        let names = self.namespaces.size() + self.topics.size() + self.clients.size();
        self.body.len().max(batch::HEADER_LEN) + 3 * VARINT_LEN_MAX + names
    }

    /// Whether views must see the batch: it holds a retained message or a
    /// record of another kind than messages.
    #[must_use]
    pub fn has_state(&self) -> bool {
        self.has_state
    }

    /// Completes the batch as the Raft entry `index` of `term` in `shard`.
    ///
    /// # Panics
    /// When nothing was appended, or `index` is 0 or above
    /// [`crate::Offset::INDEX_MAX`].
    #[must_use]
    pub fn finish(mut self, shard: ShardId, index: u64, term: Term) -> Batch {
        assert!(!self.is_empty(), "a batch holds a record");
        let dictionary = Dictionary {
            namespaces: self.namespaces.into_names(),
            topics: self.topics.into_names(),
            clients: self.clients.into_names(),
        };
        let dictionary_position = self.body.len();
        dictionary.write(&mut self.body);
        assert!(self.body.len() <= RAW_LEN_MAX, "a batch fits a frame");
        // Batches live on in caches that count their bytes: no hidden room.
        if self.body.capacity() - self.body.len() > self.body.len() / 8 {
            self.body.shrink_to_fit();
        }
        batch::Header {
            dictionary_position: dictionary_position as u32,
            count: self.positions.len() as u32,
            compacted: self.slots.is_some(),
            has_state: self.has_state,
            timestamp_base_ms: self.timestamp_base_ms,
        }
        .write(&mut self.body[..batch::HEADER_LEN]);
        Batch::new(BatchParts {
            shard,
            index,
            term,
            body: Bytes::from(self.body),
            positions: self.positions,
            slots: self.slots,
            dictionary,
            has_state: self.has_state,
            timestamp_base_ms: self.timestamp_base_ms,
            timestamp_ms_min: self.timestamp_ms_min,
            timestamp_ms_max: self.timestamp_ms_max,
        })
    }
}
