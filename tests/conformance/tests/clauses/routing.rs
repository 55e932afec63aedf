//! Who gets which message and how it looks there, clause by clause: retained messages (3.3.1), subscriptions
//! (3.8, 3.10), sessions (4.1, 4.5) and topics (4.7).

use std::time::Duration;

use robustmq_conformance::packet::unsubscribe;
use robustmq_conformance::{
    AckKind, Broker, Client, Connect, Heard, Packet, Props, Publish, Subscribe,
};
use robustmq_conformance::{Version, property};

use robustmq_conformance::client::PATIENCE;

use super::{let_pass, publish_once, publisher};
use Version::{V5, V311};

fn client(broker: &Broker, version: Version, id: &str) -> Client {
    Client::connect(broker, &Connect::new(version, id)).0
}

fn retain(broker: &Broker, topic: &str, text: &str) {
    publish_once(broker, Publish::new(topic, text).retain());
}

/// The texts of all messages retained for a filter, sorted.
fn retained(broker: &Broker, version: Version, filter: &str) -> Vec<String> {
    let mut client = client(broker, version, "asks");
    client.subscribe(filter, 1);
    client.publish_1("end/of/it", "");
    client.subscribe("end/of/it", 1);
    client.publish_1("end/of/it", "end");
    let mut texts = Vec::new();
    loop {
        let message = client.take();
        if message.topic == "end/of/it" {
            break;
        }
        assert!(message.retain, "{message:?}");
        texts.push(message.text());
    }
    client.disconnect();
    texts.sort();
    texts
}

/// The last one of each topic, whatever its QoS, to whoever subscribes.
fn the_last_is_retained(version: Version) {
    let broker = Broker::start();
    let mut sender = client(&broker, version, "sender");
    for qos in 0..=2 {
        for text in ["first", "last"] {
            let publish = Publish::new(&format!("r/{qos}"), format!("{text} {qos}")).retain();
            if qos == 0 {
                sender.publish(&publish);
            } else {
                sender.publish_through(publish.qos(qos, 9));
            }
        }
    }
    // Nobody says when QoS 0 has taken effect; what follows on its topic does.
    sender.publish_1("r/0", "");
    assert_eq!(
        retained(&broker, version, "r/+"),
        ["last 0", "last 1", "last 2"]
    );
    // A message of QoS 0 takes the place of another one too.
    sender.publish(&Publish::new("r/2", "of QoS 0").retain());
    sender.publish_1("r/2", "");
    assert_eq!(retained(&broker, version, "r/2"), ["of QoS 0"]);
}

/// Nothing retained is stored, changed or removed by what is not retained.
fn others_leave_it_alone(version: Version) {
    let broker = Broker::start();
    let mut sender = client(&broker, version, "sender");
    sender.publish_1("r", "not retained");
    assert_eq!(retained(&broker, version, "r"), [""; 0]);
    retain(&broker, "r", "kept");
    sender.publish_1("r", "not retained");
    sender.publish_1("r", "");
    assert_eq!(retained(&broker, version, "r"), ["kept"]);
}

/// An empty one goes to those who are there, removes what was kept, and is not kept itself.
fn an_empty_one_clears(version: Version) {
    let broker = Broker::start();
    retain(&broker, "r", "old");
    let mut live = client(&broker, version, "live");
    live.subscribe("r", 1);
    assert_eq!(live.take().text(), "old");
    retain(&broker, "r", "");
    let message = live.take();
    assert_eq!((message.text().as_str(), message.retain), ("", false));
    assert_eq!(retained(&broker, version, "#"), [""; 0]);
}

/// RETAIN 1 because of a subscription, 0 because of a publish.
fn flag_tells_why(version: Version) {
    let broker = Broker::start();
    retain(&broker, "r", "kept");
    let mut client = client(&broker, version, "c");
    client.subscribe("r", 1);
    assert!(client.take().retain);
    retain(&broker, "r", "live");
    assert!(!client.take().retain);
}

