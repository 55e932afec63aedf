//! MQTT as a client sees it, over TCP, against the real broker.

use std::time::Duration;

use robustmq_e2e::{Broker, Client, Connect, Message, Received};
use robustmq_protocol::codec::{
    Ack, ConnectProperties, Forwarded, Packet, Publish, PublishProperties, RetainHandling,
    SubscribeFilter, SubscriptionOptions, Will,
};
use robustmq_protocol::{PacketId, ProtocolVersion, QoS, ReasonCode};

const ID: PacketId = PacketId::MIN;

fn publish<'a>(topic: &'a str, payload: &'a [u8], qos: QoS) -> Publish<'a> {
    Publish {
        dup: false,
        qos,
        retain: false,
        topic,
        packet_id: (qos > QoS::AtMostOnce).then_some(ID),
        properties: PublishProperties::default(),
        payload,
    }
}

fn retained<'a>(topic: &'a str, payload: &'a [u8]) -> Publish<'a> {
    Publish {
        retain: true,
        ..publish(topic, payload, QoS::AtLeastOnce)
    }
}

/// Publishes with QoS 1 and waits for the PUBACK.
fn store(client: &mut Client, packet: &Publish<'_>) -> (ReasonCode, Vec<(String, String)>) {
    client.publish(packet).expect("PUBLISH is sent");
    match client.receive().expect("the broker answers") {
        Received::PubAck(_, reason, properties) => (reason, properties),
        other => panic!("no PUBACK: {other:?}"),
    }
}

fn message(client: &mut Client) -> Message {
    match client.receive().expect("the broker answers") {
        Received::Publish(message) => message,
        other => panic!("no PUBLISH: {other:?}"),
    }
}

fn options(qos: QoS) -> SubscriptionOptions {
    SubscriptionOptions {
        qos,
        no_local: false,
        retain_as_published: false,
        retain_handling: RetainHandling::Send,
    }
}

fn clean(broker: &Broker, client_id: &str) -> Client {
    Client::accepted(broker.address(), &Connect::new(client_id)).0
}

fn nothing(client: &mut Client) {
    // A round trip: what was on its way before it would have come before it.
    client.send(&Packet::PingReq).expect("PINGREQ is sent");
    assert_eq!(
        client.receive().expect("the broker answers"),
        Received::PingResp
    );
}

#[test]
fn a_puback_says_at_which_offset_the_message_is_stored() {
    let broker = Broker::start(&[]);
    let mut client = clean(&broker, "c");
    let first = store(&mut client, &publish("t", b"1", QoS::AtLeastOnce)).1;
    let second = store(&mut client, &publish("t", b"2", QoS::AtLeastOnce)).1;
    let offset = |properties: &[(String, String)]| {
        properties
            .iter()
            .find(|(name, _)| name == "x-offset")
            .map(|(_, value)| value.clone())
    };
    let (first, second) = (
        offset(&first).expect("an offset"),
        offset(&second).expect("an offset"),
    );
    assert_ne!(first, second);
}

#[test]
fn mqtt_3_1_2_29_no_user_property_where_problem_information_is_not_wanted() {
    let broker = Broker::start(&[]);
    let properties = ConnectProperties {
        request_problem_information: Some(false),
        ..ConnectProperties::default()
    };
    let connect = Connect {
        properties,
        ..Connect::new("c")
    };
    let (mut client, _) = Client::accepted(broker.address(), &connect);
    assert_eq!(
        store(&mut client, &publish("t", b"1", QoS::AtLeastOnce)).1,
        []
    );
}

#[test]
fn puback_tells_whether_anybody_subscribes() {
    let broker = Broker::start(&[]);
    let mut client = clean(&broker, "c");
    let alone = store(&mut client, &publish("t", b"", QoS::AtLeastOnce)).0;
    assert_eq!(alone, ReasonCode::NoMatchingSubscribers);
    let (mut subscriber, _) = Client::accepted(broker.address(), &Connect::persistent("s"));
    subscriber.subscribe("t", QoS::AtMostOnce);
    subscriber
        .disconnect(ReasonCode::Success)
        .expect("DISCONNECT is sent");
    let heard = store(&mut client, &publish("t", b"", QoS::AtLeastOnce)).0;
    assert_eq!(
        heard,
        ReasonCode::Success,
        "an offline session is a subscriber"
    );
}

