//! From bytes to packets.

mod acks;
mod connect;
mod publish;
mod subscribe;

use super::error::DecodeError;
use super::header::{FixedHeader, PACKET_SIZE_MAX, PacketKind, peek};
use super::lists::UserProperties;
use super::packet::{Auth, AuthProperties, Disconnect, DisconnectProperties, Packet};
use super::property::{Place, Property, check_block};
use super::reason::read_reason;
use super::wire::Reader;
use crate::types::{PacketId, ProtocolVersion, ReasonCode};

/// What was found at the front of the input.
// A box would allocate for every packet.
#[expect(clippy::large_enum_variant)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decoded<'a> {
    /// The packet has not arrived whole.
    Incomplete {
        /// Bytes that are needed before decoding gets further: the size of
        /// the packet once its fixed header is there. Never above
        /// `packet_size_max` (or 5, while the header is incomplete).
        need: usize,
    },
    /// A packet.
    Packet {
        /// The packet.
        packet: Packet<'a>,
        /// Bytes it took.
        len: usize,
    },
}

/// Decodes the packet at the front of `buf`, without allocating.
///
/// CONNECT tells its version itself; everything else is read as `version`.
/// Packets of both directions are read; which of them the other side may send
/// is checked with [`Packet::check_from_client`].
///
/// # Errors
/// What breaks the protocol. A packet larger than `packet_size_max` bytes is
/// refused as soon as its fixed header is there.
pub fn decode(
    buf: &[u8],
    version: ProtocolVersion,
    packet_size_max: u32,
) -> Result<Decoded<'_>, DecodeError> {
    let Some(header) = peek(buf, version, packet_size_max)? else {
        return Ok(Decoded::Incomplete {
            need: (buf.len() + 1).max(2),
        });
    };
    let Some(body) = buf.get(header.body_start..header.packet_end) else {
        return Ok(Decoded::Incomplete {
            need: header.packet_end,
        });
    };
    let mut reader = Reader::new(body);
    let packet = read_body(&header, version, &mut reader)?;
    if !reader.is_empty() {
        return Err(DecodeError::malformed(
            "4.13.1",
            "the packet goes on after its end",
        ));
    }
    Ok(Decoded::Packet {
        packet,
        len: header.packet_end,
    })
}

fn read_body<'a>(
    header: &FixedHeader,
    version: ProtocolVersion,
    reader: &mut Reader<'a>,
) -> Result<Packet<'a>, DecodeError> {
    let kind = header.kind;
    Ok(match kind {
        PacketKind::Publish => Packet::Publish(publish::read(header.flags, version, reader)?),
        PacketKind::PubAck => Packet::PubAck(acks::read_ack(kind, version, reader)?),
        PacketKind::PubRec => Packet::PubRec(acks::read_ack(kind, version, reader)?),
        PacketKind::PubRel => Packet::PubRel(acks::read_ack(kind, version, reader)?),
        PacketKind::PubComp => Packet::PubComp(acks::read_ack(kind, version, reader)?),
        PacketKind::Connect => Packet::Connect(connect::read(header.minimal, reader)?),
        PacketKind::ConnAck => Packet::ConnAck(acks::read_connack(version, reader)?),
        PacketKind::Subscribe => Packet::Subscribe(subscribe::read_subscribe(version, reader)?),
        PacketKind::SubAck => Packet::SubAck(acks::read_suback(version, reader)?),
        PacketKind::Unsubscribe => {
            Packet::Unsubscribe(subscribe::read_unsubscribe(version, reader)?)
        }
        PacketKind::UnsubAck => Packet::UnsubAck(acks::read_unsuback(version, reader)?),
        PacketKind::PingReq => Packet::PingReq,
        PacketKind::PingResp => Packet::PingResp,
        PacketKind::Disconnect => Packet::Disconnect(read_disconnect(version, reader)?),
        PacketKind::Auth => Packet::Auth(read_auth(version, reader)?),
    })
}

