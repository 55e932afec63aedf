//! The subscriptions of one reader of the log, as it needs them itself.

use hashbrown::HashMap;
use robustmq_protocol::topic;
use robustmq_record::{Offset, ShardId};
use robustmq_views::SubscriptionState;

use crate::exclusive::topic_of;
use crate::positions::Positions;
use crate::shard_map::{DEFAULT_NAMESPACE, ShardMap};
use crate::subscription::{SubscriptionOptions, TargetOptions};

/// One subscription of the session.
#[derive(Clone, Debug)]
pub(crate) struct Subscription {
    pub(crate) options: SubscriptionOptions,
    pub(crate) retain_handling: u8,
    /// Messages before these positions are not part of it.
    pub(crate) starts: Positions,
}

impl Subscription {
    /// As it is stored with the session.
    pub(crate) fn to_state(&self, filter: &str) -> SubscriptionState {
        SubscriptionState {
            filter: filter.to_owned(),
            qos: self.options.qos as u8,
            no_local: self.options.no_local,
            retain_as_published: self.options.retain_as_published,
            retain_handling: self.retain_handling,
            identifier: self.options.identifier,
            starts: self.starts.iter().collect(),
        }
    }
}

/// All subscriptions of one session, by filter.
#[derive(Clone, Debug, Default)]
pub(crate) struct Subscriptions {
    by_filter: HashMap<Box<str>, Subscription>,
}

impl Subscriptions {
    pub(crate) fn get(&self, filter: &str) -> Option<&Subscription> {
        self.by_filter.get(filter)
    }

    pub(crate) fn insert(&mut self, filter: &str, subscription: Subscription) {
        self.by_filter.insert(filter.into(), subscription);
    }

    pub(crate) fn remove(&mut self, filter: &str) -> bool {
        self.by_filter.remove(filter).is_some()
    }

    pub(crate) fn len(&self) -> usize {
        self.by_filter.len()
    }

    /// The combined options for a topic's messages from `offset` on; none if
    /// no subscription matches.
    pub(crate) fn matching(
        &self,
        topic: &str,
        shard: ShardId,
        offset: Offset,
    ) -> Option<TargetOptions> {
        let mut combined: Option<TargetOptions> = None;
        for (filter, subscription) in &self.by_filter {
            if subscription.starts.get(shard) <= offset && topic::matches(topic_of(filter), topic) {
                combined.get_or_insert_default().add(&subscription.options);
            }
        }
        combined
    }

    /// Whether a shard can hold a match.
    pub(crate) fn reaches(&self, map: ShardMap, shard: ShardId) -> bool {
        self.by_filter.keys().any(|filter| {
            let filter = topic_of(filter);
            topic::has_wildcard(filter) || map.topic(DEFAULT_NAMESPACE, filter) == shard
        })
    }

    /// The filters as automata over the segment index.
    pub(crate) fn automata(&self) -> Vec<topic::FilterAutomaton> {
        self.by_filter
            .keys()
            .filter_map(|filter| topic::FilterAutomaton::parse(topic_of(filter)).ok())
            .collect()
    }
}
