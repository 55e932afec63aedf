//! From packets to bytes.
//!
//! Invariants
//! 1. The size is known before the first byte is written; on an error nothing
//!    was written.

mod body;
mod publish;

pub use publish::{PublishOut, encode_publish, publish_size};

use super::error::EncodeError;
use super::header::{PACKET_SIZE_MAX, PacketKind};
use super::lists::UserProperties;
use super::packet::{
    Ack, AckProperties, ConnAckProperties, Disconnect, DisconnectProperties, Packet,
};
use super::wire::{Count, Sink, VARINT_MAX, varint_len};
use crate::types::{PacketId, ProtocolVersion, ReasonCode};

/// Appends a packet to `out`.
///
/// Before MQTT 5.0 properties are left out, and so are the reason codes of
/// UNSUBACK; those of CONNACK and SUBACK become the nearest return code. A
/// CONNECT is written in its own version.
///
/// DISCONNECT before MQTT 5.0 is a client's packet: a server closes the
/// connection instead.
///
/// # Errors
/// What cannot be expressed; nothing is written then. Values that the
/// decoder refuses (a wildcard in a topic name, say) are not looked for.
pub fn encode(
    out: &mut Vec<u8>,
    version: ProtocolVersion,
    packet: &Packet<'_>,
) -> Result<(), EncodeError> {
    encode_within(out, version, packet, PACKET_SIZE_MAX)
}

/// Bytes that [`encode`] writes.
///
/// # Errors
/// As [`encode`].
pub fn packet_size(version: ProtocolVersion, packet: &Packet<'_>) -> Result<usize, EncodeError> {
    let body = body_size(version, packet)?;
    Ok(1 + varint_len(body) + body)
}

/// Appends a packet to `out`, if it takes no more than `packet_size_max`
/// bytes.
///
/// # Errors
/// As [`encode`], and [`EncodeError::PacketTooLarge`] above that size.
pub fn encode_within(
    out: &mut Vec<u8>,
    version: ProtocolVersion,
    packet: &Packet<'_>,
    packet_size_max: u32,
) -> Result<(), EncodeError> {
    let body = body_size(version, packet)?;
    let size = 1 + varint_len(body) + body;
    if size > packet_size_max as usize {
        return Err(EncodeError::PacketTooLarge);
    }
    out.reserve(size);
    let start = out.len();
    out.u8(body::first_byte(packet));
    out.varint(body)?;
    body::write(out, version, packet)?;
    assert_eq!(out.len() - start, size, "counted and written size differ");
    Ok(())
}

/// Appends a packet to `out`, leaving out its reason string and user
/// properties if it would exceed the receiver's Maximum Packet Size
/// [MQTT-3.2.2-19], [MQTT-3.2.2-20] and their like for every packet.
///
/// # Errors
/// As [`encode_within`], when that does not help: the packet must not be sent.
pub fn encode_trimmed(
    out: &mut Vec<u8>,
    version: ProtocolVersion,
    packet: &Packet<'_>,
    packet_size_max: u32,
) -> Result<(), EncodeError> {
    match encode_within(out, version, packet, packet_size_max) {
        Err(EncodeError::PacketTooLarge) => {
            encode_within(out, version, &packet.without_diagnostics(), packet_size_max)
        }
        done => done,
    }
}

fn body_size(version: ProtocolVersion, packet: &Packet<'_>) -> Result<usize, EncodeError> {
    let mut count = Count::default();
    body::write(&mut count, version, packet)?;
    if count.0 > VARINT_MAX as usize {
        return Err(EncodeError::PacketTooLarge);
    }
    Ok(count.0)
}

/// Appends a PUBACK, PUBREC, PUBREL or PUBCOMP in its shortest form: two bytes
/// of body for success, three otherwise.
///
/// # Errors
/// [`EncodeError::NotInVersion`] for an error code before MQTT 5.0.
///
/// # Panics
/// If `kind` is none of the four.
pub fn encode_ack(
    out: &mut Vec<u8>,
    version: ProtocolVersion,
    kind: PacketKind,
    packet_id: PacketId,
    reason: ReasonCode,
) -> Result<(), EncodeError> {
    assert!(
        matches!(
            kind,
            PacketKind::PubAck | PacketKind::PubRec | PacketKind::PubRel | PacketKind::PubComp
        ),
        "not an acknowledgement of a publish: {kind:?}"
    );
    let [high, low] = packet_id.get().to_be_bytes();
    let first = kind.first_byte();
    match (reason, version) {
        (ReasonCode::Success, _) => out.extend_from_slice(&[first, 2, high, low]),
        (reason, ProtocolVersion::V5) => {
            out.extend_from_slice(&[first, 3, high, low, reason.value()]);
        }
        (reason, _) if reason.is_error() => return Err(EncodeError::NotInVersion),
        (_, _) => out.extend_from_slice(&[first, 2, high, low]),
    }
    Ok(())
}

