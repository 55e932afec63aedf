//! Last wills.

use std::time::{Duration, Instant};

use robustmq_e2e::Broker;

use crate::driver::Library;
use crate::login::{Login, V5, VERSIONS};

/// Ends the connection but not the will.
const DISCONNECT_WITH_WILL: u8 = 0x04;

/// [MQTT-3.1.2-8]
pub(crate) fn will_is_published_when_the_client_is_killed(library: Library) {
    let broker = Broker::start(&[]);
    let mut watcher = library.drive(&broker);
    let mut victim = library.drive(&broker);
    for version in VERSIONS {
        let client = format!("watcher-{version}");
        watcher.connect(&client, &Login::clean(version, &client));
        watcher.subscribe(&client, &format!("will/{version}"));
        let client = format!("victim-{version}");
        let login = Login::clean(version, &client).will(&format!("will/{version}"), "gone");
        victim.connect(&client, &login);
    }
    victim.kill();
    for version in VERSIONS {
        let message = watcher.message(&format!("watcher-{version}"));
        assert_eq!((message.text(), message.qos), ("gone", 1));
        assert!(!message.retain);
    }
}

pub(crate) fn mqtt_3_1_2_10_an_orderly_disconnect_discards_the_will(library: Library) {
    let broker = Broker::start(&[]);
    let mut driver = library.drive(&broker);
    driver.connect("watcher", &Login::clean(V5, "watcher"));
    driver.subscribe("watcher", "will");
    for version in VERSIONS {
        let client = format!("client-{version}");
        driver.connect(
            &client,
            &Login::clean(version, &client).will("will", &client),
        );
        driver.disconnect(&client);
    }
    // One that leaves with its will comes after them.
    driver.connect("last", &Login::clean(V5, "last").will("will", "last"));
    driver.disconnect_with("last", DISCONNECT_WITH_WILL);
    assert_eq!(driver.texts("watcher", 1), ["last"]);
}

/// The connections of a stopped process stay open, but nothing comes.
pub(crate) fn mqtt_3_1_2_22_a_silent_client_is_given_up(library: Library) {
    let broker = Broker::start(&[]);
    let mut watcher = library.drive(&broker);
    let mut silent = library.drive(&broker);
    watcher.connect("watcher", &Login::clean(V5, "watcher"));
    watcher.subscribe("watcher", "will/#");
    for version in VERSIONS {
        let client = format!("silent-{version}");
        let login = Login::clean(version, &client)
            .with("keep_alive", 1)
            .will(&format!("will/{version}"), "gone");
        silent.connect(&client, &login);
    }
    // One with the same keep alive that goes on pinging is kept.
    let alive = Login::clean(V5, "alive")
        .with("keep_alive", 1)
        .will("will/alive", "gone");
    watcher.connect("alive", &alive);
    silent.freeze();
    let mut topics: Vec<String> = VERSIONS
        .iter()
        .map(|_| watcher.message("watcher").topic)
        .collect();
    topics.sort();
    assert_eq!(topics, ["will/3", "will/4", "will/5"]);
    watcher.nothing("alive");
    watcher.nothing("watcher");
}

pub(crate) fn mqtt_3_1_3_9_a_will_waits_for_its_delay_and_for_the_client(library: Library) {
    const DELAY: Duration = Duration::from_secs(2);
    let broker = Broker::start(&[]);
    let mut driver = library.drive(&broker);
    driver.connect("watcher", &Login::clean(V5, "watcher"));
    driver.subscribe("watcher", "will");
    let login = |client: &str| {
        Login::persistent(V5, client)
            .will("will", client)
            .will_property("will_delay_interval", DELAY.as_secs())
    };
    for client in ["back", "away"] {
        driver.connect(client, &login(client));
    }
    driver.disconnect_with("back", DISCONNECT_WITH_WILL);
    let left = Instant::now();
    driver.disconnect_with("away", DISCONNECT_WITH_WILL);
    driver.connect("back", &login("back"));
    // The will of the one that came back would have been due before this one.
    assert_eq!(driver.texts("watcher", 1), ["away"]);
    assert!(left.elapsed() >= DELAY, "{:?}", left.elapsed());
}
