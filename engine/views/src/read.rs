//! Reads of the views, alike from the store and from a snapshot.

use std::ops::ControlFlow;

use robustmq_protocol::PacketId;
use robustmq_protocol::topic::Filter;
use robustmq_record::{Offset, ShardId};

use crate::delayed::{DelayedEntry, DelayedMessage, DelayedPage};
use crate::error::ViewError;
use crate::fold::inbound::InboundEntry;
use crate::keys;
use crate::retained::{RetainedEntry, RetainedMessage};
use crate::rule::{Rule, RuleEntry};
use crate::session::{Core, Delivery, SessionState};
use crate::state::SubscriptionState;
use crate::store::{KeyRange, KvRead};
use crate::timer::{self, Timer, TimerKind};
use crate::wire::Reader;

/// As [`crate::Visit`], but it can fail.
type TryVisit<'a> = dyn FnMut(&[u8], &[u8]) -> Result<ControlFlow<()>, ViewError> + 'a;

/// Scans with a visitor that can fail.
pub(crate) fn scan(
    store: &dyn KvRead,
    range: KeyRange,
    visit: &mut TryVisit<'_>,
) -> Result<(), ViewError> {
    let mut failed = None;
    store.scan(range, &mut |key, value| match visit(key, value) {
        Ok(flow) => flow,
        Err(error) => {
            failed = Some(error);
            ControlFlow::Break(())
        }
    })?;
    failed.map_or(Ok(()), Err)
}

pub(crate) fn session(
    store: &dyn KvRead,
    namespace: &str,
    client_id: &str,
) -> Result<Option<SessionState>, ViewError> {
    match store.get(&keys::core(namespace, client_id))? {
        Some(core) => whole_session(store, namespace, client_id, &core).map(Some),
        None => Ok(None),
    }
}

