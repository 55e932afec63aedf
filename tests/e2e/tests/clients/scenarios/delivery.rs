//! Messages arrive: as often as promised, whole, in order.

use robustmq_e2e::Broker;
use serde_json::json;

use crate::driver::Library;
use crate::login::{Login, V5, VERSIONS};

/// The payload holds every byte there is.
pub(crate) fn every_qos_both_ways(library: Library) {
    let broker = Broker::start(&[]);
    let mut driver = library.drive(&broker);
    let payload: Vec<u8> = (0..=255).collect();
    for version in VERSIONS {
        let publisher = format!("publisher-{version}");
        driver.connect(&publisher, &Login::clean(version, &publisher));
        for granted in 0..=2 {
            let subscriber = format!("subscriber-{version}-{granted}");
            let filter = format!("to/{version}/{granted}/#");
            driver.connect(&subscriber, &Login::clean(version, &subscriber));
            driver.subscribe_with(&subscriber, &filter, &json!({"qos": granted}));
            for published in 0..=2 {
                let topic = format!("to/{version}/{granted}/{published}");
                driver.publish_with(&publisher, &topic, &payload, &json!({"qos": published}));
                let message = driver.message(&subscriber);
                // [MQTT-3.8.4-8]: the lower of the two.
                assert_eq!(message.qos, granted.min(published));
                assert_eq!((message.topic, message.payload), (topic, payload.clone()));
                assert!(!message.retain && !message.dup);
            }
            driver.nothing(&subscriber);
        }
    }
}

pub(crate) fn large_payload_arrives_whole(library: Library) {
    let broker = Broker::start(&[]);
    let mut driver = library.drive(&broker);
    // No two places alike nearby: a lost or doubled piece shows.
    let payload: Vec<u8> = (0..900_000u32)
        .map(|place| (place.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    for version in VERSIONS {
        let client = format!("client-{version}");
        driver.connect(&client, &Login::clean(version, &client));
        driver.subscribe(&client, "large");
        driver.publish_with(&client, "large", &payload, &json!({}));
        // No assert_eq: nobody wants to read such a message.
        assert!(driver.message(&client).payload == payload);
        driver.disconnect(&client);
    }
}

/// [MQTT-4.6.0-6]
pub(crate) fn ten_thousand_messages_arrive_in_order(library: Library) {
    const COUNT: u64 = 10_000;
    let broker = Broker::start(&[]);
    let mut driver = library.drive(&broker);
    driver.connect("subscriber", &Login::clean(V5, "subscriber"));
    driver.subscribe("subscriber", "many");
    let login = Login::clean(V5, "publisher").with("inflight_max", 500);
    driver.connect("publisher", &login);
    driver.tell(&json!({
        "do": "publish_many", "client": "publisher", "topic": "many", "count": COUNT, "qos": 1,
    }));
    for number in 0..COUNT {
        let message = driver.message("subscriber");
        assert_eq!((message.text(), message.qos), (&*number.to_string(), 1));
    }
    for _ in 0..COUNT {
        assert_eq!(driver.wait("publisher", "published")["reason"], 0);
    }
    driver.nothing("subscriber");
}

pub(crate) fn puback_carries_the_offset(library: Library) {
    let broker = Broker::start(&[]);
    let mut driver = library.drive(&broker);
    driver.connect("client", &Login::clean(V5, "client"));
    driver.subscribe("client", "t");
    let mut offsets = Vec::new();
    for _ in 0..2 {
        let published = driver.publish_with("client", "t", b"x", &json!({}));
        assert_eq!(published["reason"], 0);
        let properties = &published["properties"]["user_property"];
        assert_eq!(properties[0][0], "x-offset", "{published}");
        offsets.push(properties[0][1].as_str().expect("a token").to_owned());
    }
    assert!(
        !offsets[0].is_empty() && offsets[0] != offsets[1],
        "{offsets:?}"
    );
}

pub(crate) fn publish_without_subscribers_says_so(library: Library) {
    let broker = Broker::start(&[]);
    let mut driver = library.drive(&broker);
    driver.connect("client", &Login::clean(V5, "client"));
    driver.subscribe("client", "heard");
    for (topic, reason) in [("unheard", 0x10), ("heard", 0x00)] {
        let published = driver.publish_with("client", topic, b"x", &json!({}));
        assert_eq!(published["reason"], reason, "{topic}");
    }
}
