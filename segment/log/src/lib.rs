//! The log of a node: one per data disk, shared by all shards.
//!
//! Batches are pulled from a [`BatchSource`], written and synced in rounds by
//! one thread, reported to a [`CommitSink`], read again through a
//! [`LogReader`]. The file system is a seam ([`disk`]), so that tests can tear,
//! drop and reorder what was not synced ([`sim`]).
//!
//! **Invariants**
//! 1. A completion says *stored* only after the sync that covers it returned.
//! 2. `log_start ≤ local_start ≤ flushed_end ≤ appended_end`, and readers see
//!    only what lies before `min(commit, flushed_end)` ([`ShardPosition`]).
//! 3. After a failed write or sync nothing is stored any more.
//! 4. What was synced is never cut off at recovery, and what is damaged is
//!    never served: it is reported, everything around it is served.
//!
//! **Not here**: what records mean, who waits for a batch, replication.

mod catalog;
mod clock;
mod config;
mod data_dir;
pub mod disk;
mod disk_log;
mod error;
mod file_names;
mod files;
mod inbox;
mod indexes;
pub mod inspect;
mod position;
mod reader;
mod recovery;
mod repairs;
mod retention;
mod segment;
mod shard_log;
pub mod sim;
mod state;
mod stepped;
mod supply;
mod tail_cache;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod writer;

pub use clock::{Clock, SystemClock};
pub use config::{CommitRule, Durability, LogConfig, SHARDS_MAX};
pub use data_dir::{DataDir, DataDirError, LogLocation, Owner};
pub use disk::{Disk, DiskEntry, DiskFile, MemoryDisk, RealDisk};
pub use disk_log::{DiskLog, RecoveredLog};
pub use error::{AppendError, FatalLogError, OpenError, ReadError};
pub use position::ShardPosition;
pub use reader::{
    Gap, GapReason, LastOfTopics, LastQuery, LogReader, ReadBackChunk, ReadChunk, ReadLimits,
    TopicFigures, TopicPick, TopicPicks, TopicsPage, TopicsQuery,
};
pub use recovery::RecoveryReport;
pub use repairs::Repairer;
pub use retention::{CarryForward, RetentionBounds, RetentionPolicies, RetentionReport};
pub use shard_log::{
    BatchCompletion, BatchSource, CommandCompletion, CommitSink, ShardLog, TakenBatch,
};
pub use state::LogCounters;
pub use stepped::LogStepper;
