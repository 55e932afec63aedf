//! Who receives what: topics and subscriptions.

use robustmq_e2e::Broker;
use serde_json::json;

use crate::driver::{Driver, Library};
use crate::login::{Login, V3_1, V3_1_1, V5, VERSIONS};

/// A filter and what it matches of the topics published.
type Case = (&'static str, &'static [&'static str]);

/// Publishes all topics; every filter, subscribed to by a client of its own,
/// must receive its own and no other.
fn check(driver: &mut Driver, version: u8, topics: &[&str], cases: &[Case]) {
    for (number, (filter, _)) in cases.iter().enumerate() {
        let client = format!("v{version}-{number}");
        driver.connect(&client, &Login::clean(version, &client));
        driver.subscribe(&client, filter);
    }
    let publisher = format!("v{version}-publisher");
    driver.connect(&publisher, &Login::clean(version, &publisher));
    for topic in topics {
        driver.publish(&publisher, topic, "x");
    }
    // Sent after all others, to everyone.
    for (number, (filter, matches)) in cases.iter().enumerate() {
        let client = format!("v{version}-{number}");
        let end = format!("end/{version}/{number}");
        driver.subscribe(&client, &end);
        driver.publish(&publisher, &end, "x");
        let mut received = Vec::new();
        loop {
            let message = driver.message(&client);
            if message.topic == end {
                break;
            }
            received.push(message.topic);
        }
        // The first topics of all are `end/…` of others: only `#` and its
        // like would see them.
        received.retain(|topic| !topic.starts_with("end/"));
        assert_eq!(received, *matches, "{filter} in version {version}");
    }
    for number in 0..cases.len() {
        driver.disconnect(&format!("v{version}-{number}"));
    }
}

/// The examples of [MQTT-4.7.1.2] and [MQTT-4.7.1.3].
pub(crate) fn wildcards_match_as_specified(library: Library) {
    let broker = Broker::start(&[]);
    let mut driver = library.drive(&broker);
    let topics = &[
        "sport",
        "sport/",
        "sport/tennis",
        "sport/tennis/player1",
        "sport//player1",
        "/finance",
        "finance",
        "Sport",
    ];
    let cases: &[Case] = &[
        (
            "sport/#",
            &[
                "sport",
                "sport/",
                "sport/tennis",
                "sport/tennis/player1",
                "sport//player1",
            ],
        ),
        ("sport/+", &["sport/", "sport/tennis"]),
        (
            "sport/+/player1",
            &["sport/tennis/player1", "sport//player1"],
        ),
        ("sport/tennis", &["sport/tennis"]),
        ("sport//player1", &["sport//player1"]),
        ("+", &["sport", "finance", "Sport"]),
        ("/+", &["/finance"]),
        ("+/+", &["sport/", "sport/tennis", "/finance"]),
        ("#", topics),
    ];
    for version in VERSIONS {
        check(&mut driver, version, topics, cases);
    }
}

/// Topics that begin with `$` are the broker's own: no client can send
/// another one a message there, and wildcards do not reach them.
pub(crate) fn mqtt_4_7_2_1_dollar_topics_are_not_for_clients(library: Library) {
    const TOPIC_NAME_INVALID: u8 = 0x90;
    let broker = Broker::start(&[]);
    let mut driver = library.drive(&broker);
    driver.connect("client", &Login::clean(V5, "client"));
    driver.connect("watcher", &Login::clean(V5, "watcher"));
    for filter in ["#", "+/monitor", "$own/#"] {
        driver.subscribe("watcher", filter);
    }
    for topic in ["$own/monitor", "$SYS/monitor"] {
        let published = driver.publish_with("client", topic, b"x", &json!({}));
        assert_eq!(published["reason"], TOPIC_NAME_INVALID, "{topic}");
    }
    for version in [V3_1, V3_1_1] {
        // Older versions have no words for it.
        let client = format!("client-{version}");
        driver.connect(&client, &Login::clean(version, &client));
        driver.tell(&json!({
            "do": "publish", "client": client, "topic": "$own/monitor", "payload": "x", "qos": 1,
        }));
        driver.wait(&client, "disconnected");
    }
    // Not by way of the sentinel, which `#` would double.
    driver.publish("client", "end", "end");
    assert_eq!(driver.message("watcher").topic, "end");
}

pub(crate) fn topics_and_payloads_in_any_script(library: Library) {
    let broker = Broker::start(&[]);
    let mut driver = library.drive(&broker);
    for version in VERSIONS {
        let client = format!("client-{version}");
        driver.connect(&client, &Login::clean(version, &client));
        for (number, name) in ["温度", "Größe µ", "🚀", "\u{feff}a"].iter().enumerate() {
            let topic = format!("{version}/{number}/{name}");
            driver.subscribe(&client, &topic);
            driver.publish(&client, &topic, name);
            let message = driver.message(&client);
            assert_eq!((message.text(), &message.topic), (*name, &topic));
        }
    }
}

pub(crate) fn mqtt_3_8_3_3_no_local_keeps_own_messages_away(library: Library) {
    let broker = Broker::start(&[]);
    let mut driver = library.drive(&broker);
    for client in ["self", "other"] {
        driver.connect(client, &Login::clean(V5, client));
        driver.subscribe_with(client, "t", &json!({"no_local": true}));
    }
    driver.publish("self", "t", "by self");
    assert_eq!(driver.texts("other", 1), ["by self"]);
    driver.publish("other", "t", "by other");
    assert_eq!(driver.texts("self", 1), ["by other"]);
}

pub(crate) fn unsubscribed_means_silent(library: Library) {
    let broker = Broker::start(&[]);
    let mut driver = library.drive(&broker);
    for version in VERSIONS {
        let client = format!("client-{version}");
        driver.connect(&client, &Login::clean(version, &client));
        for filter in ["a/+", "b/#"] {
            driver.subscribe(&client, filter);
        }
        driver.unsubscribe(&client, "a/+");
        for topic in ["a/1", "b/1"] {
            driver.publish(&client, topic, topic);
        }
        assert_eq!(driver.texts(&client, 1), ["b/1"]);
        driver.disconnect(&client);
    }
}
