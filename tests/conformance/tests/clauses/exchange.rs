//! The exchanges of QoS 0, 1 and 2 in both directions, clause by clause (2.2.1, 4.3, 4.4, 4.9); `qos1_out`,
//! `qos2_in` and `qos2_out` break them off at every step.

use std::collections::BTreeSet;

use robustmq_conformance::packet::raw;
use robustmq_conformance::{
    AckKind, Broker, Client, Connect, Options, Packet, Props, Publish, Subscribe,
};
use robustmq_conformance::{Version, property};

use super::publisher;
use Version::{V5, V311};

/// A lasting session that subscribes to `t` with QoS 2 through another client's publishes.
fn receiver(broker: &Broker, version: Version) -> Client {
    let mut client = Client::lasting(broker, version, "receiver").0;
    client.subscribe("t", 2);
    client
}

fn again(broker: &Broker, version: Version) -> Client {
    let (client, present) = Client::lasting(broker, version, "receiver");
    assert!(present);
    client
}

fn publish(broker: &Broker, qos: u8, text: &str) {
    let mut sender = publisher(broker);
    if qos == 0 {
        sender.publish(&Publish::new("t", text));
        sender.ping();
    } else {
        sender.publish_through(Publish::new("t", text).qos(qos, 1));
    }
}

/// Identifiers of all messages in flight differ and none is 0; one comes back when its exchange has ended.
fn identifiers_in_flight(version: Version, qos: u8) {
    let broker = Broker::start_with(Options::new().set("mqtt.max_inflight", "40"));
    let mut client = receiver(&broker, version);
    let mut sender = publisher(&broker);
    for number in 0..60_u16 {
        sender.publish_through(Publish::new("t", number.to_string()).qos(qos, number + 1));
    }
    let held: Vec<Publish> = (0..40).map(|_| client.message()).collect();
    let mut ids: BTreeSet<u16> = held.iter().map(|message| message.id).collect();
    assert!(ids.len() == 40 && !ids.contains(&0), "{ids:?}");
    for message in held.iter().take(20) {
        finish(&mut client, message);
        ids.remove(&message.id);
        assert!(ids.insert(client.message().id), "in use already");
    }
}

/// Takes a message through its exchange.
fn finish(client: &mut Client, message: &Publish) {
    match message.qos {
        1 => client.ack(AckKind::PubAck, message.id),
        2 => {
            client.ack(AckKind::PubRec, message.id);
            assert_eq!(client.acked(AckKind::PubRel).id, message.id);
            client.ack(AckKind::PubComp, message.id);
        }
        _ => {}
    }
}

/// First with DUP 0, of the QoS it was granted, without an identifier where QoS is 0.
fn sent_first(version: Version, qos: u8) {
    let broker = Broker::start();
    let mut client = receiver(&broker, version);
    publish(&broker, qos, "first");
    let message = client.message();
    assert_eq!(
        (message.qos, message.dup, message.id > 0),
        (qos, false, qos > 0)
    );
    finish(&mut client, &message);
    client.expect_silence();
}

/// Until it is acknowledged it comes again at every reconnection, with DUP and its identifier, and at no other
/// time; then never.
fn unacknowledged_until(version: Version, qos: u8) {
    let broker = Broker::start();
    let mut client = receiver(&broker, version);
    publish(&broker, qos, "kept");
    let id = client.message().id;
    client.expect_silence();
    for _ in 0..2 {
        client.cut();
        client = again(&broker, version);
        let message = client.message();
        assert_eq!(
            (message.id, message.dup, message.text().as_str()),
            (id, true, "kept")
        );
        client.expect_silence();
    }
    if qos == 1 {
        client.ack(AckKind::PubAck, id);
    } else {
        client.ack(AckKind::PubRec, id);
        client.acked(AckKind::PubRel);
        // From here on it is the PUBREL that comes again, never the message.
        for _ in 0..2 {
            client.cut();
            client = again(&broker, version);
            assert_eq!(client.acked(AckKind::PubRel).id, id);
            client.expect_silence();
        }
        client.ack(AckKind::PubComp, id);
    }
    client.ping();
    client.disconnect();
    again(&broker, version).expect_silence();
}

