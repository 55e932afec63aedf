//! The topic aliases a client has set up on this connection.
//!
//! **Invariants**: an alias is 1..=`alias_max`; the names held never exceed
//! `bytes_max` together; nothing outlives the connection [MQTT-3.3.2-7].

use std::collections::BTreeMap;

use crate::session::Violation;
use crate::types::ReasonCode;

#[derive(Debug)]
pub(super) struct InboundAliases {
    alias_max: u16,
    bytes_max: usize,
    bytes: usize,
    names: BTreeMap<u16, Box<str>>,
}

impl InboundAliases {
    pub(super) fn new(alias_max: u16, bytes_max: usize) -> Self {
        Self {
            alias_max,
            bytes_max,
            bytes: 0,
            names: BTreeMap::new(),
        }
    }

    /// Checks what a PUBLISH says of its topic; a name that comes with an
    /// alias becomes its meaning.
    pub(super) fn apply(&mut self, topic: &str, alias: Option<u16>) -> Result<(), Violation> {
        let Some(alias) = alias else {
            if topic.is_empty() {
                return Err(protocol_error("neither Topic Name nor Topic Alias"));
            }
            return Ok(());
        };
        if alias == 0 {
            let text = "Topic Alias is zero";
            return Err(invalid(text, "MQTT-3.3.2-8"));
        }
        if alias > self.alias_max {
            let text = "Topic Alias above the Topic Alias Maximum";
            return Err(invalid(text, "MQTT-3.3.2-9"));
        }
        if !topic.is_empty() {
            return self.set(alias, topic);
        }
        if !self.names.contains_key(&alias) {
            return Err(protocol_error("Topic Alias not set up on this connection"));
        }
        Ok(())
    }

    /// The Topic Name of a PUBLISH that `apply` has passed.
    pub(super) fn name<'a>(&'a self, topic: &'a str, alias: Option<u16>) -> &'a str {
        if !topic.is_empty() {
            return topic;
        }
        let name = alias.and_then(|alias| self.names.get(&alias));
        name.expect("apply refuses an empty topic without a known alias")
    }

    fn set(&mut self, alias: u16, topic: &str) -> Result<(), Violation> {
        let current = self.names.get(&alias);
        if current.is_some_and(|name| **name == *topic) {
            return Ok(());
        }
        let replaced = current.map_or(0, |name| name.len());
        let bytes = self.bytes - replaced + topic.len();
        if bytes > self.bytes_max {
            return Err(Violation::new(
                ReasonCode::QuotaExceeded,
                "the names of the topic aliases take too many bytes",
                "house limit topic_alias_bytes_max",
            ));
        }
        self.bytes = bytes;
        self.names.insert(alias, topic.into());
        Ok(())
    }
}

const fn invalid(text: &'static str, clause: &'static str) -> Violation {
    Violation::new(ReasonCode::TopicAliasInvalid, text, clause)
}

const fn protocol_error(text: &'static str) -> Violation {
    let clause = "MQTT5 section 3.3.2.3.4";
    Violation::new(ReasonCode::ProtocolError, text, clause)
}
