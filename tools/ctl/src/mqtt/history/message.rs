//! A message of the history, as the broker tells it.

use std::io::{self, Write};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::output::{Format, Printer};
use crate::units::time;

#[derive(Debug, Deserialize, Serialize)]
pub(super) struct Message {
    offset: String,
    timestamp: u64,
    topic: String,
    qos: u8,
    retain: bool,
    clientid: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    payload: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    payload_b64: Option<String>,
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    properties: Map<String, Value>,
}

impl Message {
    /// What was published.
    fn bytes(&self) -> Vec<u8> {
        match (&self.payload, &self.payload_b64) {
            (Some(text), _) => text.clone().into_bytes(),
            (None, Some(encoded)) => STANDARD.decode(encoded).unwrap_or_default(),
            (None, None) => Vec::new(),
        }
    }

    /// A line for people.
    fn line(&self) -> String {
        let payload = match &self.payload {
            Some(text) => text.clone(),
            None => format!("({} bytes)", self.bytes().len()),
        };
        let retain = if self.retain { " retain" } else { "" };
        format!(
            "{}  {:<14}  q{}{retain}  {}  {payload}",
            time(self.timestamp),
            self.offset,
            self.qos,
            self.topic,
        )
    }

    /// Prints it as one of many.
    pub(super) fn print(&self, printer: &mut Printer) -> io::Result<()> {
        match printer.format() {
            Format::Raw => {
                let mut bytes = self.bytes();
                bytes.push(b'\n');
                printer.write_all(&bytes)
            }
            _ => printer.element(self, || self.line()),
        }
    }

    /// Writes what was published and an end of line.
    pub(super) fn write_raw(&self, out: &mut impl Write) -> io::Result<()> {
        out.write_all(&self.bytes())?;
        out.write_all(b"\n")
    }
}
