//! Sessions: what outlives a connection, and what does not.

use robustmq_e2e::Broker;
use serde_json::json;

use crate::driver::{Driver, Library};
use crate::login::{Login, V3_1, V5, VERSIONS};

fn name(version: u8) -> String {
    format!("client-{version}")
}

/// MQTT 3.1 has no such flag: what it shows is of no meaning.
fn assert_session_present(version: u8, connected: &serde_json::Value, present: bool) {
    if version != V3_1 {
        assert_eq!(connected["session_present"], present, "{connected}");
    }
}

/// A session that is away, subscribed to `{version}/#`.
fn leave_a_session(driver: &mut Driver, version: u8) {
    let client = name(version);
    let connected = driver.connect(&client, &Login::persistent(version, &client));
    assert_session_present(version, &connected, false);
    driver.subscribe(&client, &format!("{version}/#"));
    driver.disconnect(&client);
}

/// What is sent to it: QoS and payload. Of one topic, and so in the order of
/// each QoS; the libraries show QoS 2 when its exchange is over, thus last.
const SENT: [(u64, &str); 4] = [(1, "first"), (1, "second"), (2, "third"), (2, "fourth")];

fn publish_to_session(driver: &mut Driver, publisher: &str, version: u8) {
    let topic = format!("{version}/t");
    for (qos, payload) in SENT {
        driver.publish_with(publisher, &topic, payload.as_bytes(), &json!({"qos": qos}));
    }
}

/// It comes back to what was sent meanwhile, and lives on.
fn come_back(driver: &mut Driver, version: u8) {
    let client = name(version);
    let connected = driver.connect(&client, &Login::persistent(version, &client));
    assert_session_present(version, &connected, true);
    for sent in SENT {
        let message = driver.message(&client);
        assert_eq!((message.qos, message.text()), sent);
        assert!(!message.dup);
    }
    driver.nothing(&client);
    driver.publish(&client, &format!("{version}/live"), "live");
    assert_eq!(driver.texts(&client, 1), ["live"]);
}

/// [MQTT-3.1.2-5], [MQTT-3.2.2-3]
pub(crate) fn messages_wait_for_their_client(library: Library) {
    let broker = Broker::start(&[]);
    let mut driver = library.drive(&broker);
    driver.connect("publisher", &Login::clean(V5, "publisher"));
    for version in VERSIONS {
        leave_a_session(&mut driver, version);
        publish_to_session(&mut driver, "publisher", version);
        come_back(&mut driver, version);
    }
}

pub(crate) fn sessions_and_their_messages_survive_a_kill(library: Library) {
    let mut broker = Broker::start(&[]);
    let mut driver = library.drive(&broker);
    driver.connect("publisher", &Login::clean(V5, "publisher"));
    for version in VERSIONS {
        leave_a_session(&mut driver, version);
        publish_to_session(&mut driver, "publisher", version);
    }
    broker.kill_and_restart();
    for version in VERSIONS {
        come_back(&mut driver, version);
    }
}

pub(crate) fn mqtt_3_1_2_4_a_clean_start_discards_the_session(library: Library) {
    let broker = Broker::start(&[]);
    let mut driver = library.drive(&broker);
    driver.connect("publisher", &Login::clean(V5, "publisher"));
    for version in VERSIONS {
        let client = name(version);
        leave_a_session(&mut driver, version);
        publish_to_session(&mut driver, "publisher", version);
        let connected = driver.connect(&client, &Login::clean(version, &client));
        assert_session_present(version, &connected, false);
        // Neither the messages nor the subscription are there any more.
        driver.publish("publisher", &format!("{version}/live"), "live");
        driver.nothing(&client);
        driver.disconnect(&client);
        // Nor does the clean one leave anything.
        let connected = driver.connect(&client, &Login::persistent(version, &client));
        assert_session_present(version, &connected, false);
        driver.nothing(&client);
    }
}

/// A will is published at the latest when its session ends: that is how the
/// end shows without connecting.
pub(crate) fn mqtt_3_1_2_23_a_session_ends_after_its_expiry(library: Library) {
    const WITH_WILL: u8 = 0x04;
    let broker = Broker::start(&[]);
    let mut driver = library.drive(&broker);
    driver.connect("watcher", &Login::clean(V5, "watcher"));
    driver.subscribe("watcher", "ended");
    let expires = |client: &str, seconds: u32| {
        Login::clean(V5, client)
            .with("clean", false)
            .property("session_expiry_interval", seconds)
    };
    let short = expires("short", 1)
        .will("ended", "short")
        .will_property("will_delay_interval", 3600);
    driver.connect("short", &short);
    driver.connect("long", &expires("long", 3600));
    driver.connect("none", &expires("none", 0));
    driver.disconnect("long");
    driver.disconnect("none");
    driver.disconnect_with("short", WITH_WILL);
    assert_eq!(driver.texts("watcher", 1), ["short"]);
    for (client, present) in [("short", false), ("long", true), ("none", false)] {
        let connected = driver.connect(client, &expires(client, 0));
        assert_session_present(V5, &connected, present);
    }
}

pub(crate) fn mqtt_3_1_4_3_a_second_client_takes_the_session_over(library: Library) {
    const SESSION_TAKEN_OVER: u8 = 0x8e;
    let broker = Broker::start(&[]);
    let mut driver = library.drive(&broker);
    for version in VERSIONS {
        let (first, second) = (format!("first-{version}"), format!("second-{version}"));
        let login = Login::persistent(version, &name(version));
        driver.connect(&first, &login);
        driver.subscribe(&first, &format!("{version}/t"));
        let connected = driver.connect(&second, &login);
        assert_session_present(version, &connected, true);
        let disconnected = driver.wait(&first, "disconnected");
        if version == V5 {
            assert_eq!(disconnected["by_server"], true, "{disconnected}");
            assert_eq!(disconnected["reason"], SESSION_TAKEN_OVER);
        }
        // The subscription is the session's.
        driver.publish(&second, &format!("{version}/t"), "x");
        assert_eq!(driver.texts(&second, 1), ["x"]);
    }
}
