//! mqtt.js for Node.

use robustmq_e2e::Broker;
use serde_json::json;

use crate::driver::Library;
use crate::login::{Login, V5};
use crate::scenarios::all_scenarios;

all_scenarios!(Library::MqttJs);

/// This library sends as much as it is told, whatever the broker announced.
#[test]
fn mqtt_3_3_4_7_more_in_flight_than_announced_ends_the_connection() {
    const RECEIVE_MAXIMUM_EXCEEDED: u8 = 0x93;
    let broker = Broker::start(&["mqtt.receive_maximum=1"]);
    let mut driver = Library::MqttJs.drive(&broker);
    driver.connect("client", &Login::clean(V5, "client"));
    driver.publish("client", "t", "one at a time is well");
    driver.tell(&json!({
        "do": "publish_many", "client": "client", "topic": "t", "count": 500, "qos": 1,
    }));
    let disconnected = driver.wait("client", "disconnected");
    assert_eq!(disconnected["by_server"], true, "{disconnected}");
    assert_eq!(disconnected["reason"], RECEIVE_MAXIMUM_EXCEEDED);
}

/// This library shows what a PUBREC carries.
#[test]
fn pubrec_carries_the_offset_and_says_when_nobody_listens() {
    let broker = Broker::start(&[]);
    let mut driver = Library::MqttJs.drive(&broker);
    driver.connect("client", &Login::clean(V5, "client"));
    driver.subscribe("client", "heard");
    for (topic, reason) in [("unheard", 0x10), ("heard", 0x00)] {
        let published = driver.publish_with("client", topic, b"x", &json!({"qos": 2}));
        assert_eq!(published["reason"], reason, "{topic}");
    }
    let published = driver.publish_with("client", "heard", b"x", &json!({"qos": 2}));
    let properties = &published["properties"]["user_property"];
    assert_eq!(properties[0][0], "x-offset", "{published}");
}
