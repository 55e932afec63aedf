//! How a log is set up.

use robustmq_record::{Compression, NodeId};

/// Settings of a log.
#[derive(Clone, Debug)]
pub struct LogConfig {
    /// Number of shards; fixed for a data directory.
    pub shards: u32,
    /// The node that writes.
    pub node_id: NodeId,
    /// Bytes of a segment file.
    pub segment_bytes: u64,
    /// Bytes of recent batches kept in memory for all readers.
    pub tail_cache_bytes: usize,
    /// Bytes of batches gathered for one sync; more wait for the next.
    pub round_bytes_max: usize,
    /// How batches are compressed.
    pub compression: Compression,
    /// Zeroed files kept ready for the next segments.
    pub spare_files: usize,
    /// Bytes of free space below which no new segment is started, so that
    /// views and control frames still find room.
    pub free_bytes_min: u64,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self {
            shards: 8,
            node_id: NodeId(1),
            segment_bytes: 64 << 20,
            tail_cache_bytes: 64 << 20,
            round_bytes_max: 16 << 20,
            compression: Compression::default(),
            spare_files: 1,
            free_bytes_min: 16 << 20,
        }
    }
}
