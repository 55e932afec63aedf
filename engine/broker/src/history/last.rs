//! The last messages of every topic, gathered by reading forward.

use std::collections::VecDeque;

use hashbrown::HashMap;
use robustmq_record::{Offset, RecordRef, ShardId};

use super::range::RangeError;

/// Messages that are held at a time, over all topics.
const PICKS_MAX: usize = 1_000_000;

#[derive(Clone, Copy)]
struct Pick {
    timestamp_ms: u64,
    shard: ShardId,
    offset: Offset,
    /// It ends what was retained.
    clears: bool,
}

/// The last messages of the topics seen so far.
pub(crate) struct LastOfTopics {
    count: usize,
    /// Topics whose last message clears them are left out.
    as_retained: bool,
    by_topic: HashMap<String, VecDeque<Pick>>,
    held: usize,
}

impl LastOfTopics {
    pub(crate) fn new(count: usize, as_retained: bool) -> Self {
        Self {
            count,
            as_retained,
            by_topic: HashMap::new(),
            held: 0,
        }
    }

    /// Takes in a message that is later than those of its topic before.
    pub(crate) fn add(&mut self, shard: ShardId, record: &RecordRef<'_>) -> Result<(), RangeError> {
        let pick = Pick {
            timestamp_ms: record.timestamp_ms(),
            shard,
            offset: record.offset(),
            clears: record.retain() && record.payload().is_empty(),
        };
        let picks = self.by_topic.entry_ref(record.topic()).or_default();
        picks.push_back(pick);
        if picks.len() > self.count {
            picks.pop_front();
            return Ok(());
        }
        self.held += 1;
        if self.held > PICKS_MAX {
            return Err(RangeError::TooMany(PICKS_MAX));
        }
        Ok(())
    }

    /// All of them in the order of their time.
    pub(crate) fn finish(self) -> Vec<(ShardId, Offset)> {
        let as_retained = self.as_retained;
        let mut picks: Vec<Pick> = self
            .by_topic
            .into_values()
            .flatten()
            .filter(|pick| !(as_retained && pick.clears))
            .collect();
        picks.sort_unstable_by_key(|pick| (pick.timestamp_ms, pick.shard, pick.offset));
        let place = |pick: Pick| (pick.shard, pick.offset);
        picks.into_iter().map(place).collect()
    }
}
