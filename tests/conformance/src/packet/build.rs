//! Packets that a client sends.

use super::{AckKind, Props, Version};

/// A Variable Byte Integer.
pub fn varint(mut value: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let low = (value & 0x7f) as u8;
        value >>= 7;
        if value == 0 {
            bytes.push(low);
            return bytes;
        }
        bytes.push(low | 0x80);
    }
}

/// Binary Data: a length of two bytes, then the data.
pub(super) fn binary(value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(value.len()).expect("a test builds short strings");
    let mut bytes = length.to_be_bytes().to_vec();
    bytes.extend(value);
    bytes
}

/// A UTF-8 Encoded String.
pub fn string(value: &str) -> Vec<u8> {
    binary(value.as_bytes())
}

/// A packet of a first byte and a body, whose length is put between.
pub fn raw(first: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    bytes.extend(varint(
        u32::try_from(body.len()).expect("a test builds packets of the protocol"),
    ));
    bytes.extend(body);
    bytes
}

/// A will.
#[derive(Clone, Debug, Default)]
pub struct Will {
    /// Will Topic.
    pub topic: String,
    /// Will Payload.
    pub payload: Vec<u8>,
    /// Will QoS.
    pub qos: u8,
    /// Will Retain.
    pub retain: bool,
    /// Will Properties; left out before 5.0.
    pub props: Props,
}

impl Will {
    /// A will of QoS 0.
    pub fn new(topic: &str, payload: &str) -> Self {
        Self {
            topic: topic.to_owned(),
            payload: payload.into(),
            ..Self::default()
        }
    }
}

/// CONNECT.
#[derive(Clone, Debug)]
pub struct Connect {
    /// The version the client speaks.
    pub version: Version,
    /// Client Identifier.
    pub client_id: String,
    /// Clean Start, or Clean Session before 5.0.
    pub clean: bool,
    /// Keep Alive in seconds.
    pub keep_alive: u16,
    /// Properties; left out before 5.0.
    pub props: Props,
    /// The will.
    pub will: Option<Will>,
    /// User Name.
    pub username: Option<String>,
    /// Password.
    pub password: Option<Vec<u8>>,
}

impl Connect {
    /// A CONNECT with a clean start and no keep alive.
    pub fn new(version: Version, client_id: &str) -> Self {
        Self {
            version,
            client_id: client_id.to_owned(),
            clean: true,
            keep_alive: 0,
            props: Props::new(),
            will: None,
            username: None,
            password: None,
        }
    }

    /// A CONNECT of 5.0.
    pub fn v5(client_id: &str) -> Self {
        Self::new(Version::V5, client_id)
    }

    /// A CONNECT of 3.1.1.
    pub fn v311(client_id: &str) -> Self {
        Self::new(Version::V311, client_id)
    }

    /// A CONNECT that resumes a session which outlives the connection: clean start 0 and, with 5.0, an
    /// expiry of an hour.
    pub fn lasting(version: Version, client_id: &str) -> Self {
        let mut connect = Self::new(version, client_id);
        connect.clean = false;
        connect.props = Props::new().four(super::property::SESSION_EXPIRY, 3600);
        connect
    }

    /// Sets Clean Start.
    #[must_use]
    pub fn clean(mut self, clean: bool) -> Self {
        self.clean = clean;
        self
    }

    /// Sets Keep Alive.
    #[must_use]
    pub fn keep_alive(mut self, seconds: u16) -> Self {
        self.keep_alive = seconds;
        self
    }

    /// Sets the properties.
    #[must_use]
    pub fn props(mut self, props: Props) -> Self {
        self.props = props;
        self
    }

    /// Sets the will.
    #[must_use]
    pub fn will(mut self, will: Will) -> Self {
        self.will = Some(will);
        self
    }

    /// The connect flags.
    pub fn flags(&self) -> u8 {
        let mut flags = u8::from(self.clean) << 1;
        if let Some(will) = &self.will {
            flags |= 0x04 | will.qos << 3 | u8::from(will.retain) << 5;
        }
        flags |= u8::from(self.password.is_some()) << 6;
        flags | u8::from(self.username.is_some()) << 7
    }

    /// The packet.
    pub fn bytes(&self) -> Vec<u8> {
        self.bytes_with_flags(self.flags())
    }