/// The version a CONNECT at the front of `buf` asks for, even if the rest of
/// it breaks the protocol: an answer is written in this version.
pub fn connect_version(buf: &[u8]) -> Option<ProtocolVersion> {
    let header = peek(buf, ProtocolVersion::V5, PACKET_SIZE_MAX).ok()??;
    let body = buf.get(header.body_start..)?;
    let body = &body[..body.len().min(header.packet_end - header.body_start)];
    match header.kind {
        PacketKind::Connect => connect::read_version(&mut Reader::new(body)).ok(),
        _ => None,
    }
}

fn read_packet_id(reader: &mut Reader<'_>) -> Result<PacketId, DecodeError> {
    PacketId::new(reader.u16()?)
        .ok_or_else(|| DecodeError::protocol("MQTT-2.2.1-3", "the packet identifier is 0"))
}

/// Reads the length of a property block and the block, which is still to be
/// checked.
fn take_block<'a>(reader: &mut Reader<'a>) -> Result<&'a [u8], DecodeError> {
    let len = reader.varint()?;
    reader.bytes(len as usize)
}

/// Reads a property block and shows its properties.
fn read_properties<'a>(
    reader: &mut Reader<'a>,
    place: Place,
    mut visit: impl FnMut(Property<'a>),
) -> Result<UserProperties<'a>, DecodeError> {
    let block = take_block(reader)?;
    check_block(block, place, |property, _| visit(property))?;
    Ok(UserProperties::from_wire(block))
}

fn read_disconnect<'a>(
    version: ProtocolVersion,
    reader: &mut Reader<'a>,
) -> Result<Disconnect<'a>, DecodeError> {
    let kind = PacketKind::Disconnect;
    let mut reason = ReasonCode::Success;
    let mut properties = DisconnectProperties::default();
    if version == ProtocolVersion::V5 && !reader.is_empty() {
        reason = read_reason(kind, reader.u8()?)?;
    }
    // Without anything left there are no properties (section 3.14.2.2.1).
    if version == ProtocolVersion::V5 && !reader.is_empty() {
        let user_properties =
            read_properties(reader, Place::Packet(kind), |property| match property {
                Property::SessionExpiryInterval(value) => {
                    properties.session_expiry_s = Some(value);
                }
                Property::ReasonString(text) => properties.reason_string = Some(text),
                Property::ServerReference(text) => properties.server_reference = Some(text),
                _ => {}
            })?;
        properties.user_properties = user_properties;
    }
    Ok(Disconnect { reason, properties })
}

fn read_auth<'a>(
    version: ProtocolVersion,
    reader: &mut Reader<'a>,
) -> Result<Auth<'a>, DecodeError> {
    if version != ProtocolVersion::V5 {
        return Err(DecodeError::malformed(
            "MQTT-3.1.1 2.2.1",
            "packet type 15 is reserved before MQTT 5.0",
        ));
    }
    let kind = PacketKind::Auth;
    let mut properties = AuthProperties::default();
    // The shortest form has neither reason nor properties (section 3.15.2.1).
    if reader.is_empty() {
        return Ok(Auth {
            reason: ReasonCode::Success,
            properties,
        });
    }
    let reason = read_reason(kind, reader.u8()?)?;
    let user_properties =
        read_properties(reader, Place::Packet(kind), |property| match property {
            Property::AuthenticationMethod(text) => properties.authentication_method = Some(text),
            Property::AuthenticationData(data) => properties.authentication_data = Some(data),
            Property::ReasonString(text) => properties.reason_string = Some(text),
            _ => {}
        })?;
    properties.user_properties = user_properties;
    if properties.authentication_method.is_none() {
        return Err(DecodeError::protocol(
            "3.15.2.2.2",
            "AUTH without authentication method",
        ));
    }
    Ok(Auth { reason, properties })
}
