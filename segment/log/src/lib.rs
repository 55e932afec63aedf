//! The log of a node: one per data disk, shared by all shards.
//!
//! Batches are pulled from a [`BatchSource`], written and synced in rounds by
//! one thread, reported to a [`CommitSink`], read again through a
//! [`LogReader`]. The file system is a seam ([`disk`]), so that tests can tear,
//! drop and reorder what was not synced.
//!
//! **Invariants**
//! 1. A completion says *stored* only after the sync that covers it returned.
//! 2. `log_start ≤ flushed_end ≤ appended_end`, and readers see only what lies
//!    before `min(commit, flushed_end)`.
//! 3. A failed write or sync poisons the log: nothing is stored after it.
//! 4. What was synced is never truncated at recovery; what is damaged is
//!    reported and left out.
//!
//! **Not here**: what records mean; who waits for a batch; replication.

mod cache;
mod config;
mod data_dir;
pub mod disk;
mod error;
mod log;
mod reader;
mod recovery;
mod retention;
mod segment;
mod shared;
mod source;
mod spare;
mod writer;

pub use config::LogConfig;
pub use data_dir::{DataDir, DataDirError};
pub use disk::{Disk, DiskFile, RealDisk};
pub use error::{AppendError, FatalLogError, OpenError, ReadError};
pub use log::{DiskLog, ShardLog, ShardPosition};
pub use reader::{Gap, GapReason, LogReader, ReadChunk, ReadLimits};
pub use recovery::RecoveryReport;
pub use retention::{CarryForward, RetentionBounds, RetentionPolicies, RetentionReport};
pub use source::{BatchSource, CommitSink, Completion, TakenBatch};
