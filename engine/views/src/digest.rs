//! A fingerprint of everything views hold, for comparing two of them.
//!
//! What is left out: positions, and by which offset an entry is held in the
//! log, since both differ between equal views with different pasts.

use std::ops::ControlFlow;

use crate::delayed::DelayedEntry;
use crate::error::ViewError;
use crate::fold::inbound::InboundEntry;
use crate::keys;
use crate::read;
use crate::retained::RetainedEntry;
use crate::rule::RuleEntry;
use crate::store::{KeyRange, KvRead};
use crate::wire::Writer;
use robustmq_record::Offset;

/// The sum of the fingerprints of all entries: their order does not matter.
pub(crate) fn digest(store: &dyn KvRead) -> Result<u64, ViewError> {
    let mut sum = 0u64;
    let mut add = |view: u8, key: &[u8], content: &[u8]| {
        sum = sum.wrapping_add(fingerprint(&[&[view], key, content]));
    };
    read::scan(store, KeyRange::prefix([keys::CORE]), &mut |key, _| {
        let (_, namespace, _) = keys::split(key).ok_or_else(|| ViewError::bad_key("session"))?;
        let client_id = read::name_of(key).ok_or_else(|| ViewError::bad_key("session"))?;
        if let Some(session) = read::session(store, namespace, client_id)? {
            let mut content = Writer::new();
            session.write(&mut content);
            add(keys::CORE, key, &content.finish());
        }
        Ok(ControlFlow::Continue(()))
    })?;
    read::scan(
        store,
        KeyRange::prefix([keys::RETAINED]),
        &mut |key, value| {
            let topic = read::name_of(key).ok_or_else(|| ViewError::bad_key("retained"))?;
            let entry =
                RetainedEntry::decode(topic, value).map_err(ViewError::damaged("retained"))?;
            let content = RetainedEntry {
                source: Offset::ZERO,
                ..entry
            };
            add(keys::RETAINED, key, &content.encode());
            Ok(ControlFlow::Continue(()))
        },
    )?;
    read::scan(
        store,
        KeyRange::prefix([keys::INBOUND]),
        &mut |key, value| {
            let entry = InboundEntry::decode(value).map_err(ViewError::damaged("inbound"))?;
            let content = InboundEntry {
                source: Offset::ZERO,
                ..entry
            };
            add(keys::INBOUND, key, &content.encode());
            Ok(ControlFlow::Continue(()))
        },
    )?;
    read::scan(store, KeyRange::prefix([keys::RULE]), &mut |key, value| {
        let name = read::name_of(key).and_then(keys::take_rule);
        let (family, name) = name.ok_or_else(|| ViewError::bad_key("rule"))?;
        let entry = RuleEntry::decode(family, name, value).map_err(ViewError::damaged("rule"))?;
        let content = RuleEntry {
            source: Offset::ZERO,
            ..entry
        };
        add(keys::RULE, key, &content.encode());
        Ok(ControlFlow::Continue(()))
    })?;
    delayed(store, &mut add)?;
    // Derived from the rest: a difference here alone is a fault of the fold.
    for view in [
        keys::TIMER,
        keys::EXPIRING,
        keys::DELIVERY,
        keys::SUBSCRIPTION,
        keys::DUE,
    ] {
        read::scan(store, KeyRange::prefix([view]), &mut |key, _| {
            add(view, key, &[]);
            Ok(ControlFlow::Continue(()))
        })?;
    }
    Ok(sum)
}

fn delayed(store: &dyn KvRead, add: &mut impl FnMut(u8, &[u8], &[u8])) -> Result<(), ViewError> {
    read::scan(
        store,
        KeyRange::prefix([keys::DELAYED]),
        &mut |key, value| {
            let place = keys::split(key).and_then(|(_, _, place)| keys::take_place(place));
            let place = place.ok_or_else(|| ViewError::bad_key("delayed message"))?;
            let entry = DelayedEntry::decode(place, value)
                .map_err(ViewError::damaged("delayed message"))?;
            let content = DelayedEntry {
                source: Offset::ZERO,
                ..entry
            };
            add(keys::DELAYED, key, &content.encode());
            Ok(ControlFlow::Continue(()))
        },
    )
}

/// FNV-1a over the parts with their lengths, then mixed so that sums of many
/// do not cancel out.
fn fingerprint(parts: &[&[u8]]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325u64;
    let mut take = |bytes: &[u8]| {
        for byte in bytes {
            hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    };
    for part in parts {
        take(&(part.len() as u64).to_le_bytes());
        take(part);
    }
    hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ (hash >> 31)
}
