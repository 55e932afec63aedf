//! What can go wrong with a log, by what the caller must do.

use std::io;
use std::sync::Arc;

use robustmq_record::{FrameFault, SegmentId, ShardId};

/// A log could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The directory or a file could not be read or written.
    #[error("{action}: {source}")]
    Io {
        /// What was attempted.
        action: String,
        /// What the system said.
        source: io::Error,
    },
    /// A segment was written by a later version.
    #[error("segment {} is in format version {version}, which this version cannot read: start the newer version again", .segment.0)]
    Newer {
        /// The segment.
        segment: SegmentId,
        /// Its version.
        version: u32,
    },
    /// The data directory holds more shards than configured.
    #[error("the data directory has shard {}, but storage.shards is {configured}: set it back to what the directory was made with", .shard.0)]
    Shards {
        /// A shard that is there.
        shard: ShardId,
        /// What was configured.
        configured: u32,
    },
}

impl OpenError {
    pub(crate) fn io(action: impl Into<String>, source: io::Error) -> Self {
        Self::Io {
            action: action.into(),
            source,
        }
    }
}

/// A batch was not stored.
#[derive(Clone, Debug, thiserror::Error)]
pub enum AppendError {
    /// There is no room for another segment: try again when there is.
    #[error("the disk is full")]
    DiskFull,
    /// The log has failed; nothing is stored any more.
    #[error("the log has failed: {0}")]
    Poisoned(FatalLogError),
    /// The log has been shut down.
    #[error("the log has been shut down")]
    Shutdown,
}

/// Why the log cannot go on. The process must end: what the disk holds is known
/// only after a new start.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{action} failed: {source}")]
pub struct FatalLogError {
    /// What was attempted.
    pub action: &'static str,
    /// What the system said.
    pub source: Arc<io::Error>,
}

/// A read failed. Damage and missing ranges are no errors but gaps.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// A segment could not be read.
    #[error("segment {} could not be read: {source}", .segment.0)]
    Io {
        /// The segment.
        segment: SegmentId,
        /// What the system said.
        source: io::Error,
    },
    /// A frame is damaged.
    #[error("segment {} is damaged at {position}: {fault}", .segment.0)]
    Damaged {
        /// The segment.
        segment: SegmentId,
        /// Where the frame starts.
        position: u64,
        /// What is wrong with it.
        fault: FrameFault,
    },
}
