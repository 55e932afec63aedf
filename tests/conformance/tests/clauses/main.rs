//! MQTT 3.1, 3.1.1 and 5.0 over TCP with packets built by hand. A test is called after the version and the
//! clause it shows: `mqtt5_3_1_0_2_…` is [MQTT-3.1.0-2] of MQTT 5.0.
//!
//! `ROBUSTMQ_TEST_BROKER=mosquitto` runs them against mosquitto.

/// A test for each clause; several may share a scene.
macro_rules! clauses {
    ($($name:ident: $scene:expr;)+) => {
        $(
            #[test]
            fn $name() {
                $scene;
            }
        )+
    };
}

mod aliases;
mod answers;
mod connack;
mod connect;
mod exchange;
mod expiry;
mod flow;
mod form;
mod hostile;
mod keepalive;
mod malformed;
mod opening;
mod properties;
mod publish;
mod qos1_out;
mod qos2_in;
mod qos2_out;
mod receipt;
mod retained;
mod routing;
mod sessions;
mod share_groups;
mod shutdown;
mod strings;
mod subscribe;
mod takeover;
mod topics;
mod unsubscribe;
mod version3;
mod wills;

use std::time::Duration;

use robustmq_conformance::{Broker, Client, Publish, Version};

/// Waits until time itself has passed: for clauses that speak of seconds.
fn let_pass(time: Duration) {
    std::thread::sleep(time);
}

/// A second client, so that publisher and subscriber are not the same.
fn publisher(broker: &Broker) -> Client {
    Client::v5(broker, "publisher")
}

/// Publishes with QoS 1 from a client of its own and waits for the acknowledgement.
fn publish_once(broker: &Broker, publish: Publish) {
    let mut client = Client::v5(broker, "publisher-once");
    let publish = Publish {
        qos: publish.qos.max(1),
        id: 1,
        ..publish
    };
    let ack = client.publish_through(publish);
    assert!(ack.code < 0x80, "{ack:?}");
    client.disconnect();
}

/// Both ways a 5.0 and a 3.1.1 client can be on either end.
const BOTH: [Version; 2] = [Version::V311, Version::V5];
