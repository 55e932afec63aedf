//! One named cursor and its members.

use std::sync::Arc;

use parking_lot::Mutex;
use robustmq_log::AppendError;

use super::sharing::Strategy;
use super::state::{CursorState, Given, MemberId, Place, Taken};
use super::{CursorRefusal, store};
use crate::broker::Broker;
use crate::history::catch_up::{self, Found, ReadPlace};
use crate::history::everything;
use crate::link::Link;
use crate::positions::Positions;

struct Member {
    id: MemberId,
    link: Arc<Link>,
}

struct Inner {
    state: CursorState,
    members: Vec<Member>,
    group: Option<String>,
    next_member: MemberId,
    /// Whether the stored position is behind.
    is_dirty: bool,
    /// It was deleted: nothing is given any more.
    has_ended: bool,
}

/// A named cursor.
pub(crate) struct Cursor {
    name: String,
    filter: String,
    /// As the log knows it.
    epoch: u64,
    made_ms: u64,
    inner: Mutex<Inner>,
    /// Held from finding out where it stands until that is on its way into the
    /// log, so that a later position never comes before an earlier one.
    storing: tokio::sync::Mutex<()>,
}

/// What has become of a message, for a cursor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It was passed for good.
    Behind,
    /// It was acknowledged; others before it were not.
    Done,
    /// It is with the member of this client identifier.
    Out(String),
    /// It was not given to anybody yet, or came back.
    Ahead,
}

/// Somebody's use of a cursor; given up when dropped.
pub(crate) struct Membership {
    cursor: Arc<Cursor>,
    id: MemberId,
}

impl Cursor {
    pub(super) fn new(
        name: &str,
        filter: &str,
        (epoch, made_ms): (u64, u64),
        from: &Positions,
    ) -> Self {
        let state = CursorState::new(everything(filter), from);
        Self::with_state(name, filter, (epoch, made_ms), state)
    }

    /// The cursor of a group whose members are chosen by a strategy.
    pub(super) fn shared(
        name: &str,
        filter: &str,
        (epoch, made_ms): (u64, u64),
        from: &Positions,
    ) -> Self {
        let state = CursorState::shared(everything(filter), from, epoch);
        Self::with_state(name, filter, (epoch, made_ms), state)
    }

    fn with_state(
        name: &str,
        filter: &str,
        (epoch, made_ms): (u64, u64),
        state: CursorState,
    ) -> Self {
        Self {
            name: name.to_owned(),
            filter: filter.to_owned(),
            epoch,
            made_ms,
            inner: Mutex::new(Inner {
                state,
                members: Vec::new(),
                group: None,
                next_member: 0,
                is_dirty: false,
                has_ended: false,
            }),
            storing: tokio::sync::Mutex::default(),
        }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn filter(&self) -> &str {
        &self.filter
    }

    pub(super) fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Becomes a member: the only one, or one of a group.
    pub(crate) fn join(
        self: &Arc<Self>,
        link: &Arc<Link>,
        group: Option<&str>,
    ) -> Result<Membership, CursorRefusal> {
        let mut inner = self.inner.lock();
        let joins =
            inner.members.is_empty() || (group.is_some() && inner.group.as_deref() == group);
        if !joins || inner.has_ended {
            return Err(CursorRefusal::InUse(self.name.clone()));
        }
        inner.group = group.map(str::to_owned);
        let id = inner.next_member;
        inner.next_member += 1;
        inner.state.enter(id);
        inner.members.push(Member {
            id,
            link: Arc::clone(link),
        });
        Ok(Membership {
            cursor: Arc::clone(self),
            id,
        })
    }

    /// Where it stands.
    pub(crate) fn positions(&self) -> Positions {
        self.inner.lock().state.positions()
    }

    /// Who uses it, in which group, and how many messages they have.
    pub(super) fn users(&self) -> (Vec<String>, Option<String>, usize) {
        let inner = self.inner.lock();
        let names = inner.members.iter();
        let names = names.map(|member| member.link.client_id().to_owned());
        (
            names.collect(),
            inner.group.clone(),
            inner.state.in_flight(),
        )
    }

    /// When it was made, milliseconds since the Unix epoch.
    pub(crate) fn made_ms(&self) -> u64 {
        self.made_ms
    }

    /// How many use it.
    pub(crate) fn member_count(&self) -> usize {
        self.inner.lock().members.len()
    }

    /// The connections of those who use it.
    pub(super) fn links(&self) -> Vec<Arc<Link>> {
        self.inner.lock().links()
    }

    /// What has become of a message that its filter matches.
    pub(crate) fn standing(&self, place: Place) -> Standing {
        let inner = self.inner.lock();
        if let Some(id) = inner.state.holder(place) {
            let mut members = inner.members.iter();
            let member = members.find(|member| member.id == id);
            let name = member.map(|member| member.link.client_id().to_owned());
            return Standing::Out(name.unwrap_or_default());
        }
        let (shard, offset) = place;
        if inner.state.is_ahead(place) {
            Standing::Ahead
        } else if offset < inner.state.positions().get(shard) {
            Standing::Behind
        } else {
            Standing::Done
        }
    }

    /// Goes on from elsewhere.
    pub(super) async fn seek(&self, broker: &Broker, to: &Positions) -> Result<(), AppendError> {
        let _storing = self.storing.lock().await;
        let links = {
            let mut inner = self.inner.lock();
            inner.state.seek(to);
            inner.links()
        };
        links.iter().for_each(|link| link.nudge());
        store::write_seek(broker, self, to).await
    }

    pub(super) fn has_ended(&self) -> bool {
        self.inner.lock().has_ended
    }

    /// It is deleted: its members get nothing more.
    pub(super) fn end(&self) {
        self.inner.lock().has_ended = true;
    }

    /// The position to be stored, if the stored one is behind; taken to be
    /// stored from now on.
    fn take_dirty(&self) -> Option<Positions> {
        let mut inner = self.inner.lock();
        let stores = std::mem::take(&mut inner.is_dirty) && !inner.has_ended;
        stores.then(|| inner.state.positions())
    }

    /// Stores where it stands, if that has changed, without waiting.
    pub(crate) fn store_later(&self, broker: &Broker, link: &Arc<Link>) {
        // Somebody else does it: what is new by then is stored the next time.
        let Ok(_storing) = self.storing.try_lock() else {
            return;
        };
        if let Some(positions) = self.take_dirty()
            && !store::push_position(broker, self, &positions, link)
        {
            self.inner.lock().is_dirty = true;
        }
    }

    /// Stores where it stands and waits for it.
    pub(crate) async fn store(&self, broker: &Broker) {
        let _storing = self.storing.lock().await;
        if let Some(positions) = self.take_dirty()
            && let Err(error) = store::write_position(broker, self, &positions).await
        {
            self.inner.lock().is_dirty = true;
            tracing::warn!(cursor = self.name, %error, "the position of a cursor could not be stored; messages may come again");
        }
    }
}

impl Inner {
    fn links(&self) -> Vec<Arc<Link>> {
        let link = |member: &Member| Arc::clone(&member.link);
        self.members.iter().map(link).collect()
    }
}

impl Membership {
    pub(crate) fn cursor(&self) -> &Arc<Cursor> {
        &self.cursor
    }

