//! Retained messages.

use robustmq_e2e::Broker;
use serde_json::json;

use crate::driver::{Driver, Library};
use crate::login::{Login, V5, VERSIONS};

fn retain(driver: &mut Driver, client: &str, topic: &str, payload: &str) {
    driver.publish_with(client, topic, payload.as_bytes(), &json!({"retain": true}));
}

/// [MQTT-3.3.1-5], [MQTT-3.3.1-6], [MQTT-3.3.1-8]
pub(crate) fn retained_messages_come_on_subscribing_until_cleared(library: Library) {
    let broker = Broker::start(&[]);
    let mut driver = library.drive(&broker);
    for version in VERSIONS {
        let client = format!("client-{version}");
        let (old, kept) = (format!("{version}/old"), format!("{version}/kept"));
        driver.connect(&client, &Login::clean(version, &client));
        retain(&mut driver, &client, &old, "first");
        retain(&mut driver, &client, &old, "second");
        driver.subscribe(&client, &old);
        let message = driver.message(&client);
        assert_eq!((message.text(), message.retain), ("second", true));

        // To those who have subscribed already it is a message as any other.
        retain(&mut driver, &client, &old, "third");
        let message = driver.message(&client);
        assert_eq!((message.text(), message.retain), ("third", false));
        retain(&mut driver, &client, &old, "");
        let message = driver.message(&client);
        assert_eq!((message.text(), message.retain), ("", false));

        retain(&mut driver, &client, &kept, "kept");
        let late = format!("late-{version}");
        driver.connect(&late, &Login::clean(version, &late));
        driver.subscribe(&late, &format!("{version}/#"));
        let message = driver.message(&late);
        assert_eq!((&message.topic, message.text()), (&kept, "kept"));
        driver.nothing(&late);
    }
}

pub(crate) fn retained_messages_survive_a_kill(library: Library) {
    let mut broker = Broker::start(&[]);
    let mut driver = library.drive(&broker);
    for version in VERSIONS {
        let client = format!("before-{version}");
        driver.connect(&client, &Login::clean(version, &client));
        retain(&mut driver, &client, &format!("{version}/cleared"), "x");
        retain(&mut driver, &client, &format!("{version}/kept"), "first");
        retain(&mut driver, &client, &format!("{version}/kept"), "second");
        retain(&mut driver, &client, &format!("{version}/cleared"), "");
    }
    broker.kill_and_restart();
    for version in VERSIONS {
        let client = format!("after-{version}");
        driver.connect(&client, &Login::clean(version, &client));
        driver.subscribe(&client, &format!("{version}/#"));
        let message = driver.message(&client);
        assert_eq!((message.text(), message.retain), ("second", true));
        driver.nothing(&client);
    }
}

/// [MQTT-3.3.1-9] to [MQTT-3.3.1-11]
pub(crate) fn retain_handling_decides_whether_they_come(library: Library) {
    let broker = Broker::start(&[]);
    let mut driver = library.drive(&broker);
    driver.connect("client", &Login::clean(V5, "client"));
    // How often it comes on the first and on the second SUBSCRIBE.
    for (handling, counts) in [(0, [1, 1]), (1, [1, 0]), (2, [0, 0])] {
        let topic = format!("handling/{handling}");
        retain(&mut driver, "client", &topic, &topic);
        for count in counts {
            let options = json!({"retain_handling": handling});
            driver.subscribe_with("client", &topic, &options);
            assert_eq!(driver.texts("client", count), vec![topic.clone(); count]);
        }
    }
}

/// [MQTT-3.3.1-12], [MQTT-3.3.1-13]
pub(crate) fn retain_as_published_keeps_the_flag(library: Library) {
    let broker = Broker::start(&[]);
    let mut driver = library.drive(&broker);
    driver.connect("publisher", &Login::clean(V5, "publisher"));
    for (client, kept) in [("kept", true), ("cleared", false)] {
        driver.connect(client, &Login::clean(V5, client));
        driver.subscribe_with(client, "t", &json!({"retain_as_published": kept}));
    }
    for retained in [true, false] {
        driver.publish_with("publisher", "t", b"x", &json!({"retain": retained}));
        assert_eq!(driver.message("kept").retain, retained);
        assert!(!driver.message("cleared").retain);
    }
}
