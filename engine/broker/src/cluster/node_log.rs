//! The log of a node: its own while it is alone, that of its groups from the
//! moment another node joins.
//!
//! **Invariants**
//! 1. It goes from alone to groups once, and not back while it runs.
//! 2. Between the two nothing is taken from the mailboxes; what gathers there is
//!    proposed by the groups.

use std::sync::{Arc, OnceLock};

use robustmq_log::{DiskLog, LogReader, ShardLog, ShardPosition};
use robustmq_record::ShardId;
use robustmq_replication::Groups;

/// The term of a node that is alone: no group has it.
const TERM_ALONE: u64 = 0;

/// A node's log.
pub(crate) struct NodeLog {
    disk: Arc<DiskLog>,
    groups: OnceLock<Arc<Groups>>,
}

impl NodeLog {
    pub(crate) fn new(disk: Arc<DiskLog>) -> Self {
        Self {
            disk,
            groups: OnceLock::new(),
        }
    }

    /// The log on this node's disk.
    pub(crate) fn disk(&self) -> &Arc<DiskLog> {
        &self.disk
    }

    /// The groups, if the node is part of a cluster.
    pub(crate) fn groups(&self) -> Option<&Arc<Groups>> {
        self.groups.get()
    }

    /// From now on the groups take what is to be appended.
    pub(crate) fn set_groups(&self, groups: Arc<Groups>) {
        let is_first = self.groups.set(groups).is_ok();
        assert!(is_first, "a node's groups are started once");
    }

    /// Whether this node decides about what has to be decided once for a shard:
    /// timers, what is carried forward.
    pub(crate) fn leads(&self, shard: ShardId) -> bool {
        self.term_led(shard).is_some()
    }

    /// The term in which this node leads a shard. What it appends for that term
    /// only is appended before anybody else decides.
    pub(crate) fn term_led(&self, shard: ShardId) -> Option<u64> {
        match self.groups.get() {
            Some(groups) => groups.term_led(shard),
            None => self.disk.commits_itself().then_some(TERM_ALONE),
        }
    }
}

impl ShardLog for NodeLog {
    fn wake(&self, shard: ShardId) {
        match self.groups.get() {
            Some(groups) => groups.wake(shard),
            // The log passes it over when it has been handed over: the groups
            // look when they begin.
            None => self.disk.wake(shard),
        }
    }

    fn position(&self, shard: ShardId) -> ShardPosition {
        self.disk.position(shard)
    }

    fn reader(&self) -> LogReader {
        self.disk.reader()
    }

    fn has_room(&self) -> bool {
        self.disk.has_room()
    }

    fn shutdown(&self) {
        if let Some(groups) = self.groups.get() {
            groups.shutdown();
        }
        self.disk.shutdown();
    }
}
