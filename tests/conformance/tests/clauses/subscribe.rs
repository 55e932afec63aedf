//! SUBSCRIBE and its options (3.8, 3.9).

use robustmq_conformance::{AckKind, Broker, Client, Packet, Props, Publish, Subscribe, Version};
use robustmq_conformance::{differs_on_peer, property};

use super::{BOTH, publisher};

const NO_LOCAL: u8 = 0x04;

fn with_id(packet: u16, filter: &str, options: u8, id: u32) -> Subscribe {
    Subscribe::new(packet, filter, options)
        .props(Props::new().variable(property::SUBSCRIPTION_ID, id))
}

#[test]
fn mqtt5_3_8_4_6_suback_has_a_code_for_each_filter() {
    let broker = Broker::start();
    for version in BOTH {
        let mut client = Client::connect(
            &broker,
            &robustmq_conformance::Connect::new(version, "many"),
        )
        .0;
        let subscribe = Subscribe::new(7, "a", 0)
            .and("b/+", 1)
            .and("c/#", 2)
            .and("a", 2);
        assert_eq!(client.subscribe_with(&subscribe), [0, 1, 2, 2]);
        publisher(&broker).publish_2("a", "the last one counts");
        assert_eq!(client.take().qos, 2);
        client.expect_silence();
    }
}

#[test]
fn mqtt5_3_8_4_3_the_same_filter_replaces_the_subscription() {
    let broker = Broker::start();
    let mut client = Client::v5(&broker, "replace");
    client.subscribe_with(&with_id(100, "t/+", 2, 1));
    client.subscribe_with(&with_id(101, "t/+", 1, 2));
    publisher(&broker).publish_2("t/x", "one copy");
    let message = client.take();
    assert_eq!(message.qos, 1);
    assert_eq!(message.props.numbers(property::SUBSCRIPTION_ID), [2]);
    client.expect_silence();
    client.subscribe("t/+", 0);
    publisher(&broker).publish_2("t/x", "no identifier now");
    let message = client.take();
    assert_eq!(
        (
            message.qos,
            message.props.numbers(property::SUBSCRIPTION_ID)
        ),
        (0, vec![])
    );
}

#[test]
fn mqtt5_3_3_4_3_overlapping_filters_give_all_identifiers_and_the_highest_qos() {
    let broker = Broker::start();
    let mut client = Client::v5(&broker, "overlap");
    client.subscribe_with(&with_id(100, "o/#", 0, 5));
    client.subscribe_with(&with_id(101, "o/+", 2, 268_435_455));
    client.subscribe_with(&with_id(102, "o/x", 1, 7));
    client.subscribe("o/x/#", 1);
    publisher(&broker).publish_2("o/x", "p");
    if robustmq_conformance::broker::is_peer() {
        // One copy for each subscription is allowed as well.
        return;
    }
    let message = client.take();
    let mut ids = message.props.numbers(property::SUBSCRIPTION_ID);
    ids.sort_unstable();
    assert_eq!((message.qos, ids), (2, vec![5, 7, 268_435_455]));
    client.expect_silence();
}

#[test]
fn mqtt311_3_3_5_1_overlapping_filters_give_the_highest_qos() {
    let broker = Broker::start();
    let mut client = Client::v311(&broker, "overlap");
    client.subscribe("o/#", 0);
    client.subscribe("o/+", 2);
    publisher(&broker).publish_2("o/x", "p");
    let mut highest = client.take().qos;
    if robustmq_conformance::broker::is_peer() {
        highest = highest.max(client.take().qos);
    }
    assert_eq!(highest, 2);
    client.expect_silence();
}

