//! Messages that are to be published later.
//!
//! A delayed message is a state record, not a message: nobody sees it under its
//! topic before its time. When that has come, the message and the record that
//! ends its waiting are appended in one batch.

use bytes::Bytes;
use robustmq_record::Offset;

use crate::wire::{Reader, WireError, Writer};

/// A message that waits. Publisher, QoS, RETAIN, expiry, packet identifier,
/// properties and the time of its publishing are those of the record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DelayedStored {
    /// When it is due, milliseconds since the Unix epoch.
    pub due_ms: u64,
    /// The topic it is for.
    pub topic: String,
    /// The Application Message.
    pub payload: Bytes,
}

impl DelayedStored {
    pub(super) fn write(&self, out: &mut Writer) {
        out.number(self.due_ms);
        out.text(&self.topic);
        out.rest(&self.payload);
    }

    pub(super) fn read(input: &mut Reader<'_>) -> Result<Self, WireError> {
        Ok(Self {
            due_ms: input.number()?,
            topic: input.string()?,
            payload: Bytes::copy_from_slice(input.rest()),
        })
    }
}

/// A copy of a message that waits; its properties are those of the record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DelayedCarried {
    /// The end of what had been folded when the copy was made.
    pub as_of: Offset,
    /// Where the message was stored first: what it is known by.
    pub offset: Offset,
    /// When it was published, milliseconds since the Unix epoch.
    pub published_ms: u64,
    /// The publisher's Client Identifier.
    pub publisher: String,
    /// 0, 1 or 2.
    pub qos: u8,
    /// The RETAIN flag.
    pub retain: bool,
    /// The Message Expiry Interval in seconds, counted from the firing.
    pub message_expiry_s: Option<u32>,
    /// When it is due, for which topic, and what it says.
    pub stored: DelayedStored,
}

impl DelayedCarried {
    pub(super) fn write(&self, out: &mut Writer) {
        out.number(self.as_of.0);
        out.number(self.offset.0);
        out.number(self.published_ms);
        out.text(&self.publisher);
        out.u8(self.qos);
        out.bool(self.retain);
        out.option(self.message_expiry_s);
        self.stored.write(out);
    }

    pub(super) fn read(input: &mut Reader<'_>) -> Result<Self, WireError> {
        Ok(Self {
            as_of: Offset(input.number()?),
            offset: Offset(input.number()?),
            published_ms: input.number()?,
            publisher: input.string()?,
            qos: input.qos()?,
            retain: input.bool()?,
            message_expiry_s: input.option32()?,
            stored: DelayedStored::read(input)?,
        })
    }
}