/// Acknowledgements have the identifier of what they acknowledge.
fn answers_have_the_identifier(version: Version) {
    let broker = Broker::start();
    let mut client = Client::connect(&broker, &Connect::new(version, "c")).0;
    for id in [1, 127, 128, 256, 32_768, 65_535] {
        client.publish(&Publish::new("x", "p").qos(1, id));
        assert_eq!(client.acked(AckKind::PubAck).id, id);
        client.publish(&Publish::new("x", "p").qos(2, id));
        assert_eq!(client.acked(AckKind::PubRec).id, id);
        client.ack(AckKind::PubRel, id);
        assert_eq!(client.acked(AckKind::PubComp).id, id);
        client.send(&Subscribe::new(id, "y", 0).bytes(version));
        assert!(matches!(client.packet(), Packet::SubAck { id: at, .. } if at == id));
        client.send(&robustmq_conformance::packet::unsubscribe(
            version,
            id,
            &["y"],
        ));
        assert!(matches!(client.packet(), Packet::UnsubAck { id: at, .. } if at == id));
    }
}

/// QoS 0 gets nothing, 1 PUBACK, 2 PUBREC.
fn answer_by_qos(version: Version) {
    let broker = Broker::start();
    let mut client = Client::connect(&broker, &Connect::new(version, "c")).0;
    client.publish(&Publish::new("x", "p"));
    client.expect_silence();
    client.publish(&Publish::new("x", "p").qos(1, 1));
    client.acked(AckKind::PubAck);
    client.publish(&Publish::new("x", "p").qos(2, 1));
    client.acked(AckKind::PubRec);
    client.expect_silence();
}

/// What is acknowledged is the server's: it is there after a crash.
fn acknowledged_is_owned(version: Version, qos: u8) {
    let mut broker = Broker::start();
    receiver(&broker, version).disconnect();
    let mut sender = Client::connect(&broker, &Connect::new(version, "sender")).0;
    sender.publish_through(Publish::new("t", "owned").qos(qos, 7));
    if !robustmq_conformance::broker::is_peer() {
        broker.kill_9();
        broker.restart();
    }
    assert_eq!(again(&broker, version).take().text(), "owned");
}

/// The same identifier after the end of its exchange is another message, even with DUP.
fn identifier_is_new_after_the_exchange(version: Version, qos: u8) {
    let broker = Broker::start();
    let mut client = receiver(&broker, version);
    let mut sender = Client::connect(&broker, &Connect::new(version, "sender")).0;
    sender.publish_through(Publish::new("t", "one").qos(qos, 5));
    sender.publish_through(Publish::new("t", "two").qos(qos, 5).dup());
    assert_eq!(client.take_texts(2), ["one", "two"]);
}

/// Until PUBREL the message is the same, however often it comes.
fn repeated_before_pubrel(version: Version) {
    let broker = Broker::start();
    let mut client = receiver(&broker, version);
    let mut sender = Client::connect(&broker, &Connect::new(version, "sender")).0;
    for _ in 0..3 {
        sender.publish(&Publish::new("t", "once").qos(2, 5).dup());
        assert_eq!(sender.acked(AckKind::PubRec).id, 5);
    }
    sender.ack(AckKind::PubRel, 5);
    assert_eq!(sender.acked(AckKind::PubComp).id, 5);
    assert_eq!(client.take().text(), "once");
    client.expect_silence();
}

/// PUBREL is answered with PUBCOMP, also a second time.
fn pubrel_gets_pubcomp(version: Version) {
    let broker = Broker::start();
    let mut sender = Client::connect(&broker, &Connect::new(version, "sender")).0;
    sender.publish(&Publish::new("t", "p").qos(2, 5));
    sender.acked(AckKind::PubRec);
    for _ in 0..2 {
        sender.ack(AckKind::PubRel, 5);
        assert_eq!(sender.acked(AckKind::PubComp).id, 5);
    }
}

/// After a PUBREC that refuses, the identifier is free: the next PUBLISH is another message.
fn new_after_a_refusal() {
    let broker = Broker::start();
    let mut client = receiver(&broker, V5);
    let mut sender = publisher(&broker);
    sender.publish(&Publish::new("$refused", "no").qos(2, 5));
    assert!(sender.acked(AckKind::PubRec).code >= 0x80);
    sender.publish(&Publish::new("t", "yes").qos(2, 5));
    assert_eq!(sender.acked(AckKind::PubRec).code, 0);
    sender.ack(AckKind::PubRel, 5);
    assert_eq!(sender.acked(AckKind::PubComp).code, 0);
    assert_eq!(client.take().text(), "yes");
}

