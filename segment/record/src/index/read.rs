//! Reading an index where it lies.

use std::ops::ControlFlow;

use bytes::Bytes;
use robustmq_protocol::topic::FilterAutomaton;

use super::topics::{Posting, TopicEntry, Topics};
use super::{
    ALIGN, BATCH_LEN, HAS_STATE, HEADER_LEN, INDEX_MAGIC, INDEX_VERSION, IndexedSegment, SHARD_LEN,
};
use crate::error::FormatError;
use crate::frame::checksum;
use crate::ids::{Lsn, SegmentId, ShardId, Term};
use crate::wire::Input;

/// A segment index whose checksum was found right. Cheap to clone.
#[derive(Clone, Debug)]
pub struct SegmentIndex {
    bytes: Bytes,
    segment: IndexedSegment,
    shards: Vec<ShardEntry>,
}

/// A shard's entry in the directory.
#[derive(Clone, Copy, Debug)]
struct ShardEntry {
    shard: ShardId,
    batch_count: u32,
    state_count: u32,
    topic_count: u32,
    records: u64,
    timestamp_ms_min: u64,
    timestamp_ms_max: u64,
    batches_position: usize,
    states_position: usize,
    fst_position: usize,
    fst_len: usize,
    postings_position: usize,
    postings_len: usize,
}

/// Where a batch is and what it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchEntry {
    /// Its place among the shard's batches in the segment; postings name it.
    pub ordinal: u32,
    /// Its Raft index.
    pub index: u64,
    /// Its Raft term.
    pub term: Term,
    /// Where its frame starts in the segment.
    pub position: u64,
    /// Bytes of its frame.
    pub frame_len: u32,
    /// Records in it.
    pub count: u32,
    /// Whether views must see it.
    pub has_state: bool,
    /// The earliest timestamp of its records.
    pub timestamp_ms_min: u64,
    /// The latest timestamp of its records.
    pub timestamp_ms_max: u64,
}

impl SegmentIndex {
    /// Bytes that an index begins with, whatever it says.
    pub const HEAD_LEN: usize = HEADER_LEN;

    /// Where the segment ends, as its index's first bytes say; unchecked, so
    /// good for a guess only.
    #[must_use]
    pub fn end_of(head: &[u8; Self::HEAD_LEN]) -> u64 {
        u64::from_le_bytes(std::array::from_fn(|place| head[24 + place]))
    }

    /// Checks the index of the segment `segment_id`, checksum included.
    ///
    /// Compare [`SegmentIndex::segment`] with the segment to see whether the
    /// index is about all of it.
    ///
    /// # Errors
    /// What is wrong: build the index again by a scan.
    pub fn parse(bytes: Bytes, segment_id: SegmentId) -> Result<Self, FormatError> {
        let mut input = Input::new("segment index", &bytes);
        if input.bytes(4)? != INDEX_MAGIC {
            return Err(input.error("no index starts here"));
        }
        let crc = input.u32()?;
        if crc != checksum(segment_id, &bytes[8..]) {
            return Err(input.error("checksum does not match"));
        }
        if input.u32()? != INDEX_VERSION {
            return Err(input.error("unknown version"));
        }
        let count = input.u32()? as usize;
        let segment = IndexedSegment {
            segment_id: SegmentId(input.u64()?),
            position_end: input.u64()?,
            lsn_start: Lsn(input.u64()?),
            lsn_end: Lsn(input.u64()?),
        };
        if segment.segment_id != segment_id {
            return Err(input.error("index of another segment"));
        }
        if input.u64()? != bytes.len() as u64 || input.u64()? != 0 {
            return Err(input.error("length does not fit, or reserved bytes are not zero"));
        }
        if count.saturating_mul(SHARD_LEN) > input.remaining() {
            return Err(input.error("shard count is above what the bytes can hold"));
        }
        let mut shards: Vec<ShardEntry> = Vec::with_capacity(count);
        let mut end = HEADER_LEN + count * SHARD_LEN;
        for _ in 0..count {
            let entry = ShardEntry::read(&mut input, &mut end)?;
            if shards
                .last()
                .is_some_and(|before| before.shard >= entry.shard)
            {
                return Err(input.error("shards are not in order"));
            }
            shards.push(entry);
        }
        if end != bytes.len() {
            return Err(input.error("sections do not fill the index"));
        }
        Ok(Self {
            segment,
            shards,
            bytes,
        })
    }

    /// Which bytes of which segment the index is about.
    #[must_use]
    pub fn segment(&self) -> IndexedSegment {
        self.segment
    }

