//! The fixed header (MQTT 5.0 section 2.1): what a packet is and how long,
//! known before its body has arrived.

use super::error::DecodeError;
use super::wire::{self, NOT_MINIMAL};
use crate::types::{ProtocolVersion, ReasonCode};

/// The largest packet MQTT can express: five bytes of fixed header and the
/// largest Remaining Length.
pub const PACKET_SIZE_MAX: u32 = wire::VARINT_MAX + 5;

/// The types of packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum PacketKind {
    /// CONNECT.
    Connect = 1,
    /// CONNACK.
    ConnAck = 2,
    /// PUBLISH.
    Publish = 3,
    /// PUBACK.
    PubAck = 4,
    /// PUBREC.
    PubRec = 5,
    /// PUBREL.
    PubRel = 6,
    /// PUBCOMP.
    PubComp = 7,
    /// SUBSCRIBE.
    Subscribe = 8,
    /// SUBACK.
    SubAck = 9,
    /// UNSUBSCRIBE.
    Unsubscribe = 10,
    /// UNSUBACK.
    UnsubAck = 11,
    /// PINGREQ.
    PingReq = 12,
    /// PINGRESP.
    PingResp = 13,
    /// DISCONNECT.
    Disconnect = 14,
    /// AUTH.
    Auth = 15,
}

impl PacketKind {
    /// Every type, in the order of its number.
    pub const ALL: [Self; 15] = [
        Self::Connect,
        Self::ConnAck,
        Self::Publish,
        Self::PubAck,
        Self::PubRec,
        Self::PubRel,
        Self::PubComp,
        Self::Subscribe,
        Self::SubAck,
        Self::Unsubscribe,
        Self::UnsubAck,
        Self::PingReq,
        Self::PingResp,
        Self::Disconnect,
        Self::Auth,
    ];

    /// The name the specification gives the type.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Connect => "CONNECT",
            Self::ConnAck => "CONNACK",
            Self::Publish => "PUBLISH",
            Self::PubAck => "PUBACK",
            Self::PubRec => "PUBREC",
            Self::PubRel => "PUBREL",
            Self::PubComp => "PUBCOMP",
            Self::Subscribe => "SUBSCRIBE",
            Self::SubAck => "SUBACK",
            Self::Unsubscribe => "UNSUBSCRIBE",
            Self::UnsubAck => "UNSUBACK",
            Self::PingReq => "PINGREQ",
            Self::PingResp => "PINGRESP",
            Self::Disconnect => "DISCONNECT",
            Self::Auth => "AUTH",
        }
    }

    /// The flags of the fixed header; PUBLISH sets its own.
    pub(super) const fn flags(self) -> u8 {
        match self {
            Self::PubRel | Self::Subscribe | Self::Unsubscribe => 0b0010,
            _ => 0,
        }
    }

    pub(super) const fn first_byte(self) -> u8 {
        (self as u8) << 4 | self.flags()
    }

    fn check_flags(self, flags: u8, version: ProtocolVersion) -> Result<(), DecodeError> {
        // MQTT 3.1 sets DUP on SUBSCRIBE, UNSUBSCRIBE and PUBREL that are sent
        // again, and calls the flags of the others unused.
        if self == Self::Publish || version == ProtocolVersion::V3 || flags == self.flags() {
            return Ok(());
        }
        Err(DecodeError::malformed(
            "MQTT-2.1.3-1",
            "reserved flags of the fixed header are wrong",
        ))
    }
}

/// The fixed header of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FixedHeader {
    /// What packet it is.
    pub kind: PacketKind,
    /// The low four bits of the first byte.
    pub flags: u8,
    /// Bytes of the fixed header: where the body starts.
    pub body_start: usize,
    /// Bytes of the whole packet: where the body ends.
    pub packet_end: usize,
    pub(super) minimal: bool,
}

/// Reads the fixed header of the packet at the front of `buf`; none if it has
/// not arrived whole.
///
/// Says early, from two to five bytes, whether the packet is worth waiting
/// for, so that memory stays bounded by `packet_size_max` (in bytes of the
/// whole packet).
///
/// # Errors
/// An unknown type, wrong reserved flags, an ill-formed Remaining Length, or
/// [`ReasonCode::PacketTooLarge`].
pub fn peek(
    buf: &[u8],
    version: ProtocolVersion,
    packet_size_max: u32,
) -> Result<Option<FixedHeader>, DecodeError> {
    let Some((first, rest)) = buf.split_first() else {
        return Ok(None);
    };
    let number = usize::from(first >> 4);
    let Some(kind) = number.checked_sub(1).map(|at| PacketKind::ALL[at]) else {
        return Err(DecodeError::malformed("2.1.2", "packet type 0 is reserved"));
    };
    let flags = first & 0x0F;
    kind.check_flags(flags, version)?;
    let Some(length) = wire::read_varint(rest)? else {
        return Ok(None);
    };
    // A CONNECT tells its version later: it is checked there.
    if version == ProtocolVersion::V5 && kind != PacketKind::Connect && !length.minimal {
        return Err(NOT_MINIMAL);
    }
    let body_start = 1 + length.len;
    let packet_end = body_start + length.value as usize;
    if packet_end > packet_size_max as usize {
        return Err(DecodeError::new(
            ReasonCode::PacketTooLarge,
            "MQTT-3.2.2-15",
            "the packet exceeds the maximum packet size",
        ));
    }
    Ok(Some(FixedHeader {
        kind,
        flags,
        body_start,
        packet_end,
        minimal: length.minimal,
    }))
}
