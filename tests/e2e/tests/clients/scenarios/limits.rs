//! What broker and client allow each other, and how the broker takes its leave.

use robustmq_e2e::Broker;
use serde_json::json;

use crate::driver::Library;
use crate::login::{Login, V5, VERSIONS};

pub(crate) fn broker_announces_its_limits(library: Library) {
    let broker = Broker::start(&[
        "mqtt.receive_maximum=7",
        "mqtt.max_packet_size=20000B",
        "mqtt.max_topic_alias=5",
        "mqtt.server_keepalive=30s",
        "mqtt.max_qos=1",
    ]);
    let mut driver = library.drive(&broker);
    let connected = driver.connect("client", &Login::clean(V5, "client"));
    let properties = &connected["properties"];
    assert_eq!(properties["receive_maximum"], 7);
    assert_eq!(properties["maximum_packet_size"], 20_000);
    assert_eq!(properties["topic_alias_maximum"], 5);
    assert_eq!(properties["server_keep_alive"], 30);
    assert_eq!(properties["maximum_qos"], 1);
}

pub(crate) fn mqtt_3_1_2_25_a_packet_too_large_for_the_client_is_left_out(library: Library) {
    let broker = Broker::start(&[]);
    let mut driver = library.drive(&broker);
    driver.connect("publisher", &Login::clean(V5, "publisher"));
    let login = Login::clean(V5, "client").property("maximum_packet_size", 500);
    driver.connect("client", &login);
    driver.subscribe("client", "t");
    for payload in ["first", &"x".repeat(500), "last"] {
        driver.publish("publisher", "t", payload);
    }
    assert_eq!(driver.texts("client", 2), ["first", "last"]);
}

/// [MQTT-3.2.2-15]
pub(crate) fn a_packet_too_large_for_the_broker_ends_the_connection(library: Library) {
    const PACKET_TOO_LARGE: u8 = 0x95;
    let broker = Broker::start(&["mqtt.max_packet_size=2000B"]);
    let mut driver = library.drive(&broker);
    driver.connect("client", &Login::clean(V5, "client"));
    driver.publish("client", "t", &"x".repeat(1000));
    driver.tell(&json!({
        "do": "publish", "client": "client", "topic": "t", "payload": "x".repeat(2000), "qos": 0,
    }));
    let disconnected = driver.wait("client", "disconnected");
    assert_eq!(disconnected["by_server"], true, "{disconnected}");
    assert_eq!(disconnected["reason"], PACKET_TOO_LARGE);
}

/// [MQTT-3.1.2-26], [MQTT-3.3.2-12]
pub(crate) fn topic_aliases_both_ways(library: Library) {
    let broker = Broker::start(&[]);
    let mut driver = library.drive(&broker);
    let login = Login::clean(V5, "client").property("topic_alias_maximum", 3);
    driver.connect("client", &login);
    driver.connect("plain", &Login::clean(V5, "plain"));
    for client in ["client", "plain"] {
        driver.subscribe(client, "some/long/topic/+");
    }
    let alias = |alias: u16| json!({"properties": {"topic_alias": alias}});
    for (topic, options, meant) in [
        ("some/long/topic/a", alias(1), "some/long/topic/a"),
        ("some/long/topic/b", alias(65_535), "some/long/topic/b"),
        ("", alias(1), "some/long/topic/a"),
        ("", alias(65_535), "some/long/topic/b"),
        // The alias may be given another meaning.
        ("some/long/topic/c", alias(1), "some/long/topic/c"),
        ("", alias(1), "some/long/topic/c"),
    ] {
        driver.publish_with("client", topic, b"x", &options);
        let message = driver.message("plain");
        // The alias is a matter of one connection.
        assert_eq!(
            (&*message.wire_topic, message.properties),
            (meant, json!({}))
        );
        let message = driver.message("client");
        assert_eq!(message.topic, meant);
        if topic.is_empty() {
            // Its topic came before: now the alias does for it.
            assert_eq!(message.wire_topic, "");
            let alias = message.properties["topic_alias"].as_u64();
            assert!(
                alias.is_some_and(|alias| (1..=3).contains(&alias)),
                "{alias:?}"
            );
        }
    }
}

/// [MQTT-3.14.2]: the reason code where the version has one.
pub(crate) fn shutdown_says_goodbye(library: Library) {
    const SERVER_SHUTTING_DOWN: u8 = 0x8b;
    let mut broker = Broker::start(&[]);
    let mut driver = library.drive(&broker);
    for version in VERSIONS {
        let client = format!("client-{version}");
        driver.connect(&client, &Login::clean(version, &client));
    }
    let (status, _) = broker.stop();
    assert!(status.success(), "{status}");
    for version in VERSIONS {
        let disconnected = driver.wait(&format!("client-{version}"), "disconnected");
        assert_eq!(disconnected["by_server"], version == V5, "{disconnected}");
        if version == V5 {
            assert_eq!(disconnected["reason"], SERVER_SHUTTING_DOWN);
        }
    }
}
