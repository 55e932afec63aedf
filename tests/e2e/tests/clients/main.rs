//! Clients that were written elsewhere: mosquitto's tools, paho (Python) and
//! mqtt.js, against the real broker.

mod driver;
mod every_version;
mod mosquitto;
mod version_5;

use robustmq_e2e::Broker;
use serde_json::{Value, json};

use driver::{Driver, Library};

fn port(broker: &Broker) -> u16 {
    broker.address().port()
}

fn none() -> Value {
    json!({})
}

/// What makes a session outlive its connection, in a version.
fn persistent(version: u8) -> Value {
    match version {
        5 => json!({"clean": false, "properties": {"SessionExpiryInterval": 3600}}),
        _ => json!({"clean": false}),
    }
}

/// Runs a scenario with every library in the versions given.
fn each(versions: &[u8], scenario: impl Fn(Library, u8)) {
    for library in Library::ALL {
        for version in versions {
            println!("{library:?} in version {version}");
            scenario(library, *version);
        }
    }
}
