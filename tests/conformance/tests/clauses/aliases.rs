//! Topic aliases in both directions (3.3.2.3.4).

use std::collections::HashMap;

use robustmq_conformance::{Broker, Client, Connect, Options, Props, Publish, Version, property};

use super::publisher;

fn alias(topic: &str, alias: u16, text: &str) -> Publish {
    Publish::new(topic, text).props(Props::new().two(property::TOPIC_ALIAS, alias))
}

#[test]
fn mqtt5_3_3_2_3_4_a_client_may_name_a_topic_by_its_alias() {
    let broker = Broker::start_with(Options::new().set("mqtt.max_topic_alias", "10"));
    let mut receiver = Client::v5(&broker, "receiver");
    receiver.subscribe("#", 2);
    let mut sender = publisher(&broker);
    sender.publish(&alias("a/b", 1, "1"));
    sender.publish(&alias("", 1, "2"));
    sender.publish(&alias("c", 10, "3"));
    sender.publish_through(alias("", 1, "4").qos(1, 1));
    // The alias is given to another topic.
    sender.publish_through(alias("d", 1, "5").qos(2, 2));
    sender.publish_through(alias("", 1, "6").qos(2, 3));
    sender.publish_through(alias("", 10, "7").qos(1, 4));
    let heard: Vec<(String, String)> = (0..7)
        .map(|_| receiver.take())
        .map(|message| {
            assert_eq!(
                message.props.get(property::TOPIC_ALIAS),
                None,
                "none was allowed"
            );
            (message.text(), message.topic)
        })
        .collect();
    let mut heard: Vec<(&str, &str)> = heard
        .iter()
        .map(|(text, topic)| (text.as_str(), topic.as_str()))
        .collect();
    heard.sort_unstable();
    let wanted = [
        ("1", "a/b"),
        ("2", "a/b"),
        ("3", "c"),
        ("4", "a/b"),
        ("5", "d"),
        ("6", "d"),
        ("7", "c"),
    ];
    assert_eq!(heard, wanted);
}

#[test]
fn mqtt5_3_3_2_9_an_alias_above_the_maximum_is_invalid() {
    let broker = Broker::start_with(Options::new().set("mqtt.max_topic_alias", "5"));
    let mut sender = publisher(&broker);
    sender.publish(&alias("t", 5, "p"));
    sender.ping();
    sender.publish(&alias("t", 6, "p"));
    sender.expect_end(Some(0x94));
}

#[test]
fn mqtt5_3_3_2_7_aliases_end_with_the_connection() {
    let broker = Broker::start();
    let (mut sender, _) = Client::lasting(&broker, Version::V5, "sender");
    sender.publish_through(alias("t", 1, "p").qos(1, 1));
    sender.disconnect();
    let (mut sender, _) = Client::lasting(&broker, Version::V5, "sender");
    sender.publish(&alias("", 1, "p").qos(1, 2));
    sender.expect_end(Some(0x82));
}

#[test]
fn mqtt5_3_1_2_27_the_broker_uses_no_more_aliases_than_allowed() {
    let broker = Broker::start();
    let props = Props::new().two(property::TOPIC_ALIAS_MAX, 2);
    let mut receiver = Client::connect(&broker, &Connect::v5("receiver").props(props)).0;
    receiver.subscribe("alias/#", 1);
    let mut sender = publisher(&broker);
    let mut known: HashMap<u32, String> = HashMap::new();
    let mut used = 0;
    for number in 0..60 {
        // Two topics often, others seldom.
        let topic = format!(
            "alias/{}",
            if number % 5 == 4 { number } else { number % 2 }
        );
        sender.publish_1(&topic, topic.as_bytes());
        let message = receiver.take();
        let topic = match message.props.number(property::TOPIC_ALIAS) {
            None => message.topic.clone(),
            Some(alias) => {
                assert!((1..=2).contains(&alias), "{message:?}");
                if message.topic.is_empty() {
                    used += 1;
                } else {
                    known.insert(alias, message.topic.clone());
                }
                known[&alias].clone()
            }
        };
        assert_eq!(topic, message.text(), "the alias leads to the right topic");
    }
    // mosquitto 2.0 uses none.
    assert!(
        used > 10 || robustmq_conformance::broker::is_peer(),
        "aliases save bytes: {used}"
    );
}

#[test]
fn aliases_to_a_client_end_with_the_connection() {
    let broker = Broker::start();
    let props = Props::new()
        .two(property::TOPIC_ALIAS_MAX, 10)
        .four(property::SESSION_EXPIRY, 100);
    let connect = Connect::v5("receiver").clean(false).props(props);
    let mut sender = publisher(&broker);
    for round in 0..3 {
        let mut receiver = Client::connect(&broker, &connect).0;
        if round == 0 {
            receiver.subscribe("a", 1);
        }
        for _ in 0..2 {
            sender.publish_1("a", "p");
        }
        let first = receiver.take();
        assert_eq!(first.topic, "a", "no alias is known yet");
        receiver.take();
        // Unacknowledged: it comes again on the next connection, where the alias is not known.
        sender.publish_1("a", "p");
        receiver.message();
        receiver.cut();
        let mut receiver = Client::connect(&broker, &connect).0;
        assert_eq!(receiver.take().topic, "a");
        receiver.disconnect();
    }
}
