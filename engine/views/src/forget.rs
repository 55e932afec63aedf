//! Removing what views hold of a shard, before it is folded anew.

use std::ops::ControlFlow;

use robustmq_record::ShardId;

use crate::error::ViewError;
use crate::fold::{Overlay, delayed, messages, rules, sessions};
use crate::keys;
use crate::read;
use crate::store::{KeyRange, KvStore, WriteBatch};

/// Entries removed per write.
const ENTRIES_AT_A_TIME: usize = 1_024;

/// Removes everything folded from a shard's records but its position, which is
/// to be written after: if a crash comes between, this is done again.
pub(crate) fn forget_shard(store: &dyn KvStore, shard: ShardId) -> Result<(), ViewError> {
    let sources = KeyRange::prefix(keys::of_shard(keys::SOURCE, shard));
    loop {
        let mut entries: Vec<Vec<u8>> = Vec::new();
        store.scan(sources.clone(), &mut |key, _| {
            entries.extend(keys::entry_of_source(key).map(<[u8]>::to_vec));
            if entries.len() < ENTRIES_AT_A_TIME {
                ControlFlow::Continue(())
            } else {
                ControlFlow::Break(())
            }
        })?;
        if entries.is_empty() {
            break;
        }
        let mut overlay = Overlay::new(store);
        for key in &entries {
            let bad_key = || ViewError::bad_key("source");
            let (view, namespace, name) = keys::split(key).ok_or_else(bad_key)?;
            if view == keys::DELAYED {
                let place = keys::take_place(name).ok_or_else(bad_key)?;
                let entry = delayed::known(&overlay, namespace, place)?;
                delayed::remove(&mut overlay, namespace, &entry.ok_or_else(bad_key)?);
                continue;
            }
            let name = keys::text(name).ok_or_else(bad_key)?;
            if view == keys::RETAINED {
                let entry = messages::known(&overlay, namespace, name)?;
                let entry = entry.ok_or_else(|| ViewError::bad_key("source"))?;
                messages::remove(&mut overlay, namespace, &entry);
            } else if view == keys::RULE {
                let rule = keys::take_rule(name).ok_or_else(|| ViewError::bad_key("source"))?;
                let entry = rules::known(&overlay, namespace, rule)?;
                let entry = entry.ok_or_else(|| ViewError::bad_key("source"))?;
                rules::remove(&mut overlay, namespace, &entry);
            } else {
                sessions::remove(&mut overlay, shard, namespace, name)?;
            }
        }
        store.write(overlay.into_writes())?;
    }
    let mut writes = WriteBatch::new();
    read::scan(store, KeyRange::prefix([keys::INBOUND]), &mut |key, _| {
        let (_, _, of_shard, _) =
            read::inbound_key(key).ok_or_else(|| ViewError::bad_key("inbound"))?;
        if of_shard == shard {
            writes.delete(key);
        }
        Ok(ControlFlow::Continue(()))
    })?;
    for view in [keys::TOUCHED, keys::HELD] {
        writes.delete_range(KeyRange::prefix(keys::of_shard(view, shard)));
    }
    Ok(store.write(writes)?)
}
