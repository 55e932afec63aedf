//! One segment file and the table of the batches in it.

use std::io;
use std::sync::Arc;

use parking_lot::RwLock;
use robustmq_record::{
    Batch, FrameHeader, HEADER_LEN, SegmentId, ShardId, parse_header, read_batch,
};

use crate::disk::DiskFile;
use crate::error::ReadError;

/// Where a batch lies.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry {
    pub(crate) index: u64,
    pub(crate) position: u64,
    pub(crate) frame_bytes: u32,
    pub(crate) has_state: bool,
}

/// What is known of a segment as a whole.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Summary {
    /// Bytes of frames.
    pub(crate) bytes: u64,
    /// Records in its batches.
    pub(crate) records: u64,
    /// The latest timestamp of a batch.
    pub(crate) timestamp_ms_max: u64,
    /// Nothing will be appended any more.
    pub(crate) sealed: bool,
}

#[derive(Debug, Default)]
struct Tables {
    shards: Vec<Vec<Entry>>,
    summary: Summary,
}

/// A segment.
#[derive(Debug)]
pub(crate) struct Segment {
    pub(crate) id: SegmentId,
    pub(crate) file: Arc<dyn DiskFile>,
    tables: RwLock<Tables>,
}

/// The file name of a segment.
pub(crate) fn segment_name(id: SegmentId) -> String {
    format!("{:016x}.seg", id.0)
}

/// The segment a file name stands for.
pub(crate) fn parse_segment_name(name: &str) -> Option<SegmentId> {
    let hex = name.strip_suffix(".seg")?;
    (hex.len() == 16)
        .then(|| u64::from_str_radix(hex, 16).ok().map(SegmentId))
        .flatten()
}

impl Segment {
    pub(crate) fn new(id: SegmentId, file: Arc<dyn DiskFile>, shards: u32) -> Self {
        let tables = Tables {
            shards: vec![Vec::new(); shards as usize],
            ..Tables::default()
        };
        Self {
            id,
            file,
            tables: RwLock::new(tables),
        }
    }

    /// Adds the next batch of its shard.
    pub(crate) fn add(&self, header: &FrameHeader, position: u64, timestamp_ms: u64) {
        let fields = &header.fields;
        let mut guard = self.tables.write();
        let tables = &mut *guard;
        let entries = &mut tables.shards[fields.shard.0 as usize];
        // An entry written again replaces those a truncation has voided.
        while entries
            .last()
            .is_some_and(|last| last.index >= fields.index)
        {
            entries.pop();
        }
        entries.push(Entry {
            index: fields.index,
            position,
            frame_bytes: header.frame_len() as u32,
            has_state: fields.flags.has_state,
        });
        tables.summary.records += u64::from(fields.count);
        tables.summary.timestamp_ms_max = tables.summary.timestamp_ms_max.max(timestamp_ms);
    }

    /// Forgets a shard's batches from `index` on.
    pub(crate) fn truncate(&self, shard: ShardId, index: u64) {
        self.tables.write().shards[shard.0 as usize].retain(|entry| entry.index < index);
    }

    pub(crate) fn set_end(&self, bytes: u64, sealed: bool) {
        let mut tables = self.tables.write();
        tables.summary.bytes = bytes;
        tables.summary.sealed = sealed;
    }

    pub(crate) fn summary(&self) -> Summary {
        self.tables.read().summary
    }

    /// The first batch of a shard at or after `index` (with state, if asked).
    pub(crate) fn entry_from(&self, shard: ShardId, index: u64, state_only: bool) -> Option<Entry> {
        let tables = self.tables.read();
        let entries = tables.shards.get(shard.0 as usize)?;
        let start = entries.partition_point(|entry| entry.index < index);
        entries[start..]
            .iter()
            .find(|entry| entry.has_state || !state_only)
            .copied()
    }

    /// First and last index of a shard in this segment.
    pub(crate) fn range(&self, shard: ShardId) -> Option<(u64, u64)> {
        let tables = self.tables.read();
        let entries = tables.shards.get(shard.0 as usize)?;
        Some((entries.first()?.index, entries.last()?.index))
    }

    /// All batches of all shards.
    pub(crate) fn entries(&self) -> Vec<(ShardId, Entry)> {
        let tables = self.tables.read();
        let of_shard = |(shard, entries): (usize, &Vec<Entry>)| {
            entries
                .iter()
                .map(move |entry| (ShardId(shard as u32), *entry))
                .collect::<Vec<_>>()
        };
        tables
            .shards
            .iter()
            .enumerate()
            .flat_map(of_shard)
            .collect()
    }

    /// Reads and verifies a batch.
    pub(crate) fn read(&self, entry: &Entry) -> Result<Batch, ReadError> {
        let failed = |source: io::Error| ReadError::Io {
            segment: self.id,
            source,
        };
        let damaged = |fault| ReadError::Damaged {
            segment: self.id,
            position: entry.position,
            fault,
        };
        let mut bytes = vec![0u8; entry.frame_bytes as usize];
        let count = self
            .file
            .read_at(&mut bytes, entry.position)
            .map_err(failed)?;
        bytes.truncate(count);
        let header = parse_header(&bytes, self.id).map_err(damaged)?;
        let body = bytes.get(HEADER_LEN..).unwrap_or(&[]);
        let batch = read_batch(&header, body, self.id).map_err(damaged)?;
        Ok(batch)
    }
}
