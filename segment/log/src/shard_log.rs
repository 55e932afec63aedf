//! The boundary between a log and those who use it.
//!
//! The engine gives batches through a [`BatchSource`], hears of them through a
//! [`CommitSink`] and knows the log as a [`ShardLog`], which it has from
//! `robustmq-replication`. What Raft orders besides, [`crate::DiskLog`] takes
//! itself.

use std::sync::Arc;

use robustmq_record::{Batch, BatchBuilder, ShardId};

use crate::error::{AppendError, FatalLogError};
use crate::position::ShardPosition;
use crate::reader::LogReader;

/// Called once when a batch's fate is known.
pub type BatchCompletion = Box<dyn FnOnce(Result<Arc<Batch>, AppendError>) + Send>;

/// Called once when a command is durable or has failed.
pub type CommandCompletion = Box<dyn FnOnce(Result<(), AppendError>) + Send>;

/// A batch on its way into the log.
pub struct TakenBatch {
    /// The records; at least one.
    pub builder: BatchBuilder,
    /// The only term of the shard's group in which it may be appended, if that
    /// matters to whoever gave it; see `Groups::term_led` of the replication. A
    /// log that is not replicated has no terms and appends it.
    pub term: Option<u64>,
    /// Called exactly once, on the writer's thread, after the sink was told.
    pub completion: BatchCompletion,
}

/// Where the log gets batches from. The log asks when it is ready to write, so
/// a batch grows exactly as long as the sync before it takes.
pub trait BatchSource: Send + Sync {
    /// The shard's waiting records, if there are any. Never blocks.
    fn take(&self, shard: ShardId) -> Option<TakenBatch>;
}

/// Who hears of committed batches.
pub trait CommitSink: Send + Sync {
    /// The batch is committed: durable by policy. Called in index order per
    /// shard, and before the batch's own completion. Blocking here holds the
    /// writer, and with it everybody who appends: that is the backpressure.
    fn committed(&self, batch: Arc<Batch>);

    /// Comes after one or more calls of [`CommitSink::committed`] and the batches'
    /// completions: nothing more is told at once. Until then a sink may put off
    /// waking whoever works on what it was told.
    fn settled(&self) {}

    /// Whether [`CommitSink::committed`] would return at once.
    fn has_room(&self) -> bool {
        true
    }

    /// The log has failed for good; called once.
    fn failed(&self, error: FatalLogError);
}

/// Several totally ordered logs that are written together.
pub trait ShardLog: Send + Sync {
    /// Says that the source has something for the shard. Cheap; calls that
    /// come before the log has looked count as one.
    fn wake(&self, shard: ShardId);

    /// Where the shard stands.
    ///
    /// # Panics
    /// When there is no such shard.
    fn position(&self, shard: ShardId) -> ShardPosition;

    /// A reader of all shards.
    fn reader(&self) -> LogReader;

    /// Whether there is room for messages. Once the disk is full, what is left
    /// is for records about sessions: whoever is connected can go on reading
    /// and acknowledging.
    fn has_room(&self) -> bool;

    /// Writes what is waiting, syncs, notes that the end was orderly and stops
    /// the threads. Returns when all is done; what comes later is refused with
    /// [`AppendError::Shutdown`].
    fn shutdown(&self);
}
