//! Delayed publishing.

mod control;
mod faults;
mod publishing;

use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use robustmq_e2e::{Broker, Client, Connect, Http, Message, Received, binary};
use robustmq_protocol::codec::{Packet, Publish, PublishProperties};
use robustmq_protocol::{PacketId, QoS, ReasonCode};
use serde_json::Value;

/// How long a message may be late on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

fn http(broker: &Broker) -> Http {
    Http::new(broker.http(), Some(&broker.api_key()))
}

fn ctl(broker: &Broker, arguments: &[&str]) -> Output {
    Command::new(binary("robust-ctl"))
        .args(["mqtt", "delayed"])
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

fn now_s() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.expect("it is after 1970").as_secs()
}

fn publishing<'a>(topic: &'a str, payload: &'a str) -> Publish<'a> {
    Publish {
        dup: false,
        qos: QoS::AtLeastOnce,
        retain: false,
        topic,
        packet_id: Some(PacketId::MIN),
        properties: PublishProperties::default(),
        payload: payload.as_bytes(),
    }
}

/// Publishes with QoS 1: the reason, and the id of what is stored.
fn store(client: &mut Client, publish: &Publish<'_>) -> (ReasonCode, Option<String>) {
    client.publish(publish).expect("PUBLISH is sent");
    match client.receive().expect("the broker answers") {
        Received::PubAck(_, reason, properties) => {
            let receipt = properties.into_iter().find(|(name, _)| name == "x-offset");
            (reason, receipt.map(|(_, value)| value))
        }
        other => panic!("no PUBACK: {other:?}"),
    }
}

/// Stores a message for later; its id.
fn delay(client: &mut Client, topic: &str, payload: &str) -> String {
    let (reason, id) = store(client, &publishing(topic, payload));
    assert_eq!(reason, ReasonCode::Success, "{topic}");
    id.expect("a receipt")
}

/// The next message, acknowledged.
fn take(client: &mut Client) -> Message {
    let received = client.poll(PATIENCE).expect("packets come");
    match received.expect("something comes") {
        Received::Publish(message) => {
            if let Some(packet_id) = message.packet_id {
                let acked = match message.qos {
                    QoS::ExactlyOnce => client.ack(Packet::PubRec, packet_id),
                    _ => client.ack(Packet::PubAck, packet_id),
                };
                acked.expect("the acknowledgement is sent");
            }
            message
        }
        other => panic!("no PUBLISH: {other:?}"),
    }
}

fn payload(message: &Message) -> &str {
    std::str::from_utf8(&message.payload).expect("text")
}

/// A round trip: what was on its way before it would have come before it.
fn nothing(client: &mut Client) {
    client.send(&Packet::PingReq).expect("PINGREQ is sent");
    assert_eq!(
        client.receive().expect("the broker answers"),
        Received::PingResp
    );
}

/// How many messages wait.
fn waiting(broker: &Broker) -> u64 {
    let page = http(broker).get("/api/v5/mqtt/delayed/messages").json();
    page["meta"]["count"].as_u64().expect("a number")
}

/// Waits until so many wait.
fn wait_until_waiting(broker: &Broker, count: u64) {
    let start = Instant::now();
    while waiting(broker) != count {
        assert!(start.elapsed() < PATIENCE, "{} wait", waiting(broker));
        std::thread::sleep(Duration::from_millis(20));
    }
}
