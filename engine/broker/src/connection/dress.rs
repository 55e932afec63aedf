//! What a replayed message wears on its way: where and when it was stored, and
//! whether it is history; its payload in a JSON envelope if so asked.

use std::borrow::Cow;

use robustmq_protocol::codec::{Forwarded, Property};
use robustmq_record::OffsetToken;
use serde_json::{Map, Value, json};

/// User property: the offset token of the message.
const OFFSET: &str = "x-offset";

/// User property: when the message was stored, in milliseconds since the epoch.
const TIMESTAMP: &str = "x-timestamp";

/// User property: `1` while a replay has not caught up.
const REPLAY: &str = "x-replay";

/// How a delivery is marked; the default is not at all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Dress {
    /// It belongs to a replay.
    pub(super) replayed: bool,
    /// The replay has not caught up.
    pub(super) history: bool,
    /// The payload is wrapped in JSON.
    pub(super) json: bool,
}

/// What an envelope tells of a message.
pub(super) struct Told<'a> {
    pub(super) token: OffsetToken,
    pub(super) timestamp_ms: u64,
    pub(super) topic: &'a str,
    pub(super) qos: u8,
    pub(super) retain: bool,
    pub(super) client_id: &'a str,
    pub(super) properties: &'a [u8],
    pub(super) payload: &'a [u8],
}

/// A dressed message: keep it while the packet is written.
pub(super) struct Dressed<'a> {
    offset: String,
    timestamp: String,
    dress: Dress,
    payload: Cow<'a, [u8]>,
}

impl<'a> Dressed<'a> {
    pub(super) fn new(dress: Dress, told: &Told<'a>) -> Self {
        let (offset, timestamp) = if dress.replayed {
            (told.token.to_string(), told.timestamp_ms.to_string())
        } else {
            (String::new(), String::new())
        };
        let payload = if dress.json {
            Cow::Owned(envelope(told))
        } else {
            Cow::Borrowed(told.payload)
        };
        Self {
            offset,
            timestamp,
            dress,
            payload,
        }
    }

    /// The user properties to add; the first `count` of the array.
    pub(super) fn properties(&self) -> ([(&str, &str); 3], usize) {
        let all = [
            (OFFSET, self.offset.as_str()),
            (TIMESTAMP, self.timestamp.as_str()),
            (REPLAY, "1"),
        ];
        let count = match (self.dress.replayed, self.dress.history) {
            (false, _) => 0,
            (true, false) => 2,
            (true, true) => 3,
        };
        (all, count)
    }

    pub(super) fn payload(&self) -> &[u8] {
        &self.payload
    }
}

/// The message as JSON: the payload as text where it is UTF-8, else in base64.
fn envelope(told: &Told<'_>) -> Vec<u8> {
    let mut envelope = json!({
        "offset": told.token.to_string(),
        "timestamp": told.timestamp_ms,
        "topic": told.topic,
        "qos": told.qos,
        "retain": told.retain,
        "clientid": told.client_id,
    });
    if let Some(fields) = envelope.as_object_mut() {
        match std::str::from_utf8(told.payload) {
            Ok(text) => fields.insert("payload".to_owned(), text.into()),
            Err(_) => fields.insert("payload_b64".to_owned(), base64(told.payload).into()),
        };
        let properties = properties(told.properties);
        if !properties.is_empty() {
            fields.insert("properties".to_owned(), Value::Object(properties));
        }
    }
    envelope.to_string().into_bytes()
}

fn base64(bytes: &[u8]) -> String {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

/// The publisher's properties by the names of the specification; user
/// properties as a list of pairs, since a name may come again and order counts.
fn properties(stored: &[u8]) -> Map<String, Value> {
    let mut named = Map::new();
    // What the codec wrote it reads again; of anything else nothing is told.
    let Ok(forwarded) = Forwarded::parse(stored) else {
        return named;
    };
    let mut pairs = Vec::new();
    for property in forwarded.iter() {
        let (name, value) = match property {
            Property::PayloadFormatIndicator(utf8) => {
                ("payload_format_indicator", u8::from(utf8).into())
            }
            Property::ContentType(text) => ("content_type", text.into()),
            Property::ResponseTopic(topic) => ("response_topic", topic.into()),
            Property::CorrelationData(data) => ("correlation_data_b64", base64(data).into()),
            Property::UserProperty(name, value) => {
                pairs.push(json!([name, value]));
                continue;
            }
            _ => continue,
        };
        named.insert(name.to_owned(), value);
    }
    if !pairs.is_empty() {
        named.insert("user_properties".to_owned(), pairs.into());
    }
    named
}
