//! Memory that does not grow, whatever subscribers and publishers do.
//!
//! `ROBUSTMQ_TEST_SESSIONS` sets how many sessions stop reading.

use std::net::{SocketAddr, TcpStream};

use robustmq_e2e::{Broker, Client, Connect, Received};
use robustmq_protocol::codec::{Packet, Publish, PublishProperties};
use robustmq_protocol::{PacketId, QoS, ReasonCode};
use socket2::{Domain, Socket, Type};

/// Bytes of a message.
const PAYLOAD_BYTES: usize = 16 * 1024;

/// Messages until every session has filled what is its own, and then more.
const FIRST_MESSAGES: u32 = 100;
const MORE_MESSAGES: u32 = 2_000;

fn sessions() -> usize {
    let wanted = std::env::var("ROBUSTMQ_TEST_SESSIONS").ok();
    wanted
        .and_then(|wanted| wanted.parse().ok())
        .unwrap_or(10_000)
}

/// A connection on which the system takes hardly anything for a client that
/// does not read.
fn narrow(address: SocketAddr) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    socket.set_recv_buffer_size(4096).expect("a small buffer");
    socket.connect(&address.into()).expect("a connection");
    socket.into()
}

fn store(client: &mut Client, number: u32) {
    let mut payload = [0; PAYLOAD_BYTES];
    payload[..4].copy_from_slice(&number.to_be_bytes());
    let publish = Publish {
        dup: false,
        qos: QoS::AtLeastOnce,
        retain: false,
        topic: "t",
        packet_id: Some(PacketId::MIN),
        properties: PublishProperties::default(),
        payload: &payload,
    };
    client.publish(&publish).expect("PUBLISH is sent");
    let answer = client.receive().expect("the broker answers");
    assert!(matches!(answer, Received::PubAck(..)), "{answer:?}");
}

/// Every other session is persistent with QoS 1, the others get QoS 0.
fn subscribed(address: SocketAddr, number: usize) -> Client {
    let client_id = format!("stuck-{number}");
    let is_persistent = number.is_multiple_of(2);
    let connect = if is_persistent {
        Connect::persistent(&client_id)
    } else {
        Connect::new(&client_id)
    };
    let (mut client, answer) =
        Client::connect_over(narrow(address), &connect).expect("the broker answers");
    assert!(matches!(
        answer,
        Received::ConnAck(_, ReasonCode::Success, _)
    ));
    let qos = if is_persistent {
        QoS::AtLeastOnce
    } else {
        QoS::AtMostOnce
    };
    client.subscribe("t", qos);
    client
}

#[test]
fn many_sessions_that_do_not_read_cost_what_they_hold_and_no_more() {
    let broker = Broker::start(&[]);
    let mut stuck: Vec<Client> = (0..sessions())
        .map(|number| subscribed(broker.address(), number))
        .collect();
    let idle = broker.resident_bytes();
    let (mut publisher, _) = Client::accepted(broker.address(), &Connect::new("publisher"));
    (0..FIRST_MESSAGES).for_each(|number| store(&mut publisher, number));
    let full = broker.resident_bytes();
    (FIRST_MESSAGES..MORE_MESSAGES).for_each(|number| store(&mut publisher, number));
    let later = broker.resident_bytes();
    println!(
        "{} sessions: {} KB each idle, {} KB more each when stuck, {} KB in all for the rest",
        stuck.len(),
        idle / 1024 / stuck.len() as u64,
        full.saturating_sub(idle) / 1024 / stuck.len() as u64,
        later.saturating_sub(full) / 1024,
    );
    let per_session = full.saturating_sub(idle) / stuck.len() as u64;
    assert!(
        per_session < 128 << 10,
        "{per_session} bytes for a session that is stuck"
    );
    let grown = later.saturating_sub(full);
    assert!(
        grown < 64 << 20,
        "memory grew by {grown} bytes with the backlog"
    );

    // Nothing is lost to a session that reads at last.
    for place in [0, stuck.len() / 4 * 2] {
        let client = &mut stuck[place];
        for number in 0..MORE_MESSAGES {
            let Received::Publish(message) = client.receive().expect("the broker answers") else {
                panic!("no message {number}");
            };
            assert_eq!(message.payload[..4], number.to_be_bytes());
            let packet_id = message.packet_id.expect("QoS 1 has an identifier");
            client
                .ack(Packet::PubAck, packet_id)
                .expect("PUBACK is sent");
        }
    }
}
