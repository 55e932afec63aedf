//! Properties of MQTT 5 packets.

use super::build::{binary, string, varint};

/// Property identifiers (2.2.2.2).
pub mod property {
    #![allow(missing_docs)]
    pub const PAYLOAD_FORMAT: u8 = 0x01;
    pub const MESSAGE_EXPIRY: u8 = 0x02;
    pub const CONTENT_TYPE: u8 = 0x03;
    pub const RESPONSE_TOPIC: u8 = 0x08;
    pub const CORRELATION_DATA: u8 = 0x09;
    pub const SUBSCRIPTION_ID: u8 = 0x0b;
    pub const SESSION_EXPIRY: u8 = 0x11;
    pub const ASSIGNED_CLIENT_ID: u8 = 0x12;
    pub const SERVER_KEEP_ALIVE: u8 = 0x13;
    pub const AUTH_METHOD: u8 = 0x15;
    pub const AUTH_DATA: u8 = 0x16;
    pub const REQUEST_PROBLEM_INFO: u8 = 0x17;
    pub const WILL_DELAY: u8 = 0x18;
    pub const REQUEST_RESPONSE_INFO: u8 = 0x19;
    pub const RESPONSE_INFO: u8 = 0x1a;
    pub const SERVER_REFERENCE: u8 = 0x1c;
    pub const REASON_STRING: u8 = 0x1f;
    pub const RECEIVE_MAX: u8 = 0x21;
    pub const TOPIC_ALIAS_MAX: u8 = 0x22;
    pub const TOPIC_ALIAS: u8 = 0x23;
    pub const QOS_MAX: u8 = 0x24;
    pub const RETAIN_AVAILABLE: u8 = 0x25;
    pub const USER: u8 = 0x26;
    pub const PACKET_SIZE_MAX: u8 = 0x27;
    pub const WILDCARD_AVAILABLE: u8 = 0x28;
    pub const SUBSCRIPTION_IDS_AVAILABLE: u8 = 0x29;
    pub const SHARED_AVAILABLE: u8 = 0x2a;
}

/// The value of a property.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Value {
    /// One byte.
    Byte(u8),
    /// Two Byte Integer.
    Two(u16),
    /// Four Byte Integer.
    Four(u32),
    /// Variable Byte Integer.
    Variable(u32),
    /// Binary Data.
    Binary(Vec<u8>),
    /// UTF-8 Encoded String.
    Text(String),
    /// UTF-8 String Pair.
    Pair(String, String),
}

/// A list of properties in their order; builder methods append.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Props(pub Vec<(u8, Value)>);

impl Props {
    /// No properties.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends a property.
    #[must_use]
    pub fn with(mut self, id: u8, value: Value) -> Self {
        self.0.push((id, value));
        self
    }

    /// Appends a property of one byte.
    #[must_use]
    pub fn byte(self, id: u8, value: u8) -> Self {
        self.with(id, Value::Byte(value))
    }

    /// Appends a property of two bytes.
    #[must_use]
    pub fn two(self, id: u8, value: u16) -> Self {
        self.with(id, Value::Two(value))
    }

    /// Appends a property of four bytes.
    #[must_use]
    pub fn four(self, id: u8, value: u32) -> Self {
        self.with(id, Value::Four(value))
    }

    /// Appends a property of variable length.
    #[must_use]
    pub fn variable(self, id: u8, value: u32) -> Self {
        self.with(id, Value::Variable(value))
    }

    /// Appends binary data.
    #[must_use]
    pub fn binary(self, id: u8, value: &[u8]) -> Self {
        self.with(id, Value::Binary(value.to_vec()))
    }

    /// Appends a string.
    #[must_use]
    pub fn text(self, id: u8, value: &str) -> Self {
        self.with(id, Value::Text(value.to_owned()))
    }

    /// Appends a User Property.
    #[must_use]
    pub fn user(self, name: &str, value: &str) -> Self {
        self.with(
            property::USER,
            Value::Pair(name.to_owned(), value.to_owned()),
        )
    }

    /// The first value of a property.
    pub fn get(&self, id: u8) -> Option<&Value> {
        self.0
            .iter()
            .find(|(at, _)| *at == id)
            .map(|(_, value)| value)
    }

    /// The first value of a property that is a number.
    pub fn number(&self, id: u8) -> Option<u32> {
        match self.get(id)? {
            Value::Byte(value) => Some(u32::from(*value)),
            Value::Two(value) => Some(u32::from(*value)),
            Value::Four(value) | Value::Variable(value) => Some(*value),
            _ => None,
        }
    }

    /// The first value of a property that is a string.
    pub fn string(&self, id: u8) -> Option<&str> {
        match self.get(id)? {
            Value::Text(value) => Some(value),
            _ => None,
        }
    }

    /// All values of a property that may stand several times.
    pub fn numbers(&self, id: u8) -> Vec<u32> {
        let all = self.0.iter().filter(|(at, _)| *at == id);
        all.filter_map(|(_, value)| match value {
            Value::Variable(value) => Some(*value),
            _ => None,
        })
        .collect()
    }

    /// The User Properties in their order.
    pub fn users(&self) -> Vec<(&str, &str)> {
        let pairs = self.0.iter().filter_map(|(_, value)| match value {
            Value::Pair(name, value) => Some((name.as_str(), value.as_str())),
            _ => None,
        });
        pairs.collect()
    }

    /// The value of the first User Property of a name.
    pub fn user_value(&self, name: &str) -> Option<&str> {
        self.users()
            .into_iter()
            .find(|(at, _)| *at == name)
            .map(|(_, value)| value)
    }

    /// The property block as it stands in a packet, its length first.
    pub fn bytes(&self) -> Vec<u8> {
        let mut block = Vec::new();
        for (id, value) in &self.0 {
            block.push(*id);
            match value {
                Value::Byte(value) => block.push(*value),
                Value::Two(value) => block.extend(value.to_be_bytes()),
                Value::Four(value) => block.extend(value.to_be_bytes()),
                Value::Variable(value) => block.extend(varint(*value)),
                Value::Binary(value) => block.extend(binary(value)),
                Value::Text(value) => block.extend(string(value)),
                Value::Pair(name, value) => {
                    block.extend(string(name));
                    block.extend(string(value));
                }
            }
        }
        let mut bytes = varint(u32::try_from(block.len()).expect("a test builds small blocks"));
        bytes.extend(block);
        bytes
    }
}
