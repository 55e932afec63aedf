//! How a client connects.

use serde_json::{Value, json};

/// MQTT 3.1.
pub(crate) const V3_1: u8 = 3;
/// MQTT 3.1.1.
pub(crate) const V3_1_1: u8 = 4;
/// MQTT 5.0.
pub(crate) const V5: u8 = 5;

/// All of them.
pub(crate) const VERSIONS: [u8; 3] = [V3_1, V3_1_1, V5];

/// Seconds: longer than any test.
const LONG: u32 = 3600;

/// How a client connects.
#[derive(Clone, Debug)]
pub(crate) struct Login {
    order: Value,
}

impl Login {
    /// With a new session that ends with the connection.
    pub(crate) fn clean(version: u8, client_id: &str) -> Self {
        Self {
            order: json!({
                "do": "connect",
                "version": version,
                "client_id": client_id,
                "clean": true,
                "keep_alive": 60,
            }),
        }
    }

    /// With the session that there may be, which outlives the connection.
    pub(crate) fn persistent(version: u8, client_id: &str) -> Self {
        let login = Self::clean(version, client_id).with("clean", false);
        if version == V5 {
            login.property("session_expiry_interval", LONG)
        } else {
            login
        }
    }

    /// With this field of the command.
    pub(crate) fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.order[name] = value.into();
        self
    }

    /// With this property of the CONNECT.
    pub(crate) fn property(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.order["properties"][name] = value.into();
        self
    }

    /// With this will.
    pub(crate) fn will(self, topic: &str, payload: &str) -> Self {
        self.with(
            "will",
            json!({"topic": topic, "payload": payload, "qos": 1}),
        )
    }

    /// With this property of the will.
    pub(crate) fn will_property(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.order["will"]["properties"][name] = value.into();
        self
    }

    /// The command for the driver.
    pub(crate) fn order(&self, client: &str, port: u16) -> Value {
        let mut order = self.order.clone();
        order["client"] = json!(client);
        // Set already where it is not that of plain TCP.
        if order["port"].is_null() {
            order["port"] = json!(port);
        }
        order
    }
}
