//! Cursors over nodes: one node gives out a cursor's messages, the one that
//! opened it last, as with sessions. A node whose client asks for a cursor that
//! another one owns has it let go first; as long as it has members there, it is
//! in use.

use std::sync::Arc;

use robustmq_protocol::ReasonCode;
use robustmq_views::{EXPIRY_NEVER, SessionState, StateBody, owner_of};

use super::groups::is_group;
use super::store::{self, VERSION};
use super::{Cursor, CursorRefusal, Cursors, client_id, cursor_name};
use crate::broker::Broker;
use crate::history::HistoryError;
use crate::link::Order;
use crate::shard_map::DEFAULT_NAMESPACE;

impl Cursors {
    /// Brings what this node knows of a cursor in line with the log, and has it
    /// owned by this node if it exists. The caller holds `changing`.
    pub(super) async fn own(&self, broker: &Arc<Broker>, name: &str) -> Result<(), CursorRefusal> {
        let Some(cluster) = broker.cluster().filter(|cluster| cluster.is_member()) else {
            return Ok(());
        };
        let id = client_id(name);
        let shard = broker.shard_map.session(DEFAULT_NAMESPACE, &id);
        if !cluster.catch_up(broker, vec![shard]).await {
            return Err(CursorRefusal::NoLeader(name.to_owned()));
        }
        let stored = |broker: &Broker| {
            let stored = broker.views.session(&id);
            stored.map_err(|error| CursorRefusal::Place(HistoryError::failed(&error)))
        };
        let Some(state) = stored(broker)? else {
            if let Some(gone) = self.all.lock().remove(name) {
                gone.end();
            }
            return Ok(());
        };
        if owner_of(state.epoch) == broker.config.node.id {
            if self
                .get(name)
                .is_none_or(|known| known.epoch() != state.epoch)
            {
                self.restore(broker, &state);
            }
            return Ok(());
        }
        cluster
            .release_cursor(broker, &state)
            .await
            .map_err(|reason| CursorRefusal::Elsewhere(name.to_owned(), reason))?;
        let Some(state) = stored(broker)? else {
            return Ok(());
        };
        self.adopt(broker, state).await
    }

    /// Opens a cursor that another node owned.
    async fn adopt(&self, broker: &Broker, mut state: SessionState) -> Result<(), CursorRefusal> {
        let epoch = broker.epoch_after(state.epoch);
        let at_ms = state.opened_at_ms;
        let opened = StateBody::SessionOpened {
            epoch,
            clean_start: false,
            version: VERSION,
            expiry_s: EXPIRY_NEVER,
            will: None,
            at_ms,
        };
        let closed = StateBody::SessionClosed {
            epoch,
            at_ms,
            expiry_s: EXPIRY_NEVER,
            will: None,
        };
        for body in [&opened, &closed] {
            let appended = broker.append_state(&state.client_id, body).await;
            appended.map_err(|error| CursorRefusal::Place(HistoryError::failed(&error)))?;
        }
        state.epoch = epoch;
        self.restore(broker, &state);
        Ok(())
    }

    /// Another node wants a cursor: stores where it stands and forgets it here.
    pub(crate) async fn give_up(&self, broker: &Arc<Broker>, name: &str) -> Result<(), String> {
        if is_group(name) {
            return self.groups.give_up(name).await;
        }
        let _changing = self.changing.lock().await;
        let Some(cursor) = self.get(name) else {
            return Ok(());
        };
        let count = cursor.member_count();
        if count > 0 {
            return Err(format!("it has {count} members there"));
        }
        cursor.store(broker).await;
        self.all.lock().remove(name);
        Ok(())
    }

    /// Another node has opened a cursor though this one had it: its members go
    /// where it is now.
    pub(crate) fn lost(&self, name: &str) {
        let named = self.all.lock().remove(name);
        let Some(cursor) = named.or_else(|| self.groups.remove(name)) else {
            return;
        };
        cursor.end();
        let links = cursor.links();
        if !links.is_empty() {
            tracing::warn!(
                cursor = name,
                members = links.len(),
                "another node has taken over a cursor: its members are disconnected"
            );
        }
        for link in links {
            link.order(Order::Disconnect(ReasonCode::UseAnotherServer));
        }
    }

    /// All cursors as the log knows them, those of this node as they stand.
    pub(super) fn known(&self, broker: &Broker) -> Vec<Arc<Cursor>> {
        if !broker.is_member() {
            return self.sorted();
        }
        let mut all = Vec::new();
        let visited = broker.views.for_each_session(&mut |state: SessionState| {
            if let Some(name) = cursor_name(&state.client_id) {
                let here = self.get(name);
                let here = here.filter(|cursor| cursor.epoch() == state.epoch);
                all.extend(here.or_else(|| store::read(broker, &state).map(Arc::new)));
            }
            true
        });
        if let Err(error) = visited {
            tracing::error!(%error, "the cursors cannot be read");
        }
        all.sort_unstable_by(|one, other| one.name().cmp(other.name()));
        all
    }
}
