//! The store's twin in memory: for tests and for `storage.engine = "memory"`.
//!
//! A key keeps its older values only as long as a snapshot can see them, so a
//! snapshot costs nothing to take, and a write costs the same whether one is
//! held or not.
//!
//! **Invariants**
//! 1. A key's values are ordered by the write they came with, newest last.
//! 2. Every value that is not a key's newest is on the list of superseded
//!    ones, and goes once no snapshot is older than its successor.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};
use std::ops::{Bound, ControlFlow};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use bytes::Bytes;

use crate::store::{KeyRange, KvError, KvRead, KvStore, Visit, WriteBatch, WriteOp};

/// Keys a scan collects before it lets writers in.
const SCAN_KEYS_MAX: usize = 256;

/// A [`KvStore`] in memory. Clones share what is stored; dropping the last one
/// is its crash.
#[derive(Clone, Default)]
pub struct MemoryStore {
    inner: Arc<RwLock<Inner>>,
}

#[derive(Default)]
struct Inner {
    keys: BTreeMap<Vec<u8>, Versions>,
    /// The number of the last write.
    sequence: u64,
    /// Snapshots by the write they were taken after, with their count.
    snapshots: BTreeMap<u64, usize>,
    /// Keys whose value was superseded while a snapshot could see it, with the
    /// write that did it.
    superseded: VecDeque<(u64, Vec<u8>)>,
}

/// A value and the write it came with; none for a removed key.
type Version = (u64, Option<Bytes>);

struct Versions {
    newest: Version,
    older: Vec<Version>,
}

impl Versions {
    /// The value as of a write.
    fn at(&self, sequence: u64) -> Option<&Bytes> {
        let older = || {
            self.older
                .iter()
                .rev()
                .find(|version| version.0 <= sequence)
        };
        let visible = if self.newest.0 <= sequence {
            Some(&self.newest)
        } else {
            older()
        };
        visible.and_then(|version| version.1.as_ref())
    }
}

impl Inner {
    fn set(&mut self, key: Vec<u8>, value: Option<Bytes>) {
        let version = (self.sequence, value);
        let seen_until = self.snapshots.keys().next_back().copied();
        let Some(versions) = self.keys.get_mut(&key) else {
            if version.1.is_some() {
                let older = Vec::new();
                self.keys.insert(
                    key,
                    Versions {
                        newest: version,
                        older,
                    },
                );
            }
            return;
        };
        let before = std::mem::replace(&mut versions.newest, version);
        if seen_until.is_some_and(|sequence| sequence >= before.0) {
            versions.older.push(before);
            self.superseded.push_back((self.sequence, key));
        } else if versions.newest.1.is_none() && versions.older.is_empty() {
            self.keys.remove(&key);
        }
    }

    fn remove_range(&mut self, range: &KeyRange) {
        let live: Vec<Vec<u8>> = self
            .range(range)
            .filter(|(_, versions)| versions.newest.1.is_some())
            .map(|(key, _)| key.clone())
            .collect();
        for key in live {
            self.set(key, None);
        }
    }

    fn range(&self, range: &KeyRange) -> impl Iterator<Item = (&Vec<u8>, &Versions)> {
        let end = range.end.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
        let bounds = (Bound::Included(&range.start), end);
        // An empty range would panic.
        let found = (!range.is_empty()).then(|| self.keys.range::<Vec<u8>, _>(bounds));
        found.into_iter().flatten()
    }

