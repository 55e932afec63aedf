//! A record as it is printed.

use std::fmt::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use robustmq_record::{KIND_MESSAGE, OffsetToken, RecordRef, ShardId};
use robustmq_views::StateBody;
use serde::Serialize;

use crate::units::time;

/// Characters of a payload that a line for people shows.
const PAYLOAD_CHARS_MAX: usize = 80;

#[derive(Serialize)]
pub(super) struct Record {
    shard: u32,
    offset: u64,
    /// As clients see it in `x-offset`.
    token: String,
    timestamp_ms: u64,
    /// `message`, or what the state record is called.
    kind: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    topic: String,
    client_id: String,
    qos: u8,
    retain: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    packet_id: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message_expiry_s: Option<u32>,
    /// Of a message whose payload is UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<String>,
    /// Of a message whose payload is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    payload_b64: Option<String>,
    /// What a state record says.
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<String>,
}

impl Record {
    pub(super) fn new(shard: ShardId, record: &RecordRef<'_>) -> Self {
        let is_message = record.kind() == KIND_MESSAGE;
        let text = std::str::from_utf8(record.payload()).ok();
        let (kind, state) = if is_message {
            ("message".to_owned(), None)
        } else {
            describe(record)
        };
        Self {
            shard: shard.0,
            offset: record.offset().0,
            token: OffsetToken {
                shard,
                offset: record.offset(),
            }
            .to_string(),
            timestamp_ms: record.timestamp_ms(),
            kind,
            topic: record.topic().to_owned(),
            client_id: record.client_id().to_owned(),
            qos: record.qos(),
            retain: record.retain(),
            packet_id: record.packet_id(),
            message_expiry_s: record.message_expiry_s(),
            payload: text.filter(|_| is_message).map(str::to_owned),
            payload_b64: (is_message && text.is_none()).then(|| STANDARD.encode(record.payload())),
            state,
        }
    }

    /// One line for people.
    pub(super) fn text(&self) -> String {
        let client_id = if self.client_id.is_empty() {
            "-"
        } else {
            &self.client_id
        };
        let when = time(self.timestamp_ms);
        let mut line = format!("{when} {} {client_id} {}", self.token, self.kind);
        // Writing into a String does not fail.
        if let Some(state) = &self.state {
            let _ = write!(line, " {state}");
            return line;
        }
        let retain = if self.retain { " retain" } else { "" };
        let _ = write!(line, " qos{}{retain} {}", self.qos, self.topic);
        let payload = self.payload.as_deref().or(self.payload_b64.as_deref());
        let payload = payload.unwrap_or_default();
        let shown: String = payload.chars().take(PAYLOAD_CHARS_MAX).collect();
        let cut = if shown.len() < payload.len() {
            "…"
        } else {
            ""
        };
        // Escaped, so that a payload cannot command the terminal.
        let _ = write!(line, " {}{cut}", shown.escape_debug());
        line
    }
}

/// Name and content of a state record.
fn describe(record: &RecordRef<'_>) -> (String, Option<String>) {
    match StateBody::decode(record) {
        Ok(body) => {
            let text = format!("{body:?}");
            let name = text.split([' ', '(', '{']).next().unwrap_or_default();
            (snake_case(name), Some(text.clone()))
        }
        Err(error) => (format!("kind {}", record.kind()), Some(error.to_string())),
    }
}

fn snake_case(name: &str) -> String {
    let mut snake = String::with_capacity(name.len() + 4);
    for letter in name.chars() {
        if letter.is_ascii_uppercase() && !snake.is_empty() {
            snake.push('_');
        }
        snake.push(letter.to_ascii_lowercase());
    }
    snake
}
