//! What holds over every transport.

use robustmq_e2e::{Broker, Client, Connect, Received, Wire};
use robustmq_protocol::codec::{Forwarded, Publish, PublishProperties, Will};
use robustmq_protocol::{PacketId, QoS, ReasonCode};

use crate::{broker, wires};

/// One test for each of the cases, over each transport.
macro_rules! over_every_transport {
    ($($case:ident),+ $(,)?) => {
        over_every_transport!(@ tls: $($case),+);
        over_every_transport!(@ ws: $($case),+);
        over_every_transport!(@ wss: $($case),+);
        over_every_transport!(@ quic: $($case),+);
    };
    (@ $transport:ident: $($case:ident),+) => {
        mod $transport {
            $(
                #[test]
                fn $case() {
                    super::$case(super::wires::$transport);
                }
            )+
        }
    };
}

over_every_transport!(
    messages_of_any_size_go_both_ways,
    many_messages_arrive_in_order_though_nobody_reads_for_a_while,
    shutdown_says_goodbye,
    a_lost_connection_publishes_the_will,
    a_second_client_takes_the_session_over,
    a_disconnect_ends_the_connection,
    what_is_no_connect_is_cut_off,
    a_connect_too_large_is_refused,
);

fn publish<W: Wire>(client: &mut Client<W>, topic: &str, payload: &[u8], number: u16) {
    let publish = Publish {
        dup: false,
        qos: QoS::AtLeastOnce,
        retain: false,
        topic,
        packet_id: PacketId::new(number),
        properties: PublishProperties::default(),
        payload,
    };
    client.publish(&publish).expect("PUBLISH is sent");
}

fn acknowledged<W: Wire>(client: &mut Client<W>) {
    let received = client.receive().expect("PUBACK comes");
    assert!(
        matches!(received, Received::PubAck(_, ReasonCode::Success, _)),
        "{received:?}"
    );
}

fn payload<W: Wire>(client: &mut Client<W>) -> Vec<u8> {
    match client.receive().expect("PUBLISH comes") {
        Received::Publish(message) => message.payload,
        other => panic!("{other:?}"),
    }
}

fn messages_of_any_size_go_both_ways<W: Wire>(open: impl Fn(&Broker) -> W) {
    let broker = broker(&[]);
    let (mut far, _) = Client::accepted_over(open(&broker), &Connect::new("far"));
    let (mut near, _) = Client::accepted(broker.address(), &Connect::new("near"));
    far.subscribe("to/far", QoS::AtMostOnce);
    near.subscribe("to/near", QoS::AtMostOnce);
    // Around the boundaries of WebSocket lengths, TLS records and buffers.
    let sizes = [0, 1, 120, 130, 16_380, 16_390, 65_530, 65_540, 1_000_000];
    for (number, size) in (1..).zip(sizes) {
        let bytes: Vec<u8> = (0..size).map(|at: u32| (at % 251) as u8).collect();
        publish(&mut near, "to/far", &bytes, number);
        acknowledged(&mut near);
        assert!(payload(&mut far) == bytes, "{size} bytes to it");
        publish(&mut far, "to/near", &bytes, number);
        acknowledged(&mut far);
        assert!(payload(&mut near) == bytes, "{size} bytes from it");
    }
}

fn many_messages_arrive_in_order_though_nobody_reads_for_a_while<W: Wire>(
    open: impl Fn(&Broker) -> W,
) {
    const COUNT: u32 = 300;
    let broker = broker(&[]);
    let (mut far, _) = Client::accepted_over(open(&broker), &Connect::new("far"));
    let (mut near, _) = Client::accepted(broker.address(), &Connect::new("near"));
    far.subscribe("t", QoS::AtMostOnce);
    // More than sockets, windows and buffers hold.
    let payload_of = |number: u32| [&number.to_be_bytes()[..], &[b'x'; 60_000]].concat();
    for number in 0..COUNT {
        publish(&mut near, "t", &payload_of(number), 1);
        let received = near.receive().expect("PUBACK comes");
        assert!(matches!(received, Received::PubAck(..)), "{received:?}");
    }
    for number in 0..COUNT {
        assert!(payload(&mut far) == payload_of(number), "message {number}");
    }
}

