//! Sessions: coming back, taking over, wills, expiry, keep alive.

use super::*;

#[test]
fn mqtt_4_4_0_1_a_subscriber_gets_again_what_it_did_not_acknowledge() {
    let broker = Broker::start(&[]);
    let (mut subscriber, _) = Client::accepted(broker.address(), &Connect::persistent("s"));
    subscriber.subscribe("t", QoS::ExactlyOnce);
    let mut client = clean(&broker, "c");
    store(&mut client, &publish("t", b"1", QoS::AtLeastOnce));
    client
        .publish(&publish("t", b"2", QoS::ExactlyOnce))
        .expect("PUBLISH is sent");
    let (first, second) = (message(&mut subscriber), message(&mut subscriber));
    // PUBREC for the second, nothing for the first; then the connection breaks.
    let second_id = second.packet_id.expect("an identifier");
    subscriber
        .ack(Packet::PubRec, second_id)
        .expect("PUBREC is sent");
    assert_eq!(
        subscriber.receive().ok(),
        Some(Received::PubRel(second_id, ReasonCode::Success))
    );
    drop(subscriber);
    let (mut subscriber, present) = Client::accepted(broker.address(), &Connect::persistent("s"));
    assert!(present);
    let again = message(&mut subscriber);
    assert!(again.dup);
    assert_eq!(
        (again.packet_id, &again.payload),
        (first.packet_id, &first.payload)
    );
    assert_eq!(
        subscriber.receive().ok(),
        Some(Received::PubRel(second_id, ReasonCode::Success))
    );
}

#[test]
fn offline_messages_wait_in_order_and_survive_a_kill() {
    let mut broker = Broker::start(&[]);
    let (mut subscriber, _) = Client::accepted(broker.address(), &Connect::persistent("s"));
    subscriber.subscribe("t/+", QoS::AtLeastOnce);
    subscriber
        .disconnect(ReasonCode::Success)
        .expect("DISCONNECT is sent");
    let mut client = clean(&broker, "c");
    for number in 0..200u32 {
        let payload = number.to_string();
        store(
            &mut client,
            &publish("t/a", payload.as_bytes(), QoS::AtLeastOnce),
        );
    }
    broker.kill_and_restart();
    let (mut subscriber, present) = Client::accepted(broker.address(), &Connect::persistent("s"));
    assert!(present);
    for number in 0..200u32 {
        let got = message(&mut subscriber);
        assert_eq!(String::from_utf8_lossy(&got.payload), number.to_string());
        subscriber
            .ack(Packet::PubAck, got.packet_id.expect("QoS 1"))
            .expect("PUBACK is sent");
    }
}

fn will<'a>(delay_s: Option<u32>) -> Will<'a> {
    Will {
        qos: QoS::AtLeastOnce,
        retain: false,
        topic: "will",
        delay_s,
        message_expiry: None,
        forwarded: Forwarded::default(),
        payload: b"gone",
    }
}

#[test]
fn a_will_is_published_when_the_connection_breaks_and_not_after_disconnect() {
    let broker = Broker::start(&[]);
    let mut watcher = clean(&broker, "w");
    watcher.subscribe("will", QoS::AtMostOnce);
    let connect = Connect {
        will: Some(will(None)),
        ..Connect::new("c")
    };
    let (client, _) = Client::accepted(broker.address(), &connect);
    client
        .disconnect(ReasonCode::Success)
        .expect("DISCONNECT is sent");
    let (client, _) = Client::accepted(
        broker.address(),
        &Connect {
            client_id: "d",
            ..connect
        },
    );
    client
        .disconnect(ReasonCode::DisconnectWithWill)
        .expect("DISCONNECT is sent");
    assert_eq!(message(&mut watcher).payload, b"gone");
    let (client, _) = Client::accepted(
        broker.address(),
        &Connect {
            client_id: "e",
            ..connect
        },
    );
    drop(client);
    assert_eq!(message(&mut watcher).payload, b"gone");
    nothing(&mut watcher);
}

#[test]
fn a_delayed_will_is_cancelled_by_coming_back_and_fires_otherwise_also_after_a_kill() {
    let mut broker = Broker::start(&[]);
    let connect = Connect {
        will: Some(will(Some(1))),
        ..Connect::persistent("c")
    };
    drop(Client::accepted(broker.address(), &connect));
    // Back within the delay: cancelled; gone for good this time.
    drop(Client::accepted(broker.address(), &connect));
    broker.kill_and_restart();
    let mut watcher = clean(&broker, "w");
    watcher.subscribe("will", QoS::AtMostOnce);
    assert_eq!(message(&mut watcher).payload, b"gone");
    nothing(&mut watcher);
}

#[test]
fn mqtt_3_1_4_3_a_second_connection_takes_the_session_over() {
    let broker = Broker::start(&[]);
    let (mut first, _) = Client::accepted(broker.address(), &Connect::persistent("c"));
    first.subscribe("t", QoS::AtLeastOnce);
    let (mut second, present) = Client::accepted(broker.address(), &Connect::persistent("c"));
    assert!(present);
    assert_eq!(
        first.receive().ok(),
        Some(Received::Disconnect(ReasonCode::SessionTakenOver))
    );
    assert_eq!(first.receive().ok(), Some(Received::Closed));
    second
        .publish(&publish("t", b"mine", QoS::AtMostOnce))
        .expect("PUBLISH is sent");
    assert_eq!(message(&mut second).payload, b"mine");
}

