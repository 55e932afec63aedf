//! Who subscribes to what: the subscriptions of all sessions, live and
//! offline, and the answer to "who gets this topic".
//!
//! Invariants
//! 1. A subscriber keeps its number while its session lives; going offline and
//!    coming back touches no subscription.
//! 2. A cached match is never used after a subscription has changed.

use std::sync::Arc;

use hashbrown::HashMap;
use robustmq_protocol::topic::SubscriptionTree;

use super::watchers::Watchers;
use crate::exclusive::topic_of;
use crate::link::Link;
use crate::subscription::{SubscriptionOptions, TargetOptions};

/// Cached matches; beyond this the cache starts over.
const MATCH_CACHE_MAX: usize = 65_536;

/// Number of a subscriber in this table.
pub(crate) type SubscriberId = u32;

/// One session that gets a topic, with its options for it.
#[derive(Clone, Debug)]
pub(crate) struct MatchTarget {
    /// Who.
    pub(crate) subscriber: SubscriberId,
    /// The combined options of its matching subscriptions.
    pub(crate) options: Arc<TargetOptions>,
}

/// Everybody who gets a topic.
pub(crate) type Matches = Arc<[MatchTarget]>;

#[derive(Debug)]
struct Subscriber {
    client_id: Box<str>,
    /// The connection; none while the session is offline.
    link: Option<Arc<Link>>,
    filters: Vec<Box<str>>,
}

/// The subscriptions of this node.
#[derive(Default)]
pub(crate) struct Interest {
    subscribers: Vec<Option<Subscriber>>,
    /// By number: whether it is connected and not lagging. Apart from the rest,
    /// so that passing over thousands of sessions that lag touches little.
    live: Vec<bool>,
    free: Vec<SubscriberId>,
    by_client: HashMap<Box<str>, SubscriberId>,
    tree: SubscriptionTree<SubscriberId, SubscriptionOptions>,
    cache: HashMap<Box<str>, Matches>,
    watchers: Watchers,
}

impl Interest {
    /// The number of a client's session; a new one if it is not known.
    pub(crate) fn enter(&mut self, client_id: &str, link: Option<Arc<Link>>) -> SubscriberId {
        if let Some(id) = self.by_client.get(client_id).copied() {
            if let Some(subscriber) = self.subscribers[id as usize].as_mut() {
                subscriber.link = link;
            }
            return id;
        }
        let subscriber = Some(Subscriber {
            client_id: client_id.into(),
            link,
            filters: Vec::new(),
        });
        let id = match self.free.pop() {
            Some(id) => {
                self.subscribers[id as usize] = subscriber;
                id
            }
            None => {
                self.subscribers.push(subscriber);
                self.live.push(false);
                (self.subscribers.len() - 1) as SubscriberId
            }
        };
        self.by_client.insert(client_id.into(), id);
        id
    }

    /// The session goes offline; its subscriptions stay.
    pub(crate) fn park(&mut self, id: SubscriberId) {
        if let Some(Some(subscriber)) = self.subscribers.get_mut(id as usize) {
            subscriber.link = None;
            self.live[id as usize] = false;
            self.watchers.set(id, Vec::new());
        }
    }

    /// Removes a session with all its subscriptions.
    pub(crate) fn remove(&mut self, id: SubscriberId) {
        let Some(subscriber) = self.subscribers.get_mut(id as usize).and_then(Option::take) else {
            return;
        };
        for filter in &subscriber.filters {
            self.tree.remove(topic_of(filter), &id);
        }
        if !subscriber.filters.is_empty() {
            self.cache.clear();
        }
        self.by_client.remove(&subscriber.client_id);
        self.live[id as usize] = false;
        self.watchers.set(id, Vec::new());
        self.free.push(id);
    }

    /// Removes a session by its client identifier, unless it is connected.
    pub(crate) fn remove_offline(&mut self, client_id: &str) {
        let Some(id) = self.by_client.get(client_id).copied() else {
            return;
        };
        if self.link(id).is_none() {
            self.remove(id);
        }
    }

    /// Replaces the filters whose messages wake a session's connection.
    pub(crate) fn watch(&mut self, id: SubscriberId, filters: Vec<String>) {
        self.watchers.set(id, filters);
    }