fn whole_session(
    store: &dyn KvRead,
    namespace: &str,
    client_id: &str,
    core: &[u8],
) -> Result<SessionState, ViewError> {
    let core = Core::decode(core).map_err(ViewError::damaged("session"))?;
    let delivery = match store.get(&keys::delivery(namespace, client_id))? {
        Some(bytes) => Delivery::decode(&bytes).map_err(ViewError::damaged("delivery"))?,
        None => Delivery::default(),
    };
    let prefix = keys::of_client(keys::SUBSCRIPTION, namespace, client_id);
    let mut subscriptions = std::collections::BTreeMap::new();
    scan(store, KeyRange::prefix(prefix), &mut |_, value| {
        let mut input = Reader::new(value);
        let subscription = SubscriptionState::read(&mut input)
            .and_then(|subscription| input.end().map(|()| subscription))
            .map_err(ViewError::damaged("subscription"))?;
        subscriptions.insert(subscription.filter.clone(), subscription);
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(SessionState::from_parts(
        client_id,
        core,
        delivery,
        subscriptions,
    ))
}

pub(crate) fn for_each_session(
    store: &dyn KvRead,
    namespace: &str,
    visit: &mut dyn FnMut(SessionState) -> bool,
) -> Result<(), ViewError> {
    scan(
        store,
        keys::view(keys::CORE, namespace),
        &mut |key, value| {
            let client_id = name_of(key).ok_or_else(|| ViewError::bad_key("session"))?;
            let session = whole_session(store, namespace, client_id, value)?;
            Ok(if visit(session) {
                ControlFlow::Continue(())
            } else {
                ControlFlow::Break(())
            })
        },
    )
}

/// The name at the end of a key of one entry per name.
pub(crate) fn name_of(key: &[u8]) -> Option<&str> {
    let (_, _, name) = keys::split(key)?;
    keys::text(name)
}

/// Namespace, client, shard and packet identifier of an inbound key.
pub(crate) fn inbound_key(key: &[u8]) -> Option<(&str, &str, ShardId, u16)> {
    let (_, namespace, rest) = keys::split(key)?;
    let (client_id, rest) = keys::take_sized(rest)?;
    let (shard, packet_id) = keys::take_inbound(rest)?;
    Some((namespace, client_id, shard, packet_id))
}

pub(crate) fn inbound_qos2(
    store: &dyn KvRead,
    namespace: &str,
    client_id: &str,
) -> Result<Vec<(PacketId, ShardId, Offset)>, ViewError> {
    let prefix = keys::of_client(keys::INBOUND, namespace, client_id);
    let mut found = Vec::new();
    scan(store, KeyRange::prefix(prefix), &mut |key, value| {
        let (.., shard, packet_id) =
            inbound_key(key).ok_or_else(|| ViewError::bad_key("inbound"))?;
        let entry = InboundEntry::decode(value).map_err(ViewError::damaged("inbound"))?;
        // An identifier of 0 cannot come from a packet.
        let packet_id = PacketId::new(packet_id);
        found.extend(packet_id.map(|packet_id| (packet_id, shard, entry.offset)));
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(found)
}

/// The part of a filter that every matching topic begins with.
fn literal_prefix(filter: &str) -> &str {
    let end = filter.find(['+', '#']).unwrap_or(filter.len());
    let prefix = &filter[..end];
    // `sport/#` matches `sport` too.
    if filter[end..].starts_with('#') {
        prefix.strip_suffix('/').unwrap_or(prefix)
    } else {
        prefix
    }
}

pub(crate) fn retained(
    store: &dyn KvRead,
    namespace: &str,
    page: &RetainedPage<'_>,
) -> Result<Vec<RetainedMessage>, ViewError> {
    let filter = Filter::parse(page.filter)?;
    let mut found = Vec::new();
    let prefix = keys::retained(namespace, literal_prefix(filter.path()));
    let mut range = if filter.has_wildcard() {
        KeyRange::prefix(prefix)
    } else {
        KeyRange::prefix(prefix.clone()).up_to([&prefix[..], &[0]].concat())
    };
    if let Some(after) = page.after {
        range = range.after(&keys::retained(namespace, after));
    }
    if range.is_empty() || page.limit == 0 {
        return Ok(found);
    }
    scan(store, range, &mut |key, value| {
        let topic = name_of(key).ok_or_else(|| ViewError::bad_key("retained"))?;
        if filter.matches(topic) {
            let entry =
                RetainedEntry::decode(topic, value).map_err(ViewError::damaged("retained"))?;
            if !entry.message.is_expired(page.now_ms) {
                found.push(entry.message);
            }
        }
        Ok(if found.len() < page.limit {
            ControlFlow::Continue(())
        } else {
            ControlFlow::Break(())
        })
    })?;
    Ok(found)
}

pub(crate) fn delayed_message(
    store: &dyn KvRead,
    namespace: &str,
    place: (ShardId, Offset),
) -> Result<Option<DelayedMessage>, ViewError> {
    let stored = store.get(&keys::delayed(namespace, place))?;
    let decode = |bytes: bytes::Bytes| DelayedEntry::decode(place, &bytes);
    let entry = stored.map(decode).transpose();
    let entry = entry.map_err(ViewError::damaged("delayed message"))?;
    Ok(entry.map(|entry| entry.message))
}

pub(crate) fn delayed_messages(
    store: &dyn KvRead,
    namespace: &str,
    page: &DelayedPage<'_>,
) -> Result<Vec<DelayedMessage>, ViewError> {
    let mut range = match page.due_ms.checked_add(1) {
        Some(end_ms) => keys::before(keys::DUE, namespace, end_ms),
        None => keys::view(keys::DUE, namespace),
    };
    if let Some(after) = page.after {
        range = range.after(&keys::due(namespace, after));
    }
    let mut found = Vec::new();
    if page.count_max == 0 || range.is_empty() {
        return Ok(found);
    }
    let (mut skipped, mut bytes) = (0usize, 0usize);
    scan(store, range, &mut |key, _| {
        if skipped < page.skip {
            skipped += 1;
            return Ok(ControlFlow::Continue(()));
        }
        let place = keys::split(key)
            .and_then(|(_, _, rest)| keys::take_place(rest.get(16..)?))
            .ok_or_else(|| ViewError::bad_key("due"))?;
        // It may have gone since the scan began.
        if let Some(message) = delayed_message(store, namespace, place)? {
            bytes += message.payload.len();
            found.push(message);
        }
        Ok(if found.len() < page.count_max && bytes < page.bytes_max {
            ControlFlow::Continue(())
        } else {
            ControlFlow::Break(())
        })
    })?;
    Ok(found)
}

pub(crate) fn delayed_count(store: &dyn KvRead, namespace: &str) -> Result<u64, ViewError> {
    let mut count = 0u64;
    let range = keys::view(keys::DUE, namespace);
    scan(store, range, &mut |_, _| {
        count += 1;
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(count)
}

pub(crate) fn rules(store: &dyn KvRead, namespace: &str) -> Result<Vec<Rule>, ViewError> {
    let mut found = Vec::new();
    let range = keys::view(keys::RULE, namespace);
    scan(store, range, &mut |key, value| {
        let (family, name) = name_of(key)
            .and_then(keys::take_rule)
            .ok_or_else(|| ViewError::bad_key("rule"))?;
        let entry = RuleEntry::decode(family, name, value).map_err(ViewError::damaged("rule"))?;
        found.push(entry.rule);
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(found)
}

/// Which retained messages are asked for.
pub(crate) struct RetainedPage<'a> {
    pub(crate) filter: &'a str,
    pub(crate) now_ms: u64,
    pub(crate) limit: usize,
    pub(crate) after: Option<&'a str>,
}

pub(crate) fn timers(
    store: &dyn KvRead,
    namespace: &str,
    due_ms: u64,
    limit: usize,
) -> Result<Vec<Timer>, ViewError> {
    let range = match due_ms.checked_add(1) {
        Some(end_ms) => keys::before(keys::TIMER, namespace, end_ms),
        None => keys::view(keys::TIMER, namespace),
    };
    let mut found = Vec::new();
    if limit == 0 {
        return Ok(found);
    }
    scan(store, range, &mut |key, value| {
        let (at_ms, kind, client_id) = timer_key(key).ok_or_else(|| ViewError::bad_key("timer"))?;
        let epoch = timer::decode_epoch(value).map_err(ViewError::damaged("timer"))?;
        found.push(Timer {
            at_ms,
            client_id: client_id.to_owned(),
            epoch,
            kind,
        });
        Ok(if found.len() < limit {
            ControlFlow::Continue(())
        } else {
            ControlFlow::Break(())
        })
    })?;
    Ok(found)
}

fn timer_key(key: &[u8]) -> Option<(u64, TimerKind, &str)> {
    let (_, _, rest) = keys::split(key)?;
    let (at_ms, rest) = keys::take_u64(rest)?;
    let (kind, client_id) = rest.split_first()?;
    Some((at_ms, TimerKind::from_byte(*kind)?, keys::text(client_id)?))
}
