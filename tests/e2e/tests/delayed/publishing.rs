//! What is published later, and how.

use robustmq_protocol::codec::Forwarded;

use super::*;

#[test]
fn mosquitto_publishes_for_later_and_the_message_comes_in_time() {
    let broker = Broker::start(&[]);
    let session = ["-i", "reader", "-c", "-q", "2", "-t", "lamps/#"];
    mosquitto(&broker, "mosquitto_sub", &[&session[..], &["-E"]].concat());
    for (version, qos) in [("mqttv5", "2"), ("mqttv311", "1"), ("mqttv31", "0")] {
        let topic = format!("$delayed/2/lamps/{version}");
        let words = [
            "-V", version, "-q", qos, "-i", "pub", "-t", &topic, "-m", "off",
        ];
        mosquitto(&broker, "mosquitto_pub", &words);
    }
    wait_until_waiting(&broker, 3);
    let start = now_s();
    let words = [&session[..], &["-C", "3", "-W", "30", "-F", "%t %q %p"]].concat();
    let mut got = mosquitto(&broker, "mosquitto_sub", &words);
    got.sort_unstable();
    assert_eq!(
        got,
        [
            "lamps/mqttv31 0 off",
            "lamps/mqttv311 1 off",
            "lamps/mqttv5 2 off"
        ]
    );
    assert!(now_s() + 1 >= start, "they come when they are due");
    assert_eq!(waiting(&broker), 0);
}

#[test]
fn qos_retain_and_properties_are_kept() {
    let broker = Broker::start(&[]);
    let mut subscriber = clean(&broker, "s");
    subscriber.subscribe("a/#", QoS::ExactlyOnce);
    let mut publisher = clean(&broker, "the-publisher");
    let mut properties = PublishProperties {
        message_expiry: Some(600),
        ..PublishProperties::default()
    };
    let user_properties = b"\x26\0\x03one\0\x011\x26\0\x03two\0\x012";
    properties.forwarded = Forwarded::parse(user_properties).expect("user properties");
    let publish = Publish {
        retain: true,
        properties,
        ..publishing("$delayed/1/a/kept", "later")
    };
    let before = now_s();
    let (reason, id) = store(&mut publisher, &publish);
    assert_eq!(reason, ReasonCode::Success);
    nothing(&mut subscriber);
    let message = take(&mut subscriber);
    assert!(now_s() > before, "not before its time");
    assert_eq!((&*message.topic, payload(&message)), ("a/kept", "later"));
    assert_eq!(message.qos, QoS::AtLeastOnce);
    assert!(!message.retain, "it is new to this subscription");
    let user =
        [("one", "1"), ("two", "2")].map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(message.user_properties, user);
    // The interval counts from the time at which the message is published.
    let left = message.message_expiry.expect("an expiry");
    assert!((590..=600).contains(&left), "{left}");
    let mut later = clean(&broker, "later");
    later.subscribe("a/#", QoS::AtMostOnce);
    let retained = take(&mut later);
    assert!(
        retained.retain && payload(&retained) == "later",
        "{retained:?}"
    );
    // History has it under its topic, by its publisher, when it was published.
    let path = "/api/v5/history/messages?filter=%23";
    let history = http(&broker).get(path).json();
    let told = history["data"].as_array().expect("a list");
    assert_eq!(told.len(), 1, "{history}");
    assert_eq!(told[0]["clientid"], "the-publisher", "{history}");
    assert_ne!(told[0]["offset"].as_str(), id.as_deref());
    let at_ms = told[0]["timestamp"].as_u64().expect("a time");
    assert!(at_ms / 1000 > before, "{at_ms} {before}");
    let mut replaying = clean(&broker, "r");
    replaying.subscribe("$replay/earliest/a/#", QoS::AtMostOnce);
    let again = take(&mut replaying);
    let stamp = again
        .user_properties
        .iter()
        .find(|(name, _)| name == "x-timestamp");
    assert_eq!(stamp.map(|(_, value)| &**value), Some(&*at_ms.to_string()));
}

