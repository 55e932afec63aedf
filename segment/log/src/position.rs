//! Where a shard stands: the chain of progress pointers.
//!
//! **Invariant**: `log_start ≤ local_start ≤ commit_end, flushed_end ≤
//! appended_end`. None goes back but the appended end (and the flushed end with
//! it), and it only above the commit.

use robustmq_record::{Offset, Term};

/// Where a shard stands, in Raft indexes. Starts are inclusive, ends exclusive;
/// indexes start at 1, so an empty shard has 1 everywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShardPosition {
    /// The first index that any tier holds.
    pub log_start: u64,
    /// The first index that local segments hold.
    pub local_start: u64,
    /// Up to here entries are committed.
    pub commit_end: u64,
    /// Up to here entries are durable by policy.
    pub flushed_end: u64,
    /// Up to here entries have their place; the next one gets this index.
    pub appended_end: u64,
    /// The current term.
    pub term: Term,
}

impl Default for ShardPosition {
    fn default() -> Self {
        Self {
            log_start: 1,
            local_start: 1,
            commit_end: 1,
            flushed_end: 1,
            appended_end: 1,
            term: Term(0),
        }
    }
}

impl ShardPosition {
    /// Up to here readers see entries: committed and durable here.
    #[must_use]
    pub fn visible_end(&self) -> u64 {
        self.commit_end.min(self.flushed_end)
    }

    /// The offset before which everything is visible.
    #[must_use]
    pub fn visible_offset_end(&self) -> Offset {
        Offset::new(self.visible_end(), 0)
    }

    /// # Panics
    /// When the chain is broken: the log must not go on.
    pub(crate) fn check(&self) {
        assert!(
            1 <= self.log_start
                && self.log_start <= self.local_start
                && self.local_start <= self.visible_end()
                && self.flushed_end <= self.appended_end,
            "broken chain of positions: {self:?}"
        );
    }

    /// Changes the position.
    ///
    /// # Panics
    /// When the change breaks the chain or moves a pointer back that must not.
    pub(crate) fn change(&mut self, change: impl FnOnce(&mut Self)) {
        let before = *self;
        change(self);
        self.check();
        assert!(
            before.log_start <= self.log_start
                && before.local_start <= self.local_start
                && before.commit_end <= self.commit_end
                && before.term <= self.term,
            "a position went back: {before:?} to {self:?}"
        );
        assert!(
            before.appended_end <= self.appended_end || self.appended_end >= self.visible_end(),
            "committed entries were cut off: {before:?} to {self:?}"
        );
    }
}
