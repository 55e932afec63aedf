//! The HTTP interface of the real broker.

mod access;
mod cursors;
mod history;
mod ledger;
mod real_client;
mod sessions;
mod tail;

use robustmq_e2e::{Broker, Client, Connect, Http, Message, Received};
use robustmq_protocol::codec::{Packet, Publish, PublishProperties};
use robustmq_protocol::{PacketId, QoS, ReasonCode};
use serde_json::Value;

/// The broker's interface with the broker's own key.
fn http(broker: &Broker) -> Http {
    Http::new(broker.http(), Some(&broker.api_key()))
}

fn clean(broker: &Broker, client_id: &str) -> Client {
    Client::accepted(broker.address(), &Connect::new(client_id)).0
}

/// Publishes with QoS 1; the offset token of the receipt.
fn store(client: &mut Client, topic: &str, payload: &[u8]) -> String {
    let publish = Publish {
        dup: false,
        qos: QoS::AtLeastOnce,
        retain: false,
        topic,
        packet_id: Some(PacketId::MIN),
        properties: PublishProperties::default(),
        payload,
    };
    store_packet(client, &publish)
}

fn store_packet(client: &mut Client, publish: &Publish<'_>) -> String {
    client.publish(publish).expect("PUBLISH is sent");
    match client.receive().expect("the broker answers") {
        Received::PubAck(_, _, properties) => {
            let receipt = properties.into_iter().find(|(name, _)| name == "x-offset");
            receipt.map(|(_, value)| value).expect("a receipt")
        }
        other => panic!("no PUBACK: {other:?}"),
    }
}

/// Waits until the clock by which messages of different shards are put in order
/// has gone on.
fn tick() {
    std::thread::sleep(std::time::Duration::from_millis(3));
}

/// Stores numbers below `count` on `a/b` and `a/c` by turns.
fn fill(broker: &Broker, count: usize) -> Vec<String> {
    let mut publisher = clean(broker, "publisher");
    let mut tokens = Vec::new();
    for number in 0..count {
        let topic = ["a/b", "a/c"][number % 2];
        tokens.push(store(&mut publisher, topic, number.to_string().as_bytes()));
        tick();
    }
    tokens
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

fn payloads(client: &mut Client, count: usize) -> Vec<String> {
    let text = |message: Message| String::from_utf8(message.payload).expect("text");
    (0..count).map(|_| text(take(client))).collect()
}

/// A round trip: what was on its way before it would have come before it.
fn nothing(client: &mut Client) {
    client.send(&Packet::PingReq).expect("PINGREQ is sent");
    assert_eq!(
        client.receive().expect("the broker answers"),
        Received::PingResp
    );
}

/// Payloads of a list of messages.
fn told(messages: &Value) -> Vec<&str> {
    let messages = messages.as_array().expect("a list");
    let payloads = messages.iter().map(|message| &message["payload"]);
    payloads
        .map(|payload| payload.as_str().expect("a payload"))
        .collect()
}

fn numbers(range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|number| number.to_string()).collect()
}

fn goodbye(client: Client) {
    client.disconnect(ReasonCode::Success).expect("DISCONNECT");
}