    /// Bytes of the index.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// The shards that have batches in the segment, in the order of their ids.
    pub fn shards(&self) -> impl ExactSizeIterator<Item = ShardIndex<'_>> {
        self.shards.iter().map(|entry| ShardIndex {
            bytes: &self.bytes,
            entry,
        })
    }

    /// What the index says about a shard; `None` when the segment has no batch
    /// of it.
    #[must_use]
    pub fn shard(&self, shard: ShardId) -> Option<ShardIndex<'_>> {
        let place = self
            .shards
            .binary_search_by_key(&shard, |entry| entry.shard)
            .ok()?;
        Some(ShardIndex {
            bytes: &self.bytes,
            entry: &self.shards[place],
        })
    }
}

impl ShardEntry {
    /// Reads an entry; its sections must follow each other from `end` on, which
    /// is moved behind them.
    fn read(input: &mut Input<'_>, end: &mut usize) -> Result<Self, FormatError> {
        let (shard, batch_count) = (ShardId(input.u32()?), input.u32()?);
        let (state_count, topic_count) = (input.u32()?, input.u32()?);
        let records = input.u64()?;
        let (timestamp_ms_min, timestamp_ms_max) = (input.u64()?, input.u64()?);
        let mut section = |len: Option<u64>, position: u64, input: &Input<'_>| {
            let start = u64::try_from(*end).unwrap_or(u64::MAX);
            let behind = len.and_then(|len| position.checked_add(len)?.checked_next_multiple_of(8));
            match behind.and_then(|behind| usize::try_from(behind).ok()) {
                Some(behind) if position == start => {
                    *end = behind;
                    Ok(position as usize)
                }
                _ => Err(input.error("section is not where it should be")),
            }
        };
        const { assert!(ALIGN == 8) };
        let batches_len = u64::from(batch_count) * BATCH_LEN as u64;
        let batches = input.u64()?;
        let batches_position = section(Some(batches_len), batches, input)?;
        let states = input.u64()?;
        let states_position = section(Some(u64::from(state_count) * 4), states, input)?;
        let (fst, fst_len) = (input.u64()?, input.u64()?);
        let fst_position = section(Some(fst_len), fst, input)?;
        let (postings, postings_len) = (input.u64()?, input.u64()?);
        let postings_position = section(Some(postings_len), postings, input)?;
        if batch_count == 0 || state_count > batch_count {
            return Err(input.error("counts of batches do not fit"));
        }
        Ok(Self {
            shard,
            batch_count,
            state_count,
            topic_count,
            records,
            timestamp_ms_min,
            timestamp_ms_max,
            batches_position,
            states_position,
            fst_position,
            fst_len: fst_len as usize,
            postings_position,
            postings_len: postings_len as usize,
        })
    }
}

/// One shard's part of a [`SegmentIndex`].
#[derive(Clone, Copy, Debug)]
pub struct ShardIndex<'a> {
    bytes: &'a [u8],
    entry: &'a ShardEntry,
}

impl<'a> ShardIndex<'a> {
    /// The shard.
    #[must_use]
    pub fn shard(&self) -> ShardId {
        self.entry.shard
    }

    /// Batches in the segment; at least one.
    #[must_use]
    pub fn batch_count(&self) -> u32 {
        self.entry.batch_count
    }

    /// Distinct topics of messages in the segment.
    #[must_use]
    pub fn topic_count(&self) -> u32 {
        self.entry.topic_count
    }

    /// Records in the segment, of whatever kind.
    #[must_use]
    pub fn records(&self) -> u64 {
        self.entry.records
    }

    /// The earliest timestamp.
    #[must_use]
    pub fn timestamp_ms_min(&self) -> u64 {
        self.entry.timestamp_ms_min
    }

    /// The latest timestamp.
    #[must_use]
    pub fn timestamp_ms_max(&self) -> u64 {
        self.entry.timestamp_ms_max
    }

    /// The index of the first batch.
    #[must_use]
    pub fn index_start(&self) -> u64 {
        self.u64_at(0, 0)
    }

    /// The index after the last batch.
    #[must_use]
    pub fn index_end(&self) -> u64 {
        self.u64_at(self.batch_count() - 1, 0) + 1
    }

    /// A batch by its ordinal.
    #[must_use]
    pub fn batch(&self, ordinal: u32) -> Option<BatchEntry> {
        (ordinal < self.batch_count()).then(|| self.entry_at(ordinal))
    }

