//! QoS 1 from the broker to a client that loses its connection (4.3.2, 4.4).

use robustmq_conformance::{AckKind, Broker, Client, Publish, Version, differs_on_peer};

use super::{BOTH, publisher};

#[test]
fn mqtt5_4_4_0_1_unacknowledged_messages_come_again_with_dup() {
    let broker = Broker::start();
    for version in BOTH {
        let (mut client, _) = Client::lasting(&broker, version, "again");
        client.subscribe("t", 1);
        let mut sender = publisher(&broker);
        for text in ["a", "b", "c"] {
            sender.publish_1("t", text);
        }
        let first: Vec<Publish> = (0..3).map(|_| client.message()).collect();
        assert!(first.iter().all(|message| !message.dup));
        client.ack(AckKind::PubAck, first[0].id);
        client.ping();
        client.cut();
        let (mut client, present) = Client::lasting(&broker, version, "again");
        assert!(present);
        for before in &first[1..] {
            let again = client.message();
            assert!(again.dup, "{again:?}");
            assert_eq!((again.id, again.text()), (before.id, before.text()));
            client.ack(AckKind::PubAck, again.id);
        }
        client.expect_silence();
        client.disconnect();
        let (mut client, _) = Client::lasting(&broker, version, "again");
        client.expect_silence();
        client.unsubscribe(&["t"]);
    }
}

#[test]
fn mqtt5_4_4_0_1_nothing_is_sent_again_on_the_same_connection() {
    let broker = Broker::start();
    let mut client = Client::v5(&broker, "slow");
    client.subscribe("t", 1);
    publisher(&broker).publish_1("t", "once");
    let message = client.message();
    client.expect_silence();
    client.ack(AckKind::PubAck, message.id);
    client.expect_silence();
}

#[test]
fn mqtt5_3_1_2_5_messages_wait_for_an_offline_session_in_order() {
    let broker = Broker::start();
    for version in BOTH {
        let (mut client, _) = Client::lasting(&broker, version, "away");
        client.subscribe("q/#", 1);
        client.disconnect();
        let mut sender = publisher(&broker);
        for number in 0..200 {
            sender.publish_1("q/t", number.to_string());
        }
        let (mut client, present) = Client::lasting(&broker, version, "away");
        assert!(present);
        for number in 0..200 {
            let message = client.take();
            assert_eq!(message.text(), number.to_string());
            assert!(!message.dup, "it has not been sent before");
        }
        client.expect_silence();
        client.unsubscribe(&["q/#"]);
        client.disconnect();
    }
}

#[test]
fn messages_while_away_and_messages_in_flight_keep_their_order() {
    let broker = Broker::start();
    let (mut client, _) = Client::lasting(&broker, Version::V5, "order");
    client.subscribe("t", 1);
    let mut sender = publisher(&broker);
    let mut number = 0;
    let mut expected = 0;
    for _ in 0..5 {
        for _ in 0..10 {
            sender.publish_1("t", number.to_string());
            number += 1;
        }
        // Takes three, leaves the others in flight, and is away for some more.
        for _ in 0..3 {
            assert_eq!(client.take().text(), expected.to_string());
            expected += 1;
        }
        client.ping();
        client.cut();
        for _ in 0..5 {
            sender.publish_1("t", number.to_string());
            number += 1;
        }
        client = Client::lasting(&broker, Version::V5, "order").0;
    }
    while expected < number {
        assert_eq!(client.take().text(), expected.to_string());
        expected += 1;
    }
    client.expect_silence();
}

#[test]
fn mqtt5_4_4_unacknowledged_messages_survive_a_killed_broker() {
    if differs_on_peer("keeps no sessions when killed") {
        return;
    }
    let mut broker = Broker::start();
    for version in BOTH {
        let (mut client, _) = Client::lasting(&broker, version, "killed");
        client.subscribe("t", 1);
        let mut sender = publisher(&broker);
        for text in ["a", "b"] {
            sender.publish_1("t", text);
        }
        assert_eq!(client.message().text(), "a");
        broker.kill_9();
        broker.restart();
        let (mut client, present) = Client::lasting(&broker, version, "killed");
        assert!(present);
        assert_eq!(client.take_texts(2), ["a", "b"]);
        client.unsubscribe(&["t"]);
        client.disconnect();
    }
}

#[test]
fn mqtt5_2_2_1_4_packet_identifiers_in_flight_are_never_used_twice() {
    let broker = Broker::start();
    let (mut client, _) = Client::lasting(&broker, Version::V5, "ids");
    client.subscribe("t", 1);
    let mut sender = publisher(&broker);
    for number in 0..10 {
        sender.publish_1("t", number.to_string());
    }
    let held: Vec<Publish> = (0..10).map(|_| client.message()).collect();
    // All but the first are acknowledged; then as many again come, and a reconnect.
    for message in &held[1..] {
        client.ack(AckKind::PubAck, message.id);
    }
    for number in 10..20 {
        sender.publish_1("t", number.to_string());
    }
    for number in 10..20 {
        let message = client.message();
        assert_ne!(message.id, held[0].id, "{message:?}");
        assert_eq!(message.text(), number.to_string());
    }
    client.ping();
    client.cut();
    let (mut client, _) = Client::lasting(&broker, Version::V5, "ids");
    let mut ids = Vec::new();
    for number in [0].into_iter().chain(10..20) {
        let message = client.message();
        assert_eq!(message.text(), number.to_string());
        assert!(!ids.contains(&message.id));
        ids.push(message.id);
    }
    assert_eq!(ids[0], held[0].id);
}

#[test]
fn an_acknowledgement_of_nothing_is_survived() {
    let broker = Broker::start();
    let mut client = Client::v5(&broker, "acker");
    client.subscribe("t", 1);
    client.ack(AckKind::PubAck, 4711);
    client.ping();
    publisher(&broker).publish_1("t", "served");
    assert_eq!(client.take().text(), "served");
}
