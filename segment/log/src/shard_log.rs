//! The boundary between a log and those who use it.
//!
//! The engine gives batches through a [`BatchSource`] and hears of them through
//! a [`CommitSink`]; Raft appends entries, votes and truncations itself. A
//! replicated log will take the place of the local one behind [`ShardLog`].

use std::sync::Arc;

use robustmq_record::{Batch, BatchBuilder, Purge, ShardId, Truncate, Vote};

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
    /// Called exactly once, on the writer's thread, after the sink was told.
    pub completion: BatchCompletion,
}

/// Where the log gets batches from. The log asks when it is ready to write, so
/// a batch grows exactly as long as the sync before it takes.
pub trait BatchSource: Send + Sync {
    /// The shard's waiting records, if there are any. Never blocks.
    fn take(&self, shard: ShardId) -> Option<TakenBatch>;
}

/// Who hears of committed batches, on the writer's thread.
pub trait CommitSink: Send + Sync {
    /// The batch is committed: durable by policy. Called in index order per
    /// shard, and before the batch's own completion. Blocking here holds the
    /// writer, and with it everybody who appends: that is the backpressure.
    fn committed(&self, batch: Arc<Batch>);

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

    /// The shard's term and vote.
    ///
    /// # Panics
    /// When there is no such shard.
    fn vote(&self, shard: ShardId) -> Vote;

    /// A reader of all shards.
    fn reader(&self) -> LogReader;

    /// Appends entries that have their place already (Raft's followers). They
    /// must follow the log without a hole. The completion is called when all
    /// are durable.
    fn append_entries(&self, entries: Vec<Arc<Batch>>, completion: CommandCompletion);

    /// Stores a vote. The completion is called when it is durable.
    fn store_vote(&self, vote: Vote, completion: CommandCompletion);

    /// Makes entries void; none of them may be committed.
    fn truncate(&self, truncate: Truncate, completion: CommandCompletion);

    /// Gives up entries at the front of the shard; all of them are committed.
    fn purge(&self, purge: Purge, completion: CommandCompletion);

    /// Says up to where (exclusive) the shard is committed, where
    /// [`crate::CommitRule::Told`] holds. Never goes back.
    fn commit(&self, shard: ShardId, commit_end: u64);

    /// Whether there is room for messages. Once the disk is full, what is left
    /// is for records about sessions: whoever is connected can go on reading
    /// and acknowledging.
    fn has_room(&self) -> bool;

    /// Writes what is waiting, syncs, notes that the end was orderly and stops
    /// the threads. Returns when all is done; what comes later is refused with
    /// [`AppendError::Shutdown`].
    fn shutdown(&self);
}