#[test]
fn exactly_once_is_exactly_once_on_the_way_in() {
    let broker = Broker::start(&[]);
    let mut subscriber = clean(&broker, "s");
    subscriber.subscribe("a", QoS::ExactlyOnce);
    let mut publisher = clean(&broker, "p");
    let publish = Publish {
        qos: QoS::ExactlyOnce,
        ..publishing("$delayed/1/a", "once")
    };
    publisher.publish(&publish).expect("PUBLISH is sent");
    let received = publisher.receive().expect("the broker answers");
    assert!(
        matches!(received, Received::PubRec(_, ReasonCode::Success, _)),
        "{received:?}"
    );
    let again = Publish {
        dup: true,
        ..publish
    };
    publisher.publish(&again).expect("PUBLISH is sent");
    let received = publisher.receive().expect("the broker answers");
    assert!(matches!(received, Received::PubRec(..)), "{received:?}");
    publisher
        .ack(Packet::PubRel, PacketId::MIN)
        .expect("PUBREL is sent");
    let received = publisher.receive().expect("the broker answers");
    assert!(matches!(received, Received::PubComp(..)), "{received:?}");
    let message = take(&mut subscriber);
    assert_eq!((payload(&message), message.qos), ("once", QoS::ExactlyOnce));
    wait_until_waiting(&broker, 0);
    assert!(matches!(
        subscriber.receive().expect("the broker answers"),
        Received::PubRel(..)
    ));
    nothing(&mut subscriber);
}

#[test]
fn the_order_of_what_is_due_at_one_time_is_that_of_publishing() {
    let broker = Broker::start(&[]);
    let mut subscriber = clean(&broker, "s");
    subscriber.subscribe("a/#", QoS::AtLeastOnce);
    let mut publisher = clean(&broker, "p");
    let at = now_s() + 3;
    let topic = format!("$delayed/{at}/a/same");
    for number in 0..100 {
        delay(&mut publisher, &topic, &number.to_string());
    }
    // A time that has passed is now.
    delay(&mut publisher, "$delayed/100000000/a/past", "past");
    assert_eq!(payload(&take(&mut subscriber)), "past");
    for number in 0..100 {
        let message = take(&mut subscriber);
        assert_eq!(payload(&message), number.to_string());
    }
    assert!(now_s() >= at, "not before its time");
}

/// The reason string, as mosquitto's client prints it.
fn mosquitto_is_told(broker: &Broker) {
    let output = Command::new("mosquitto_pub")
        .args([
            "-h",
            "127.0.0.1",
            "-p",
            &broker.address().port().to_string(),
        ])
        .args([
            "-V",
            "5",
            "-q",
            "1",
            "-t",
            "$delayed/soon/a",
            "-m",
            "x",
            "-d",
        ])
        .output()
        .expect("mosquitto_pub is installed");
    let text = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    assert!(text.contains("RC:144"), "{text}");
    let log = broker.log();
    assert!(log.contains("the delay is no number of seconds"), "{log}");
}

#[test]
fn a_bad_delay_is_refused_with_a_reason() {
    let broker = Broker::start(&[
        "mqtt.rewrite=[{ source_topic = \"later/+\", re = \"^later/(.+)$\", dest_topic = \"$delayed/1/a/$1\" }, { source_topic = \"x/#\", re = \"^x/(.+)$\", dest_topic = \"a/$1\" }]",
    ]);
    let mut publisher = clean(&broker, "p");
    for topic in [
        "$delayed/soon/a",
        "$delayed/-1/a",
        "$delayed/5",
        "$delayed/99999999999/a",
        "$delayed/5/$SYS/a",
        "$delayed/5/$delayed/5/a",
    ] {
        let (reason, id) = store(&mut publisher, &publishing(topic, "x"));
        assert_eq!(
            (reason, id),
            (ReasonCode::TopicNameInvalid, None),
            "{topic}"
        );
        let publish = Publish {
            qos: QoS::ExactlyOnce,
            ..publishing(topic, "x")
        };
        publisher.publish(&publish).expect("PUBLISH is sent");
        let received = publisher.receive().expect("the broker answers");
        assert!(
            matches!(
                received,
                Received::PubRec(_, ReasonCode::TopicNameInvalid, _)
            ),
            "{received:?}"
        );
        // With QoS 0 nobody is told, but it is counted.
        let publish = Publish {
            qos: QoS::AtMostOnce,
            packet_id: None,
            ..publishing(topic, "x")
        };
        publisher.publish(&publish).expect("PUBLISH is sent");
    }
    nothing(&mut publisher);
    let metrics = http(&broker).get("/metrics");
    let refused = "robustmq_publishes_rejected_total 18";
    assert!(metrics.text().contains(refused), "{}", metrics.text());
    mosquitto_is_told(&broker);
    // Rules may delay, and are about the topic behind the delay.
    let mut subscriber = clean(&broker, "s");
    subscriber.subscribe("a/#", QoS::AtLeastOnce);
    delay(&mut publisher, "later/by-rule", "1");
    assert_eq!(take(&mut subscriber).topic, "a/by-rule");
    delay(&mut publisher, "$delayed/0/x/renamed", "2");
    assert_eq!(take(&mut subscriber).topic, "a/renamed");
}