    /// Whether anybody watches a topic.
    pub(crate) fn is_watched(&self, topic: &str) -> bool {
        !self.watchers.of(std::iter::once(topic)).is_empty()
    }

    /// Wakes everybody who watches one of the topics.
    pub(crate) fn wake_watchers<'a>(&self, topics: impl Iterator<Item = &'a str>) {
        for id in self.watchers.of(topics) {
            if let Some(link) = self.link(id) {
                link.nudge();
            }
        }
    }

    /// Adds or replaces a subscription.
    pub(crate) fn subscribe(
        &mut self,
        id: SubscriberId,
        filter: &str,
        options: SubscriptionOptions,
    ) {
        let Some(Some(subscriber)) = self.subscribers.get_mut(id as usize) else {
            return;
        };
        if !subscriber.filters.iter().any(|known| &**known == filter) {
            subscriber.filters.push(filter.into());
        }
        self.tree.insert(topic_of(filter), id, options);
        self.cache.clear();
    }

    /// Removes a subscription.
    pub(crate) fn unsubscribe(&mut self, id: SubscriberId, filter: &str) {
        let Some(Some(subscriber)) = self.subscribers.get_mut(id as usize) else {
            return;
        };
        subscriber.filters.retain(|known| &**known != filter);
        let topic = topic_of(filter);
        // It may be subscribed to exclusively and not.
        if !subscriber
            .filters
            .iter()
            .any(|known| topic_of(known) == topic)
        {
            self.tree.remove(topic, &id);
        }
        self.cache.clear();
    }

    /// The subscriptions a session is known by.
    pub(crate) fn filters(&self, id: SubscriberId) -> &[Box<str>] {
        self.subscribers
            .get(id as usize)
            .and_then(Option::as_ref)
            .map_or(&[], |subscriber| &subscriber.filters)
    }

    /// The connection of a session, if it has one.
    pub(crate) fn link(&self, id: SubscriberId) -> Option<&Arc<Link>> {
        self.subscribers.get(id as usize)?.as_ref()?.link.as_ref()
    }

    /// The connection of a session that takes deliveries.
    pub(crate) fn live_link(&self, id: SubscriberId) -> Option<&Arc<Link>> {
        if !self.is_live(id) {
            return None;
        }
        self.link(id)
    }

    /// Whether a session takes deliveries: it is connected and does not lag.
    pub(crate) fn is_live(&self, id: SubscriberId) -> bool {
        self.live.get(id as usize).copied().unwrap_or(false)
    }

    /// The session takes deliveries from now on; its connection is told.
    pub(crate) fn set_live(&mut self, id: SubscriberId) {
        if let Some(link) = self.link(id) {
            link.set_live();
            self.live[id as usize] = true;
        }
    }

    /// The session's connection has begun to lag.
    pub(crate) fn set_lagging(&mut self, id: SubscriberId) {
        if let Some(live) = self.live.get_mut(id as usize) {
            *live = false;
        }
    }

    /// All sessions that take deliveries.
    pub(crate) fn live_ids(&self) -> Vec<SubscriberId> {
        let ids = 0..self.live.len() as SubscriberId;
        ids.filter(|id| self.is_live(*id)).collect()
    }

    /// One more than the highest number in use.
    pub(crate) fn ids_end(&self) -> usize {
        self.subscribers.len()
    }

    /// Everybody who gets `topic`, each session once.
    pub(crate) fn matches(&mut self, topic: &str) -> Matches {
        if let Some(found) = self.cache.get(topic) {
            return Arc::clone(found);
        }
        let mut targets: HashMap<SubscriberId, TargetOptions> = HashMap::new();
        self.tree.matches(topic, &mut |id, subscription| {
            targets.entry(*id).or_default().add(subscription);
        });
        let mut found: Vec<MatchTarget> = targets
            .into_iter()
            .map(|(subscriber, options)| MatchTarget {
                subscriber,
                options: Arc::new(options),
            })
            .collect();
        found.sort_unstable_by_key(|target| target.subscriber);
        let found: Matches = found.into();
        if self.cache.len() >= MATCH_CACHE_MAX {
            self.cache.clear();
        }
        self.cache.insert(topic.into(), Arc::clone(&found));
        found
    }
}

#[cfg(test)]
mod tests;
