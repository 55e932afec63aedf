//! A message that waits for its time, as it stands in the views.

use bytes::Bytes;
use robustmq_record::{Offset, ShardId};

use crate::wire::{Reader, WireError, Writer};

/// A message that is to be published later.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DelayedMessage {
    /// The shard it lies in: that of its topic.
    pub shard: ShardId,
    /// Where it was stored: with the shard, what it is known by.
    pub offset: Offset,
    /// When it is due, milliseconds since the Unix epoch.
    pub due_ms: u64,
    /// When it was published, milliseconds since the Unix epoch.
    pub published_ms: u64,
    /// The topic it is for.
    pub topic: String,
    /// The publisher's Client Identifier.
    pub publisher: String,
    /// 0, 1 or 2.
    pub qos: u8,
    /// The RETAIN flag.
    pub retain: bool,
    /// The Message Expiry Interval in seconds, counted from the firing.
    pub message_expiry_s: Option<u32>,
    /// MQTT 5 properties to be passed on, in wire form without their length.
    pub properties: Bytes,
    /// The Application Message.
    pub payload: Bytes,
}

/// Which delayed messages are asked for, in the order in which they are due;
/// those due at one time in the order of their publishing.
#[derive(Clone, Copy, Debug)]
pub struct DelayedPage<'a> {
    /// Only what is due before or at this time.
    pub due_ms: u64,
    /// Only what comes behind this one.
    pub after: Option<&'a DelayedMessage>,
    /// So many are passed over.
    pub skip: usize,
    /// At most so many.
    pub count_max: usize,
    /// Payloads of at most so many bytes together; one message in any case.
    pub bytes_max: usize,
}

/// A delayed message with what folding needs to know of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DelayedEntry {
    /// The shard's offset from which on the log is needed to fold the entry.
    pub(crate) source: Offset,
    pub(crate) message: DelayedMessage,
}

impl DelayedEntry {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let message = &self.message;
        let mut out = Writer::new();
        out.number(self.source.0);
        out.number(message.due_ms);
        out.number(message.published_ms);
        out.text(&message.topic);
        out.text(&message.publisher);
        out.u8(message.qos);
        out.bool(message.retain);
        out.option(message.message_expiry_s);
        out.blob(&message.properties);
        out.rest(&message.payload);
        out.finish()
    }

    pub(crate) fn decode(
        (shard, offset): (ShardId, Offset),
        bytes: &[u8],
    ) -> Result<Self, WireError> {
        let mut input = Reader::new(bytes);
        let source = Offset(input.number()?);
        let message = DelayedMessage {
            shard,
            offset,
            due_ms: input.number()?,
            published_ms: input.number()?,
            topic: input.string()?,
            publisher: input.string()?,
            qos: input.qos()?,
            retain: input.bool()?,
            message_expiry_s: input.option32()?,
            properties: input.bytes()?,
            payload: Bytes::copy_from_slice(input.rest()),
        };
        Ok(Self { source, message })
    }
}
