//! Several nodes as processes: clients may be connected to any of them.

mod delayed;
mod discovery;
mod failures;
mod growing;
mod mqtt;
mod real_client;
mod repair;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use robustmq_e2e::{Client, Connect, Message, Received};
use robustmq_protocol::codec::{Packet, Publish, PublishProperties};
use robustmq_protocol::{PacketId, QoS};

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(90);

fn publish<'a>(topic: &'a str, qos: QoS, payload: &'a str) -> Publish<'a> {
    Publish {
        dup: false,
        qos,
        retain: false,
        topic,
        packet_id: (qos != QoS::AtMostOnce).then(|| PacketId::new(1)).flatten(),
        properties: PublishProperties::default(),
        payload: payload.as_bytes(),
    }
}

/// Publishes with QoS 1 until it is acknowledged, wherever that works.
fn publish_anywhere(addresses: &[SocketAddr], client_id: &str, topic: &str, payload: &str) {
    let start = Instant::now();
    let mut place = addresses.iter().cycle();
    loop {
        assert!(start.elapsed() < PATIENCE, "nobody takes {payload}");
        let Some(address) = place.next() else {
            continue;
        };
        let Ok((mut client, Received::ConnAck(..))) =
            Client::connect(*address, &Connect::new(client_id))
        else {
            continue;
        };
        if client
            .publish(&publish(topic, QoS::AtLeastOnce, payload))
            .is_err()
        {
            continue;
        }
        if let Ok(Some(Received::PubAck(_, reason, _))) = client.poll(Duration::from_secs(5))
            && !reason.is_error()
        {
            return;
        }
    }
}

/// The next message, acknowledged.
fn next(client: &mut Client) -> Message {
    let start = Instant::now();
    loop {
        assert!(start.elapsed() < PATIENCE, "no message comes");
        match client.poll(Duration::from_secs(1)).expect("the node runs") {
            Some(Received::Publish(message)) => {
                if let (QoS::AtLeastOnce, Some(packet_id)) = (message.qos, message.packet_id) {
                    client
                        .ack(Packet::PubAck, packet_id)
                        .expect("the node runs");
                }
                return message;
            }
            Some(other) => panic!("instead of a message: {other:?}"),
            None => {}
        }
    }
}

fn text(message: &Message) -> String {
    String::from_utf8_lossy(&message.payload).into_owned()
}
