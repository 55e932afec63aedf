//! Up to where each shard has been folded, in memory and as stored.
//!
//! **Invariants**
//! 1. `stored ≤ applied`; neither goes back but when a shard is folded anew.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::{Mutex, MutexGuard, PoisonError};

use robustmq_record::{Offset, ShardId};

use crate::error::ViewError;
use crate::keys;
use crate::read;
use crate::store::{KeyRange, KvRead, WriteBatch};
use crate::wire::{Reader, Writer};

/// One shard's place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Position {
    /// The end of what has been folded.
    pub(crate) applied: Offset,
    /// The same, as far as it is in the store.
    pub(crate) stored: Offset,
    /// Where folding began, if what was before is not known.
    pub(crate) rebuild: Option<Offset>,
}

/// All shards' places.
#[derive(Default)]
pub(crate) struct Positions {
    shards: Mutex<BTreeMap<ShardId, Position>>,
}

impl Positions {
    pub(crate) fn load(store: &dyn KvRead) -> Result<Self, ViewError> {
        let mut shards: BTreeMap<ShardId, Position> = BTreeMap::new();
        let read_all = |view: u8, take: &mut dyn FnMut(ShardId, Offset)| {
            read::scan(store, KeyRange::prefix([view]), &mut |key, value| {
                let shard = key.get(1..).and_then(|shard| shard.try_into().ok());
                let shard = shard.ok_or_else(|| ViewError::bad_key("position"))?;
                let offset = Reader::new(value)
                    .number()
                    .map_err(ViewError::damaged("position"))?;
                take(ShardId(u32::from_be_bytes(shard)), Offset(offset));
                Ok(ControlFlow::Continue(()))
            })
        };
        read_all(keys::APPLIED, &mut |shard, offset| {
            let position = shards.entry(shard).or_default();
            position.applied = offset;
            position.stored = offset;
        })?;
        read_all(keys::REBUILD, &mut |shard, offset| {
            shards.entry(shard).or_default().rebuild = Some(offset);
        })?;
        Ok(Self {
            shards: Mutex::new(shards),
        })
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<ShardId, Position>> {
        // Nothing panics between two changes that belong together.
        self.shards.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn get(&self, shard: ShardId) -> Position {
        self.lock().get(&shard).copied().unwrap_or_default()
    }

    pub(crate) fn set(&self, shard: ShardId, position: Position) {
        assert!(position.stored <= position.applied, "stored ≤ applied");
        self.lock().insert(shard, position);
    }

    /// Raises how far a shard has been folded.
    pub(crate) fn raise(&self, shard: ShardId, applied: Offset) {
        let mut shards = self.lock();
        let position = shards.entry(shard).or_default();
        position.applied = position.applied.max(applied);
    }

    /// Adds to `writes` what is not stored yet; returns what to report to
    /// [`Positions::stored`] once it is.
    pub(crate) fn pending(&self, writes: &mut WriteBatch) -> Vec<(ShardId, Offset)> {
        let shards = self.lock();
        let pending: Vec<_> = shards
            .iter()
            .filter(|(_, position)| position.stored < position.applied)
            .map(|(shard, position)| (*shard, position.applied))
            .collect();
        for (shard, applied) in &pending {
            put(writes, keys::APPLIED, *shard, *applied);
        }
        pending
    }

    pub(crate) fn stored(&self, pending: &[(ShardId, Offset)]) {
        let mut shards = self.lock();
        for (shard, stored) in pending {
            let position = shards.entry(*shard).or_default();
            position.stored = position.stored.max(*stored);
            position.applied = position.applied.max(*stored);
        }
    }
}

/// Stores a shard's place.
pub(crate) fn put(writes: &mut WriteBatch, view: u8, shard: ShardId, offset: Offset) {
    let mut value = Writer::new();
    value.number(offset.0);
    writes.put(keys::of_shard(view, shard), value.finish());
}
