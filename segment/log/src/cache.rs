//! Recent batches, shared by all readers, bounded by bytes.

use std::collections::VecDeque;
use std::sync::Arc;

use hashbrown::HashMap;
use parking_lot::RwLock;
use robustmq_record::{Batch, ShardId};

#[derive(Default)]
struct State {
    /// Per shard: the index of the first batch held, and the batches from it on.
    shards: HashMap<ShardId, VecDeque<Arc<Batch>>>,
    /// In the order they came, to let the oldest go.
    order: VecDeque<ShardId>,
    bytes: usize,
}

/// The tail of the log in memory.
pub(crate) struct TailCache {
    state: RwLock<State>,
    bytes_max: usize,
}

impl TailCache {
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self {
            state: RwLock::default(),
            bytes_max,
        }
    }

    /// Adds the newest batch of a shard.
    pub(crate) fn push(&self, batch: &Arc<Batch>) {
        let mut guard = self.state.write();
        let state = &mut *guard;
        let batches = state.shards.entry(batch.shard()).or_default();
        // Indices run without holes, else positions could not be computed.
        if batches
            .back()
            .is_some_and(|last| last.index() + 1 != batch.index())
        {
            state.bytes -= batches
                .iter()
                .map(|held| held.memory_bytes())
                .sum::<usize>();
            batches.clear();
            state.order.retain(|shard| *shard != batch.shard());
        }
        batches.push_back(Arc::clone(batch));
        state.order.push_back(batch.shard());
        state.bytes += batch.memory_bytes();
        while state.bytes > self.bytes_max && state.order.len() > 1 {
            let Some(oldest) = state.order.pop_front() else {
                break;
            };
            let gone = state.shards.get_mut(&oldest).and_then(VecDeque::pop_front);
            state.bytes -= gone.map_or(0, |gone| gone.memory_bytes());
        }
    }

    /// A batch, if it is held.
    pub(crate) fn get(&self, shard: ShardId, index: u64) -> Option<Arc<Batch>> {
        let state = self.state.read();
        let batches = state.shards.get(&shard)?;
        let first = batches.front()?.index();
        let place = usize::try_from(index.checked_sub(first)?).ok()?;
        batches.get(place).cloned()
    }
}

impl std::fmt::Debug for TailCache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TailCache")
            .field("bytes_max", &self.bytes_max)
            .finish_non_exhaustive()
    }
}
