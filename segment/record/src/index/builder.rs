//! Building an index, batch by batch, while the segment is written or scanned.

use bytes::Bytes;
use hashbrown::HashMap;

use super::topics::{self, TopicTotals};
use super::{
    ALIGN, BATCH_LEN, HAS_STATE, HEADER_LEN, INDEX_MAGIC, INDEX_VERSION, IndexedSegment, SHARD_LEN,
};
use crate::batch::Batch;
use crate::frame::checksum;
use crate::ids::ShardId;
use crate::record::KIND_MESSAGE;

/// What a batch adds to one topic.
#[derive(Clone, Copy, Debug)]
struct Share {
    topic: u32,
    totals: TopicTotals,
}

#[derive(Debug)]
struct BatchRow {
    index: u64,
    term: u64,
    position: u64,
    frame_len: u32,
    count: u32,
    has_state: bool,
    timestamp_ms_min: u64,
    timestamp_ms_max: u64,
    /// How far [`ShardRows::shares`] reaches with this batch.
    shares_end: usize,
}

#[derive(Debug, Default)]
struct ShardRows {
    batches: Vec<BatchRow>,
    /// Per batch its topics, one after the other.
    shares: Vec<Share>,
    /// Keys (see [`topics::write_key`]) and their numbers here.
    topics: HashMap<Vec<u8>, u32>,
}

/// Gathers what an index says. Batches of each shard come in index order.
#[derive(Debug, Default)]
pub struct IndexBuilder {
    shards: std::collections::BTreeMap<ShardId, ShardRows>,
}

impl IndexBuilder {
    /// Nothing known yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the batch whose frame of `frame_len` bytes starts at `position`.
    ///
    /// # Panics
    /// When the shard already has a batch of this or a higher index: such ones
    /// are to be truncated first.
    pub fn add_batch(&mut self, position: u64, frame_len: usize, batch: &Batch) {
        let rows = self.shards.entry(batch.shard()).or_default();
        let before = rows.batches.last().map_or(0, |row| row.index);
        assert!(before < batch.index(), "batches come in index order");
        let frame_len = u32::try_from(frame_len).expect("a frame's lengths have 32 bits");
        rows.add_shares(batch);
        rows.batches.push(BatchRow {
            index: batch.index(),
            term: batch.term().0,
            position,
            frame_len,
            count: batch.count() as u32,
            has_state: batch.has_state(),
            timestamp_ms_min: batch.timestamp_ms_min(),
            timestamp_ms_max: batch.timestamp_ms_max(),
            shares_end: rows.shares.len(),
        });
    }

    /// Forgets the shard's batches from `index_start` on: a Truncate frame
    /// made them void.
    pub fn truncate(&mut self, shard: ShardId, index_start: u64) {
        if let Some(rows) = self.shards.get_mut(&shard) {
            let keep = rows.batches.partition_point(|row| row.index < index_start);
            rows.batches.truncate(keep);
            rows.shares
                .truncate(rows.batches.last().map_or(0, |row| row.shares_end));
        }
    }

    /// The index as bytes, for [`super::SegmentIndex::parse`].
    #[must_use]
    pub fn finish(self, segment: IndexedSegment) -> Bytes {
        let shards: Vec<_> = self
            .shards
            .into_iter()
            .filter(|(_, rows)| !rows.batches.is_empty())
            .collect();
        let mut out = vec![0; HEADER_LEN + shards.len() * SHARD_LEN];
        let count = shards.len() as u32;
        for (place, (shard, rows)) in shards.into_iter().enumerate() {
            let entry = rows.write(shard, &mut out);
            let start = HEADER_LEN + place * SHARD_LEN;
            out[start..start + SHARD_LEN].copy_from_slice(&entry);
        }
        let len = out.len() as u64;
        out[0..4].copy_from_slice(&INDEX_MAGIC);
        out[8..12].copy_from_slice(&INDEX_VERSION.to_le_bytes());
        out[12..16].copy_from_slice(&count.to_le_bytes());
        out[16..24].copy_from_slice(&segment.segment_id.0.to_le_bytes());
        out[24..32].copy_from_slice(&segment.position_end.to_le_bytes());
        out[32..40].copy_from_slice(&segment.lsn_start.0.to_le_bytes());
        out[40..48].copy_from_slice(&segment.lsn_end.0.to_le_bytes());
        out[48..56].copy_from_slice(&len.to_le_bytes());
        let crc = checksum(segment.segment_id, &out[8..]);
        out[4..8].copy_from_slice(&crc.to_le_bytes());
        Bytes::from(out)
    }
}

