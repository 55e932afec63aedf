//! Exclusive subscriptions, `$exclusive/{topic}`: a subscription to the topic
//! that one session at a time has.
//!
//! Which session has one is remembered here and found again at a start in the
//! stored sessions. A session that is neither connected nor stored with the
//! subscription has it no longer: that is looked at when somebody else asks.
//!
//! **Invariants**
//! 1. Two sessions of this node never have the same one.
//!
//! **Not here**: what they get, which is what a subscription to the topic gets.

use hashbrown::HashMap;
use parking_lot::Mutex;
use robustmq_views::SessionState;

use crate::broker::Broker;

/// What such a filter begins with.
pub(crate) const PREFIX: &str = "$exclusive/";

/// The topic that is subscribed to; other filters stay as they are.
pub(crate) fn topic_of(filter: &str) -> &str {
    filter.strip_prefix(PREFIX).unwrap_or(filter)
}

#[derive(Default)]
struct Claims {
    /// Who has a filter.
    holders: HashMap<String, String>,
    /// Which ones a client has.
    filters: HashMap<String, Vec<String>>,
}

/// Who has which exclusive subscription.
#[derive(Default)]
pub(crate) struct Exclusive(Mutex<Claims>);

impl Exclusive {
    /// A session that the log knew when the broker started.
    pub(crate) fn restore(&self, state: &SessionState) {
        let filters = state.subscriptions.keys();
        for filter in filters.filter(|filter| filter.starts_with(PREFIX)) {
            self.0.lock().give(filter, &state.client_id);
        }
    }

    /// Claims a filter for a client; false if another one has it.
    pub(crate) fn claim(&self, broker: &Broker, filter: &str, client_id: &str) -> bool {
        let mut claims = self.0.lock();
        let holder = claims.holders.get(filter);
        if holder.is_some_and(|holder| holder != client_id && is_held(broker, filter, holder)) {
            return false;
        }
        claims.give(filter, client_id);
        true
    }

    /// A client has unsubscribed.
    pub(crate) fn release(&self, filter: &str, client_id: &str) {
        self.0.lock().take(filter, client_id);
    }

    /// A client's session has ended or begins anew.
    pub(crate) fn release_all(&self, client_id: &str) {
        let mut claims = self.0.lock();
        for filter in claims.filters.remove(client_id).unwrap_or_default() {
            claims.take(&filter, client_id);
        }
    }
}

/// Whether a client's session can still have a filter. In doubt it has.
fn is_held(broker: &Broker, filter: &str, client_id: &str) -> bool {
    broker.registry.owner(client_id).is_some()
        || match broker.views.session(client_id) {
            Ok(state) => state.is_some_and(|state| state.subscriptions.contains_key(filter)),
            Err(_) => true,
        }
}

impl Claims {
    fn give(&mut self, filter: &str, client_id: &str) {
        let before = self.holders.insert(filter.to_owned(), client_id.to_owned());
        if before.as_deref() == Some(client_id) {
            return;
        }
        if let Some(before) = before {
            self.forget(filter, &before);
        }
        let filters = self.filters.entry_ref(client_id).or_default();
        filters.push(filter.to_owned());
    }

    fn take(&mut self, filter: &str, client_id: &str) {
        if self
            .holders
            .get(filter)
            .is_some_and(|holder| holder == client_id)
        {
            self.holders.remove(filter);
            self.forget(filter, client_id);
        }
    }

    fn forget(&mut self, filter: &str, client_id: &str) {
        let Some(filters) = self.filters.get_mut(client_id) else {
            return;
        };
        filters.retain(|known| known != filter);
        if filters.is_empty() {
            self.filters.remove(client_id);
        }
    }
}
