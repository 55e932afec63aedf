//! Who wants to be woken when a topic gets a message, without being delivered
//! to: replays that have caught up read the log themselves.

use hashbrown::{HashMap, HashSet};
use robustmq_protocol::topic::SubscriptionTree;

use super::interest::SubscriberId;

/// The watched filters of all sessions.
#[derive(Default)]
pub(super) struct Watchers {
    tree: SubscriptionTree<SubscriberId, ()>,
    filters: HashMap<SubscriberId, Vec<String>>,
}

impl Watchers {
    /// Replaces what a session watches.
    pub(super) fn set(&mut self, id: SubscriberId, filters: Vec<String>) {
        for filter in self.filters.remove(&id).unwrap_or_default() {
            self.tree.remove(&filter, &id);
        }
        if filters.is_empty() {
            return;
        }
        for filter in &filters {
            self.tree.insert(filter, id, ());
        }
        self.filters.insert(id, filters);
    }

    /// Everybody who watches one of the topics.
    pub(super) fn of<'a>(&self, topics: impl Iterator<Item = &'a str>) -> HashSet<SubscriberId> {
        let mut found = HashSet::new();
        if self.filters.is_empty() {
            return found;
        }
        for topic in topics {
            self.tree.matches(topic, &mut |id, ()| {
                found.insert(*id);
            });
        }
        found
    }
}
