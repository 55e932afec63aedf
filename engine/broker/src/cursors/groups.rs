//! The groups of shared subscriptions: each is a cursor of its own, which is
//! there as long as a session holds a subscription of the group.
//!
//! A group is kept in the log like a named cursor, under `$cursor/` and its own
//! name, `$share/{group}/{filter}`, and belongs to one node as a cursor does
//! (`owning`). Its session in the views is open while members are connected.
//!
//! **Invariants**
//! 1. A message of a group is with one member at a time (`state`).
//! 2. A group that no session holds is forgotten: whoever comes then begins with
//!    what is published after.
//!
//! **Not here**: who of a group gets a message (`sharing`), MQTT
//! (`connection::share_groups`).

use std::sync::Arc;

use hashbrown::{HashMap, HashSet};
use parking_lot::Mutex;
use robustmq_protocol::topic::{ReplayPosition, SharedFilter};
use robustmq_views::{SessionState, owner_of};

use super::{Cursor, CursorRefusal, Membership, store};
use crate::broker::Broker;
use crate::history::{HistoryError, blocking, places};
use crate::link::Link;
use crate::shard_map::DEFAULT_NAMESPACE;

/// The groups that this node serves or may serve.
#[derive(Default)]
pub(crate) struct Groups {
    /// Those with connected members, by name.
    served: Mutex<HashMap<String, Arc<Cursor>>>,
    /// Lasting sessions that are known to have held a subscription of a group.
    holders: Mutex<HashMap<String, HashSet<String>>>,
    /// Held while a group begins or ends to be served.
    changing: tokio::sync::Mutex<()>,
}

/// Whether a cursor's name is that of a group.
pub(crate) fn is_group(name: &str) -> bool {
    SharedFilter::is_shared(name)
}

/// Whether a session holds a subscription of a group.
fn holds(state: &SessionState, name: &str) -> bool {
    let mut filters = state.subscriptions.keys();
    filters.any(|filter| group_of(filter).as_deref() == Some(name))
}

/// The name of the group that a stored subscription is of.
fn group_of(filter: &str) -> Option<String> {
    if !SharedFilter::is_shared(filter) {
        return None;
    }
    SharedFilter::parse(filter).ok().map(|shared| shared.name())
}

impl Groups {
    /// A session that the log knew when the broker started.
    pub(crate) fn restore(&self, state: &SessionState) {
        for filter in state.subscriptions.keys() {
            if let Some(name) = group_of(filter) {
                self.note_holder(&name, &state.client_id);
            }
        }
    }

    /// A group that the log knew when the broker started, held or not.
    pub(crate) fn restore_group(&self, state: &SessionState) {
        if let Some(name) = store::cursor_name(&state.client_id).filter(|name| is_group(name)) {
            self.holders.lock().entry_ref(name).or_default();
        }
    }

    fn note_holder(&self, name: &str, client_id: &str) {
        let mut holders = self.holders.lock();
        let group = holders.entry_ref(name).or_default();
        group.insert(client_id.to_owned());
    }

    /// Groups with connected members.
    pub(crate) fn served_count(&self) -> usize {
        self.served.lock().len()
    }

    pub(crate) fn get(&self, name: &str) -> Option<Arc<Cursor>> {
        self.served.lock().get(name).cloned()
    }

    /// Becomes a connected member of a group.
    pub(crate) async fn join(
        &self,
        broker: &Arc<Broker>,
        shared: &SharedFilter<'_>,
        link: &Arc<Link>,
        is_lasting: bool,
    ) -> Result<Membership, CursorRefusal> {
        let name = shared.name();
        let _changing = self.changing.lock().await;
        let known = self.get(&name).filter(|group| !group.has_ended());
        let group = match known {
            Some(group) => group,
            None => self.begin(broker, shared, &name).await?,
        };
        if is_lasting {
            self.note_holder(&name, link.client_id());
        }
        group.join(link, Some(&name))
    }

    /// Begins to serve a group, where it stood or at the end of the log.
    async fn begin(
        &self,
        broker: &Arc<Broker>,
        shared: &SharedFilter<'_>,
        name: &str,
    ) -> Result<Arc<Cursor>, CursorRefusal> {
        let count = self.served_count();
        if count >= broker.config.limits.cursors_max as usize {
            return Err(CursorRefusal::TooMany(count));
        }
        let known = self.take_over(broker, name).await?;
        let is_held = self.is_held(broker, name).await?;
        let from = known.as_ref().filter(|_| is_held);
        let from = from.map(|state| store::positions(broker, state));
        let is_new = from.is_none();
        let from = match from {
            Some(from) => from,
            None => {
                let filter = shared.filter.as_str();
                places::place(broker, filter, ReplayPosition::Latest).await?
            }
        };
        let epoch = broker.epoch_after(known.map_or(0, |state| state.epoch));
        let group = store::open_group(broker, name, shared.filter.as_str(), epoch, from, is_new);
        let group = Arc::new(group.await?);
        self.served
            .lock()
            .insert(name.to_owned(), Arc::clone(&group));
        Ok(group)
    }