#[test]
fn mqtt_3_11_3_unsuback_tells_whether_the_subscription_existed_and_others_stay() {
    let broker = Broker::start(&[]);
    let mut client = clean(&broker, "c");
    client.subscribe("a", QoS::AtMostOnce);
    client.subscribe("b", QoS::AtMostOnce);
    let reasons = client.unsubscribe(&["a", "never"]);
    assert_eq!(
        reasons,
        [ReasonCode::Success, ReasonCode::NoSubscriptionExisted]
    );
    client
        .publish(&publish("a", b"a", QoS::AtMostOnce))
        .expect("PUBLISH is sent");
    client
        .publish(&publish("b", b"b", QoS::AtMostOnce))
        .expect("PUBLISH is sent");
    assert_eq!(message(&mut client).topic, "b");
}

#[test]
fn qos_2_goes_through_every_step_both_ways() {
    let broker = Broker::start(&[]);
    let (mut subscriber, _) = Client::accepted(broker.address(), &Connect::persistent("s"));
    subscriber.subscribe("t", QoS::ExactlyOnce);
    let mut client = clean(&broker, "c");
    client
        .publish(&publish("t", b"once", QoS::ExactlyOnce))
        .expect("PUBLISH is sent");
    assert!(matches!(
        client.receive(),
        Ok(Received::PubRec(ID, ReasonCode::Success, _))
    ));
    client.ack(Packet::PubRel, ID).expect("PUBREL is sent");
    assert_eq!(
        client.receive().ok(),
        Some(Received::PubComp(ID, ReasonCode::Success))
    );
    let got = message(&mut subscriber);
    assert_eq!(
        (got.qos, got.payload.as_slice()),
        (QoS::ExactlyOnce, b"once".as_slice())
    );
    let id = got.packet_id.expect("QoS 2 has an identifier");
    subscriber.ack(Packet::PubRec, id).expect("PUBREC is sent");
    assert_eq!(
        subscriber.receive().ok(),
        Some(Received::PubRel(id, ReasonCode::Success))
    );
    subscriber
        .ack(Packet::PubComp, id)
        .expect("PUBCOMP is sent");
    nothing(&mut subscriber);
}

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
fn mqtt_4_3_3_a_publisher_that_repeats_after_a_break_is_heard_once() {
    let broker = Broker::start(&[]);
    let mut subscriber = clean(&broker, "s");
    subscriber.subscribe("t", QoS::AtMostOnce);
    let (mut client, _) = Client::accepted(broker.address(), &Connect::persistent("c"));
    client
        .publish(&publish("t", b"once", QoS::ExactlyOnce))
        .expect("PUBLISH is sent");
    assert!(matches!(client.receive(), Ok(Received::PubRec(..))));
    drop(client);
    let (mut client, present) = Client::accepted(broker.address(), &Connect::persistent("c"));
    assert!(present);
    let again = Publish {
        dup: true,
        ..publish("t", b"once", QoS::ExactlyOnce)
    };
    client.publish(&again).expect("PUBLISH is sent");
    assert!(matches!(
        client.receive(),
        Ok(Received::PubRec(ID, ReasonCode::Success, _))
    ));
    client.ack(Packet::PubRel, ID).expect("PUBREL is sent");
    assert_eq!(
        client.receive().ok(),
        Some(Received::PubComp(ID, ReasonCode::Success))
    );
    assert_eq!(message(&mut subscriber).payload, b"once");
    nothing(&mut subscriber);
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

#[test]
fn retained_messages_follow_their_rules_and_survive_a_restart() {
    let mut broker = Broker::start(&[]);
    let mut client = clean(&broker, "c");
    store(&mut client, &retained("r/a", b"1"));
    store(&mut client, &retained("r/a", b"2"));
    store(&mut client, &retained("r/b", b"x"));
    store(&mut client, &retained("r/b", b""));
    drop(client);
    broker.stop();
    broker.restart();
    let mut client = clean(&broker, "d");
    client.subscribe("r/#", QoS::AtLeastOnce);
    let got = message(&mut client);
    assert_eq!(
        (got.topic.as_str(), got.payload.as_slice(), got.retain),
        ("r/a", b"2".as_slice(), true)
    );
    nothing(&mut client);
    let again = |handling| SubscribeFilter {
        filter: "r/#",
        options: SubscriptionOptions {
            retain_handling: handling,
            ..options(QoS::AtMostOnce)
        },
    };
    client.subscribe_with(&[again(RetainHandling::SendIfNew)], None);
    nothing(&mut client);
    client.subscribe_with(&[again(RetainHandling::DoNotSend)], None);
    nothing(&mut client);
    client.subscribe_with(&[again(RetainHandling::Send)], None);
    assert_eq!(message(&mut client).payload, b"2");
    // Live messages lose the flag unless it is kept as published.
    client
        .publish(&retained("r/c", b"live"))
        .expect("PUBLISH is sent");
    loop {
        if let Received::Publish(got) = client.receive().expect("the broker answers") {
            assert_eq!(
                (got.payload.as_slice(), got.retain),
                (b"live".as_slice(), false)
            );
            break;
        }
    }
}

#[test]
fn the_views_are_disposable() {
    let mut broker = Broker::start(&[]);
    let mut client = clean(&broker, "c");
    for number in 0..50 {
        let topic = format!("r/{number}");
        store(&mut client, &retained(&topic, b"kept"));
    }
    let (mut subscriber, _) = Client::accepted(broker.address(), &Connect::persistent("s"));
    subscriber.subscribe("t", QoS::ExactlyOnce);
    drop(subscriber);
    store(&mut client, &publish("t", b"waiting", QoS::AtLeastOnce));
    drop(client);
    broker.stop();
    std::fs::remove_dir_all(broker.data().join("views")).expect("the views can be deleted");
    broker.restart();
    let mut client = clean(&broker, "d");
    client.subscribe("r/#", QoS::AtMostOnce);
    for _ in 0..50 {
        assert_eq!(message(&mut client).payload, b"kept");
    }
    let (mut subscriber, present) = Client::accepted(broker.address(), &Connect::persistent("s"));
    assert!(present);
    assert_eq!(message(&mut subscriber).payload, b"waiting");
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
fn overlapping_subscriptions_give_one_copy_with_all_identifiers() {
    let broker = Broker::start(&[]);
    let mut client = clean(&broker, "c");
    let filter = |filter, qos| SubscribeFilter {
        filter,
        options: options(qos),
    };
    client.subscribe_with(&[filter("a/#", QoS::AtMostOnce)], Some(1));
    client.subscribe_with(&[filter("a/+", QoS::AtLeastOnce)], Some(2));
    let mut publisher = clean(&broker, "p");
    store(&mut publisher, &publish("a/b", b"", QoS::AtLeastOnce));
    let mut got = message(&mut client);
    got.identifiers.sort_unstable();
    assert_eq!(
        (got.identifiers.as_slice(), got.qos),
        ([1, 2].as_slice(), QoS::AtLeastOnce)
    );
    nothing(&mut client);
}

#[test]
fn mqtt_3_8_3_3_no_local_keeps_a_client_from_its_own_messages() {
    let broker = Broker::start(&[]);
    let mut client = clean(&broker, "c");
    let no_local = SubscriptionOptions {
        no_local: true,
        ..options(QoS::AtMostOnce)
    };
    client.subscribe_with(
        &[SubscribeFilter {
            filter: "t",
            options: no_local,
        }],
        None,
    );
    client
        .publish(&publish("t", b"own", QoS::AtMostOnce))
        .expect("PUBLISH is sent");
    let mut other = clean(&broker, "d");
    other
        .publish(&publish("t", b"theirs", QoS::AtMostOnce))
        .expect("PUBLISH is sent");
    assert_eq!(message(&mut client).payload, b"theirs");
}

#[test]
fn wildcards_match_as_the_specification_says() {
    let broker = Broker::start(&[]);
    let mut client = clean(&broker, "c");
    client.subscribe("sport/#", QoS::AtMostOnce);
    client.subscribe("+/+", QoS::AtMostOnce);
    for (topic, expected) in [
        ("sport", true),
        ("/x", true),
        ("other", false),
        ("sport/a/b", true),
    ] {
        client
            .publish(&publish(topic, topic.as_bytes(), QoS::AtMostOnce))
            .expect("PUBLISH is sent");
        if expected {
            assert_eq!(message(&mut client).topic, topic);
        }
        nothing(&mut client);
    }
}

#[test]
fn topic_aliases_work_both_ways() {
    let broker = Broker::start(&[]);
    let properties = ConnectProperties {
        topic_alias_max: Some(4),
        ..ConnectProperties::default()
    };
    let mut client = clean(&broker, "p");
    let (mut subscriber, _) = Client::accepted(
        broker.address(),
        &Connect {
            properties,
            ..Connect::new("s")
        },
    );
    subscriber.subscribe("long/topic/name", QoS::AtMostOnce);
    let alias = PublishProperties {
        topic_alias: Some(3),
        ..PublishProperties::default()
    };
    let first = Publish {
        properties: alias,
        ..publish("long/topic/name", b"1", QoS::AtMostOnce)
    };
    client.publish(&first).expect("PUBLISH is sent");
    client
        .publish(&Publish {
            topic: "",
            payload: b"2",
            ..first
        })
        .expect("PUBLISH is sent");
    let got = message(&mut subscriber);
    assert_eq!(
        (got.topic.as_str(), got.payload.as_slice()),
        ("long/topic/name", b"1".as_slice())
    );
    // The broker names the topic once and by its alias from then on.
    let got = message(&mut subscriber);
    assert_eq!(
        (got.topic.as_str(), got.payload.as_slice()),
        ("", b"2".as_slice())
    );
}

#[test]
fn mqtt_3_3_4_9_no_more_than_the_receive_maximum_is_in_flight() {
    let broker = Broker::start(&[]);
    let properties = ConnectProperties {
        receive_max: Some(2),
        ..ConnectProperties::default()
    };
    let (mut client, _) = Client::accepted(
        broker.address(),
        &Connect {
            properties,
            ..Connect::new("c")
        },
    );
    client.subscribe("t", QoS::AtLeastOnce);
    let mut publisher = clean(&broker, "p");
    for _ in 0..5 {
        store(&mut publisher, &publish("t", b"", QoS::AtLeastOnce));
    }
    let (first, _) = (message(&mut client), message(&mut client));
    nothing(&mut client);
    client
        .ack(Packet::PubAck, first.packet_id.expect("QoS 1"))
        .expect("PUBACK is sent");
    message(&mut client);
    nothing(&mut client);
}

#[test]
fn mqtt_3_1_2_25_what_exceeds_the_maximum_packet_size_is_left_out() {
    let broker = Broker::start(&[]);
    let properties = ConnectProperties {
        packet_size_max: Some(64),
        ..ConnectProperties::default()
    };
    let (mut client, _) = Client::accepted(
        broker.address(),
        &Connect {
            properties,
            ..Connect::new("c")
        },
    );
    client.subscribe("t", QoS::AtLeastOnce);
    let mut publisher = clean(&broker, "p");
    store(
        &mut publisher,
        &publish("t", &[b'x'; 200], QoS::AtLeastOnce),
    );
    store(&mut publisher, &publish("t", b"small", QoS::AtLeastOnce));
    assert_eq!(message(&mut client).payload, b"small");
}

#[test]
fn mqtt_3_3_2_5_an_expired_message_is_not_delivered_and_the_rest_of_the_interval_is_told() {
    let broker = Broker::start(&[]);
    let (client, _) = Client::accepted(broker.address(), &Connect::persistent("s"));
    let mut client = client;
    client.subscribe("t", QoS::AtLeastOnce);
    drop(client);
    let mut publisher = clean(&broker, "p");
    let expiring = |seconds| PublishProperties {
        message_expiry: Some(seconds),
        ..PublishProperties::default()
    };
    let short = Publish {
        properties: expiring(1),
        ..publish("t", b"short", QoS::AtLeastOnce)
    };
    let long = Publish {
        properties: expiring(1000),
        ..publish("t", b"long", QoS::AtLeastOnce)
    };
    store(&mut publisher, &short);
    store(&mut publisher, &long);
    let start = std::time::Instant::now();
    while start.elapsed() < Duration::from_millis(1_100) {
        nothing(&mut publisher);
    }
    let (mut client, _) = Client::accepted(broker.address(), &Connect::persistent("s"));
    let got = message(&mut client);
    assert_eq!(got.payload, b"long");
    assert!(
        (990..1000).contains(&got.message_expiry.expect("an interval")),
        "{got:?}"
    );
}

#[test]
fn user_properties_arrive_untouched_and_in_order() {
    let broker = Broker::start(&[]);
    let mut client = clean(&broker, "c");
    client.subscribe("t", QoS::AtMostOnce);
    // Two user properties of one name and one of another, as they are on the wire.
    let block = [
        [38, 0, 1, b'b', 0, 1, b'1'],
        [38, 0, 1, b'a', 0, 1, b'2'],
        [38, 0, 1, b'b', 0, 1, b'3'],
    ]
    .concat();
    let forwarded = Forwarded::parse(&block).expect("they are user properties");
    let properties = PublishProperties {
        forwarded,
        ..PublishProperties::default()
    };
    client
        .publish(&Publish {
            properties,
            ..publish("t", b"", QoS::AtMostOnce)
        })
        .expect("PUBLISH is sent");
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(
        message(&mut client).user_properties,
        [pair("b", "1"), pair("a", "2"), pair("b", "3")]
    );
}

#[test]
fn hostile_input_costs_only_the_connection_it_came_on() {
    let broker = Broker::start(&[]);
    let mut bystander = clean(&broker, "bystander");
    bystander.subscribe("t", QoS::AtMostOnce);
    let mut hostile: Vec<(&str, Vec<u8>, ReasonCode)> = vec![
        (
            "a second CONNECT",
            connect_bytes(),
            ReasonCode::ProtocolError,
        ),
        (
            "QoS 3",
            vec![0x36, 4, 0, 1, b't', 0],
            ReasonCode::MalformedPacket,
        ),
        (
            "reserved flags",
            vec![0x83, 2, 0, 1],
            ReasonCode::MalformedPacket,
        ),
        (
            "a server's packet",
            vec![0xd0, 0],
            ReasonCode::ProtocolError,
        ),
        (
            "a packet beyond the limit",
            vec![0x30, 0xff, 0xff, 0xff, 0x7f],
            ReasonCode::PacketTooLarge,
        ),
        (
            "an endless length",
            vec![0x30, 0xff, 0xff, 0xff, 0xff, 0x7f],
            ReasonCode::MalformedPacket,
        ),
        (
            "ill-formed UTF-8",
            vec![0x30, 5, 0, 1, 0xff, 0, 0],
            ReasonCode::MalformedPacket,
        ),
        (
            "a wildcard in a topic name",
            vec![0x30, 4, 0, 1, b'#', 0],
            ReasonCode::TopicNameInvalid,
        ),
    ];
    for (what, bytes, reason) in hostile.drain(..) {
        let mut client = clean(&broker, "hostile");
        client.send_bytes(&bytes).expect("the bytes are sent");
        assert_eq!(
            client.receive().ok(),
            Some(Received::Disconnect(reason)),
            "{what}"
        );
        assert_eq!(client.receive().ok(), Some(Received::Closed), "{what}");
    }
    let mut client = Client::open(broker.address()).expect("a connection");
    client
        .send_bytes(b"GET / HTTP/1.1\r\n\r\n")
        .expect("the bytes are sent");
    assert_eq!(client.receive().ok(), Some(Received::Closed));
    bystander
        .publish(&publish("t", b"well", QoS::AtMostOnce))
        .expect("PUBLISH is sent");
    assert_eq!(message(&mut bystander).payload, b"well");
}

fn connect_bytes() -> Vec<u8> {
    vec![
        0x10, 14, 0, 4, b'M', b'Q', b'T', b'T', 5, 2, 0, 0, 0, 0, 1, b'x',
    ]
}

#[test]
fn the_older_versions_are_served() {
    let broker = Broker::start(&[]);
    for version in [ProtocolVersion::V3, ProtocolVersion::V4] {
        let connect = Connect {
            version,
            ..Connect::new("old")
        };
        let (mut client, _) = Client::accepted(broker.address(), &connect);
        client.subscribe("t", QoS::ExactlyOnce);
        client
            .publish(&publish("t", b"x", QoS::ExactlyOnce))
            .expect("PUBLISH is sent");
        let mut got = None;
        let mut done = false;
        while got.is_none() || !done {
            match client.receive().expect("the broker answers") {
                Received::PubRec(id, ..) => client.ack(Packet::PubRel, id).expect("PUBREL"),
                Received::PubComp(..) => done = true,
                Received::Publish(message) => {
                    let id = message.packet_id.expect("QoS 2");
                    client
                        .send(&Packet::PubRec(Ack::new(id, ReasonCode::Success)))
                        .expect("PUBREC");
                    got = Some(message);
                }
                Received::PubRel(id, _) => client.ack(Packet::PubComp, id).expect("PUBCOMP"),
                other => panic!("{version:?}: {other:?}"),
            }
        }
    }
    let empty = Connect {
        version: ProtocolVersion::V4,
        clean_start: false,
        ..Connect::new("")
    };
    let (_, answer) = Client::connect(broker.address(), &empty).expect("the broker answers");
    assert!(
        matches!(
            answer,
            Received::ConnAck(false, ReasonCode::ClientIdentifierNotValid, _)
        ),
        "[MQTT-3.1.3-8] {answer:?}"
    );
    let (_, answer) =
        Client::connect(broker.address(), &Connect::new("")).expect("the broker answers");
    assert!(
        matches!(
            answer,
            Received::ConnAck(false, ReasonCode::Success, Some(_))
        ),
        "{answer:?}"
    );
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
