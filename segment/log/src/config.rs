//! What a log can be told, with its limits.

use std::sync::Arc;
use std::time::Duration;

use robustmq_record::{Compression, NodeId};

use crate::clock::{Clock, SystemClock};
use crate::error::OpenError;

/// The most shards a log can have.
pub const SHARDS_MAX: u32 = 1024;

/// What a record has survived before its append is completed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// Every write is synced before anybody is told.
    #[default]
    Synced,
    /// Written; synced when this much time has passed since the last sync.
    Interval(Duration),
    /// Written; the operating system decides when it is synced.
    Unsynced,
}

/// When an entry is committed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CommitRule {
    /// As soon as it is durable here: a node alone.
    #[default]
    Flushed,
    /// When [`crate::DiskLog::commit`] says so: a replicated log.
    Told,
}

/// What a log can be told.
#[derive(Clone)]
pub struct LogConfig {
    /// Written into every frame.
    pub node_id: NodeId,
    /// How many shards share the log; 1 to [`SHARDS_MAX`]. Fixed for its life.
    pub shards: u32,
    /// Bytes of a segment file, from 4 KiB. A batch that is larger gets a file
    /// of its own.
    pub segment_bytes: u64,
    /// Bytes of recent batches kept in memory for all readers together.
    pub tail_cache_bytes: usize,
    /// Bytes of segment indexes kept in memory.
    pub index_cache_bytes: usize,
    /// Files kept open for reading.
    pub open_files_max: usize,
    /// Bytes gathered for one write and sync; a batch that alone is larger is
    /// written all the same.
    pub round_bytes_max: usize,
    /// Commands (Raft's entries, votes, truncations) that may wait.
    pub commands_max: usize,
    /// How bodies are compressed.
    pub compression: Compression,
    /// Segment files made ready ahead of the writer.
    pub spare_files: usize,
    /// Files of removed segments kept for further use.
    pub recycled_files_max: usize,
    /// Bytes that a new segment must leave free on the disk, so that indexes and
    /// views still find room.
    pub free_bytes_min: u64,
    /// What a record has survived before its append is completed.
    pub durability: Durability,
    /// When an entry is committed.
    pub commit: CommitRule,
    /// How long nothing must have been written before the log notes that all
    /// of it is durable.
    pub idle_mark_after: Duration,
    /// Where the time comes from.
    pub clock: Arc<dyn Clock>,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self {
            node_id: NodeId(1),
            shards: 8,
            segment_bytes: 64 << 20,
            tail_cache_bytes: 64 << 20,
            index_cache_bytes: 64 << 20,
            open_files_max: 256,
            round_bytes_max: 8 << 20,
            commands_max: 4096,
            compression: Compression::default(),
            spare_files: 1,
            recycled_files_max: 2,
            free_bytes_min: 16 << 20,
            durability: Durability::default(),
            commit: CommitRule::default(),
            idle_mark_after: Duration::from_millis(200),
            clock: Arc::new(SystemClock::default()),
        }
    }
}

impl LogConfig {
    /// The smallest segment file.
    pub const SEGMENT_BYTES_MIN: u64 = 4096;
    /// The largest segment file.
    pub const SEGMENT_BYTES_MAX: u64 = 4 << 30;

    pub(crate) fn check(&self) -> Result<(), OpenError> {
        if self.shards == 0 || self.shards > SHARDS_MAX {
            return Err(OpenError::Config("a log has 1 to 1024 shards"));
        }
        let range = Self::SEGMENT_BYTES_MIN..=Self::SEGMENT_BYTES_MAX;
        if !range.contains(&self.segment_bytes) {
            return Err(OpenError::Config("a segment has 4 KiB to 4 GiB"));
        }
        Ok(())
    }
}

impl std::fmt::Debug for LogConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LogConfig")
            .field("node_id", &self.node_id)
            .field("shards", &self.shards)
            .field("segment_bytes", &self.segment_bytes)
            .field("durability", &self.durability)
            .finish_non_exhaustive()
    }
}