#[test]
fn mqtt5_3_8_3_3_no_local_keeps_own_messages_away() {
    let broker = Broker::start();
    let mut client = Client::v5(&broker, "local");
    client.subscribe("t", 1 | NO_LOCAL);
    let mut other = Client::v5(&broker, "other");
    other.subscribe("t", 1);
    client.publish_1("t", "mine");
    assert_eq!(other.take().text(), "mine");
    other.publish_1("t", "theirs");
    assert_eq!(client.take().text(), "theirs");
    client.expect_silence();
    // A second subscription without the option wants them.
    client.subscribe("+", 1);
    client.publish_1("t", "mine again");
    assert_eq!(client.take().text(), "mine again");
    client.expect_silence();
}

#[test]
fn no_local_holds_for_messages_of_an_earlier_connection() {
    let broker = Broker::start();
    let (mut client, _) = Client::lasting(&broker, Version::V5, "local");
    client.subscribe("t", 1 | NO_LOCAL);
    client.publish_1("t", "mine");
    client.disconnect();
    publisher(&broker).publish_1("t", "theirs");
    let (mut client, _) = Client::lasting(&broker, Version::V5, "local");
    assert_eq!(client.take().text(), "theirs");
    client.expect_silence();
}

#[test]
fn mqtt5_3_8_4_2_suback_has_the_packet_identifier() {
    let broker = Broker::start();
    let mut client = Client::v5(&broker, "ids");
    for id in [1, 255, 256, 65_535] {
        client.send(&Subscribe::new(id, "t", 0).bytes(Version::V5));
        match client.packet() {
            Packet::SubAck { id: at, .. } => assert_eq!(at, id),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn identifiers_survive_the_connection() {
    let broker = Broker::start();
    let (mut client, _) = Client::lasting(&broker, Version::V5, "ids");
    client.subscribe_with(&with_id(1, "t", 1, 77));
    client.disconnect();
    publisher(&broker).publish_1("t", "away");
    let (mut client, _) = Client::lasting(&broker, Version::V5, "ids");
    assert_eq!(client.take().props.numbers(property::SUBSCRIPTION_ID), [77]);
    publisher(&broker).publish_1("t", "live");
    assert_eq!(client.take().props.numbers(property::SUBSCRIPTION_ID), [77]);
}

#[test]
fn a_subscription_begins_at_its_suback() {
    let broker = Broker::start();
    let mut sender = publisher(&broker);
    for round in 0..100 {
        let topic = format!("begin/{round}");
        let mut client = Client::v5(&broker, "beginner");
        sender.publish_1(&topic, "before");
        client.subscribe(&topic, 1);
        sender.publish_1(&topic, "after");
        assert_eq!(client.take().text(), "after");
    }
}

#[test]
fn mqtt5_3_8_3_shared_subscriptions_are_refused_or_served() {
    if differs_on_peer("has them") {
        return;
    }
    let broker = Broker::start();
    let (mut client, _, props) =
        Client::connect(&broker, &robustmq_conformance::Connect::v5("shared"));
    let available = props.number(property::SHARED_AVAILABLE) != Some(0);
    let codes = client.subscribe_with(&Subscribe::new(1, "$share/g/t", 1));
    assert_eq!(codes, [if available { 1 } else { 0x9e }]);
}

#[test]
fn one_client_with_thousands_of_subscriptions_hears_each_once() {
    let broker = Broker::start();
    let mut client = Client::v5(&broker, "thousands");
    for part in 0..10_u16 {
        let mut subscribe = Subscribe::new(part + 1, &format!("s/{part}/0/+"), 1);
        for number in 1..200 {
            subscribe = subscribe.and(&format!("s/{part}/{number}/+"), 1);
        }
        assert!(
            client
                .subscribe_with(&subscribe)
                .iter()
                .all(|code| *code == 1)
        );
    }
    let mut sender = publisher(&broker);
    for part in 0..10_u16 {
        for number in [0, 99, 199] {
            let topic = format!("s/{part}/{number}/x");
            sender.publish(&Publish::new(&topic, "p").qos(1, part + 1));
            sender.wait_for_ack(AckKind::PubAck, part + 1);
            assert_eq!(client.take().topic, topic);
        }
    }
    client.expect_silence();
}