    /// The group as the log knows it, let go of by the node that served it last.
    async fn take_over(
        &self,
        broker: &Arc<Broker>,
        name: &str,
    ) -> Result<Option<SessionState>, CursorRefusal> {
        if let Some(cluster) = broker.cluster().filter(|cluster| cluster.is_member()) {
            let shard = broker
                .shard_map
                .session(DEFAULT_NAMESPACE, &store::client_id(name));
            if !cluster.catch_up(broker, vec![shard]).await {
                return Err(CursorRefusal::NoLeader(name.to_owned()));
            }
            if let Some(state) = session(broker, name)?
                && owner_of(state.epoch) != broker.config.node.id
            {
                let released = cluster.release_cursor(broker, &state).await;
                released.map_err(|reason| CursorRefusal::Elsewhere(name.to_owned(), reason))?;
            }
        }
        Ok(session(broker, name)?)
    }

    /// Another node wants to serve a group.
    ///
    /// # Errors
    /// When it has members here.
    pub(super) async fn give_up(&self, name: &str) -> Result<(), String> {
        let _changing = self.changing.lock().await;
        match self.get(name).map(|group| group.member_count()) {
            None | Some(0) => Ok(()),
            Some(count) => Err(format!("it has {count} members there")),
        }
    }

    /// The group is not served here any more.
    pub(super) fn remove(&self, name: &str) -> Option<Arc<Cursor>> {
        self.served.lock().remove(name)
    }

    /// After a member has left or a session has ended: stores where the group
    /// stands if it was the last one, or forgets the group.
    pub(crate) async fn settle(&self, broker: &Arc<Broker>, group: &Arc<Cursor>) {
        let _changing = self.changing.lock().await;
        let name = group.name();
        if group.member_count() > 0 {
            return;
        }
        {
            let mut served = self.served.lock();
            let is_served = served.get(name).is_some_and(|one| Arc::ptr_eq(one, group));
            if !is_served {
                return;
            }
            served.remove(name);
        }
        let settled = match self.is_held(broker, name).await {
            Ok(false) => {
                group.end();
                self.holders.lock().remove(name);
                store::delete(broker, group).await
            }
            // In doubt it is kept.
            Ok(true) | Err(_) => store::close_group(broker, group).await,
        };
        if let Err(error) = settled {
            tracing::warn!(group = name, %error, "where a group of a shared subscription stands could not be stored; messages may come again");
        }
    }

    /// A lasting session has ended; its groups may be nobody's now.
    pub(crate) fn session_ended(&self, broker: &Arc<Broker>, state: &SessionState) {
        if state.subscriptions.keys().any(|filter| is_group(filter)) {
            let broker = Arc::clone(broker);
            tokio::spawn(async move { broker.cursors.groups.sweep(&broker).await });
        }
    }

    /// A lasting session is gone: groups that only it held are forgotten.
    pub(crate) async fn sweep(&self, broker: &Arc<Broker>) {
        let names: Vec<String> = self.holders.lock().keys().cloned().collect();
        for name in names {
            let _changing = self.changing.lock().await;
            if self.get(&name).is_some() || !matches!(self.is_held(broker, &name).await, Ok(false))
            {
                continue;
            }
            self.holders.lock().remove(&name);
            let Ok(Some(state)) = session(broker, &name) else {
                continue;
            };
            if broker.is_member() && owner_of(state.epoch) != broker.config.node.id {
                continue;
            }
            if let Err(error) = store::forget(broker, &state).await {
                tracing::warn!(group = name, %error, "a group of a shared subscription that nobody holds could not be removed");
            }
        }
    }

    /// Whether a lasting session holds a subscription of a group.
    async fn is_held(&self, broker: &Arc<Broker>, name: &str) -> Result<bool, HistoryError> {
        let known = self.holders.lock().get(name).cloned().unwrap_or_default();
        for client_id in known {
            let found = broker.views.session(&client_id);
            let found = found.map_err(|error| HistoryError::failed(&error))?;
            if found.is_some_and(|state| holds(&state, name)) {
                return Ok(true);
            }
            if let Some(group) = self.holders.lock().get_mut(name) {
                group.remove(&client_id);
            }
        }
        if !broker.is_member() {
            return Ok(false);
        }
        // Sessions may have come to hold it on other nodes.
        let (views, name) = (Arc::clone(&broker.views), name.to_owned());
        blocking(broker, move || {
            let mut is_held = false;
            let visited = views.for_each_session(&mut |state| {
                is_held |= holds(&state, &name);
                !is_held
            });
            visited.map_err(|error| HistoryError::failed(&error))?;
            Ok(is_held)
        })
        .await
    }
}

/// A group as the log knows it.
fn session(broker: &Broker, name: &str) -> Result<Option<SessionState>, HistoryError> {
    let found = broker.views.session(&store::client_id(name));
    found.map_err(|error| HistoryError::failed(&error))
}
