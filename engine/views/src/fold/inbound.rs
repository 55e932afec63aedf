//! QoS 2 publishes that are received and not released: what makes a repeated
//! PUBLISH a duplicate.
//!
//! The entry lies in the shard of the message, set by the very record that
//! holds it. A session's end lies in another shard and does not remove it: the
//! broker appends [`StateBody::InboundReleased`] for what
//! [`crate::Views::inbound_qos2`] tells when it opens a session afresh and
//! when it expires one.
//!
//! [`StateBody::InboundReleased`]: crate::StateBody::InboundReleased

use robustmq_record::{Offset, RecordRef};

use super::Fold;
use crate::error::ViewError;
use crate::keys;
use crate::state::InboundCarried;
use crate::wire::{Reader, WireError, Writer};

/// The value of an inbound entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct InboundEntry {
    /// The shard's offset from which on the log is needed to fold the entry.
    pub(crate) source: Offset,
    /// Where the message is.
    pub(crate) offset: Offset,
}

impl InboundEntry {
    pub(crate) fn encode(self) -> Vec<u8> {
        let mut out = Writer::new();
        out.number(self.source.0);
        out.number(self.offset.0);
        out.finish()
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, WireError> {
        let mut input = Reader::new(bytes);
        let entry = Self {
            source: Offset(input.number()?),
            offset: Offset(input.number()?),
        };
        input.end()?;
        Ok(entry)
    }
}

impl Fold<'_> {
    /// A publish with DUP 0 under a known identifier is a new message
    /// [MQTT-4.3.3-7]; duplicates are not appended at all.
    pub(super) fn inbound_received(&mut self, record: &RecordRef<'_>, packet_id: u16) {
        let entry = InboundEntry {
            source: record.offset(),
            offset: record.offset(),
        };
        self.overlay
            .put(self.inbound_key(record, packet_id), entry.encode());
    }

    pub(super) fn inbound_released(&mut self, record: &RecordRef<'_>, packet_id: u16) {
        let key = self.inbound_key(record, packet_id);
        self.note_touched(&key, record.offset());
        self.overlay.delete(key);
    }

    pub(super) fn inbound_carried(
        &mut self,
        record: &RecordRef<'_>,
        carried: InboundCarried,
    ) -> Result<(), ViewError> {
        let key = self.inbound_key(record, carried.packet_id);
        let stored = self.overlay.get(&key)?;
        let known = stored
            .map(|bytes| InboundEntry::decode(&bytes))
            .transpose()
            .map_err(ViewError::damaged("inbound"))?;
        let standing = self.standing(&key, known.map(|entry| entry.offset))?;
        if standing.accepts(carried.as_of) {
            let entry = InboundEntry {
                source: known.map_or(carried.as_of, |entry| entry.source.max(carried.as_of)),
                offset: carried.offset,
            };
            self.overlay.put(key, entry.encode());
        }
        Ok(())
    }

    fn inbound_key(&self, record: &RecordRef<'_>, packet_id: u16) -> Vec<u8> {
        keys::inbound(
            record.namespace(),
            record.client_id(),
            self.shard,
            packet_id,
        )
    }
}