/// Retain As Published: the flag as it came.
fn flag_as_published() {
    const AS_PUBLISHED: u8 = 0x08;
    let broker = Broker::start();
    let mut client = client(&broker, V5, "c");
    client.subscribe("r", 1 | AS_PUBLISHED);
    retain(&broker, "r", "retained");
    assert!(client.take().retain);
    publish_once(&broker, Publish::new("r", "not"));
    assert!(!client.take().retain);
}

/// The topic that arrives is the one that was published, and it matches the filter.
fn the_topic_matches(version: Version) {
    let broker = Broker::start();
    let mut client = client(&broker, version, "c");
    client.subscribe("a/+/c", 1);
    let mut sender = publisher(&broker);
    for topic in ["a/b", "a/b/c", "a/b/c/d", "A/b/c", "a//c", "a/ä/c"] {
        sender.publish_1(topic, topic);
    }
    for topic in ["a/b/c", "a//c", "a/ä/c"] {
        assert_eq!(client.take().topic, topic);
    }
    client.expect_silence();
}

/// One copy, of the highest QoS.
fn overlapping_filters(version: Version) {
    let broker = Broker::start();
    let mut client = client(&broker, version, "c");
    for (filter, qos) in [("o/#", 0), ("o/x", 2), ("o/+", 1)] {
        client.subscribe(filter, qos);
    }
    publisher(&broker).publish_2("o/x", "p");
    assert_eq!(client.take().qos, 2);
    client.expect_silence();
}

/// SUBACK with the identifier and a code for each filter, in their order.
fn suback(version: Version) {
    let broker = Broker::start();
    let mut client = client(&broker, version, "c");
    let subscribe = Subscribe::new(31, "a", 2)
        .and("b/#/c", 1)
        .and("c/#", 0)
        .and("d", 1);
    client.send(&subscribe.bytes(version));
    let refused = if version == V5 { 0x8f } else { 0x80 };
    match client.hear(PATIENCE) {
        Heard::Packet(Packet::SubAck { id: 31, codes, .. }) => {
            assert_eq!(codes, [2, refused, 0, 1])
        }
        other => panic!("{other:?}"),
    }
    // Those that were granted hold, as if each had come alone.
    for (topic, qos) in [("a", 2), ("c/x", 0), ("d", 1)] {
        publisher(&broker).publish_2(topic, "p");
        assert_eq!(client.take().qos, qos);
    }
}

/// The new subscription takes the old one's place: another QoS, retained messages again, nothing lost.
fn the_same_filter(version: Version) {
    let broker = Broker::start();
    retain(&broker, "t", "retained");
    let mut client = client(&broker, version, "c");
    client.subscribe("t", 0);
    assert_eq!(client.take().text(), "retained");
    let mut sender = publisher(&broker);
    for number in 0..20 {
        sender.publish_1("t", number.to_string());
        client.subscribe("t", 1);
    }
    let mut live = Vec::new();
    let mut again = 0;
    while live.len() < 20 || again < 20 {
        let message = client.take();
        if message.retain {
            again += 1
        } else {
            live.push(message.text())
        }
    }
    let all: Vec<String> = (0..20).map(|number| number.to_string()).collect();
    assert_eq!(live, all);
    sender.publish_2("t", "one copy");
    assert_eq!(client.take().qos, 1);
    client.expect_silence();
}

/// The lower one of both.
fn the_lower_qos(version: Version) {
    let broker = Broker::start();
    let mut client = client(&broker, version, "c");
    for granted in 0..=2 {
        client.subscribe("q", granted);
        let mut sender = publisher(&broker);
        sender.publish_1("q", "1");
        sender.publish_2("q", "2");
        assert_eq!(
            [client.take().qos, client.take().qos],
            [granted.min(1), granted]
        );
    }
}

/// Filters are compared letter by letter; those that are gone get nothing, others go on.
fn unsubscribe_takes_exactly_its_filters(version: Version) {
    let broker = Broker::start();
    let mut client = client(&broker, version, "c");
    for filter in ["a/#", "a/+", "a/b"] {
        client.subscribe(filter, 1);
    }
    client.unsubscribe(&["A/b", "a/B", "#", "a/+/"]);
    publisher(&broker).publish_1("a/b", "all three");
    assert_eq!(client.take().text(), "all three");
    client.unsubscribe(&["a/b", "a/#", "a/+"]);
    publisher(&broker).publish_1("a/b", "none");
    client.expect_silence();
}

