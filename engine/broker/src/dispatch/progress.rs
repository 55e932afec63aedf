//! How far every shard has been dispatched, readable by all without a lock.

use std::sync::atomic::{AtomicU64, Ordering};

use robustmq_record::{Offset, ShardId};

use crate::positions::Positions;

/// The end of what dispatch has given out, per shard.
#[derive(Debug)]
pub(crate) struct Progress {
    ends: Vec<AtomicU64>,
}

impl Progress {
    pub(super) fn new(shards: u32) -> Self {
        Self {
            ends: (0..shards).map(|_| AtomicU64::new(0)).collect(),
        }
    }

    pub(super) fn raise(&self, shard: ShardId, end: Offset) {
        self.ends[shard.0 as usize].store(end.0, Ordering::Release);
    }

    /// Everything before these positions has reached the links it is for. Read
    /// it *before* looking whether a link is drained: then a drained link
    /// stands at least here.
    pub(crate) fn positions(&self) -> Positions {
        self.ends
            .iter()
            .enumerate()
            .map(|(shard, end)| (ShardId(shard as u32), Offset(end.load(Ordering::Acquire))))
            .collect()
    }
}
