//! Which reason codes a packet may carry (table 2-6), and what stands for
//! them before MQTT 5.0.

use super::error::DecodeError;
use super::header::PacketKind;
use crate::types::ReasonCode;

/// Whether a packet of MQTT 5.0 may carry a reason code.
pub const fn reason_allowed(kind: PacketKind, reason: ReasonCode) -> bool {
    let byte = reason.value();
    match kind {
        PacketKind::ConnAck => matches!(
            byte,
            0x00 | 0x80..=0x8A | 0x8C | 0x90 | 0x95 | 0x97 | 0x99..=0x9D | 0x9F
        ),
        PacketKind::PubAck | PacketKind::PubRec => matches!(
            byte,
            0x00 | 0x10 | 0x80 | 0x83 | 0x87 | 0x90 | 0x91 | 0x97 | 0x99
        ),
        PacketKind::PubRel | PacketKind::PubComp => matches!(byte, 0x00 | 0x92),
        PacketKind::SubAck => matches!(
            byte,
            0x00..=0x02 | 0x80 | 0x83 | 0x87 | 0x8F | 0x91 | 0x97 | 0x9E | 0xA1 | 0xA2
        ),
        PacketKind::UnsubAck => {
            matches!(byte, 0x00 | 0x11 | 0x80 | 0x83 | 0x87 | 0x8F | 0x91)
        }
        PacketKind::Disconnect => matches!(
            byte,
            0x00 | 0x04
                | 0x80..=0x83
                | 0x87
                | 0x89
                | 0x8B..=0x90
                | 0x93..=0xA2
        ),
        PacketKind::Auth => matches!(byte, 0x00 | 0x18 | 0x19),
        _ => false,
    }
}

pub(super) fn read_reason(kind: PacketKind, byte: u8) -> Result<ReasonCode, DecodeError> {
    match ReasonCode::try_from(byte) {
        Ok(reason) if reason_allowed(kind, reason) => Ok(reason),
        _ => Err(DecodeError::protocol(
            "2.4",
            "the packet may not carry this reason code",
        )),
    }
}

/// The CONNACK return code of MQTT 3.1 and 3.1.1 (section 3.2.2.3 there) that
/// comes nearest to a reason code. What has no own code is `3` (server
/// unavailable).
pub const fn v3_return_code(reason: ReasonCode) -> u8 {
    match reason {
        ReasonCode::Success => 0,
        ReasonCode::UnsupportedProtocolVersion => 1,
        ReasonCode::ClientIdentifierNotValid => 2,
        ReasonCode::BadUserNameOrPassword | ReasonCode::BadAuthenticationMethod => 4,
        ReasonCode::NotAuthorized | ReasonCode::Banned => 5,
        _ => 3,
    }
}

pub(super) fn from_v3_return_code(code: u8) -> Result<ReasonCode, DecodeError> {
    Ok(match code {
        0 => ReasonCode::Success,
        1 => ReasonCode::UnsupportedProtocolVersion,
        2 => ReasonCode::ClientIdentifierNotValid,
        3 => ReasonCode::ServerUnavailable,
        4 => ReasonCode::BadUserNameOrPassword,
        5 => ReasonCode::NotAuthorized,
        _ => {
            return Err(DecodeError::malformed(
                "MQTT-3.1.1 3.2.2.3",
                "the return code is reserved",
            ));
        }
    })
}