/// What has been sent is brought to its end after UNSUBSCRIBE.
fn unsubscribe_finishes_what_was_sent(version: Version) {
    let broker = Broker::start();
    let mut client = client(&broker, version, "c");
    client.subscribe("t", 2);
    publisher(&broker).publish_2("t", "sent");
    let id = client.message().id;
    client.unsubscribe(&["t"]);
    client.ack(AckKind::PubRec, id);
    assert_eq!(client.acked(AckKind::PubRel).id, id);
    client.ack(AckKind::PubComp, id);
    client.expect_silence();
}

/// One UNSUBACK, with the identifier, also where there was nothing to remove.
fn unsuback(version: Version) {
    let broker = Broker::start();
    let mut client = client(&broker, version, "c");
    client.subscribe("a", 0);
    client.subscribe("b", 0);
    for (id, filters, codes) in [
        (77, &["a", "never", "b"][..], &[0, 0x11, 0][..]),
        (78, &["never"], &[0x11]),
        (79, &["a", "b"], &[0x11, 0x11]),
    ] {
        client.send(&unsubscribe(version, id, filters));
        match client.packet() {
            Packet::UnsubAck {
                id: at,
                codes: told,
                ..
            } => {
                assert_eq!(at, id);
                assert_eq!(told, if version == V5 { codes } else { &[] });
            }
            other => panic!("{other:?}"),
        }
    }
    client.expect_silence();
}

/// Every session with a subscription that matches gets it, connected or not.
fn everyone_who_subscribes(version: Version) {
    let broker = Broker::start();
    let mut here = client(&broker, version, "here");
    here.subscribe("t/+", 1);
    let (mut away, _) = Client::lasting(&broker, version, "away");
    away.subscribe("t/#", 2);
    away.disconnect();
    let mut other = client(&broker, version, "other");
    other.subscribe("u", 1);
    publisher(&broker).publish_2("t/x", "p");
    assert_eq!(here.take().text(), "p");
    assert_eq!(
        Client::lasting(&broker, version, "away").0.take().text(),
        "p"
    );
    other.expect_silence();
}

/// A session lasts at least as long as its connection, whatever its expiry says.
fn state_lasts_while_connected(version: Version) {
    let broker = Broker::start();
    let connect = match version {
        V5 => Connect::v5("c").props(Props::new().four(property::SESSION_EXPIRY, 1)),
        _ => Connect::new(version, "c"),
    };
    let mut client = Client::connect(&broker, &connect).0;
    client.subscribe("t", 1);
    let_pass(Duration::from_millis(2_200));
    publisher(&broker).publish_1("t", "still here");
    assert_eq!(client.take().text(), "still here");
}

/// After its expiry it is gone.
fn state_ends_with_its_expiry() {
    let broker = Broker::start();
    let connect = Connect::v5("c")
        .clean(false)
        .props(Props::new().four(property::SESSION_EXPIRY, 1));
    let mut client = Client::connect(&broker, &connect).0;
    client.subscribe("t", 1);
    client.disconnect();
    let_pass(Duration::from_millis(2_500));
    let (_client, present, _) = Client::connect(&broker, &connect);
    assert!(!present);
}

fn wildcards_leave_dollar_topics(version: Version) {
    let broker = Broker::start();
    let mut client = client(&broker, version, "c");
    for filter in ["#", "+/#", "+/x", "+/brokers/#"] {
        client.subscribe(filter, 1);
    }
    // Clients may not publish there; whatever becomes of it, a wildcard in front gets nothing.
    let mut sender = publisher(&broker);
    sender.publish(&Publish::new("$SYS/x", "p"));
    sender.publish(&Publish::new("$other/x", "p"));
    sender.publish_1("plain/x", "p");
    assert_eq!(client.take().topic, "plain/x");
    client.expect_silence();
}

/// The longest topic there can be; names of more bytes cannot be written in a packet.
fn the_longest_topic(version: Version) {
    let topic = "x".repeat(65_535);
    let broker = Broker::start();
    let mut client = client(&broker, version, "c");
    client.subscribe(&topic, 0);
    client.publish(&Publish::new(&topic, "p"));
    assert_eq!(client.message().topic.len(), 65_535);
}

