//! Live state whose records are about to be removed, as records to append
//! again.
//!
//! Between the making of a copy and its place in the log, its entry may change
//! or go; and whoever folds the log later, without the records that were
//! removed (a rebuild), must come to the same end. So a copy tells up to where
//! the shard had been folded when it was made (`as_of`).
//!
//! Retained and delayed messages, rules and QoS 2 identifiers change as a whole. A copy counts only
//! if nothing has touched its entry from `as_of` on:
//!
//! - Where the whole past is known, an entry that is not there has been removed
//!   since: the copy is ignored.
//! - In a rebuild, an entry that is not there is unknown: what touches it is
//!   noted. Copies from before the rebuild's beginning are ignored, since what
//!   touched their entries is unknown.
//!
//! An accepted copy makes its entry depend on the log from `as_of` on; an entry
//! that has changed depends on the change. Both end the carrying.
//!
//! Sessions change in small steps, some with every message, so their copies
//! would always be overtaken. They are announced first: from the announcement
//! on, a rebuild holds what is said about the session and takes it on top of
//! the copy, from `as_of` on. Then the session depends on the log from the
//! announcement on, whatever has happened in between.
//!
//! **Invariants**
//! 1. Folding the records from any offset up to which nothing was left to carry
//!    gives the same views as folding all.

use std::ops::ControlFlow;

use bytes::Bytes;
use robustmq_record::{Offset, RecordInput, ShardId};

use crate::delayed::{DelayedEntry, DelayedMessage};
use crate::error::ViewError;
use crate::fold::inbound::InboundEntry;
use crate::keys;
use crate::read;
use crate::retained::RetainedEntry;
use crate::rule::RuleEntry;
use crate::session::Core;
use crate::state::{
    DelayedCarried, DelayedStored, InboundCarried, RetainedCarried, RuleCarried, SessionCarried,
    StateBody,
};
use crate::store::{KeyRange, KvRead};

/// Where an entry stands when a copy of it is met.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Standing {
    /// Whether the entry is there.
    pub(crate) is_there: bool,
    /// The last record known to have touched it.
    pub(crate) touched: Option<Offset>,
    /// Where folding began, if what was before is not known.
    pub(crate) rebuild: Option<Offset>,
}

impl Standing {
    /// Whether a copy made when the shard was folded up to `as_of` counts.
    pub(crate) fn accepts(&self, as_of: Offset) -> bool {
        let untouched = self.touched.is_none_or(|touched| touched < as_of);
        match self.rebuild {
            None => self.is_there && untouched,
            Some(start) => as_of >= start && untouched,
        }
    }
}

/// A record to append to the shard that was asked about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CarriedRecord {
    /// The record's kind.
    pub kind: u8,
    /// The tenant.
    pub namespace: String,
    /// The topic of a retained message; else empty.
    pub topic: String,
    /// The client a session or packet identifier belongs to; else empty.
    pub client_id: String,
    /// The properties of a retained or delayed message; else empty.
    pub properties: Bytes,
    /// The encoded body.
    pub payload: Vec<u8>,
}

impl CarriedRecord {
    /// The record as it is appended now. (When a retained message was published
    /// is in the body.)
    #[must_use]
    pub fn record(&self, timestamp_ms: u64) -> RecordInput<'_> {
        RecordInput {
            kind: self.kind,
            namespace: &self.namespace,
            topic: &self.topic,
            client_id: &self.client_id,
            timestamp_ms,
            properties: &self.properties,
            payload: &self.payload,
            ..RecordInput::default()
        }
    }
}

/// What is to be carried.
pub(crate) struct Request {
    pub(crate) shard: ShardId,
    pub(crate) up_to: Offset,
    pub(crate) as_of: Offset,
    pub(crate) limit: usize,
}

/// Lists entries that depend on offsets below `up_to`.
pub(crate) fn collect(
    store: &dyn KvRead,
    request: &Request,
) -> Result<Vec<CarriedRecord>, ViewError> {
    let mut found = Vec::new();
    let range = KeyRange::prefix(keys::of_shard(keys::SOURCE, request.shard))
        .up_to(keys::sources_from(request.shard, request.up_to));
    let mut entries: Vec<Vec<u8>> = Vec::new();
    store.scan(range, &mut |key, _| {
        if entries.len() >= request.limit {
            return ControlFlow::Break(());
        }
        entries.extend(keys::entry_of_source(key).map(<[u8]>::to_vec));
        ControlFlow::Continue(())
    })?;
    for key in entries {
        found.push(copy_of(store, &key, request)?);
    }
    if found.len() < request.limit {
        collect_inbound(store, request, &mut found)?;
    }
    Ok(found)
}

