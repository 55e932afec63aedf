//! Properties and reason codes of MQTT 5.0.

use robustmq_e2e::Broker;
use serde_json::{Value, json};

use crate::driver::{Library, latin_1};
use crate::login::{Login, V5};

/// [MQTT-3.3.2-4], [MQTT-3.3.2-15] to [MQTT-3.3.2-20]
pub(crate) fn properties_arrive_untouched(library: Library) {
    let broker = Broker::start(&[]);
    let mut driver = library.drive(&broker);
    driver.connect("client", &Login::clean(V5, "client"));
    driver.subscribe("client", "t");
    let properties = json!({
        // Neither sorted nor without repetition, and one of them empty.
        "user_property": [["z", "1"], ["a", "2"], ["a", "2"], ["a", "1"], ["größe", ""]],
        "content_type": "text/plain; charset=utf-8",
        "response_topic": "answers/here",
        "correlation_data": latin_1(&[0, 255, 13, 10, 0x1a]),
        "payload_format_indicator": 1,
    });
    for qos in 0..=2 {
        let options = json!({"qos": qos, "properties": properties});
        driver.publish_with("client", "t", b"x", &options);
        assert_eq!(driver.message("client").properties, properties);
    }
    driver.publish("client", "t", "x");
    assert_eq!(driver.message("client").properties, json!({}));
}

pub(crate) fn a_request_gets_its_response(library: Library) {
    let broker = Broker::start(&[]);
    let mut driver = library.drive(&broker);
    for (client, filter) in [("asker", "answers/asker"), ("answerer", "questions")] {
        driver.connect(client, &Login::clean(V5, client));
        driver.subscribe(client, filter);
    }
    let request = json!({"properties": {
        "response_topic": "answers/asker",
        "correlation_data": latin_1(&[0xca, 0xfe, 0x00]),
    }});
    driver.publish_with("asker", "questions", b"6 * 7", &request);
    let question = driver.message("answerer");
    let to = question.properties["response_topic"]
        .as_str()
        .expect("a response topic");
    let correlation = &question.properties["correlation_data"];
    let response = json!({"properties": {"correlation_data": correlation}});
    driver.publish_with("answerer", to, b"42", &response);
    let answer = driver.message("asker");
    assert_eq!(answer.text(), "42");
    assert_eq!(
        answer.properties["correlation_data"],
        request["properties"]["correlation_data"]
    );
}

/// [MQTT-3.3.4-3] to [MQTT-3.3.4-5]: one copy with all identifiers or several
/// with one each, as the broker likes.
pub(crate) fn subscription_identifiers_name_the_subscriptions(library: Library) {
    let broker = Broker::start(&[]);
    let mut driver = library.drive(&broker);
    driver.connect("client", &Login::clean(V5, "client"));
    // The largest there is, too.
    for (filter, id) in [("a/+", 1), ("a/#", 268_435_455), ("b", 7)] {
        let options = json!({"properties": {"subscription_identifier": id}});
        driver.subscribe_with("client", filter, &options);
    }
    driver.publish("client", "a/x", "x");
    driver.publish("client", "b", "end");
    let mut ids = Vec::new();
    loop {
        let message = driver.message("client");
        let these = message.properties["subscription_identifier"].clone();
        if message.topic == "b" {
            assert_eq!(these, json!([7]));
            break;
        }
        ids.extend(these.as_array().expect("a list").clone());
    }
    ids.sort_by_key(Value::as_u64);
    assert_eq!(ids, [1, 268_435_455]);
}

pub(crate) fn mqtt_3_2_2_16_a_client_without_identifier_is_given_one(library: Library) {
    let broker = Broker::start(&[]);
    let mut driver = library.drive(&broker);
    let mut assigned = Vec::new();
    for client in ["a", "b"] {
        let connected = driver.connect(client, &Login::clean(V5, ""));
        let id = &connected["properties"]["assigned_client_identifier"];
        assigned.push(id.as_str().expect("an identifier").to_owned());
    }
    assert!(
        !assigned[0].is_empty() && assigned[0] != assigned[1],
        "{assigned:?}"
    );
    let connected = driver.connect("named", &Login::clean(V5, "named"));
    let id = &connected["properties"]["assigned_client_identifier"];
    assert!(id.is_null(), "{connected}");
}

/// [MQTT-3.3.2-5], [MQTT-3.3.2-6]. A delayed will is the clock.
pub(crate) fn messages_expire(library: Library) {
    const WITH_WILL: u8 = 0x04;
    let broker = Broker::start(&[]);
    let mut driver = library.drive(&broker);
    for client in ["sleeper", "watcher"] {
        driver.connect(client, &Login::persistent(V5, client));
    }
    driver.subscribe("sleeper", "t");
    driver.disconnect("sleeper");
    driver.subscribe("watcher", "clock");
    for (payload, options) in [
        (
            "short",
            json!({"properties": {"message_expiry_interval": 1}}),
        ),
        (
            "long",
            json!({"properties": {"message_expiry_interval": 1000}}),
        ),
        ("never", json!({})),
    ] {
        driver.publish_with("watcher", "t", payload.as_bytes(), &options);
    }
    let clock = Login::persistent(V5, "clock")
        .will("clock", "two seconds later")
        .will_property("will_delay_interval", 2);
    driver.connect("clock", &clock);
    driver.disconnect_with("clock", WITH_WILL);
    driver.message("watcher");
    driver.connect("sleeper", &Login::persistent(V5, "sleeper"));
    let message = driver.message("sleeper");
    let left = message.properties["message_expiry_interval"]
        .as_u64()
        .expect("what is left");
    assert_eq!(message.text(), "long");
    assert!((900..1000).contains(&left), "{left} s are left");
    let message = driver.message("sleeper");
    assert_eq!((message.text(), &message.properties), ("never", &json!({})));
    driver.nothing("sleeper");
}

/// The reason codes of the UNSUBACK.
pub(crate) fn unsubscribing_from_what_is_not_there_says_so(library: Library) {
    let broker = Broker::start(&[]);
    let mut driver = library.drive(&broker);
    driver.connect("client", &Login::clean(V5, "client"));
    driver.subscribe("client", "there");
    for (filter, reason) in [("not/there", 0x11), ("there", 0x00), ("there", 0x11)] {
        let unsubscribed = driver.unsubscribe("client", filter);
        assert_eq!(unsubscribed["reasons"], json!([reason]), "{filter}");
    }
}
