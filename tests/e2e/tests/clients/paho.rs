//! paho-mqtt for Python.

use std::collections::VecDeque;

use robustmq_e2e::Broker;
use serde_json::json;

use crate::driver::{Driver, Library, Message};
use crate::login::{Login, V3_1_1, V5};
use crate::scenarios::all_scenarios;

all_scenarios!(Library::Paho);

/// This library keeps pairs of different names apart from their place.
#[test]
fn mqtt_3_3_2_18_user_properties_keep_their_order_across_names() {
    let broker = Broker::start(&[]);
    let mut driver = Library::Paho.drive(&broker);
    driver.connect("client", &Login::clean(V5, "client"));
    driver.subscribe("client", "t");
    let properties = json!({"user_property": [["a", "1"], ["b", "2"], ["a", "3"], ["b", "2"]]});
    driver.publish_with("client", "t", b"x", &json!({"properties": properties}));
    assert_eq!(driver.message("client").properties, properties);
}

/// Ten messages for a client that takes three at a time and acknowledges none
/// by itself: this library leaves that to its user. Gives the first three.
fn three_of_ten(driver: &mut Driver) -> VecDeque<Message> {
    let login = Login::clean(V5, "client")
        .property("receive_maximum", 3)
        .with("manual_ack", true);
    driver.connect("client", &login);
    driver.connect("publisher", &Login::clean(V5, "publisher"));
    driver.subscribe("client", "t");
    for number in 0..10 {
        driver.publish("publisher", "t", &number.to_string());
    }
    (0..3).map(|_| driver.message("client")).collect()
}

fn acknowledge(driver: &mut Driver, message: &Message) {
    driver.tell(&json!({"do": "ack", "client": "client", "mid": message.mid, "qos": 1}));
}

#[test]
fn mqtt_3_3_4_9_receive_maximum_holds_messages_back() {
    let broker = Broker::start(&[]);
    let mut driver = Library::Paho.drive(&broker);
    let mut held = three_of_ten(&mut driver);
    for next in 3..10 {
        // Answers are no PUBLISH: they are not held back.
        driver.subscribe("client", "aside");
        driver.unsubscribe("client", "aside");
        assert!(!driver.is_waiting("client", "message"));
        acknowledge(&mut driver, &held.pop_front().expect("three are held"));
        driver.subscribe("client", "aside");
        driver.unsubscribe("client", "aside");
        let message = driver.message("client");
        assert_eq!(message.text(), next.to_string());
        held.push_back(message);
    }
}

/// Nothing else wakes the connection: no other packet comes, and no position
/// is stored.
#[test]
fn an_acknowledgement_makes_room_at_once() {
    let broker = Broker::start(&["storage.cursor_flush_interval=1h"]);
    let mut driver = Library::Paho.drive(&broker);
    let mut held = three_of_ten(&mut driver);
    for next in 3..10 {
        acknowledge(&mut driver, &held.pop_front().expect("three are held"));
        let message = driver.message("client");
        assert_eq!(message.text(), next.to_string());
        held.push_back(message);
    }
}

/// What was not acknowledged comes again, marked.
#[test]
fn mqtt_4_4_0_1_unacknowledged_messages_come_again() {
    let broker = Broker::start(&[]);
    let mut driver = Library::Paho.drive(&broker);
    for version in [V3_1_1, V5] {
        let client = format!("client-{version}");
        let topic = format!("t/{version}");
        let login = Login::persistent(version, &client).with("manual_ack", true);
        driver.connect(&client, &login);
        driver.subscribe_with(&client, &topic, &json!({"qos": 1}));
        for payload in ["acknowledged", "not"] {
            driver.publish(&client, &topic, payload);
        }
        let message = driver.message(&client);
        driver.tell(&json!({"do": "ack", "client": client, "mid": message.mid, "qos": 1}));
        let message = driver.message(&client);
        assert_eq!((message.text(), message.dup), ("not", false));
        // Behind the acknowledgement: when it is answered, that was read.
        driver.subscribe(&client, "aside");
        driver.disconnect(&client);

        driver.connect(&client, &Login::persistent(version, &client));
        let message = driver.message(&client);
        assert_eq!((message.text(), message.dup), ("not", true));
        driver.nothing(&client);
    }
}