    /// All batches in index order.
    pub fn batches(
        &self,
    ) -> impl DoubleEndedIterator<Item = BatchEntry> + ExactSizeIterator + use<'a> {
        let this = *self;
        (0..this.batch_count()).map(move |ordinal| this.entry_at(ordinal))
    }

    /// The batch with exactly this Raft index.
    #[must_use]
    pub fn find_index(&self, index: u64) -> Option<BatchEntry> {
        self.seek_index(index).filter(|entry| entry.index == index)
    }

    /// The first batch with this Raft index or a higher one.
    #[must_use]
    pub fn seek_index(&self, index: u64) -> Option<BatchEntry> {
        self.batch(self.partition(|ordinal| self.u64_at(ordinal, 0) < index))
    }

    /// The first batch with a record of this time or later. Batches behind it
    /// may hold earlier records: clocks are no order.
    #[must_use]
    pub fn find_time(&self, timestamp_ms: u64) -> Option<BatchEntry> {
        self.batch(self.partition(|ordinal| self.u64_at(ordinal, 48) < timestamp_ms))
    }

    /// The batches that views must see, in index order.
    pub fn state_batches(&self) -> impl Iterator<Item = BatchEntry> + use<'a> {
        let this = *self;
        let start = self.entry.states_position;
        (0..self.entry.state_count as usize).filter_map(move |place| {
            let bytes = this.bytes[start + 4 * place..].first_chunk()?;
            this.batch(u32::from_le_bytes(*bytes))
        })
    }

    /// The ordinals, rising, of the batches that hold a message on a topic of
    /// the namespace which any of the filters matches. The filters come without a prefix.
    ///
    /// # Errors
    /// When the writer of the index broke its rules.
    pub fn postings(
        &self,
        namespace: &str,
        filters: &[FilterAutomaton],
    ) -> Result<Vec<u32>, FormatError> {
        let mut marks = vec![false; self.batch_count() as usize];
        for filter in filters {
            self.topics_map().mark(namespace, filter, &mut marks)?;
        }
        Ok((0..)
            .zip(marks)
            .filter_map(|(ordinal, mark)| mark.then_some(ordinal))
            .collect())
    }

    /// Calls `visit` for the namespace's topics that the filter matches and
    /// that come after `after`, in the order of their names, until it says no
    /// more. The filter comes without a prefix.
    ///
    /// # Errors
    /// As [`ShardIndex::postings`], and those of `visit`.
    pub fn topics(
        &self,
        namespace: &str,
        filter: &FilterAutomaton,
        after: Option<&str>,
        mut visit: impl FnMut(TopicEntry<'_>, Posting<'a>) -> Result<ControlFlow<()>, FormatError>,
    ) -> Result<(), FormatError> {
        self.topics_map()
            .visit(namespace, filter, after, &mut visit)
    }

    /// Calls `visit` for all topics of all namespaces.
    ///
    /// # Errors
    /// As [`ShardIndex::postings`].
    pub fn all_topics(&self, mut visit: impl FnMut(TopicEntry<'_>)) -> Result<(), FormatError> {
        self.topics_map().visit_all(&mut visit)
    }

    fn topics_map(&self) -> Topics<'a> {
        let entry = self.entry;
        Topics {
            fst: &self.bytes[entry.fst_position..entry.fst_position + entry.fst_len],
            postings: &self.bytes
                [entry.postings_position..entry.postings_position + entry.postings_len],
            batch_count: entry.batch_count,
            timestamp_ms_max: entry.timestamp_ms_max,
        }
    }

    /// The first ordinal that does not satisfy `before`, by halving.
    fn partition(&self, before: impl Fn(u32) -> bool) -> u32 {
        let (mut low, mut high) = (0, self.batch_count());
        while low < high {
            let middle = low + (high - low) / 2;
            if before(middle) {
                low = middle + 1
            } else {
                high = middle
            }
        }
        low
    }

    fn u64_at(&self, ordinal: u32, field: usize) -> u64 {
        let position = self.entry.batches_position + ordinal as usize * BATCH_LEN + field;
        let bytes = self.bytes[position..].first_chunk();
        u64::from_le_bytes(*bytes.expect("parse found the whole table inside the index"))
    }

    fn entry_at(&self, ordinal: u32) -> BatchEntry {
        let lengths = self.u64_at(ordinal, 24);
        let (frame_len, count) = (lengths as u32, (lengths >> 32) as u32);
        BatchEntry {
            ordinal,
            index: self.u64_at(ordinal, 0),
            term: Term(self.u64_at(ordinal, 8)),
            position: self.u64_at(ordinal, 16),
            frame_len,
            count: count & !HAS_STATE,
            has_state: count & HAS_STATE != 0,
            timestamp_ms_min: self.u64_at(ordinal, 32),
            timestamp_ms_max: self.u64_at(ordinal, 40),
        }
    }
}