/// Letters that look alike or mean the same are different, and spaces are letters.
fn nothing_is_normalised(version: Version) {
    let broker = Broker::start();
    let pairs = [
        ("caf\u{e9}", "cafe\u{301}"),
        ("A", "a"),
        ("a", "a "),
        ("a/b", "a//b"),
        ("/a", "a"),
        ("a", "a/"),
        ("\u{212b}", "\u{c5}"),
        ("%2f", "/"),
    ];
    for (filter, other) in pairs {
        let mut client = client(&broker, version, "c");
        client.subscribe(filter, 0);
        client.publish_1(other, "another topic");
        client.publish_1(filter, "this one");
        assert_eq!(
            client.message().text(),
            "this one",
            "{filter:?} and {other:?}"
        );
        client.expect_silence();
    }
}

/// A publish that is not allowed is acknowledged as ever or ends the connection: 3.1.1 has no other way.
fn a_publish_that_is_not_allowed() {
    let broker = Broker::start();
    for qos in 1..=2 {
        let mut client = client(&broker, V311, "c");
        client.publish(&Publish::new("$SYS/x", "p").qos(qos, 1));
        let kind = if qos == 1 {
            AckKind::PubAck
        } else {
            AckKind::PubRec
        };
        match client.hear(PATIENCE) {
            Heard::Closed => {}
            Heard::Packet(Packet::Ack(ack)) => assert_eq!((ack.kind, ack.id), (kind, 1)),
            other => panic!("{other:?}"),
        }
    }
}

/// What a publisher says about its message arrives as it was said.
fn properties_arrive_unaltered() {
    super::properties::mqtt5_3_3_2_18_properties_are_passed_on_unaltered_and_in_order();
}