    /// At most `count_max` messages, from now on this member's; in a group that
    /// shares by a strategy, those that this member was chosen for.
    pub(crate) fn take(&self, count_max: usize, visible: &Positions, strategy: Strategy) -> Taken {
        let mut inner = self.cursor.inner.lock();
        if inner.has_ended {
            return Taken::Wait;
        }
        let taken = inner.state.take(self.id, count_max, visible, strategy);
        let filled = inner.state.take_filled();
        let chosen = inner.members.iter();
        let chosen = chosen.filter(|one| one.id != self.id && filled.contains(&one.id));
        let links: Vec<Arc<Link>> = chosen.map(|one| Arc::clone(&one.link)).collect();
        drop(inner);
        links.iter().for_each(|link| link.nudge());
        taken
    }

    /// The member is done with a message.
    pub(crate) fn done(&self, generation: u64, place: Place) {
        let mut inner = self.cursor.inner.lock();
        inner.is_dirty |= inner.state.done(self.id, generation, place);
    }

    /// The member cannot take a message now.
    pub(crate) fn put_back(&self, given: &Given) {
        self.cursor.inner.lock().state.put_back(self.id, given);
    }

    /// Begins to read for the cursor, after [`Taken::Read`].
    pub(crate) fn reading(&self, places: Vec<ReadPlace>) -> Reading {
        let generation = self.cursor.inner.lock().state.generation();
        Reading {
            cursor: Arc::clone(&self.cursor),
            generation,
            places,
            found: Vec::new(),
        }
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        let mut inner = self.cursor.inner.lock();
        inner.members.retain(|member| member.id != self.id);
        let _ = inner.state.leave(self.id);
        inner.is_dirty = true;
        if inner.members.is_empty() {
            inner.state.rest();
            inner.group = None;
        }
        let links = inner.links();
        drop(inner);
        // What it had is theirs now.
        links.iter().for_each(|link| link.nudge());
    }
}

/// One reading for a cursor; whatever becomes of it, the cursor hears of it.
pub(crate) struct Reading {
    cursor: Arc<Cursor>,
    generation: u64,
    places: Vec<ReadPlace>,
    found: Vec<Found>,
}

impl Reading {
    /// Reads the log; blocks on the disk. False if the disk refused.
    pub(crate) fn run(&mut self, broker: &Broker) -> bool {
        let filters = self.cursor.inner.lock().state.subscriptions().automata();
        for place in std::mem::take(&mut self.places) {
            let found = catch_up::read(&broker.reader, place, &filters);
            if found.failed {
                self.found.clear();
                return false;
            }
            broker.counters.deliveries_missing.add(found.missing);
            self.found.push(found);
        }
        true
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        let found = std::mem::take(&mut self.found);
        let mut inner = self.cursor.inner.lock();
        inner.state.found(found, self.generation);
        let links = inner.links();
        drop(inner);
        links.iter().for_each(|link| link.nudge());
    }
}