fn shutdown_says_goodbye<W: Wire + Send + 'static>(open: impl Fn(&Broker) -> W) {
    let mut broker = broker(&[]);
    let (mut client, _) = Client::accepted_over(open(&broker), &Connect::new("c"));
    let reader = std::thread::spawn(move || (client.receive().ok(), client.receive().ok()));
    let (status, _) = broker.stop();
    assert!(status.success(), "{status}");
    let goodbye = Received::Disconnect(ReasonCode::ServerShuttingDown);
    let received = reader.join().expect("it reads");
    assert_eq!(received, (Some(goodbye), Some(Received::Closed)));
}

fn a_lost_connection_publishes_the_will<W: Wire>(open: impl Fn(&Broker) -> W) {
    let broker = broker(&[]);
    let (mut watcher, _) = Client::accepted(broker.address(), &Connect::new("watcher"));
    watcher.subscribe("will", QoS::AtMostOnce);
    let will = Will {
        qos: QoS::AtMostOnce,
        retain: false,
        topic: "will",
        delay_s: None,
        message_expiry: None,
        forwarded: Forwarded::default(),
        payload: b"gone",
    };
    let connect = Connect {
        will: Some(will),
        ..Connect::new("c")
    };
    let (client, _) = Client::accepted_over(open(&broker), &connect);
    drop(client);
    assert_eq!(payload(&mut watcher), b"gone");
}

fn a_second_client_takes_the_session_over<W: Wire>(open: impl Fn(&Broker) -> W) {
    let broker = broker(&[]);
    let (mut first, _) = Client::accepted_over(open(&broker), &Connect::persistent("c"));
    first.subscribe("t", QoS::AtLeastOnce);
    let (mut second, present) = Client::accepted(broker.address(), &Connect::persistent("c"));
    assert!(present);
    let taken = Received::Disconnect(ReasonCode::SessionTakenOver);
    assert_eq!(first.receive().ok(), Some(taken));
    assert_eq!(first.receive().ok(), Some(Received::Closed));
    let (mut third, present) = Client::accepted_over(open(&broker), &Connect::persistent("c"));
    assert!(present);
    let taken = Received::Disconnect(ReasonCode::SessionTakenOver);
    assert_eq!(second.receive().ok(), Some(taken));
    publish(&mut third, "t", b"mine", 1);
    assert_eq!(payload(&mut third), b"mine");
}

fn a_disconnect_ends_the_connection<W: Wire>(open: impl Fn(&Broker) -> W) {
    let broker = broker(&[]);
    let (mut client, _) = Client::accepted_over(open(&broker), &Connect::new("c"));
    client
        .send_bytes(&[0xE0, 0x00])
        .expect("DISCONNECT is sent");
    assert_eq!(client.receive().ok(), Some(Received::Closed));
}

fn what_is_no_connect_is_cut_off<W: Wire>(open: impl Fn(&Broker) -> W) {
    let broker = broker(&[]);
    let mut wire = open(&broker);
    wire.write_all(&[0xC0, 0x00]).expect("PINGREQ is sent");
    wire.flush().expect("it leaves");
    wire.set_patience(wires::PATIENCE).expect("a socket");
    let mut rest = Vec::new();
    // An abrupt end is one too.
    let _ = wire.read_to_end(&mut rest);
    assert_eq!(rest, b"");
}

fn a_connect_too_large_is_refused<W: Wire>(open: impl Fn(&Broker) -> W) {
    let broker = broker(&["limits.connect_bytes_max=1KB"]);
    let client_id = "c".repeat(2_000);
    let connect = Connect::new(&client_id);
    // Where MQTT can still be spoken it is said; in any case it is over.
    match Client::connect_over(open(&broker), &connect) {
        Ok((_, Received::ConnAck(_, ReasonCode::PacketTooLarge, _) | Received::Closed)) => {}
        Ok((_, other)) => panic!("{other:?}"),
        Err(_) => {}
    }
    let client_id = "c".repeat(500);
    Client::accepted_over(open(&broker), &Connect::new(&client_id));
}
