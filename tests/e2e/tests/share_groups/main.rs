//! Shared subscriptions.

mod control;
mod groups;
mod real_client;
mod strategies;

use std::time::{Duration, Instant};

use robustmq_e2e::{Broker, Client, Connect, Http, Message, Received};
use robustmq_protocol::codec::{Packet, Publish, PublishProperties};
use robustmq_protocol::{PacketId, QoS, ReasonCode};

/// How long a message may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// How long nothing has to come before nothing comes.
const QUIET: Duration = Duration::from_millis(300);

fn http(broker: &Broker) -> Http {
    Http::new(broker.http(), Some(&broker.api_key()))
}

fn clean(broker: &Broker, client_id: &str) -> Client {
    Client::accepted(broker.address(), &Connect::new(client_id)).0
}

fn lasting(broker: &Broker, client_id: &str) -> Client {
    Client::accepted(broker.address(), &Connect::persistent(client_id)).0
}

fn subscribe(client: &mut Client, filter: &str) {
    let granted = client.subscribe(filter, QoS::AtLeastOnce);
    assert_eq!(granted, [ReasonCode::GrantedQoS1], "{filter}");
}

fn goodbye(client: Client) {
    client
        .disconnect(ReasonCode::Success)
        .expect("DISCONNECT is sent");
}

/// Publishes with QoS 1 and waits for the acknowledgement.
fn store(client: &mut Client, topic: &str, payload: &str) {
    let publish = Publish {
        dup: false,
        qos: QoS::AtLeastOnce,
        retain: false,
        topic,
        packet_id: Some(PacketId::MIN),
        properties: PublishProperties::default(),
        payload: payload.as_bytes(),
    };
    client.publish(&publish).expect("PUBLISH is sent");
    match client.receive().expect("the broker answers") {
        Received::PubAck(_, reason, _) => assert!(!reason.is_error(), "{reason:?}"),
        other => panic!("no PUBACK: {other:?}"),
    }
}

fn acknowledge(client: &mut Client, message: &Message) {
    if let (QoS::AtLeastOnce, Some(packet_id)) = (message.qos, message.packet_id) {
        let acked = client.ack(Packet::PubAck, packet_id);
        acked.expect("PUBACK is sent");
    }
}

/// A message that comes within some time.
fn message(client: &mut Client, within: Duration) -> Option<Message> {
    match client.poll(within).expect("packets come")? {
        Received::Publish(message) => Some(message),
        other => panic!("no PUBLISH: {other:?}"),
    }
}

/// The next message, acknowledged.
fn take(client: &mut Client) -> String {
    let taken = message(client, PATIENCE).expect("a message comes");
    acknowledge(client, &taken);
    text(&taken)
}

fn text(message: &Message) -> String {
    String::from_utf8(message.payload.clone()).expect("text")
}

/// What each client gets until `count` messages have come to all together.
fn drain(clients: &mut [&mut Client], count: usize) -> Vec<Vec<String>> {
    let start = Instant::now();
    let mut found: Vec<Vec<String>> = clients.iter().map(|_| Vec::new()).collect();
    while found.iter().map(Vec::len).sum::<usize>() < count {
        assert!(start.elapsed() < PATIENCE, "not all come: {found:?}");
        for (client, found) in clients.iter_mut().zip(&mut found) {
            while let Some(taken) = message(client, Duration::from_millis(20)) {
                acknowledge(client, &taken);
                found.push(text(&taken));
            }
        }
    }
    found
}

fn nothing(client: &mut Client) {
    let came = message(client, QUIET);
    assert!(came.is_none(), "{came:?}");
}

fn sorted(found: Vec<Vec<String>>) -> Vec<String> {
    let mut all: Vec<String> = found.into_iter().flatten().collect();
    all.sort();
    all
}

fn numbers(range: std::ops::Range<u32>) -> Vec<String> {
    range.map(|number| format!("{number:03}")).collect()
}
