//! Sessions: ownership, subscriptions, cursors, in-flight window, timers.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use robustmq_record::{Offset, RecordRef, ShardId};

use super::{Fold, Overlay};
use crate::epoch::owner_of;
use crate::error::ViewError;
use crate::keys;
use crate::session::{Core, Delivery, SessionState};
use crate::state::{AssignedEntry, InflightStage, InflightState, StateBody, SubscriptionState};
use crate::store::KeyRange;
use crate::timer::{self, TimerKind};
use crate::wire::Writer;

/// A session under work: as stored, and what has changed.
#[derive(Default)]
pub(crate) struct SessionWork {
    shard: ShardId,
    stored: Option<Core>,
    core: Option<Core>,
    delivery: Delivery,
    delivery_changed: bool,
    /// Whether the stored subscriptions are void.
    wiped: bool,
    /// Subscriptions made, and (none) removed.
    subscriptions: BTreeMap<String, Option<SubscriptionState>>,
}

impl Fold<'_> {
    /// Takes a record about a session.
    pub(super) fn session_record(
        &mut self,
        record: &RecordRef<'_>,
        body: StateBody,
    ) -> Result<(), ViewError> {
        let owner = (record.namespace().to_owned(), record.client_id().to_owned());
        let mut work = match self.sessions.remove(&owner) {
            Some(work) => work,
            None => load(&self.overlay, self.shard, &owner)?,
        };
        let at = record.offset();
        match body {
            StateBody::SessionAnnounced => {
                self.hold(record)?;
                work.announce(at);
            }
            StateBody::SessionCarried(carried) if self.rebuild.is_some() => {
                if let Some(held) = self.take_held(record, carried.as_of)? {
                    work.replace(carried.session, held.announced);
                    for (at, body) in held.records {
                        if at >= carried.as_of {
                            work.take(body, at);
                        }
                    }
                }
            }
            StateBody::SessionCarried(carried) => work.move_source(carried.as_of),
            body if work.is_of_another_node(&body, self.proposer) => {}
            body => {
                self.hold_record(record)?;
                work.take(body, at);
            }
        }
        self.sessions.insert(owner, work);
        Ok(())
    }
}

fn load(
    overlay: &Overlay<'_>,
    shard: ShardId,
    (namespace, client_id): &(String, String),
) -> Result<SessionWork, ViewError> {
    let Some(core) = overlay.get(&keys::core(namespace, client_id))? else {
        return Ok(SessionWork {
            shard,
            ..SessionWork::default()
        });
    };
    let core = Core::decode(&core).map_err(ViewError::damaged("session"))?;
    let delivery = match overlay.get(&keys::delivery(namespace, client_id))? {
        Some(bytes) => Delivery::decode(&bytes).map_err(ViewError::damaged("delivery"))?,
        None => Delivery::default(),
    };
    Ok(SessionWork {
        shard,
        stored: Some(core.clone()),
        core: Some(core),
        delivery,
        ..SessionWork::default()
    })
}

/// Removes a session that is there.
pub(crate) fn remove(
    overlay: &mut Overlay<'_>,
    shard: ShardId,
    namespace: &str,
    client_id: &str,
) -> Result<(), ViewError> {
    let owner = (namespace.to_owned(), client_id.to_owned());
    let mut work = load(overlay, shard, &owner)?;
    work.remove();
    work.store(namespace, client_id, overlay)
}

impl SessionWork {
    /// The core, if the session is there and `epoch` is not older than its
    /// owner's. (It can be later only while a session is rebuilt whose
    /// beginning is not in the log any more.)
    fn owned(&mut self, epoch: u64) -> Option<&mut Core> {
        self.core.as_mut().filter(|core| core.epoch <= epoch)
    }

    /// Whether a connection of another node than the session's wrote a record
    /// that says no epoch.
    fn is_of_another_node(&self, body: &StateBody, proposer: Option<u64>) -> bool {
        let (Some(core), Some(proposer)) = (&self.core, proposer) else {
            return false;
        };
        let is_delivery = matches!(
            body,
            StateBody::OutboundAssigned { .. }
                | StateBody::ReplayAssigned { .. }
                | StateBody::OutboundReceived { .. }
                | StateBody::OutboundCompleted { .. }
        );
        let is_subscription = matches!(
            body,
            StateBody::Subscribed { .. } | StateBody::Unsubscribed { .. }
        );
        (is_delivery || is_subscription && core.connected) && owner_of(core.epoch) != proposer
    }

