//! A message as JSON, the same wherever history is told: in replays, over HTTP,
//! in exports.

use std::sync::Arc;

use robustmq_protocol::codec::{Forwarded, Property};
use robustmq_record::{Batch, Offset, OffsetToken, RecordRef, ShardId};
use serde::Serialize;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use crate::positions::Positions;

/// What an envelope tells of a message.
pub(crate) struct Told<'a> {
    pub(crate) token: OffsetToken,
    pub(crate) timestamp_ms: u64,
    pub(crate) topic: &'a str,
    pub(crate) qos: u8,
    pub(crate) retain: bool,
    pub(crate) client_id: &'a str,
    pub(crate) properties: &'a [u8],
    pub(crate) payload: &'a [u8],
}

impl<'a> Told<'a> {
    pub(crate) fn from_record(shard: ShardId, record: &RecordRef<'a>) -> Self {
        Self {
            token: OffsetToken {
                shard,
                offset: record.offset(),
            },
            timestamp_ms: record.timestamp_ms(),
            topic: record.topic(),
            qos: record.qos(),
            retain: record.retain(),
            client_id: record.client_id(),
            properties: record.properties(),
            payload: record.payload(),
        }
    }
}

/// Whether a message's time is over [MQTT-3.3.2-5].
pub(crate) fn is_expired(timestamp_ms: u64, expiry_s: Option<u32>, now_ms: u64) -> bool {
    expiry_s
        .is_some_and(|expiry_s| now_ms.saturating_sub(timestamp_ms) / 1000 >= u64::from(expiry_s))
}

/// A message of the history, where it lies.
#[derive(Clone, Debug)]
pub struct HistoryMessage {
    batch: Arc<Batch>,
    slot: u16,
    /// Where reading goes on behind it; none for a message that was picked.
    pub(super) behind: Option<Positions>,
}

impl HistoryMessage {
    /// The message in a slot of a batch; none if there is none.
    pub(super) fn new(batch: &Arc<Batch>, slot: u16, behind: Option<Positions>) -> Option<Self> {
        batch.record(slot)?;
        Some(Self {
            batch: Arc::clone(batch),
            slot,
            behind,
        })
    }

    fn record(&self) -> RecordRef<'_> {
        self.batch
            .record(self.slot)
            .expect("the slot was looked at when this was made")
    }

    /// Its offset token, as `o:` takes it.
    #[must_use]
    pub fn token(&self) -> OffsetToken {
        OffsetToken {
            shard: self.batch.shard(),
            offset: Offset::new(self.batch.index(), self.slot),
        }
    }

    /// When it was stored, milliseconds since the Unix epoch.
    #[must_use]
    pub fn timestamp_ms(&self) -> u64 {
        self.record().timestamp_ms()
    }

    /// Its Topic Name.
    #[must_use]
    pub fn topic(&self) -> &str {
        self.record().topic()
    }

    /// The QoS it was published with.
    #[must_use]
    pub fn qos(&self) -> u8 {
        self.record().qos()
    }

    /// Whether it was published to be retained.
    #[must_use]
    pub fn retain(&self) -> bool {
        self.record().retain()
    }

    /// Who published it.
    #[must_use]
    pub fn client_id(&self) -> &str {
        self.record().client_id()
    }

    /// What was published.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        self.record().payload()
    }

    /// Its MQTT 5 properties by the names of the specification.
    #[must_use]
    pub fn properties(&self) -> Map<String, Value> {
        properties(self.record().properties())
    }

    /// Whether its Message Expiry Interval has passed.
    pub(super) fn is_expired(&self, now_ms: u64) -> bool {
        let record = self.record();
        is_expired(record.timestamp_ms(), record.message_expiry_s(), now_ms)
    }

    /// Its place in the order of time over all shards.
    pub(super) fn order(&self) -> (u64, ShardId, Offset) {
        let token = self.token();
        (self.timestamp_ms(), token.shard, token.offset)
    }

    /// As one JSON object: the payload as text where it is UTF-8, else in
    /// base64 as `payload_b64`.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        envelope(&Told::from_record(self.batch.shard(), &self.record()))
    }
}

/// A message of the history, as JSON tells it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Message)]
pub struct MessageBody<'a> {
    /// Its offset token, as `o:` takes it.
    offset: String,
    /// When it was stored, milliseconds since the Unix epoch.
    timestamp: u64,
    /// Its Topic Name.
    topic: &'a str,
    /// The QoS it was published with.
    qos: u8,
    /// Whether it was published to be retained.
    retain: bool,
    /// Who published it.
    clientid: &'a str,
    /// What was published, where that is UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<&'a str>,
    /// What was published, in base64, where it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    payload_b64: Option<String>,
    /// Its MQTT 5 properties by the names of the specification.
    #[serde(skip_serializing_if = "Map::is_empty")]
    #[schema(value_type = Object, required = false)]
    properties: Map<String, Value>,
}

/// The message as JSON: the payload as text where it is UTF-8, else in base64.
pub(crate) fn envelope(told: &Told<'_>) -> Vec<u8> {
    let text = std::str::from_utf8(told.payload).ok();
    let body = MessageBody {
        offset: told.token.to_string(),
        timestamp: told.timestamp_ms,
        topic: told.topic,
        qos: told.qos,
        retain: told.retain,
        clientid: told.client_id,
        payload: text,
        payload_b64: text.is_none().then(|| base64(told.payload)),
        properties: properties(told.properties),
    };
    // Texts and numbers: there is nothing in it that JSON could not say.
    serde_json::to_vec(&body).unwrap_or_default()
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
