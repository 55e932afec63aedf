//! Why a packet could not be decoded or encoded.

use std::fmt;

use crate::types::ReasonCode;

/// A packet that breaks the protocol. The connection cannot go on after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DecodeError {
    /// What a DISCONNECT or CONNACK that answers it carries.
    pub reason: ReasonCode,
    /// The normative statement or the section of MQTT 5.0 that is broken.
    pub clause: &'static str,
    /// What is wrong, for people.
    pub text: &'static str,
}

impl DecodeError {
    pub(super) const fn new(reason: ReasonCode, clause: &'static str, text: &'static str) -> Self {
        Self {
            reason,
            clause,
            text,
        }
    }

    /// The bytes cannot be read as the packet they claim to be.
    pub(super) const fn malformed(clause: &'static str, text: &'static str) -> Self {
        Self::new(ReasonCode::MalformedPacket, clause, text)
    }

    /// The packet can be read but says what the protocol does not permit.
    pub(super) const fn protocol(clause: &'static str, text: &'static str) -> Self {
        Self::new(ReasonCode::ProtocolError, clause, text)
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} [{}]", self.reason.name(), self.text, self.clause)
    }
}

impl std::error::Error for DecodeError {}

/// A packet that cannot be expressed. Nothing was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EncodeError {
    /// A string, binary value or name is longer than 65,535 bytes.
    FieldTooLong,
    /// The packet is larger than MQTT allows, or than the limit given.
    PacketTooLarge,
    /// A PUBLISH of QoS 1 or 2 without Packet Identifier [MQTT-2.2.1-2].
    PacketIdMissing,
    /// A number outside the range of a Variable Byte Integer.
    NumberTooLarge,
    /// The protocol version of the connection has no way to say this: AUTH, a
    /// DISCONNECT or acknowledgement with an error before MQTT 5.0.
    NotInVersion,
}

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::FieldTooLong => "a field is longer than 65535 bytes",
            Self::PacketTooLarge => "the packet is larger than allowed",
            Self::PacketIdMissing => "a PUBLISH above QoS 0 needs a packet identifier",
            Self::NumberTooLarge => "a number does not fit a variable byte integer",
            Self::NotInVersion => "the protocol version cannot express this packet",
        })
    }
}

impl std::error::Error for EncodeError {}