impl ShardRows {
    /// Adds up what the batch's messages say about each topic. State records
    /// are no messages: no filter finds them, no topic's policy removes them.
    fn add_shares(&mut self, batch: &Batch) {
        let mut totals = vec![TopicTotals::default(); batch.topic_count()];
        for record in batch
            .records()
            .filter(|record| record.kind() == KIND_MESSAGE)
        {
            let totals = &mut totals[record.topic_id() as usize];
            totals.records += 1;
            totals.bytes += (record.properties().len() + record.payload().len()) as u64;
            totals.timestamp_ms_max = totals.timestamp_ms_max.max(record.timestamp_ms());
        }
        let mut key = Vec::new();
        for ((_, namespace, topic), totals) in batch.topics().zip(totals) {
            if totals.records == 0 {
                continue;
            }
            topics::write_key(&mut key, namespace, topic);
            let next = self.topics.len() as u32;
            let topic = *self.topics.entry_ref(&key[..]).or_insert(next);
            self.shares.push(Share { topic, totals });
        }
    }

    /// Appends the shard's sections and returns its entry in the directory.
    fn write(&self, shard: ShardId, out: &mut Vec<u8>) -> [u8; SHARD_LEN] {
        let batches_position = out.len();
        let mut timestamp_ms_max = 0;
        for row in &self.batches {
            timestamp_ms_max = row.timestamp_ms_max.max(timestamp_ms_max);
            row.write(timestamp_ms_max, out);
        }
        let states_position = out.len();
        let states = self
            .batches
            .iter()
            .enumerate()
            .filter(|(_, row)| row.has_state);
        let states: Vec<_> = states.map(|(ordinal, _)| ordinal as u32).collect();
        states
            .iter()
            .for_each(|ordinal| out.extend_from_slice(&ordinal.to_le_bytes()));
        align(out);
        let (fst, postings, topic_count) = self.write_topics(timestamp_ms_max);
        let fst_position = out.len();
        out.extend_from_slice(&fst);
        align(out);
        let postings_position = out.len();
        out.extend_from_slice(&postings);
        align(out);

        let records: u64 = self.batches.iter().map(|row| u64::from(row.count)).sum();
        let timestamp_ms_min = self.batches.iter().map(|row| row.timestamp_ms_min).min();
        let narrow = [
            shard.0,
            self.batches.len() as u32,
            states.len() as u32,
            topic_count,
        ];
        let wide = [
            records,
            timestamp_ms_min.unwrap_or(0),
            timestamp_ms_max,
            batches_position as u64,
            states_position as u64,
            fst_position as u64,
            fst.len() as u64,
            postings_position as u64,
            postings.len() as u64,
        ];
        let mut entry = Vec::with_capacity(SHARD_LEN);
        narrow
            .iter()
            .for_each(|value| entry.extend_from_slice(&value.to_le_bytes()));
        wide.iter()
            .for_each(|value| entry.extend_from_slice(&value.to_le_bytes()));
        entry
            .try_into()
            .expect("an entry of the directory has a fixed size")
    }

    /// The FST, the postings it points into, and how many topics there are.
    fn write_topics(&self, timestamp_ms_max: u64) -> (Vec<u8>, Vec<u8>, u32) {
        let mut lists: Vec<(TopicTotals, Vec<u32>)> = vec![Default::default(); self.topics.len()];
        let mut start = 0;
        for (ordinal, row) in self.batches.iter().enumerate() {
            for share in &self.shares[start..row.shares_end] {
                let (totals, ordinals) = &mut lists[share.topic as usize];
                totals.add(&share.totals);
                ordinals.push(ordinal as u32);
            }
            start = row.shares_end;
        }
        let mut keys: Vec<_> = self.topics.iter().collect();
        keys.retain(|(_, topic)| !lists[**topic as usize].1.is_empty());
        keys.sort_unstable();
        let mut fst = fst::MapBuilder::memory();
        let mut postings = Vec::new();
        for (key, topic) in &keys {
            let (totals, ordinals) = &lists[**topic as usize];
            fst.insert(key, postings.len() as u64)
                .expect("keys are sorted and distinct");
            topics::write_posting(&mut postings, totals, timestamp_ms_max, ordinals);
        }
        let fst = fst.into_inner().expect("memory takes all bytes");
        (fst, postings, keys.len() as u32)
    }
}

impl BatchRow {
    /// Appends the entry; `so_far` is the latest timestamp up to this batch.
    fn write(&self, so_far: u64, out: &mut Vec<u8>) {
        let start = out.len();
        let count = self.count | if self.has_state { HAS_STATE } else { 0 };
        out.extend_from_slice(&self.index.to_le_bytes());
        out.extend_from_slice(&self.term.to_le_bytes());
        out.extend_from_slice(&self.position.to_le_bytes());
        out.extend_from_slice(&self.frame_len.to_le_bytes());
        out.extend_from_slice(&count.to_le_bytes());
        out.extend_from_slice(&self.timestamp_ms_min.to_le_bytes());
        out.extend_from_slice(&self.timestamp_ms_max.to_le_bytes());
        out.extend_from_slice(&so_far.to_le_bytes());
        assert!(out.len() == start + BATCH_LEN, "an entry has a fixed size");
    }
}

fn align(out: &mut Vec<u8>) {
    out.resize(out.len().next_multiple_of(ALIGN), 0);
}
