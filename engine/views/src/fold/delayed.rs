//! Messages that wait for their time.
//!
//! An entry never changes: it is made by the record at its offset and goes with
//! the record that says that it was published or cancelled.

use bytes::Bytes;
use robustmq_record::{Offset, RecordRef, ShardId};

use super::{Fold, Overlay};
use crate::delayed::{DelayedEntry, DelayedMessage};
use crate::error::ViewError;
use crate::keys;
use crate::state::{DelayedCarried, DelayedStored};

/// What the views hold of a delayed message.
pub(crate) fn known(
    overlay: &Overlay<'_>,
    namespace: &str,
    place: (ShardId, Offset),
) -> Result<Option<DelayedEntry>, ViewError> {
    let stored = overlay.get(&keys::delayed(namespace, place))?;
    stored
        .map(|bytes| DelayedEntry::decode(place, &bytes))
        .transpose()
        .map_err(ViewError::damaged("delayed message"))
}

/// Removes a delayed message.
pub(crate) fn remove(overlay: &mut Overlay<'_>, namespace: &str, entry: &DelayedEntry) {
    let message = &entry.message;
    let key = keys::delayed(namespace, (message.shard, message.offset));
    overlay.delete(keys::source(message.shard, entry.source, &key));
    overlay.delete(keys::due(namespace, message));
    overlay.delete(key);
}

fn put(overlay: &mut Overlay<'_>, namespace: &str, entry: &DelayedEntry) {
    let message = &entry.message;
    let key = keys::delayed(namespace, (message.shard, message.offset));
    overlay.put(keys::source(message.shard, entry.source, &key), Vec::new());
    overlay.put(keys::due(namespace, message), Vec::new());
    overlay.put(key, entry.encode());
}

impl Fold<'_> {
    pub(super) fn delayed_stored(&mut self, record: &RecordRef<'_>, stored: DelayedStored) {
        if let (2, Some(packet_id)) = (record.qos(), record.packet_id()) {
            self.inbound_received(record, packet_id);
        }
        let message = DelayedMessage {
            shard: self.shard,
            offset: record.offset(),
            due_ms: stored.due_ms,
            published_ms: record.timestamp_ms(),
            topic: stored.topic,
            publisher: record.client_id().to_owned(),
            qos: record.qos(),
            retain: record.retain(),
            message_expiry_s: record.message_expiry_s(),
            properties: Bytes::copy_from_slice(record.properties()),
            payload: stored.payload,
        };
        let source = record.offset();
        let entry = DelayedEntry { source, message };
        put(&mut self.overlay, record.namespace(), &entry);
        self.delayed_change += 1;
    }

    /// It was published, or cancelled.
    pub(super) fn delayed_ended(
        &mut self,
        record: &RecordRef<'_>,
        offset: Offset,
    ) -> Result<(), ViewError> {
        let namespace = record.namespace();
        let place = (self.shard, offset);
        if let Some(entry) = known(&self.overlay, namespace, place)? {
            remove(&mut self.overlay, namespace, &entry);
            self.delayed_change -= 1;
        }
        self.note_touched(&keys::delayed(namespace, place), record.offset());
        Ok(())
    }

    pub(super) fn delayed_carried(
        &mut self,
        record: &RecordRef<'_>,
        carried: DelayedCarried,
    ) -> Result<(), ViewError> {
        let namespace = record.namespace();
        let place = (self.shard, carried.offset);
        let before = known(&self.overlay, namespace, place)?;
        let made = before.as_ref().map(|entry| entry.message.offset);
        let standing = self.standing(&keys::delayed(namespace, place), made)?;
        if !standing.accepts(carried.as_of) {
            return Ok(());
        }
        let mut source = carried.as_of;
        match before {
            Some(before) => {
                source = source.max(before.source);
                remove(&mut self.overlay, namespace, &before);
            }
            None => self.delayed_change += 1,
        }
        let message = DelayedMessage {
            shard: self.shard,
            offset: carried.offset,
            due_ms: carried.stored.due_ms,
            published_ms: carried.published_ms,
            topic: carried.stored.topic,
            publisher: carried.publisher,
            qos: carried.qos,
            retain: carried.retain,
            message_expiry_s: carried.message_expiry_s,
            properties: Bytes::copy_from_slice(record.properties()),
            payload: carried.stored.payload,
        };
        put(
            &mut self.overlay,
            namespace,
            &DelayedEntry { source, message },
        );
        Ok(())
    }
}
