//! What can go wrong, by what the caller is to do about it.

use std::io;
use std::sync::Arc;

/// Why an append was not stored. Nothing of the batch will ever be read.
#[derive(Clone, Debug, thiserror::Error)]
pub enum AppendError {
    /// There is no room on the disk: try again later. The log goes on as soon
    /// as there is room.
    #[error("the disk is full")]
    DiskFull,
    /// Too many commands are waiting: try again later.
    #[error("too many commands wait for the log")]
    Busy,
    /// The entries do not follow the log, or the change would touch what is
    /// committed: a mistake of the caller.
    #[error("{0}")]
    Conflict(&'static str),
    /// Another node leads the shard, or none: try again.
    #[error("this node does not lead the shard")]
    NotLeader,
    /// The log has failed for good. Whether the batch is found at the next
    /// start is unknown.
    #[error(transparent)]
    Poisoned(#[from] FatalLogError),
    /// The log was shut down before the batch was written.
    #[error("the log is shut down")]
    Shutdown,
}

/// The disk did not do what the log's promises rest on. The process has to
/// end; the next start finds out what is really on the disk.
#[derive(Clone, Debug, thiserror::Error)]
#[error(
    "the log cannot go on: {action} failed: {source}. End the process, check the disk, start again"
)]
pub struct FatalLogError {
    /// What was being done.
    pub action: &'static str,
    /// What the system said.
    #[source]
    pub source: Arc<io::Error>,
}

impl FatalLogError {
    pub(crate) fn new(action: &'static str, error: io::Error) -> Self {
        Self {
            action,
            source: Arc::new(error),
        }
    }
}

/// Why a log could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The disk refused something.
    #[error("{action} failed: {source}")]
    Io {
        /// What was being done.
        action: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A later version wrote the log.
    #[error(
        "segment {file} has format {version}, which is newer than this program: use the version that wrote it, or a later one"
    )]
    Newer {
        /// The segment's file.
        file: String,
        /// The format found.
        version: u32,
    },
    /// The log was made with another number of shards.
    #[error(
        "the log has {found} shards, but {configured} are configured: a log keeps the number it was made with. Set storage.shards = {found}, or use another data directory"
    )]
    Shards {
        /// As the log says.
        found: u32,
        /// As the configuration says.
        configured: u32,
    },
    /// The configuration is outside what the log can do.
    #[error("{0}")]
    Config(&'static str),
    /// A thread could not be started.
    #[error("a thread could not be started: {0}")]
    Thread(#[source] io::Error),
}

impl OpenError {
    pub(crate) fn io(action: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let action = action.into();
        move |source| Self::Io { action, source }
    }
}

/// Why a read did not succeed. Damage is no error but a gap in what is read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// More was found than the caller wants to hold: ask for less.
    #[error("more than {0} messages were found")]
    TooMany(usize),
    /// There is no such shard.
    #[error("shard {0} does not exist")]
    Shard(robustmq_record::ShardId),
    /// The disk refused the read; trying again may help.
    #[error("reading {file} failed: {source}")]
    Io {
        /// The file.
        file: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}