    /// Forgets values that no snapshot can see.
    fn prune(&mut self) {
        let oldest = self.snapshots.keys().next().copied().unwrap_or(u64::MAX);
        while let Some((superseded_at, _)) = self.superseded.front() {
            if *superseded_at > oldest {
                return;
            }
            let Some((_, key)) = self.superseded.pop_front() else {
                return;
            };
            let Some(versions) = self.keys.get_mut(&key) else {
                continue;
            };
            // A value is seen by snapshots older than its successor.
            let successors: Vec<u64> = versions
                .older
                .iter()
                .skip(1)
                .map(|version| version.0)
                .chain([versions.newest.0])
                .collect();
            let mut successor = successors.into_iter();
            versions
                .older
                .retain(|_| successor.next().is_some_and(|sequence| sequence > oldest));
            if versions.newest.1.is_none() && versions.older.is_empty() {
                self.keys.remove(&key);
            }
        }
    }

    fn release(&mut self, sequence: u64) {
        if let Some(count) = self.snapshots.get_mut(&sequence) {
            *count -= 1;
            if *count == 0 {
                self.snapshots.remove(&sequence);
                self.prune();
            }
        }
    }
}

impl MemoryStore {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Values held, those that only snapshots see included.
    #[must_use]
    pub fn value_count(&self) -> usize {
        let inner = self.read();
        inner
            .keys
            .values()
            .map(|versions| 1 + versions.older.len())
            .sum()
    }

    fn read(&self) -> RwLockReadGuard<'_, Inner> {
        // Nothing panics between two changes that belong together.
        self.inner.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self) -> RwLockWriteGuard<'_, Inner> {
        self.inner.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn take_snapshot(&self) -> MemorySnapshot {
        let mut inner = self.change();
        let sequence = inner.sequence;
        *inner.snapshots.entry(sequence).or_insert(0) += 1;
        MemorySnapshot {
            store: self.clone(),
            sequence,
        }
    }
}

impl KvRead for MemoryStore {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, KvError> {
        let inner = self.read();
        Ok(inner
            .keys
            .get(key)
            .and_then(|versions| versions.newest.1.clone()))
    }

    fn scan(&self, range: KeyRange, visit: &mut Visit<'_>) -> Result<(), KvError> {
        self.take_snapshot().scan(range, visit)
    }
}

impl KvStore for MemoryStore {
    fn write(&self, batch: WriteBatch) -> Result<(), KvError> {
        let mut inner = self.change();
        inner.sequence += 1;
        for op in batch.into_ops() {
            match op {
                WriteOp::Put(key, value) => inner.set(key, Some(Bytes::from(value))),
                WriteOp::Delete(key) => inner.set(key, None),
                WriteOp::DeleteRange(range) => inner.remove_range(&range),
            }
        }
        Ok(())
    }

    fn snapshot(&self) -> Box<dyn KvRead> {
        Box::new(self.take_snapshot())
    }

    fn flush(&self) -> Result<(), KvError> {
        Ok(())
    }
}

/// The store as it was after one write.
struct MemorySnapshot {
    store: MemoryStore,
    sequence: u64,
}

impl KvRead for MemorySnapshot {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, KvError> {
        let inner = self.store.read();
        Ok(inner
            .keys
            .get(key)
            .and_then(|versions| versions.at(self.sequence).cloned()))
    }

    fn scan(&self, mut range: KeyRange, visit: &mut Visit<'_>) -> Result<(), KvError> {
        loop {
            // Collected first, so that `visit` runs without the lock.
            let mut found: Vec<(Vec<u8>, Bytes)> = Vec::new();
            let inner = self.store.read();
            for (key, versions) in inner.range(&range) {
                if let Some(value) = versions.at(self.sequence) {
                    found.push((key.clone(), value.clone()));
                    if found.len() == SCAN_KEYS_MAX {
                        break;
                    }
                }
            }
            drop(inner);
            for (key, value) in &found {
                if let ControlFlow::Break(()) = visit(key, value) {
                    return Ok(());
                }
            }
            match found.last() {
                Some((key, _)) if found.len() == SCAN_KEYS_MAX => range = range.after(key),
                _ => return Ok(()),
            }
        }
    }
}

impl Drop for MemorySnapshot {
    fn drop(&mut self) {
        self.store.change().release(self.sequence);
    }
}
