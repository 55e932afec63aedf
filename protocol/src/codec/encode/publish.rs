//! PUBLISH on its way to subscribers: the hot path, in one pass and without a
//! packet value in between.

use super::super::error::EncodeError;
use super::super::header::{PACKET_SIZE_MAX, PacketKind};
use super::super::wire::{Sink, varint_len};
use crate::types::{PacketId, ProtocolVersion, QoS};

/// A PUBLISH to be written.
#[derive(Clone, Copy, Debug)]
pub struct PublishOut<'a> {
    /// The packet was sent before.
    pub dup: bool,
    /// Quality of service.
    pub qos: QoS,
    /// RETAIN.
    pub retain: bool,
    /// Topic Name; empty only if a topic alias stands for it.
    pub topic: &'a str,
    /// Topic Alias. Left out before MQTT 5.0.
    pub topic_alias: Option<u16>,
    /// Needed for QoS 1 and 2, left out for QoS 0 [MQTT-2.2.1-2].
    pub packet_id: Option<PacketId>,
    /// What is left of the Message Expiry Interval, seconds [MQTT-3.3.2-6].
    /// Left out before MQTT 5.0, as are all properties.
    pub message_expiry: Option<u32>,
    /// Subscription identifiers of the matching subscriptions.
    pub subscription_ids: &'a [u32],
    /// The publisher's properties as [`super::super::Forwarded`] gave them.
    pub forwarded: &'a [u8],
    /// User properties that the server adds after the publisher's.
    pub extra_user_properties: &'a [(&'a str, &'a str)],
    /// Application Message.
    pub payload: &'a [u8],
}

impl PublishOut<'_> {
    fn properties_size(&self) -> usize {
        let ids = self.subscription_ids.iter();
        let extra = self.extra_user_properties.iter();
        self.topic_alias.map_or(0, |_| 3)
            + self.message_expiry.map_or(0, |_| 5)
            + ids.map(|id| 1 + varint_len(*id as usize)).sum::<usize>()
            + self.forwarded.len()
            + extra
                .map(|(name, value)| 5 + name.len() + value.len())
                .sum::<usize>()
    }

    fn sizes(&self, version: ProtocolVersion) -> Sizes {
        let properties = match version {
            ProtocolVersion::V5 => self.properties_size(),
            _ => 0,
        };
        let prefix = match version {
            ProtocolVersion::V5 => varint_len(properties),
            _ => 0,
        };
        let packet_id = if self.qos == QoS::AtMostOnce { 0 } else { 2 };
        let body = 2 + self.topic.len() + packet_id + prefix + properties + self.payload.len();
        Sizes {
            properties,
            body,
            packet: 1 + varint_len(body) + body,
        }
    }

    fn first_byte(&self) -> u8 {
        PacketKind::Publish.first_byte()
            | u8::from(self.dup) << 3
            | (self.qos as u8) << 1
            | u8::from(self.retain)
    }

    fn write_properties(&self, out: &mut Vec<u8>, size: usize) -> Result<(), EncodeError> {
        out.varint(size)?;
        if let Some(alias) = self.topic_alias {
            out.u8(0x23);
            out.u16(alias);
        }
        if let Some(seconds) = self.message_expiry {
            out.u8(0x02);
            out.u32(seconds);
        }
        for id in self.subscription_ids {
            out.u8(0x0B);
            out.varint(*id as usize)?;
        }
        out.put(self.forwarded);
        for (name, value) in self.extra_user_properties {
            out.u8(0x26);
            out.string(name)?;
            out.string(value)?;
        }
        Ok(())
    }
}

struct Sizes {
    properties: usize,
    body: usize,
    packet: usize,
}

/// Bytes that [`encode_publish`] writes, to be compared with the receiver's
/// Maximum Packet Size [MQTT-3.1.2-24].
pub fn publish_size(version: ProtocolVersion, publish: &PublishOut<'_>) -> usize {
    publish.sizes(version).packet
}

/// Appends a PUBLISH to `out`.
///
/// # Errors
/// What cannot be expressed; nothing is written then.
pub fn encode_publish(
    out: &mut Vec<u8>,
    version: ProtocolVersion,
    publish: &PublishOut<'_>,
) -> Result<(), EncodeError> {
    let sizes = publish.sizes(version);
    if sizes.packet > PACKET_SIZE_MAX as usize {
        return Err(EncodeError::PacketTooLarge);
    }
    let packet_id = match (publish.qos, publish.packet_id) {
        (QoS::AtMostOnce, _) => None,
        (_, None) => return Err(EncodeError::PacketIdMissing),
        (_, packet_id) => packet_id,
    };
    let start = out.len();
    out.reserve(sizes.packet);
    let written = write(out, version, publish, packet_id, &sizes);
    if written.is_err() {
        out.truncate(start);
        return written;
    }
    assert_eq!(
        out.len() - start,
        sizes.packet,
        "computed and written size differ"
    );
    Ok(())
}

fn write(
    out: &mut Vec<u8>,
    version: ProtocolVersion,
    publish: &PublishOut<'_>,
    packet_id: Option<PacketId>,
    sizes: &Sizes,
) -> Result<(), EncodeError> {
    out.u8(publish.first_byte());
    out.varint(sizes.body)?;
    out.string(publish.topic)?;
    if let Some(packet_id) = packet_id {
        out.u16(packet_id.get());
    }
    if version == ProtocolVersion::V5 {
        publish.write_properties(out, sizes.properties)?;
    }
    out.put(publish.payload);
    Ok(())
}
