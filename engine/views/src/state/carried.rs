//! Copies of live state, appended again because the records it came from are
//! about to be removed.
//!
//! A copy tells up to where the shard had been folded when it was made
//! (`as_of`): what is said about the entry from there on comes on top of it. See
//! `carry` for the whole rule.

use bytes::Bytes;
use robustmq_record::Offset;

use crate::session::SessionState;
use crate::wire::{Reader, WireError, Writer};

/// A retained message; its topic and properties are those of the record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetainedCarried {
    /// The end of what had been folded when the copy was made.
    pub as_of: Offset,
    /// Where the message was published.
    pub offset: Offset,
    /// When it was published, milliseconds since the Unix epoch.
    pub timestamp_ms: u64,
    /// The publisher's Client Identifier.
    pub publisher: String,
    /// 0, 1 or 2.
    pub qos: u8,
    /// The Message Expiry Interval in seconds, counted from `timestamp_ms`.
    pub message_expiry_s: Option<u32>,
    /// The Application Message.
    pub payload: Bytes,
}

impl RetainedCarried {
    pub(crate) fn write(&self, out: &mut Writer) {
        out.number(self.as_of.0);
        out.number(self.offset.0);
        out.number(self.timestamp_ms);
        out.text(&self.publisher);
        out.u8(self.qos);
        out.option(self.message_expiry_s);
        out.rest(&self.payload);
    }

    pub(crate) fn read(input: &mut Reader<'_>) -> Result<Self, WireError> {
        Ok(Self {
            as_of: Offset(input.number()?),
            offset: Offset(input.number()?),
            timestamp_ms: input.number()?,
            publisher: input.string()?,
            qos: input.qos()?,
            message_expiry_s: input.option32()?,
            payload: Bytes::copy_from_slice(input.rest()),
        })
    }
}

/// A whole session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionCarried {
    /// The end of what had been folded when the copy was made.
    pub as_of: Offset,
    /// The session; its client id is the record's.
    pub session: SessionState,
}

/// A packet identifier of a QoS 2 publish that is not released.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InboundCarried {
    /// The end of what had been folded when the copy was made.
    pub as_of: Offset,
    /// The Packet Identifier.
    pub packet_id: u16,
    /// Where the message was published.
    pub offset: Offset,
}

impl InboundCarried {
    pub(crate) fn write(&self, out: &mut Writer) {
        out.number(self.as_of.0);
        out.number(self.packet_id);
        out.number(self.offset.0);
    }

    pub(crate) fn read(input: &mut Reader<'_>) -> Result<Self, WireError> {
        Ok(Self {
            as_of: Offset(input.number()?),
            packet_id: input.narrow()?,
            offset: Offset(input.number()?),
        })
    }
}