    fn take(&mut self, body: StateBody, at: Offset) {
        match body {
            StateBody::SessionOpened { .. } => self.open(body, at),
            StateBody::SessionClosed { .. } => self.close(body),
            StateBody::SessionExpired { epoch } => self.expire(epoch),
            StateBody::WillFired { epoch } => {
                if let Some(core) = self.owned(epoch) {
                    core.will = None;
                    core.will_fires_at_ms = None;
                }
            }
            body if self.core.is_some() => self.take_delivery(body),
            // Nothing is known of the session: it never was meant to last, or
            // its copy follows.
            _ => {}
        }
    }

    fn open(&mut self, body: StateBody, at: Offset) {
        let StateBody::SessionOpened {
            epoch,
            clean_start,
            version,
            expiry_s,
            will,
            at_ms,
        } = body
        else {
            return;
        };
        if self.core.as_ref().is_some_and(|core| core.epoch >= epoch) {
            return;
        }
        if clean_start || self.core.is_none() {
            self.remove();
        }
        let known = self.core.as_ref();
        self.core = Some(Core {
            source: known.map_or(at, |core| core.source),
            announced: known.and_then(|core| core.announced),
            epoch,
            connected: true,
            version,
            expiry_s,
            opened_at_ms: at_ms,
            closed_at_ms: 0,
            will,
            will_fires_at_ms: None,
        });
    }

    fn close(&mut self, body: StateBody) {
        let StateBody::SessionClosed {
            epoch,
            at_ms,
            expiry_s,
            will,
        } = body
        else {
            return;
        };
        let Some(core) = self.owned(epoch) else {
            return;
        };
        core.connected = false;
        core.closed_at_ms = at_ms;
        core.expiry_s = expiry_s;
        core.will_fires_at_ms = will;
        if will.is_none() {
            core.will = None;
        }
        // A will that is still due keeps the session until it is published;
        // the expiry timer is due at once and sees to that.
        if expiry_s == 0 && will.is_none() {
            self.remove();
        }
    }

    fn expire(&mut self, epoch: u64) {
        if self.owned(epoch).is_some() {
            self.remove();
        }
    }

    fn remove(&mut self) {
        self.core = None;
        self.delivery = Delivery::default();
        self.delivery_changed = true;
        self.wiped = true;
        self.subscriptions.clear();
    }

    fn take_delivery(&mut self, body: StateBody) {
        match body {
            StateBody::Subscribed { subscriptions } => {
                for subscription in subscriptions {
                    let filter = subscription.filter.clone();
                    self.subscriptions.insert(filter, Some(subscription));
                }
            }
            StateBody::Unsubscribed { filters } => {
                let removed = filters.into_iter().map(|filter| (filter, None));
                self.subscriptions.extend(removed);
            }
            StateBody::CursorStored {
                epoch,
                cursors,
                inflight,
            } => {
                if self.owned(epoch).is_none() {
                    return;
                }
                self.delivery.cursors = cursors.into_iter().collect();
                store_window(&mut self.delivery.inflight, &inflight);
            }
            StateBody::OutboundAssigned { entries } => {
                assign(&mut self.delivery, &entries);
                raise_assigned_end(&mut self.delivery, &entries);
            }
            StateBody::ReplayAssigned { entries } => assign(&mut self.delivery, &entries),
            StateBody::SessionRewound { cursors } => {
                self.delivery.cursors = cursors.into_iter().collect();
                self.delivery.assigned_end.clear();
                self.delivery
                    .inflight
                    .retain(|entry| entry.state == InflightStage::Received);
            }
            StateBody::OutboundReceived { packet_ids } => {
                for entry in qos2_entries(&mut self.delivery.inflight) {
                    if packet_ids.contains(&entry.packet_id) {
                        entry.state = InflightStage::Received;
                    }
                }
            }
            StateBody::OutboundCompleted { packet_ids } => {
                let completed =
                    |entry: &InflightState| entry.qos == 2 && packet_ids.contains(&entry.packet_id);
                self.delivery.inflight.retain(|entry| !completed(entry));
            }
            _ => return,
        }
        self.delivery_changed = true;
    }

    /// A copy is about to be made.
    fn announce(&mut self, at: Offset) {
        if let Some(core) = &mut self.core {
            core.announced = Some(at);
        }
    }

    /// The copy has come, made when the shard was folded up to `as_of`. With
    /// what was said since its announcement it gives what is here already: so
    /// the session does not need the log before the announcement any more.
    fn move_source(&mut self, as_of: Offset) {
        if let Some(core) = &mut self.core
            && let Some(announced) = core.announced
            && announced < as_of
        {
            core.source = core.source.max(announced);
            core.announced = None;
        }
    }

    /// Takes a copy in place of what is known.
    fn replace(&mut self, session: SessionState, announced: Offset) {
        let (core, delivery, subscriptions) = session.into_parts();
        self.remove();
        self.core = Some(Core {
            source: announced,
            ..core
        });
        self.delivery = delivery;
        self.subscriptions = subscriptions
            .into_iter()
            .map(|(filter, subscription)| (filter, Some(subscription)))
            .collect();
    }

