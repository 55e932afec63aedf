//! The last messages of every topic, of all shards together. A topic lies in one
//! shard, which finds its last messages by itself.

use robustmq_log::{TopicPick, TopicPicks};
use robustmq_record::{Offset, ShardId};

/// Messages that are held at a time, over all topics.
pub(crate) const PICKS_MAX: usize = 1_000_000;

/// What the shards have found so far.
pub(crate) struct Picks {
    /// Topics whose last message clears them are left out.
    as_retained: bool,
    all: Vec<(ShardId, TopicPick)>,
    held: usize,
}

impl Picks {
    pub(crate) fn new(as_retained: bool) -> Self {
        Self {
            as_retained,
            all: Vec::new(),
            held: 0,
        }
    }

    /// How many more may be held.
    pub(crate) fn room(&self) -> usize {
        PICKS_MAX - self.held
    }

    /// Takes in what a shard has found, which is no more than there is room.
    pub(crate) fn add(&mut self, shard: ShardId, topics: Vec<TopicPicks>) {
        let as_retained = self.as_retained;
        for topic in topics {
            self.held += topic.picks.len();
            let wanted = topic
                .picks
                .into_iter()
                .filter(|pick| !(as_retained && pick.clears));
            self.all.extend(wanted.map(|pick| (shard, pick)));
        }
    }

    /// All of them in the order of their time.
    pub(crate) fn finish(mut self) -> Vec<(ShardId, Offset)> {
        self.all
            .sort_unstable_by_key(|(shard, pick)| (pick.timestamp_ms, *shard, pick.offset));
        let place = |(shard, pick): (ShardId, TopicPick)| (shard, pick.offset);
        self.all.into_iter().map(place).collect()
    }
}
