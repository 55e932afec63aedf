//! Topic names and filters (4.7).

use robustmq_conformance::{Broker, Client, differs_on_peer};

use super::publisher;

/// A filter, topics it matches, topics it does not.
const CASES: &[(&str, &[&str], &[&str])] = &[
    (
        "sport/tennis/player1",
        &["sport/tennis/player1"],
        &["sport/tennis", "Sport/tennis/player1"],
    ),
    (
        "sport/tennis/player1/#",
        &[
            "sport/tennis/player1",
            "sport/tennis/player1/ranking",
            "sport/tennis/player1/score/wimbledon",
        ],
        &["sport/tennis/player11", "sport/tennis"],
    ),
    (
        "sport/#",
        &["sport", "sport/", "sport/a", "sport/a/b"],
        &["sports", "/sport"],
    ),
    ("#", &["a", "/", "/a", "a/b/c", "//"], &[]),
    (
        "sport/tennis/+",
        &["sport/tennis/player1", "sport/tennis/"],
        &["sport/tennis", "sport/tennis/a/b"],
    ),
    ("sport/+", &["sport/", "sport/a"], &["sport", "sport/a/b"]),
    ("+/+", &["/finance", "a/b", "/"], &["finance", "a/b/c"]),
    ("/+", &["/finance", "/"], &["finance", "/a/b"]),
    ("+", &["finance"], &["/finance", "a/"]),
    (
        "+/tennis/#",
        &["a/tennis", "/tennis", "a/tennis/b"],
        &["tennis", "a/b/tennis"],
    ),
    ("a//b", &["a//b"], &["a/b", "a/x/b"]),
    ("a/+/b", &["a//b", "a/x/b"], &["a/b", "a/x/y/b"]),
    ("a/+/+/d", &["a/b/c/d", "a///d"], &["a/b/d"]),
    ("ACCOUNTS", &["ACCOUNTS"], &["Accounts"]),
    ("Accounts payable", &["Accounts payable"], &["Accounts"]),
    ("grüße/+/日本", &["grüße/x/日本"], &["gruesse/x/日本"]),
];

#[test]
fn mqtt5_4_7_1_filters_match_what_they_should() {
    let broker = Broker::start();
    let mut sender = publisher(&broker);
    for (filter, matching, others) in CASES {
        let mut client = Client::v5(&broker, "matcher");
        client.subscribe(filter, 1);
        for topic in *matching {
            sender.publish_1(topic, filter);
            assert_eq!(client.take().topic, *topic, "{filter:?}");
        }
        for topic in *others {
            sender.publish_1(topic, filter);
        }
        client.expect_silence();
    }
}

#[test]
fn mqtt5_4_7_1_stored_messages_match_as_live_ones_do() {
    let broker = Broker::start();
    let mut sender = publisher(&broker);
    for (filter, matching, others) in CASES {
        let connect =
            robustmq_conformance::Connect::lasting(robustmq_conformance::Version::V5, "matcher");
        let mut client = Client::connect(&broker, &connect.clone().clean(true)).0;
        client.subscribe(filter, 1);
        client.disconnect();
        for topic in matching.iter().chain(*others) {
            sender.publish_1(topic, filter);
        }
        let mut client = Client::connect(&broker, &connect).0;
        let mut topics: Vec<String> = matching.iter().map(|_| client.take().topic).collect();
        topics.sort();
        let mut wanted = matching.to_vec();
        wanted.sort_unstable();
        assert_eq!(topics, wanted, "{filter:?}");
        client.expect_silence();
    }
}

#[test]
fn mqtt5_4_7_2_clients_exchange_nothing_over_dollar_topics() {
    let broker = Broker::start();
    let mut listener = Client::v5(&broker, "listener");
    for filter in ["#", "+/x", "+/#", "$private/#", "$SYS/x"] {
        listener.subscribe(filter, 1);
    }
    let mut sender = publisher(&broker);
    for topic in ["$private/x", "$SYS/x"] {
        let code = sender.publish_1(topic, "hidden").code;
        assert!(
            code == 0x90 || robustmq_conformance::broker::is_peer(),
            "{code:#04x}"
        );
        assert!(
            sender.publish_2(topic, "hidden").code >= 0x80
                || robustmq_conformance::broker::is_peer()
        );
        sender.publish(&robustmq_conformance::Publish::new(topic, "hidden").retain());
        let will = robustmq_conformance::Will::new(topic, "hidden");
        let mut willing = Client::open(&broker, robustmq_conformance::Version::V5);
        willing.send(
            &robustmq_conformance::Connect::v5("willing")
                .will(will)
                .bytes(),
        );
        let _refused_or_not = willing.packet();
        willing.cut();
    }
    sender.ping();
    listener.expect_silence();
}

#[test]
fn mqtt5_4_7_3_topics_of_the_greatest_length_work() {
    if differs_on_peer("has 200 levels at most") {
        return;
    }
    let broker = Broker::start();
    let mut client = Client::v5(&broker, "long");
    let topic = "x".repeat(65_535);
    client.subscribe(&topic, 1);
    publisher(&broker).publish_1(&topic, "p");
    assert_eq!(client.take().topic, topic);
}

#[test]
fn topic_levels_are_limited_as_configured() {
    if differs_on_peer("has a limit of its own") {
        return;
    }
    let options = robustmq_conformance::Options::new().set("mqtt.max_topic_levels", "4");
    let broker = Broker::start_with(options);
    let mut client = Client::v5(&broker, "levels");
    client.subscribe("a/b/c/d", 1);
    client.publish_1("a/b/c/d", "p");
    assert_eq!(client.take().text(), "p");
    let codes = client.subscribe_with(&robustmq_conformance::Subscribe::new(900, "a/b/c/d/e", 1));
    assert!(codes[0] >= 0x80, "{codes:02x?}");
    let ack = client.publish_1("a/b/c/d/e", "p");
    assert_eq!(ack.code, 0x90, "{ack:?}");
}