    /// Turns the work into changes of the store.
    pub(super) fn store(
        self,
        namespace: &str,
        client_id: &str,
        overlay: &mut Overlay<'_>,
    ) -> Result<(), ViewError> {
        let core_key = keys::core(namespace, client_id);
        if self.stored != self.core {
            if let Some(before) = &self.stored {
                overlay.delete(keys::source(self.shard, before.source, &core_key));
                for (at_ms, kind) in timers(before) {
                    overlay.delete(keys::timer(namespace, at_ms, kind.byte(), client_id));
                }
            }
            match &self.core {
                Some(core) => {
                    let source = keys::source(self.shard, core.source, &core_key);
                    overlay.put(source, Vec::new());
                    for (at_ms, kind) in timers(core) {
                        let key = keys::timer(namespace, at_ms, kind.byte(), client_id);
                        overlay.put(key, timer::encode_epoch(core.epoch));
                    }
                    overlay.put(core_key, core.encode());
                }
                None => overlay.delete(core_key),
            }
        }
        let delivery_key = keys::delivery(namespace, client_id);
        match (&self.core, &self.stored) {
            (Some(_), _) if self.delivery_changed => {
                overlay.put(delivery_key, self.delivery.encode());
            }
            (None, Some(_)) => overlay.delete(delivery_key),
            _ => {}
        }
        self.store_subscriptions(namespace, client_id, overlay)
    }

    fn store_subscriptions(
        self,
        namespace: &str,
        client_id: &str,
        overlay: &mut Overlay<'_>,
    ) -> Result<(), ViewError> {
        if self.wiped && self.stored.is_some() {
            let prefix = keys::of_client(keys::SUBSCRIPTION, namespace, client_id);
            let mut void = Vec::new();
            overlay
                .store
                .scan(KeyRange::prefix(prefix), &mut |key, _| {
                    void.push(key.to_vec());
                    ControlFlow::Continue(())
                })?;
            void.into_iter().for_each(|key| overlay.delete(key));
        }
        for (filter, subscription) in self.subscriptions {
            let key = keys::subscription(namespace, client_id, &filter);
            match subscription {
                Some(subscription) => {
                    let mut value = Writer::new();
                    subscription.write(&mut value);
                    overlay.put(key, value.finish());
                }
                None => overlay.delete(key),
            }
        }
        Ok(())
    }
}

/// What is due for a session, and when.
fn timers(core: &Core) -> impl Iterator<Item = (u64, TimerKind)> {
    let will = core.will_fires_at_ms.filter(|_| core.will.is_some());
    let will = will.map(|at_ms| (at_ms, TimerKind::Will));
    let expiry = core.expires_at_ms().map(|at_ms| (at_ms, TimerKind::Expiry));
    will.into_iter().chain(expiry)
}

fn qos2_entries(inflight: &mut [InflightState]) -> impl Iterator<Item = &mut InflightState> {
    inflight.iter_mut().filter(|entry| entry.qos == 2)
}

/// Gives QoS 2 messages their packet identifiers.
fn assign(delivery: &mut Delivery, entries: &[AssignedEntry]) {
    for &(packet_id, shard, offset) in entries {
        // An identifier that is used again was free: what is known under it
        // was completed, and the record of that comes later.
        delivery
            .inflight
            .retain(|entry| entry.packet_id != packet_id);
        delivery.inflight.push(InflightState {
            packet_id,
            shard,
            offset,
            qos: 2,
            state: InflightStage::Assigned,
        });
    }
}

/// Notes up to where the session's own cursor has given out identifiers.
fn raise_assigned_end(delivery: &mut Delivery, entries: &[AssignedEntry]) {
    for &(_, shard, offset) in entries {
        let end = delivery.assigned_end.entry(shard).or_default();
        *end = (*end).max(offset.next());
    }
}

/// Replaces the QoS 1 part of the window and takes over the order of all.
fn store_window(known: &mut Vec<InflightState>, told: &[InflightState]) {
    let mut qos2: Vec<InflightState> = known
        .iter()
        .copied()
        .filter(|entry| entry.qos == 2)
        .collect();
    let mut window = Vec::with_capacity(told.len());
    for entry in told {
        if entry.qos == 2 {
            let same = |other: &InflightState| {
                (other.packet_id, other.shard, other.offset)
                    == (entry.packet_id, entry.shard, entry.offset)
            };
            let place = qos2.iter().position(same);
            window.extend(place.map(|place| qos2.remove(place)));
        } else {
            qos2.retain(|other| other.packet_id != entry.packet_id);
            window.push(*entry);
        }
    }
    window.extend(qos2);
    *known = window;
}
