//! How far every shard has been dispatched, readable by all without a lock.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use robustmq_record::{Offset, ShardId};

use crate::positions::Positions;

/// How often is looked by those who wait.
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(2);

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

    /// The end of what was given out of one shard.
    pub(crate) fn get(&self, shard: ShardId) -> Offset {
        Offset(self.ends[shard.0 as usize].load(Ordering::Acquire))
    }

    /// Returns when everything of a shard before `end` was given out. Asked
    /// rarely, so that nobody has to wake it.
    pub(crate) async fn wait_for(&self, shard: ShardId, end: Offset) {
        while self.get(shard) < end {
            tokio::time::sleep(LOOK_AGAIN_AFTER).await;
        }
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