    /// The packet with connect flags that may contradict its payload.
    pub fn bytes_with_flags(&self, flags: u8) -> Vec<u8> {
        let name = if self.version == Version::V31 {
            "MQIsdp"
        } else {
            "MQTT"
        };
        let mut body = string(name);
        body.push(self.version.level());
        body.push(flags);
        body.extend(self.keep_alive.to_be_bytes());
        let is_v5 = self.version == Version::V5;
        if is_v5 {
            body.extend(self.props.bytes());
        }
        body.extend(string(&self.client_id));
        if let Some(will) = &self.will {
            if is_v5 {
                body.extend(will.props.bytes());
            }
            body.extend(string(&will.topic));
            body.extend(binary(&will.payload));
        }
        if let Some(username) = &self.username {
            body.extend(string(username));
        }
        if let Some(password) = &self.password {
            body.extend(binary(password));
        }
        raw(0x10, &body)
    }
}

/// PUBLISH.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Publish {
    /// DUP.
    pub dup: bool,
    /// QoS.
    pub qos: u8,
    /// RETAIN.
    pub retain: bool,
    /// Topic Name.
    pub topic: String,
    /// Packet Identifier; 0 where QoS is 0.
    pub id: u16,
    /// Properties; left out before 5.0.
    pub props: Props,
    /// Payload.
    pub payload: Vec<u8>,
}

impl Publish {
    /// A PUBLISH of QoS 0.
    pub fn new(topic: &str, payload: impl AsRef<[u8]>) -> Self {
        Self {
            topic: topic.to_owned(),
            payload: payload.as_ref().to_vec(),
            ..Self::default()
        }
    }

    /// Sets QoS and Packet Identifier.
    #[must_use]
    pub fn qos(mut self, qos: u8, id: u16) -> Self {
        (self.qos, self.id) = (qos, id);
        self
    }

    /// Sets RETAIN.
    #[must_use]
    pub fn retain(mut self) -> Self {
        self.retain = true;
        self
    }

    /// Sets DUP.
    #[must_use]
    pub fn dup(mut self) -> Self {
        self.dup = true;
        self
    }

    /// Sets the properties.
    #[must_use]
    pub fn props(mut self, props: Props) -> Self {
        self.props = props;
        self
    }

    /// The payload as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.payload).into_owned()
    }

    /// The packet.
    pub fn bytes(&self, version: Version) -> Vec<u8> {
        let first = 0x30 | u8::from(self.dup) << 3 | self.qos << 1 | u8::from(self.retain);
        let mut body = string(&self.topic);
        if self.qos > 0 {
            body.extend(self.id.to_be_bytes());
        }
        if version == Version::V5 {
            body.extend(self.props.bytes());
        }
        body.extend(&self.payload);
        raw(first, &body)
    }
}

/// SUBSCRIBE.
#[derive(Clone, Debug)]
pub struct Subscribe {
    /// Packet Identifier.
    pub id: u16,
    /// Topic filters with their options (before 5.0 the requested QoS).
    pub filters: Vec<(String, u8)>,
    /// Properties; left out before 5.0.
    pub props: Props,
}

impl Subscribe {
    /// A SUBSCRIBE of one filter.
    pub fn new(id: u16, filter: &str, options: u8) -> Self {
        Self {
            id,
            filters: vec![(filter.to_owned(), options)],
            props: Props::new(),
        }
    }

    /// Appends a filter.
    #[must_use]
    pub fn and(mut self, filter: &str, options: u8) -> Self {
        self.filters.push((filter.to_owned(), options));
        self
    }

    /// Sets the properties.
    #[must_use]
    pub fn props(mut self, props: Props) -> Self {
        self.props = props;
        self
    }

    /// The packet.
    pub fn bytes(&self, version: Version) -> Vec<u8> {
        let mut body = self.id.to_be_bytes().to_vec();
        if version == Version::V5 {
            body.extend(self.props.bytes());
        }
        for (filter, options) in &self.filters {
            body.extend(string(filter));
            body.push(*options);
        }
        raw(0x82, &body)
    }
}

/// UNSUBSCRIBE.
pub fn unsubscribe(version: Version, id: u16, filters: &[&str]) -> Vec<u8> {
    let mut body = id.to_be_bytes().to_vec();
    if version == Version::V5 {
        body.push(0);
    }
    for filter in filters {
        body.extend(string(filter));
    }
    raw(0xa2, &body)
}

/// PUBACK, PUBREC, PUBREL or PUBCOMP without a reason code.
pub fn ack(kind: AckKind, id: u16) -> Vec<u8> {
    raw(kind.first_byte(), &id.to_be_bytes())
}

/// DISCONNECT; reason code and properties are left out before 5.0.
pub fn disconnect(version: Version, code: u8, props: &Props) -> Vec<u8> {
    if version != Version::V5 {
        return vec![0xe0, 0];
    }
    let mut body = vec![code];
    body.extend(props.bytes());
    raw(0xe0, &body)
}
