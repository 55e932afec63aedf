//! Replays over MQTT, against the real broker.

mod cursors;
mod live;
mod ranges;
mod real_client;
mod sessions;

use std::collections::HashMap;

use robustmq_e2e::{Broker, Client, Connect, Http, Message, Received};
use robustmq_protocol::codec::{Packet, Publish, PublishProperties};
use robustmq_protocol::{PacketId, QoS, ReasonCode};

fn publish<'a>(topic: &'a str, payload: &'a [u8], qos: QoS) -> Publish<'a> {
    Publish {
        dup: false,
        qos,
        retain: false,
        topic,
        packet_id: (qos > QoS::AtMostOnce).then_some(PacketId::MIN),
        properties: PublishProperties::default(),
        payload,
    }
}

fn clean(broker: &Broker, client_id: &str) -> Client {
    Client::accepted(broker.address(), &Connect::new(client_id)).0
}

/// Waits until the clock by which messages of different shards are put in order
/// has gone on.
fn tick() {
    std::thread::sleep(std::time::Duration::from_millis(3));
}

/// Publishes with QoS 1; the offset token of the receipt.
fn store(client: &mut Client, topic: &str, payload: &str) -> String {
    store_packet(
        client,
        &publish(topic, payload.as_bytes(), QoS::AtLeastOnce),
    )
}

fn store_packet(client: &mut Client, packet: &Publish<'_>) -> String {
    client.publish(packet).expect("PUBLISH is sent");
    match client.receive().expect("the broker answers") {
        Received::PubAck(_, _, properties) => {
            let receipt = properties.into_iter().find(|(name, _)| name == "x-offset");
            receipt.map(|(_, value)| value).expect("a receipt")
        }
        other => panic!("no PUBACK: {other:?}"),
    }
}

/// Subscribes with QoS 1 and expects to be let.
fn subscribe(client: &mut Client, filter: &str) {
    assert_eq!(
        client.subscribe(filter, QoS::AtLeastOnce),
        [ReasonCode::GrantedQoS1],
        "{filter}"
    );
}

/// The next message, acknowledged.
fn take(client: &mut Client) -> Message {
    match client.receive().expect("the broker answers") {
        Received::Publish(message) => {
            if let Some(packet_id) = message.packet_id {
                client
                    .ack(Packet::PubAck, packet_id)
                    .expect("PUBACK is sent");
            }
            message
        }
        other => panic!("no PUBLISH: {other:?}"),
    }
}

fn text(message: &Message) -> &str {
    std::str::from_utf8(&message.payload).expect("payloads are text")
}

/// The next messages' payloads.
fn payloads(client: &mut Client, count: usize) -> Vec<String> {
    (0..count).map(|_| text(&take(client)).to_owned()).collect()
}

/// A round trip: what was on its way before it would have come before it.
fn nothing(client: &mut Client) {
    client.send(&Packet::PingReq).expect("PINGREQ is sent");
    assert_eq!(
        client.receive().expect("the broker answers"),
        Received::PingResp
    );
}

fn marks(message: &Message) -> HashMap<&str, &str> {
    let pairs = message.user_properties.iter();
    pairs
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect()
}
