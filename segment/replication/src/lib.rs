//! Raft over the segment log: openraft's storage on the shards of a
//! [`robustmq_log::DiskLog`].
//!
//! A Raft entry is a batch, and the log's frames are the only copy of it: what
//! Raft appends, votes and truncates are orders to the log's one writer, which
//! syncs what all shards ordered at once.
//!
//! | here | there |
//! | --- | --- |
//! | Raft group | shard |
//! | Raft entry | batch; blank and membership entries are batches of one record of kind [`robustmq_record::KIND_CONSENSUS`] |
//! | log index *i*, from 0 | batch index *i* + 1, from 1 |
//! | vote, truncation, purge | frames of these kinds |
//! | committed index | the log's commit, which readers see |
//!
//! **Invariants**
//! 1. Raft hears that an entry is stored only after the sync that covers it.
//! 2. An entry can be read from the moment its append was ordered: from memory
//!    until the log has it.
//! 3. A full disk is no failure: appends wait, in order, until there is room.
//!
//! **Not here**: what records mean; who waits for a batch.

mod appender;
mod begin;
mod change;
mod entry;
mod group;
mod groups;
mod membership;
mod network;
mod proposals;
mod proposer;
mod reader;
mod repair;
pub mod runtime;
mod state_machine;
mod storage;
mod transport;
mod types;
mod wire;

#[cfg(test)]
mod tests;

pub use entry::{Entry, Payload, Proposal};
pub use groups::{GroupStatus, Groups, GroupsError, GroupsSetup, Timing};
pub use membership::{
    FileMembershipStore, MembershipStore, MembershipStoreError, MemoryMembershipStore,
};
pub use reader::ShardReader;
pub use repair::GroupRepairer;
pub use runtime::Executor;
pub use state_machine::{Checkpoint, ShardStateMachine};
pub use storage::ShardStorage;
pub use transport::{CallFailed, Transport, kind};
pub use types::{LogId, Membership, RaftVote, StoredMembership, Types};
