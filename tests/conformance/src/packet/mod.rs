//! MQTT packets by hand: what a test sends, valid or not, and what the broker sends.

mod build;
mod parse;
mod props;

pub use build::{
    Connect, Publish, Subscribe, Will, ack, disconnect, raw, string, unsubscribe, varint,
};
pub use parse::{Ack, AckKind, Packet, parse};
pub use props::{Props, Value, property};

/// The version of MQTT a client speaks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Version {
    /// 3.1
    V31,
    /// 3.1.1
    V311,
    /// 5.0
    V5,
}

impl Version {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::V31, Self::V311, Self::V5];

    /// The protocol level in CONNECT.
    pub fn level(self) -> u8 {
        match self {
            Self::V31 => 3,
            Self::V311 => 4,
            Self::V5 => 5,
        }
    }
}

/// Bytes as people read them.
pub fn hex(bytes: &[u8]) -> String {
    let digits: Vec<String> = bytes
        .iter()
        .take(256)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    digits.join(" ")
}
