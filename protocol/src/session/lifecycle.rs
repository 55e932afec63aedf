//! Which packet a client may send when.
//!
//! **Invariants**
//! 1. The first packet is CONNECT and it comes once [MQTT-3.1.0-1],
//!    [MQTT-3.1.0-2].
//! 2. Packets only a server sends are never taken.
//! 3. After DISCONNECT nothing is taken [MQTT-3.14.4-1].
//!
//! **Not here**: whether the packet itself is well-formed (`codec`).

use crate::session::Violation;
use crate::types::{ProtocolVersion, ReasonCode, UnknownValue};

#[cfg(test)]
mod tests;

/// Packet types by their number in the fixed header (section 2.1.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum PacketType {
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
    /// AUTH (5.0 only).
    Auth = 15,
}

impl PacketType {
    /// Every type, by number.
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
}

impl TryFrom<u8> for PacketType {
    type Error = UnknownValue;

    fn try_from(value: u8) -> Result<Self, UnknownValue> {
        let index = usize::from(value).checked_sub(1);
        let found = index.and_then(|index| Self::ALL.get(index));
        found.copied().ok_or(UnknownValue(value))
    }
}

/// How far a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Nothing came yet.
    AwaitingConnect,
    /// CONNECT named an Authentication Method; no CONNACK yet.
    Authenticating,
    /// CONNECT was taken (its CONNACK may still be on the way: a client need
    /// not wait for it) without an Authentication Method.
    Connected,
    /// CONNECT was accepted with an Authentication Method, so the client may
    /// authenticate again.
    ConnectedWithMethod,
    /// DISCONNECT came.
    Disconnected,
}

/// What the tables below say of a packet.
#[derive(Clone, Copy)]
enum Rule {
    Ok,
    First,
    Second,
    ServerOnly,
    NoMethod,
    BeforeConnAck,
    After,
}

use Rule::{After, BeforeConnAck, First, NoMethod, Ok as Yes, Second, ServerOnly as No};

/// One row per phase, one column per packet type from CONNECT on.
#[rustfmt::skip]
const RULES: [[Rule; 15]; 5] = {
    const W: Rule = BeforeConnAck;
    [
    // CONNECT CONNACK PUBLISH PUBACK PUBREC PUBREL PUBCOMP SUBSCRIBE SUBACK UNSUBSCRIBE UNSUBACK PINGREQ PINGRESP DISCONNECT AUTH
    [Yes,    First, First, First, First, First, First, First, First, First, First, First, First, First, First],
    [Second, No,    W,     W,     W,     W,     W,     W,     No,    W,     No,    W,     No,    Yes,   Yes],
    [Second, No,    Yes,   Yes,   Yes,   Yes,   Yes,   Yes,   No,    Yes,   No,    Yes,   No,    Yes,   NoMethod],
    [Second, No,    Yes,   Yes,   Yes,   Yes,   Yes,   Yes,   No,    Yes,   No,    Yes,   No,    Yes,   Yes],
    [After,  After, After, After, After, After, After, After, After, After, After, After, After, After, After],
    ]
};

/// Whether a client may send `packet` now.
pub fn allow(phase: Phase, packet: PacketType, version: ProtocolVersion) -> Result<(), Violation> {
    if packet == PacketType::Auth && version != ProtocolVersion::V5 {
        return Err(Violation::new(
            ReasonCode::MalformedPacket,
            "packet type 15 is reserved before 5.0",
            "MQTT-2.2.2-2",
        ));
    }
    let (text, clause) = match RULES[phase as usize][packet as usize - 1] {
        Yes => return Ok(()),
        First => ("the first packet is not CONNECT", "MQTT-3.1.0-1"),
        Second => ("a second CONNECT", "MQTT-3.1.0-2"),
        No => ("a packet only a server sends", "MQTT5 section 2.1.2"),
        NoMethod => ("AUTH without an Authentication Method", "MQTT-4.12.0-7"),
        BeforeConnAck => ("only AUTH and DISCONNECT before CONNACK", "MQTT-3.1.2-30"),
        After => ("a packet after DISCONNECT", "MQTT-3.14.4-1"),
    };
    Err(Violation::new(ReasonCode::ProtocolError, text, clause))
}
