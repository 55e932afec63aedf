//! The ordered key-value store that views lie in, as a contract.
//!
//! **Invariants** (checked by [`crate::testing::check_store`])
//! 1. A [`WriteBatch`] takes effect as a whole and in the order of its
//!    operations, also across a crash.
//! 2. After a crash the store is as it was after some batch: everything up to
//!    it, nothing after it. [`KvStore::flush`] makes that the last one.
//! 3. A snapshot never changes.
//!
//! **Not here**: what the keys and values mean (`keys`).

#[cfg(test)]
mod tests;

use std::ops::ControlFlow;

use bytes::Bytes;

/// Why a store failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KvError {
    /// What is stored is damaged. Views can be deleted and folded again.
    #[error("the view store is damaged: {0}")]
    Corrupt(String),
    /// The disk is full and nothing was written: may be tried again.
    #[error("the disk is full: {0}")]
    Full(String),
    /// Reading or writing failed.
    #[error("the view store failed: {0}")]
    Io(String),
}

/// Keys from `start` (inclusive) up to `end` (exclusive; none for all).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRange {
    /// The first key that may be there.
    pub start: Vec<u8>,
    /// The first key that is beyond.
    pub end: Option<Vec<u8>>,
}

impl KeyRange {
    /// All keys that begin with `prefix`.
    #[must_use]
    pub fn prefix(prefix: impl Into<Vec<u8>>) -> Self {
        let start = prefix.into();
        let mut end = start.clone();
        // The first key beyond: the last byte that can be raised, raised.
        while end.last() == Some(&u8::MAX) {
            end.pop();
        }
        match end.last_mut() {
            Some(last) => *last += 1,
            None => return Self { start, end: None },
        }
        Self {
            start,
            end: Some(end),
        }
    }

    /// The part of the range at and above `key`.
    #[must_use]
    pub fn starting_at(mut self, key: Vec<u8>) -> Self {
        if key > self.start {
            self.start = key;
        }
        self
    }

    /// The part of the range above `key`.
    #[must_use]
    pub fn after(self, key: &[u8]) -> Self {
        self.starting_at([key, &[0]].concat())
    }

    /// The part of the range below `key`.
    #[must_use]
    pub fn up_to(mut self, key: Vec<u8>) -> Self {
        if self.end.as_ref().is_none_or(|end| key < *end) {
            self.end = Some(key);
        }
        self
    }

    /// Whether no key can be in the range.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.end.as_ref().is_some_and(|end| *end <= self.start)
    }
}

/// What a scan does with a key and its value; `Break` ends the scan.
pub type Visit<'a> = dyn FnMut(&[u8], &[u8]) -> ControlFlow<()> + 'a;

/// Reads of a store or of a snapshot of it.
pub trait KvRead: Send + Sync {
    /// The value of a key.
    ///
    /// # Errors
    /// [`KvError`].
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, KvError>;

    /// Visits keys in ascending order until the range or `visit` ends. Sees
    /// one state of the store, whatever is written meanwhile; `visit` may
    /// itself read and write the store.
    ///
    /// # Errors
    /// [`KvError`]; keys visited before it were right.
    fn scan(&self, range: KeyRange, visit: &mut Visit<'_>) -> Result<(), KvError>;
}

/// An ordered key-value store with atomic writes and snapshots.
pub trait KvStore: KvRead {
    /// Applies all operations or none.
    ///
    /// # Errors
    /// [`KvError`]; whether the batch took effect is then known only after
    /// opening the store again.
    fn write(&self, batch: WriteBatch) -> Result<(), KvError>;

    /// The store as it is now, for as long as the snapshot is held.
    fn snapshot(&self) -> Box<dyn KvRead>;

    /// Makes everything written so far survive a crash.
    ///
    /// # Errors
    /// [`KvError`].
    fn flush(&self) -> Result<(), KvError>;
}

/// One operation of a [`WriteBatch`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WriteOp {
    /// Sets a key's value.
    Put(Vec<u8>, Vec<u8>),
    /// Removes a key, if it is there.
    Delete(Vec<u8>),
    /// Removes all keys of a range.
    DeleteRange(KeyRange),
}

/// Operations that take effect together, in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WriteBatch {
    ops: Vec<WriteOp>,
}

impl WriteBatch {
    /// No operations.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets a key's value.
    pub fn put(&mut self, key: impl Into<Vec<u8>>, value: impl Into<Vec<u8>>) {
        self.ops.push(WriteOp::Put(key.into(), value.into()));
    }

    /// Removes a key, if it is there.
    pub fn delete(&mut self, key: impl Into<Vec<u8>>) {
        self.ops.push(WriteOp::Delete(key.into()));
    }

    /// Removes all keys of a range.
    pub fn delete_range(&mut self, range: KeyRange) {
        if !range.is_empty() {
            self.ops.push(WriteOp::DeleteRange(range));
        }
    }

    /// Whether there is nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ops.is_empty()
    }

    /// The operations in their order.
    #[must_use]
    pub fn into_ops(self) -> Vec<WriteOp> {
        self.ops
    }
}
