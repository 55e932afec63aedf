//! Recent batches in memory, for all readers together.
//!
//! **Invariants**
//! 1. What is here is durable by policy, in index order per shard, without a
//!    hole from its first to its last index.
//! 2. The bytes held stay below the limit, but for one batch that alone is
//!    larger; the oldest of all shards go first.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::{Mutex, RwLock};
use robustmq_record::{Batch, ShardId};

pub(crate) struct TailCache {
    shards: Vec<RwLock<VecDeque<Arc<Batch>>>>,
    order: Mutex<Order>,
    bytes_max: usize,
}

#[derive(Default)]
struct Order {
    shards: VecDeque<ShardId>,
    bytes: usize,
}

impl TailCache {
    pub(crate) fn new(shards: u32, bytes_max: usize) -> Self {
        Self {
            shards: (0..shards).map(|_| RwLock::default()).collect(),
            order: Mutex::default(),
            bytes_max,
        }
    }

    fn shard(&self, shard: ShardId) -> &RwLock<VecDeque<Arc<Batch>>> {
        &self.shards[shard.0 as usize]
    }

    pub(crate) fn push(&self, batch: Arc<Batch>) {
        let mut order = self.order.lock();
        let shard = batch.shard();
        order.bytes += batch.memory_bytes();
        order.shards.push_back(shard);
        {
            let mut batches = self.shard(shard).write();
            if batches
                .back()
                .is_some_and(|last| last.index() + 1 != batch.index())
            {
                for gone in batches.drain(..) {
                    order.bytes -= gone.memory_bytes();
                }
            }
            batches.push_back(batch);
        }
        while order.bytes > self.bytes_max && order.shards.len() > 1 {
            // A shard that was emptied or cut has marks here without batches.
            if let Some(oldest) = order.shards.pop_front()
                && let Some(gone) = self.shard(oldest).write().pop_front()
            {
                order.bytes -= gone.memory_bytes();
            }
        }
    }

    /// Forgets the shard's batches from an index on.
    pub(crate) fn truncate(&self, shard: ShardId, index_start: u64) {
        let mut order = self.order.lock();
        let mut batches = self.shard(shard).write();
        while batches
            .back()
            .is_some_and(|last| last.index() >= index_start)
        {
            if let Some(gone) = batches.pop_back() {
                order.bytes -= gone.memory_bytes();
            }
        }
    }

    /// Forgets the shard's batches before an index: what retention has removed
    /// from the disk is not served from memory either.
    pub(crate) fn forget(&self, shard: ShardId, index_end: u64) {
        let mut order = self.order.lock();
        let mut batches = self.shard(shard).write();
        while batches
            .front()
            .is_some_and(|first| first.index() < index_end)
        {
            if let Some(gone) = batches.pop_front() {
                order.bytes -= gone.memory_bytes();
            }
        }
    }

    /// Calls `visit` for the batches from `index` on, until it says false.
    /// Returns false, without a call, when the batch at `index` is not here.
    pub(crate) fn visit(
        &self,
        shard: ShardId,
        index: u64,
        mut visit: impl FnMut(&Arc<Batch>) -> bool,
    ) -> bool {
        let batches = self.shard(shard).read();
        let Some(first) = batches.front() else {
            return false;
        };
        let Some(place) = index.checked_sub(first.index()) else {
            return false;
        };
        let Ok(place) = usize::try_from(place) else {
            return false;
        };
        if place >= batches.len() {
            return false;
        }
        for batch in batches.iter().skip(place) {
            if !visit(batch) {
                break;
            }
        }
        true
    }

    /// The batches before `index_end`, newest first, without a hole and at most
    /// `count_max`; none when the one right before it is not here.
    pub(crate) fn before(
        &self,
        shard: ShardId,
        index_end: u64,
        count_max: usize,
    ) -> Vec<Arc<Batch>> {
        let batches = self.shard(shard).read();
        let Some(first) = batches.front().map(|first| first.index()) else {
            return Vec::new();
        };
        let count = index_end.saturating_sub(first);
        match usize::try_from(count) {
            Ok(count) if count <= batches.len() => {
                let found = batches.iter().take(count).rev().take(count_max);
                found.map(Arc::clone).collect()
            }
            _ => Vec::new(),
        }
    }

    pub(crate) fn get(&self, shard: ShardId, index: u64) -> Option<Arc<Batch>> {
        let mut found = None;
        self.visit(shard, index, |batch| {
            found = Some(Arc::clone(batch));
            false
        });
        found
    }

    /// Bytes held.
    pub(crate) fn bytes(&self) -> usize {
        self.order.lock().bytes
    }
}

#[cfg(test)]
mod tests;