/// PUBACK and PUBREC with an error end the exchange: nothing comes again, not even after a reconnection.
fn errors_acknowledge() {
    let broker = Broker::start();
    let mut client = receiver(&broker, V5);
    for (qos, kind) in [(1, AckKind::PubAck), (2, AckKind::PubRec)] {
        publish(&broker, qos, "unwanted");
        let id = client.message().id.to_be_bytes();
        client.send(&raw(kind.first_byte(), &[id[0], id[1], 0x83]));
        client.expect_silence();
        client.disconnect();
        client = again(&broker, V5);
        client.expect_silence();
    }
}

/// A message that has been sent once is brought to its end, however late.
fn no_expiry_once_sent() {
    let broker = Broker::start();
    let mut client = receiver(&broker, V5);
    let props = Props::new().four(property::MESSAGE_EXPIRY, 1);
    publisher(&broker).publish_through(Publish::new("t", "old").qos(2, 1).props(props));
    let id = client.message().id;
    client.cut();
    super::let_pass(std::time::Duration::from_millis(2_100));
    let mut client = again(&broker, V5);
    let message = client.message();
    assert_eq!(
        (message.id, message.dup, message.text().as_str()),
        (id, true, "old")
    );
    finish(&mut client, &message);
}

/// The sender's exchange goes on though its message has expired meanwhile.
fn exchange_goes_on_after_expiry() {
    let broker = Broker::start();
    let mut sender = publisher(&broker);
    let props = Props::new().four(property::MESSAGE_EXPIRY, 1);
    let publish = Publish::new("t", "short").qos(2, 9).props(props);
    sender.publish(&publish);
    sender.acked(AckKind::PubRec);
    super::let_pass(std::time::Duration::from_millis(2_100));
    sender.publish(&publish.dup());
    assert!(sender.acked(AckKind::PubRec).code < 0x80);
    sender.ack(AckKind::PubRel, 9);
    assert_eq!(sender.acked(AckKind::PubComp).code, 0);
}

/// With the window full, everything else is answered as ever.
fn others_go_on_while_the_window_is_full() {
    let broker = Broker::start();
    let props = Props::new().two(property::RECEIVE_MAX, 1);
    let mut client = Client::connect(&broker, &Connect::v5("c").props(props)).0;
    client.subscribe("t", 1);
    publish(&broker, 1, "held");
    publish(&broker, 1, "waits");
    let held = client.message();
    client.ping();
    client.publish_1("x", "p");
    client.publish_2("x", "p");
    client.subscribe("u", 0);
    client.unsubscribe(&["u"]);
    client.expect_silence();
    client.ack(AckKind::PubAck, held.id);
    assert_eq!(client.take().text(), "waits");
}

/// The window is at least one message and at most what the client said.
fn the_first_window() {
    let broker = Broker::start();
    for receive_max in [1, 2, 5] {
        let props = Props::new().two(property::RECEIVE_MAX, receive_max);
        let mut client = Client::connect(&broker, &Connect::v5("c").props(props)).0;
        client.subscribe("t", 1);
        for number in 0..7 {
            publish(&broker, 1, &number.to_string());
        }
        for _ in 0..receive_max {
            client.message();
        }
        client.expect_silence();
        client.disconnect();
    }
}

/// In the order they were published, from live, waiting and repeated messages alike.
fn order_of_one_publisher(version: Version) {
    let broker = Broker::start();
    let mut client = receiver(&broker, version);
    let mut sender = publisher(&broker);
    let all: Vec<String> = (0..30).map(|number| number.to_string()).collect();
    for text in &all[..10] {
        sender.publish_1("t", text);
    }
    for text in &all[..5] {
        assert_eq!(client.message().text(), *text);
    }
    client.cut();
    for text in &all[10..20] {
        sender.publish_1("t", text);
    }
    let mut client = again(&broker, version);
    for text in &all[20..] {
        sender.publish_1("t", text);
    }
    assert_eq!(client.take_texts(30), all);
}