clauses! {
    mqtt5_3_3_1_7_an_empty_one_is_not_kept: an_empty_one_clears(V5);
    mqtt5_3_3_1_8_what_is_not_retained_changes_nothing: others_leave_it_alone(V5);
    mqtt5_3_3_1_13_the_flag_as_published: flag_as_published();
    mqtt5_3_3_2_3_the_topic_matches_the_filter: the_topic_matches(V5);
    mqtt5_3_3_2_4_the_payload_format_is_unaltered: properties_arrive_unaltered();
    mqtt5_3_3_2_15_the_response_topic_is_unaltered: properties_arrive_unaltered();
    mqtt5_3_3_2_16_correlation_data_is_unaltered: properties_arrive_unaltered();
    mqtt5_3_3_2_17_user_properties_are_unaltered: properties_arrive_unaltered();
    mqtt5_3_3_2_20_the_content_type_is_unaltered: properties_arrive_unaltered();
    mqtt5_3_3_4_2_overlapping_filters_give_the_highest_qos: overlapping_filters(V5);
    mqtt5_3_8_4_1_subscribe_gets_suback: suback(V5);
    mqtt5_3_8_4_4_a_new_subscription_sends_retained_messages_and_loses_none: the_same_filter(V5);
    mqtt5_3_8_4_5_many_filters_are_as_many_subscribes: suback(V5);
    mqtt5_3_8_4_7_codes_show_what_was_granted: suback(V5);
    mqtt5_3_9_3_1_codes_are_in_the_order_of_the_filters: suback(V5);
    mqtt5_3_9_3_2_codes_of_suback: suback(V5);
    mqtt5_3_10_4_1_filters_are_compared_letter_by_letter: unsubscribe_takes_exactly_its_filters(V5);
    mqtt5_3_10_4_2_nothing_new_after_unsubscribe: unsubscribe_takes_exactly_its_filters(V5);
    mqtt5_3_10_4_4_unsubscribe_gets_unsuback: unsuback(V5);
    mqtt5_3_10_4_6_many_filters_one_unsuback: unsuback(V5);
    mqtt5_3_11_3_1_codes_are_in_the_order_of_the_filters: unsuback(V5);
    mqtt5_3_11_3_2_codes_of_unsuback: unsuback(V5);
    mqtt5_4_1_0_1_state_lasts_while_connected: state_lasts_while_connected(V5);
    mqtt5_4_1_0_2_state_ends_with_its_expiry: state_ends_with_its_expiry();
    mqtt5_4_5_0_1_everyone_who_subscribes: everyone_who_subscribes(V5);
    mqtt5_4_7_2_1_wildcards_leave_dollar_topics: wildcards_leave_dollar_topics(V5);
    mqtt5_4_7_3_3_the_longest_topic: the_longest_topic(V5);
    mqtt5_4_7_3_4_nothing_is_normalised: nothing_is_normalised(V5);
    mqtt311_3_3_1_3_dup_is_not_passed_on: {
        let broker = Broker::start();
        let mut receiver = client(&broker, V311, "c");
        receiver.subscribe("t", 1);
        publish_once(&broker, Publish::new("t", "p").dup());
        assert!(!receiver.take().dup)
    };
    mqtt311_3_3_1_5_the_last_is_retained: the_last_is_retained(V311);
    mqtt311_3_3_1_6_a_new_subscription_gets_it: the_last_is_retained(V311);
    mqtt311_3_3_1_7_one_of_qos_0_takes_its_place: the_last_is_retained(V311);
    mqtt311_3_3_1_8_the_flag_tells_what_was_retained: flag_tells_why(V311);
    mqtt311_3_3_1_9_the_flag_tells_what_is_live: flag_tells_why(V311);
    mqtt311_3_3_1_10_an_empty_one_clears: an_empty_one_clears(V311);
    mqtt311_3_3_1_11_an_empty_one_is_not_kept: an_empty_one_clears(V311);
    mqtt311_3_3_1_12_what_is_not_retained_changes_nothing: others_leave_it_alone(V311);
    mqtt311_3_3_2_3_the_topic_matches_the_filter: the_topic_matches(V311);
    mqtt311_3_3_5_2_a_publish_that_is_not_allowed: a_publish_that_is_not_allowed();
    mqtt311_3_8_4_1_subscribe_gets_suback: suback(V311);
    mqtt311_3_8_4_2_suback_has_the_identifier: suback(V311);
    mqtt311_3_8_4_3_the_same_filter_replaces: the_same_filter(V311);
    mqtt311_3_8_4_4_many_filters_are_as_many_subscribes: suback(V311);
    mqtt311_3_8_4_5_a_code_for_each_filter: suback(V311);
    mqtt311_3_8_4_6_the_lower_qos: the_lower_qos(V311);
    mqtt311_3_9_3_1_codes_are_in_the_order_of_the_filters: suback(V311);
    mqtt311_3_9_3_2_codes_of_suback: suback(V311);
    mqtt311_3_10_4_1_filters_are_compared_letter_by_letter: unsubscribe_takes_exactly_its_filters(V311);
    mqtt311_3_10_4_2_nothing_new_after_unsubscribe: unsubscribe_takes_exactly_its_filters(V311);
    mqtt311_3_10_4_3_what_was_sent_is_finished: unsubscribe_finishes_what_was_sent(V311);
    mqtt311_3_10_4_4_unsuback_has_the_identifier: unsuback(V311);
    mqtt311_3_10_4_5_unsuback_though_nothing_was_there: unsuback(V311);
    mqtt311_3_10_4_6_many_filters_one_unsuback: unsuback(V311);
    mqtt311_3_12_4_1_pingreq_is_answered: { let broker = Broker::start(); client(&broker, V311, "c").ping() };
    mqtt311_4_1_0_1_state_is_stored_for_the_whole_session: everyone_who_subscribes(V311);
    mqtt311_4_1_0_2_a_session_lasts_while_connected: state_lasts_while_connected(V311);
    mqtt311_4_5_0_1_everyone_who_subscribes: everyone_who_subscribes(V311);
    mqtt311_4_7_2_1_wildcards_leave_dollar_topics: wildcards_leave_dollar_topics(V311);
    mqtt311_4_7_3_3_the_longest_topic: the_longest_topic(V311);
    mqtt311_4_7_3_4_nothing_is_normalised: nothing_is_normalised(V311);
}
