//! A retained message as it stands in the views.

use bytes::Bytes;
use robustmq_record::{Offset, ShardId};

use crate::wire::{Reader, WireError, Writer};

/// The last message of a topic that was published with RETAIN.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetainedMessage {
    /// The Topic Name.
    pub topic: String,
    /// The publisher's Client Identifier.
    pub publisher: String,
    /// 0, 1 or 2.
    pub qos: u8,
    /// When it was published, milliseconds since the Unix epoch.
    pub timestamp_ms: u64,
    /// The Message Expiry Interval in seconds, counted from `timestamp_ms`.
    pub message_expiry_s: Option<u32>,
    /// MQTT 5 properties to be passed on, in wire form without their length.
    pub properties: Bytes,
    /// The Application Message; never empty.
    pub payload: Bytes,
    /// The shard it was published to.
    pub shard: ShardId,
    /// Where in the shard it was published.
    pub offset: Offset,
}

impl RetainedMessage {
    /// When it is not to be sent any more, milliseconds since the Unix epoch.
    #[must_use]
    pub fn expires_at_ms(&self) -> Option<u64> {
        let lifetime_ms = u64::from(self.message_expiry_s?) * 1000;
        Some(self.timestamp_ms.saturating_add(lifetime_ms))
    }

    /// Whether its time is over [MQTT-3.3.2-5].
    #[must_use]
    pub fn is_expired(&self, now_ms: u64) -> bool {
        self.expires_at_ms().is_some_and(|at_ms| at_ms <= now_ms)
    }
}

/// A retained message with what folding needs to know of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RetainedEntry {
    /// The shard's offset from which on the log is needed to fold the entry.
    pub(crate) source: Offset,
    pub(crate) message: RetainedMessage,
}

impl RetainedEntry {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let message = &self.message;
        let mut out = Writer::new();
        out.number(self.source.0);
        out.number(message.shard.0);
        out.number(message.offset.0);
        out.number(message.timestamp_ms);
        out.text(&message.publisher);
        out.u8(message.qos);
        out.option(message.message_expiry_s);
        out.blob(&message.properties);
        out.rest(&message.payload);
        out.finish()
    }

    pub(crate) fn decode(topic: &str, bytes: &[u8]) -> Result<Self, WireError> {
        let mut input = Reader::new(bytes);
        let source = Offset(input.number()?);
        let message = RetainedMessage {
            topic: topic.to_owned(),
            shard: ShardId(input.narrow()?),
            offset: Offset(input.number()?),
            timestamp_ms: input.number()?,
            publisher: input.string()?,
            qos: input.qos()?,
            message_expiry_s: input.option32()?,
            properties: input.bytes()?,
            payload: Bytes::copy_from_slice(input.rest()),
        };
        Ok(Self { source, message })
    }
}
