//! Limits both ways: aliases, Receive Maximum, packet size, expiry, hostile input.

use std::io::{Read, Write};

use super::*;

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

/// Acknowledgements that come together open the window as surely as one by one.
#[test]
fn a_window_acknowledged_at_once_is_filled_again_at_once() {
    let broker = Broker::start(&["storage.cursor_flush_interval=1h"]);
    let properties = ConnectProperties {
        receive_max: Some(4),
        session_expiry_s: Some(3600),
        ..ConnectProperties::default()
    };
    let connect = Connect {
        properties,
        ..Connect::new("c")
    };
    let (mut client, _) = Client::accepted(broker.address(), &connect);
    client.subscribe("t", QoS::AtLeastOnce);
    let mut publisher = clean(&broker, "p");
    for number in 0..12u8 {
        store(&mut publisher, &publish("t", &[number], QoS::AtLeastOnce));
    }
    for round in 0..3 {
        let mut acks = Vec::new();
        for number in 0..4 {
            let message = message(&mut client);
            assert_eq!(message.payload, [round * 4 + number]);
            let packet_id = message.packet_id.expect("QoS 1 has an identifier");
            acks.extend([0x40, 2]);
            acks.extend(packet_id.get().to_be_bytes());
        }
        client
            .send_bytes(&acks)
            .expect("the acknowledgements are sent");
    }
}

fn connect_bytes() -> Vec<u8> {
    vec![
        0x10, 14, 0, 4, b'M', b'Q', b'T', b'T', 5, 2, 0, 0, 0, 0, 1, b'x',
    ]
}

#[test]
fn mqtt_3_1_2_2_an_unknown_level_is_refused_in_a_form_the_client_knows() {
    let broker = Broker::start(&[]);
    for (level, expected) in [(6u8, &[0x20, 3, 0, 0x84, 0][..]), (2, &[0x20, 2, 0, 1][..])] {
        let mut bytes = connect_bytes();
        bytes[8] = level;
        let mut stream = std::net::TcpStream::connect(broker.address()).expect("a connection");
        stream.write_all(&bytes).expect("the bytes are sent");
        let mut answer = Vec::new();
        stream
            .read_to_end(&mut answer)
            .expect("the connection ends");
        assert!(answer.starts_with(&expected[..1]), "{answer:?}");
        assert_eq!(answer[3], expected[3], "level {level}: {answer:?}");
    }
}