clauses! {
    mqtt5_2_2_1_4_identifiers_of_the_server: identifiers_in_flight(V5, 1);
    mqtt5_2_2_1_5_answers_have_the_identifier: answers_have_the_identifier(V5);
    mqtt5_2_2_1_6_suback_and_unsuback_have_the_identifier: answers_have_the_identifier(V5);
    mqtt5_3_3_1_1_dup_where_a_message_comes_again: unacknowledged_until(V5, 1);
    mqtt5_3_3_4_1_the_answer_depends_on_qos: answer_by_qos(V5);
    mqtt5_3_3_4_10_other_packets_do_not_wait: others_go_on_while_the_window_is_full();
    mqtt5_4_3_1_1_qos_0_is_sent_with_dup_0: sent_first(V5, 0);
    mqtt5_4_3_2_1_qos_1_has_an_unused_identifier: identifiers_in_flight(V5, 1);
    mqtt5_4_3_2_2_qos_1_is_sent_with_dup_0_first: sent_first(V5, 1);
    mqtt5_4_3_2_3_qos_1_is_unacknowledged_until_puback: unacknowledged_until(V5, 1);
    mqtt5_4_3_2_4_puback_means_ownership: acknowledged_is_owned(V5, 1);
    mqtt5_4_3_2_5_an_identifier_is_new_after_puback: identifier_is_new_after_the_exchange(V5, 1);
    mqtt5_4_3_3_1_qos_2_has_an_unused_identifier: identifiers_in_flight(V5, 2);
    mqtt5_4_3_3_2_qos_2_is_sent_with_dup_0_first: sent_first(V5, 2);
    mqtt5_4_3_3_3_qos_2_is_unacknowledged_until_pubrec: unacknowledged_until(V5, 2);
    mqtt5_4_3_3_4_pubrec_gets_pubrel: sent_first(V5, 2);
    mqtt5_4_3_3_5_pubrel_is_unacknowledged_until_pubcomp: unacknowledged_until(V5, 2);
    mqtt5_4_3_3_6_no_publish_after_pubrel: unacknowledged_until(V5, 2);
    mqtt5_4_3_3_7_no_expiry_once_sent: no_expiry_once_sent();
    mqtt5_4_3_3_8_pubrec_means_ownership: acknowledged_is_owned(V5, 2);
    mqtt5_4_3_3_9_an_identifier_is_new_after_a_refusal: new_after_a_refusal();
    mqtt5_4_3_3_10_a_repetition_before_pubrel_is_no_message: repeated_before_pubrel(V5);
    mqtt5_4_3_3_11_pubrel_gets_pubcomp: pubrel_gets_pubcomp(V5);
    mqtt5_4_3_3_12_an_identifier_is_new_after_the_exchange: identifier_is_new_after_the_exchange(V5, 2);
    mqtt5_4_3_3_13_the_exchange_goes_on_after_expiry: exchange_goes_on_after_expiry();
    mqtt5_4_4_0_2_errors_acknowledge: errors_acknowledge();
    mqtt5_4_6_0_5_messages_of_a_publisher_keep_their_order: order_of_one_publisher(V5);
    mqtt5_4_9_0_1_the_first_window: the_first_window();
    mqtt5_4_9_0_2_nothing_while_the_window_is_full: the_first_window();
    mqtt5_4_9_0_3_other_packets_while_the_window_is_full: others_go_on_while_the_window_is_full();
    mqtt311_2_3_1_4_identifiers_of_the_server: { identifiers_in_flight(V311, 1); identifiers_in_flight(V311, 2) };
    mqtt311_2_3_1_6_answers_have_the_identifier: answers_have_the_identifier(V311);
    mqtt311_2_3_1_7_suback_and_unsuback_have_the_identifier: answers_have_the_identifier(V311);
    mqtt311_3_3_1_1_dup_where_a_message_comes_again: unacknowledged_until(V311, 1);
    mqtt311_3_3_4_1_the_answer_depends_on_qos: answer_by_qos(V311);
    mqtt311_4_3_1_1_qos_0_is_sent_with_dup_0: sent_first(V311, 0);
    mqtt311_4_3_2_1_qos_1_to_a_client: { sent_first(V311, 1); unacknowledged_until(V311, 1) };
    mqtt311_4_3_2_2_qos_1_from_a_client: {
        acknowledged_is_owned(V311, 1);
        identifier_is_new_after_the_exchange(V311, 1)
    };
    mqtt311_4_3_3_1_qos_2_to_a_client: { sent_first(V311, 2); unacknowledged_until(V311, 2) };
    mqtt311_4_3_3_2_qos_2_from_a_client: {
        acknowledged_is_owned(V311, 2);
        repeated_before_pubrel(V311);
        pubrel_gets_pubcomp(V311);
        identifier_is_new_after_the_exchange(V311, 2)
    };
    mqtt311_4_4_0_1_what_is_not_acknowledged_comes_again: unacknowledged_until(V311, 2);
    mqtt311_4_6_0_5_topics_are_ordered: order_of_one_publisher(V311);
    mqtt311_4_6_0_6_messages_of_a_publisher_keep_their_order: order_of_one_publisher(V311);
}