#[test]
fn mqtt_3_1_2_4_a_clean_start_forgets_the_session() {
    let broker = Broker::start(&[]);
    let (mut client, _) = Client::accepted(broker.address(), &Connect::persistent("c"));
    client.subscribe("t", QoS::AtLeastOnce);
    drop(client);
    let connect = Connect {
        clean_start: true,
        ..Connect::persistent("c")
    };
    let (mut client, present) = Client::accepted(broker.address(), &connect);
    assert!(!present);
    client
        .publish(&publish("t", b"", QoS::AtMostOnce))
        .expect("PUBLISH is sent");
    nothing(&mut client);
}

#[test]
fn a_session_expires() {
    let broker = Broker::start(&[]);
    let properties = ConnectProperties {
        session_expiry_s: Some(1),
        ..ConnectProperties::default()
    };
    let connect = Connect {
        clean_start: false,
        properties,
        ..Connect::new("c")
    };
    let (mut client, _) = Client::accepted(broker.address(), &connect);
    client.subscribe("t", QoS::AtLeastOnce);
    drop(client);
    let mut publisher = clean(&broker, "p");
    let mut reason = ReasonCode::Success;
    // The session is a subscriber until it has expired.
    for _ in 0..10_000 {
        reason = store(&mut publisher, &publish("t", b"", QoS::AtLeastOnce)).0;
        if reason == ReasonCode::NoMatchingSubscribers {
            break;
        }
    }
    assert_eq!(reason, ReasonCode::NoMatchingSubscribers);
    let (_, present) = Client::accepted(broker.address(), &connect);
    assert!(!present);
}

#[test]
fn mqtt_3_1_2_22_a_silent_client_is_given_up() {
    let broker = Broker::start(&[]);
    let (mut client, _) = Client::accepted(
        broker.address(),
        &Connect {
            keep_alive_s: 1,
            ..Connect::new("c")
        },
    );
    assert_eq!(
        client.receive().ok(),
        Some(Received::Disconnect(ReasonCode::KeepAliveTimeout))
    );
    assert_eq!(client.receive().ok(), Some(Received::Closed));
}

#[test]
fn mqtt_3_1_2_8_only_a_normal_disconnect_discards_the_will() {
    let broker = Broker::start(&[]);
    let mut watcher = clean(&broker, "w");
    watcher.subscribe("will", QoS::AtMostOnce);
    let connect = Connect {
        will: Some(will(None)),
        ..Connect::new("c")
    };
    let (client, _) = Client::accepted(broker.address(), &connect);
    client
        .disconnect(ReasonCode::UnspecifiedError)
        .expect("DISCONNECT is sent");
    assert_eq!(message(&mut watcher).payload, b"gone");
}

#[test]
fn a_will_cannot_reach_topics_that_a_publish_cannot() {
    let broker = Broker::start(&[]);
    let hidden = Will {
        topic: "$SYS/x",
        ..will(None)
    };
    let connect = Connect {
        will: Some(hidden),
        ..Connect::new("c")
    };
    let (_, answer) = Client::connect(broker.address(), &connect).expect("the broker answers");
    assert!(
        matches!(
            answer,
            Received::ConnAck(false, ReasonCode::TopicNameInvalid, _)
        ),
        "{answer:?}"
    );
}

/// A client that says goodbye and comes back at once has said goodbye, though
/// the broker may meet the new connection first.
#[test]
fn mqtt_3_14_4_3_a_goodbye_counts_however_soon_the_client_is_back() {
    let broker = Broker::start(&[]);
    let mut watcher = clean(&broker, "w");
    watcher.subscribe("will", QoS::AtMostOnce);
    let connect = Connect {
        will: Some(will(None)),
        ..Connect::persistent("c")
    };
    for _ in 0..200 {
        let (client, _) = Client::accepted(broker.address(), &connect);
        client
            .disconnect(ReasonCode::Success)
            .expect("DISCONNECT is sent");
    }
    nothing(&mut watcher);
}

/// Everything a client says in one breath before it closes: a SUBSCRIBE, which
/// takes a while, must not hide what comes behind it.
#[test]
fn mqtt_3_14_4_3_what_is_said_before_the_end_counts_behind_a_subscribe_too() {
    const SUBSCRIBE: &[u8] = &[0x82, 7, 0, 9, 0, 0, 1, b'a', 1];
    const DISCONNECT: &[u8] = &[0xe0, 0];
    let broker = Broker::start(&[]);
    let mut watcher = clean(&broker, "w");
    watcher.subscribe("#", QoS::AtMostOnce);
    let connect = Connect {
        will: Some(will(None)),
        ..Connect::persistent("c")
    };
    for _ in 0..50 {
        let (mut client, _) = Client::accepted(broker.address(), &connect);
        let said = [SUBSCRIBE, &[0x30, 4, 0, 1, b'a', 0], DISCONNECT].concat();
        client.send_bytes(&said).expect("it is sent");
        drop(client);
    }
    for _ in 0..50 {
        match watcher.receive().expect("the broker answers") {
            Received::Publish(message) => assert_eq!(message.topic, "a", "and no will"),
            other => panic!("no PUBLISH: {other:?}"),
        }
    }
    nothing(&mut watcher);
}