fn copy_of(store: &dyn KvRead, key: &[u8], request: &Request) -> Result<CarriedRecord, ViewError> {
    let as_of = request.as_of;
    let dangling = || ViewError::bad_key("source");
    let (view, namespace, name) = keys::split(key).ok_or_else(dangling)?;
    if view == keys::DELAYED {
        let bytes = store.get(key)?.ok_or_else(dangling)?;
        let place = keys::take_place(name).ok_or_else(dangling)?;
        let entry =
            DelayedEntry::decode(place, &bytes).map_err(ViewError::damaged("delayed message"))?;
        return Ok(delayed(namespace, entry.message, as_of));
    }
    let name = keys::text(name).ok_or_else(dangling)?;
    if view == keys::RETAINED {
        let bytes = store.get(key)?.ok_or_else(dangling)?;
        let entry = RetainedEntry::decode(name, &bytes).map_err(ViewError::damaged("retained"))?;
        return Ok(retained(namespace, entry, as_of));
    }
    if view == keys::RULE {
        let bytes = store.get(key)?.ok_or_else(dangling)?;
        let (family, name) = keys::take_rule(name).ok_or_else(dangling)?;
        let entry = RuleEntry::decode(family, name, &bytes).map_err(ViewError::damaged("rule"))?;
        return Ok(carried(namespace, &rule(entry, as_of)));
    }
    let core = store.get(key)?.ok_or_else(dangling)?;
    let core = Core::decode(&core).map_err(ViewError::damaged("session"))?;
    let body = if core
        .announced
        .is_some_and(|announced| announced >= request.up_to)
    {
        let session = read::session(store, namespace, name)?.ok_or_else(dangling)?;
        StateBody::SessionCarried(Box::new(SessionCarried { as_of, session }))
    } else {
        StateBody::SessionAnnounced
    };
    Ok(CarriedRecord {
        client_id: name.to_owned(),
        ..carried(namespace, &body)
    })
}

fn carried(namespace: &str, body: &StateBody) -> CarriedRecord {
    CarriedRecord {
        kind: body.kind(),
        namespace: namespace.to_owned(),
        topic: String::new(),
        client_id: String::new(),
        properties: Bytes::new(),
        payload: body.encode(),
    }
}

fn retained(namespace: &str, entry: RetainedEntry, as_of: Offset) -> CarriedRecord {
    let message = entry.message;
    let body = StateBody::RetainedCarried(RetainedCarried {
        as_of,
        offset: message.offset,
        timestamp_ms: message.timestamp_ms,
        publisher: message.publisher,
        qos: message.qos,
        message_expiry_s: message.message_expiry_s,
        payload: message.payload,
    });
    CarriedRecord {
        topic: message.topic,
        properties: message.properties,
        ..carried(namespace, &body)
    }
}

fn delayed(namespace: &str, message: DelayedMessage, as_of: Offset) -> CarriedRecord {
    let body = StateBody::DelayedCarried(DelayedCarried {
        as_of,
        offset: message.offset,
        published_ms: message.published_ms,
        publisher: message.publisher,
        qos: message.qos,
        retain: message.retain,
        message_expiry_s: message.message_expiry_s,
        stored: DelayedStored {
            due_ms: message.due_ms,
            topic: message.topic,
            payload: message.payload,
        },
    });
    CarriedRecord {
        properties: message.properties,
        ..carried(namespace, &body)
    }
}

fn rule(entry: RuleEntry, as_of: Offset) -> StateBody {
    StateBody::RuleCarried(RuleCarried {
        as_of,
        offset: entry.offset,
        set_at_ms: entry.rule.set_at_ms,
        family: entry.rule.family,
        name: entry.rule.name,
        definition: entry.rule.definition,
    })
}

/// Open QoS 2 publishes are few (limited per client), so all are looked at.
fn collect_inbound(
    store: &dyn KvRead,
    request: &Request,
    found: &mut Vec<CarriedRecord>,
) -> Result<(), ViewError> {
    read::scan(
        store,
        KeyRange::prefix([keys::INBOUND]),
        &mut |key, value| {
            found.extend(inbound(key, value, request)?);
            Ok(if found.len() < request.limit {
                ControlFlow::Continue(())
            } else {
                ControlFlow::Break(())
            })
        },
    )
}

fn inbound(
    key: &[u8],
    value: &[u8],
    request: &Request,
) -> Result<Option<CarriedRecord>, ViewError> {
    let (namespace, client_id, shard, packet_id) =
        read::inbound_key(key).ok_or_else(|| ViewError::bad_key("inbound"))?;
    let entry = InboundEntry::decode(value).map_err(ViewError::damaged("inbound"))?;
    if shard != request.shard || entry.source >= request.up_to {
        return Ok(None);
    }
    let body = StateBody::InboundCarried(InboundCarried {
        as_of: request.as_of,
        packet_id,
        offset: entry.offset,
    });
    Ok(Some(CarriedRecord {
        client_id: client_id.to_owned(),
        ..carried(namespace, &body)
    }))
}
