//! Rules: from the configuration, and made, changed and removed while the
//! broker runs.

mod auto_subscribe;
mod rewrite;

use std::process::{Command, Output, Stdio};

use robustmq_e2e::{Broker, Client, Connect, Http, Message, Received, binary};
use robustmq_protocol::codec::{Packet, Publish, PublishProperties};
use robustmq_protocol::{PacketId, QoS, ReasonCode};
use serde_json::Value;

fn http(broker: &Broker) -> Http {
    Http::new(broker.http(), Some(&broker.api_key()))
}

fn ctl(broker: &Broker, arguments: &[&str]) -> Output {
    Command::new(binary("robust-ctl"))
        .arg("mqtt")
        .args(arguments)
        .env("ROBUSTMQ_SERVER", format!("http://{}", broker.http()))
        .env("ROBUSTMQ__NODE__DATA_DIR", broker.data())
        .stdin(Stdio::null())
        .output()
        .expect("robust-ctl starts: build it first")
}

fn json(broker: &Broker, arguments: &[&str]) -> Value {
    let output = ctl(broker, &[arguments, &["-o", "json"]].concat());
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

/// Runs one of mosquitto's clients; what it printed.
fn mosquitto(broker: &Broker, program: &str, arguments: &[&str]) -> Vec<String> {
    let output = Command::new(program)
        .args(["-h", "127.0.0.1", "-p"])
        .arg(broker.address().port().to_string())
        .args(arguments)
        .output()
        .expect("mosquitto's clients are installed: make test installs them");
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    let text = String::from_utf8(output.stdout).expect("payloads are text");
    text.lines().map(str::to_owned).collect()
}

fn clean(broker: &Broker, client_id: &str) -> Client {
    Client::accepted(broker.address(), &Connect::new(client_id)).0
}

/// Publishes with QoS 1; the reason of the acknowledgement.
fn publish(client: &mut Client, topic: &str, payload: &str) -> ReasonCode {
    publish_with(client, topic, payload, PublishProperties::default())
}

fn publish_with(
    client: &mut Client,
    topic: &str,
    payload: &str,
    properties: PublishProperties<'_>,
) -> ReasonCode {
    let publish = Publish {
        dup: false,
        qos: QoS::AtLeastOnce,
        retain: false,
        topic,
        packet_id: Some(PacketId::MIN),
        properties,
        payload: payload.as_bytes(),
    };
    client.publish(&publish).expect("PUBLISH is sent");
    match client.receive().expect("the broker answers") {
        Received::PubAck(_, reason, _) => reason,
        other => panic!("no PUBACK: {other:?}"),
    }
}

/// The next message, acknowledged: topic and payload.
fn take(client: &mut Client) -> (String, String) {
    let message = take_message(client);
    let payload = String::from_utf8(message.payload).expect("text");
    (message.topic, payload)
}

fn take_message(client: &mut Client) -> Message {
    match client.receive().expect("the broker answers") {
        Received::Publish(message) => {
            if let Some(packet_id) = message.packet_id {
                let acked = client.ack(Packet::PubAck, packet_id);
                acked.expect("PUBACK is sent");
            }
            message
        }
        other => panic!("no PUBLISH: {other:?}"),
    }
}

/// A round trip: what was on its way before it would have come before it.
fn nothing(client: &mut Client) {
    client.send(&Packet::PingReq).expect("PINGREQ is sent");
    assert_eq!(
        client.receive().expect("the broker answers"),
        Received::PingResp
    );
}

/// The value of a counter of `/metrics`.
fn metric(broker: &Broker, name: &str) -> u64 {
    let answer = http(broker).get("/metrics");
    let line = answer
        .text()
        .lines()
        .find_map(|line| line.strip_prefix(&format!("robustmq_{name}_total ")));
    let count = line.unwrap_or_else(|| panic!("no {name}: {}", answer.text()));
    count.parse().expect("a number")
}

fn pair(topic: &str, payload: &str) -> (String, String) {
    (topic.to_owned(), payload.to_owned())
}