/// Appends a PUBACK, PUBREC or PUBCOMP of MQTT 5.0 with one user property, as
/// [`encode_within`] would, but at the price of a few copies: brokers write one
/// for every message. False, and nothing is written, where it would be larger
/// than `packet_size_max` or [`ACK_WITH_BYTES_MAX`].
///
/// # Panics
/// If `kind` is no acknowledgement.
pub fn encode_ack_with(
    out: &mut Vec<u8>,
    kind: PacketKind,
    (packet_id, reason): (PacketId, ReasonCode),
    (name, value): (&str, &str),
    packet_size_max: u32,
) -> bool {
    assert!(
        matches!(
            kind,
            PacketKind::PubAck | PacketKind::PubRec | PacketKind::PubComp
        ),
        "not an acknowledgement: {kind:?}"
    );
    let properties = 1 + 2 + name.len() + 2 + value.len();
    // Packet identifier, reason, length of the properties.
    let body = 2 + 1 + 1 + properties;
    let size = 1 + 1 + body;
    if size > ACK_WITH_BYTES_MAX || size > packet_size_max as usize {
        return false;
    }
    let [high, low] = packet_id.get().to_be_bytes();
    let (body, properties) = (body as u8, properties as u8);
    let (name_len, value_len) = (name.len() as u8, value.len() as u8);
    out.reserve(size);
    out.extend_from_slice(&[kind.first_byte(), body, high, low, reason.value()]);
    out.extend_from_slice(&[properties, USER_PROPERTY, 0, name_len]);
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(&[0, value_len]);
    out.extend_from_slice(value.as_bytes());
    true
}

/// The largest packet of [`encode_ack_with`]: its lengths take one byte each.
pub const ACK_WITH_BYTES_MAX: usize = 2 + 127;

/// Identifier of a user property.
const USER_PROPERTY: u8 = 0x26;

/// Appends a PINGRESP.
pub fn encode_pingresp(out: &mut Vec<u8>) {
    out.extend_from_slice(&[PacketKind::PingResp.first_byte(), 0]);
}

/// Appends a server's DISCONNECT. Only for MQTT 5.0: before it, a server
/// closes the connection without a word.
///
/// A text longer than a string can be is left out.
pub fn encode_disconnect(out: &mut Vec<u8>, reason: ReasonCode, text: Option<&str>) {
    let mut disconnect = Disconnect {
        reason,
        properties: DisconnectProperties {
            reason_string: text,
            ..DisconnectProperties::default()
        },
    };
    let version = ProtocolVersion::V5;
    if encode(out, version, &Packet::Disconnect(disconnect)).is_err() {
        disconnect.properties.reason_string = None;
        encode(out, version, &Packet::Disconnect(disconnect))
            .expect("two bytes and no text always fit");
    }
}

impl<'a> Packet<'a> {
    /// The packet without what only explains it: reason string and user
    /// properties of the packets that answer. Others stay as they are.
    #[must_use]
    pub fn without_diagnostics(&self) -> Self {
        let plain = AckProperties::default();
        let bare = |ack: &Ack<'a>| Ack {
            properties: plain,
            ..*ack
        };
        let mut packet = *self;
        match &mut packet {
            Self::PubAck(ack) | Self::PubRec(ack) | Self::PubRel(ack) | Self::PubComp(ack) => {
                *ack = bare(ack);
            }
            Self::SubAck(suback) => suback.properties = plain,
            Self::UnsubAck(unsuback) => unsuback.properties = plain,
            Self::ConnAck(connack) => {
                connack.properties = ConnAckProperties {
                    reason_string: None,
                    user_properties: UserProperties::default(),
                    ..connack.properties
                };
            }
            Self::Disconnect(disconnect) => {
                disconnect.properties.reason_string = None;
                disconnect.properties.user_properties = UserProperties::default();
            }
            Self::Auth(auth) => {
                auth.properties.reason_string = None;
                auth.properties.user_properties = UserProperties::default();
            }
            _ => {}
        }
        packet
    }
}
