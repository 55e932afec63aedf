//! Retained messages: the last value of each topic.

use bytes::Bytes;
use robustmq_record::{Offset, RecordRef};

use super::{Fold, Overlay};
use crate::error::ViewError;
use crate::keys;
use crate::retained::{RetainedEntry, RetainedMessage};
use crate::state::RetainedCarried;

/// What the views hold for a topic.
pub(crate) fn known(
    overlay: &Overlay<'_>,
    namespace: &str,
    topic: &str,
) -> Result<Option<RetainedEntry>, ViewError> {
    let stored = overlay.get(&keys::retained(namespace, topic))?;
    stored
        .map(|bytes| RetainedEntry::decode(topic, &bytes))
        .transpose()
        .map_err(ViewError::damaged("retained"))
}

/// Removes what the views hold for a topic.
pub(crate) fn remove(overlay: &mut Overlay<'_>, namespace: &str, entry: &RetainedEntry) {
    let message = &entry.message;
    let key = keys::retained(namespace, &message.topic);
    overlay.delete(keys::source(message.shard, entry.source, &key));
    if let Some(at_ms) = message.expires_at_ms() {
        overlay.delete(keys::expiring(namespace, at_ms, &message.topic));
    }
    overlay.delete(key);
}

fn put(overlay: &mut Overlay<'_>, namespace: &str, entry: &RetainedEntry) {
    let message = &entry.message;
    let key = keys::retained(namespace, &message.topic);
    overlay.put(keys::source(message.shard, entry.source, &key), Vec::new());
    if let Some(at_ms) = message.expires_at_ms() {
        overlay.put(keys::expiring(namespace, at_ms, &message.topic), Vec::new());
    }
    overlay.put(key, entry.encode());
}

impl Fold<'_> {
    /// A message with RETAIN replaces what is known; an empty one clears it
    /// [MQTT-3.3.1-5] [MQTT-3.3.1-6].
    pub(super) fn retain(&mut self, record: &RecordRef<'_>) -> Result<(), ViewError> {
        let (namespace, topic) = (record.namespace(), record.topic());
        if let Some(before) = known(&self.overlay, namespace, topic)? {
            remove(&mut self.overlay, namespace, &before);
        }
        if record.payload().is_empty() {
            self.note_touched(&keys::retained(namespace, topic), record.offset());
            return Ok(());
        }
        let message = RetainedMessage {
            topic: topic.to_owned(),
            publisher: record.client_id().to_owned(),
            qos: record.qos(),
            timestamp_ms: record.timestamp_ms(),
            message_expiry_s: record.message_expiry_s(),
            properties: Bytes::copy_from_slice(record.properties()),
            payload: record.payload_bytes(),
            shard: self.shard,
            offset: record.offset(),
        };
        let entry = RetainedEntry {
            source: record.offset(),
            message,
        };
        put(&mut self.overlay, namespace, &entry);
        Ok(())
    }

    pub(super) fn retained_carried(
        &mut self,
        record: &RecordRef<'_>,
        carried: RetainedCarried,
    ) -> Result<(), ViewError> {
        let (namespace, topic) = (record.namespace(), record.topic());
        let before = known(&self.overlay, namespace, topic)?;
        let changed = before.as_ref().map(|entry| entry.message.offset);
        let standing = self.standing(&keys::retained(namespace, topic), changed)?;
        if !standing.accepts(carried.as_of) {
            return Ok(());
        }
        let mut source: Offset = carried.as_of;
        if let Some(before) = before {
            source = source.max(before.source);
            remove(&mut self.overlay, namespace, &before);
        }
        let message = RetainedMessage {
            topic: topic.to_owned(),
            publisher: carried.publisher,
            qos: carried.qos,
            timestamp_ms: carried.timestamp_ms,
            message_expiry_s: carried.message_expiry_s,
            properties: Bytes::copy_from_slice(record.properties()),
            payload: carried.payload,
            shard: self.shard,
            offset: carried.offset,
        };
        put(
            &mut self.overlay,
            namespace,
            &RetainedEntry { source, message },
        );
        Ok(())
    }
}
