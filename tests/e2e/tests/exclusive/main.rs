//! Exclusive subscriptions, `$exclusive/{topic}`.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use robustmq_e2e::{Broker, Client, Connect, Http, Received};
use robustmq_protocol::codec::{Packet, Publish, PublishProperties};
use robustmq_protocol::{PacketId, QoS, ReasonCode};

/// How long anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

const FILTER: &str = "$exclusive/lock/door";

fn clean(broker: &Broker, client_id: &str) -> Client {
    Client::accepted(broker.address(), &Connect::new(client_id)).0
}

fn lasting(broker: &Broker, client_id: &str) -> Client {
    Client::accepted(broker.address(), &Connect::persistent(client_id)).0
}

fn subscribe(client: &mut Client) -> ReasonCode {
    client.subscribe(FILTER, QoS::AtLeastOnce)[0]
}

/// Subscribes as soon as it is free.
fn subscribe_soon(client: &mut Client) {
    let start = Instant::now();
    while subscribe(client) != ReasonCode::GrantedQoS1 {
        assert!(start.elapsed() < PATIENCE, "it stays taken");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn publish(client: &mut Client, payload: &str) {
    let publish = Publish {
        dup: false,
        qos: QoS::AtLeastOnce,
        retain: false,
        topic: "lock/door",
        packet_id: Some(PacketId::MIN),
        properties: PublishProperties::default(),
        payload: payload.as_bytes(),
    };
    client.publish(&publish).expect("PUBLISH is sent");
    let acked = client.receive().expect("the broker answers");
    assert!(matches!(acked, Received::PubAck(..)), "{acked:?}");
}

fn take(client: &mut Client) -> String {
    match client.poll(PATIENCE).expect("packets come") {
        Some(Received::Publish(message)) => {
            let packet_id = message.packet_id.expect("QoS 1");
            client.ack(Packet::PubAck, packet_id).expect("PUBACK");
            String::from_utf8(message.payload).expect("text")
        }
        other => panic!("no PUBLISH: {other:?}"),
    }
}

fn goodbye(client: Client) {
    client.disconnect(ReasonCode::Success).expect("DISCONNECT");
}

#[test]
fn one_session_at_a_time_has_it() {
    let broker = Broker::start(&[]);
    let (mut first, mut second) = (clean(&broker, "first"), clean(&broker, "second"));
    assert_eq!(subscribe(&mut first), ReasonCode::GrantedQoS1);
    assert_eq!(subscribe(&mut first), ReasonCode::GrantedQoS1, "again");
    assert_eq!(subscribe(&mut second), ReasonCode::QuotaExceeded);
    // The topic itself is everybody's.
    let plain = second.subscribe("lock/+", QoS::AtLeastOnce);
    assert_eq!(plain, [ReasonCode::GrantedQoS1]);
    let mut publisher = clean(&broker, "p");
    publish(&mut publisher, "open");
    assert_eq!(take(&mut first), "open");
    assert_eq!(take(&mut second), "open");
    assert_eq!(first.unsubscribe(&[FILTER]), [ReasonCode::Success]);
    assert_eq!(subscribe(&mut second), ReasonCode::GrantedQoS1);
    assert_eq!(subscribe(&mut first), ReasonCode::QuotaExceeded);
    goodbye(second);
    subscribe_soon(&mut first);
    publish(&mut publisher, "closed");
    assert_eq!(take(&mut first), "closed");
}

#[test]
fn a_lasting_session_keeps_it_offline_and_over_a_restart_until_it_ends() {
    let mut broker = Broker::start(&[]);
    let mut holder = lasting(&broker, "holder");
    assert_eq!(subscribe(&mut holder), ReasonCode::GrantedQoS1);
    goodbye(holder);
    let mut other = clean(&broker, "other");
    assert_eq!(subscribe(&mut other), ReasonCode::QuotaExceeded);
    broker.kill_and_restart();
    let mut other = clean(&broker, "other");
    assert_eq!(subscribe(&mut other), ReasonCode::QuotaExceeded);
    publish(&mut other, "while away");
    let mut holder = lasting(&broker, "holder");
    assert_eq!(take(&mut holder), "while away");
    goodbye(holder);
    // A clean start ends the session.
    let _anew = clean(&broker, "holder");
    subscribe_soon(&mut other);
}

#[test]
fn switched_off_or_of_no_topic_it_is_refused() {
    let broker = Broker::start(&["mqtt.exclusive_subscription=false"]);
    let refused = subscribe(&mut clean(&broker, "c"));
    assert_eq!(refused, ReasonCode::TopicFilterInvalid);
    let broker = Broker::start(&[]);
    let mut client = clean(&broker, "c");
    for filter in [
        "$exclusive/",
        "$exclusive/$share/g/a",
        "$exclusive/$exclusive/a",
        "$exclusive/$replay/earliest/a",
        "$replay/earliest/$exclusive/a",
        "$exclusive/a#",
    ] {
        let answer = client.subscribe(filter, QoS::AtLeastOnce);
        assert_eq!(answer, [ReasonCode::TopicFilterInvalid], "{filter}");
    }
}

#[test]
fn mosquitto_has_it_alone() {
    let broker = Broker::start(&[]);
    let port = broker.address().port().to_string();
    let mut second = clean(&broker, "second");
    let first = Command::new("mosquitto_sub")
        .args(["-p", &port, "-V", "311", "-c", "-i", "first", "-q", "1"])
        .args(["-t", FILTER, "-C", "1", "-W", "60"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("mosquitto's clients are installed: make test installs them");
    let http = Http::new(broker.http(), Some(&broker.api_key()));
    let start = Instant::now();
    while !http.get("/api/v5/sessions/first").text().contains(FILTER) {
        assert!(start.elapsed() < PATIENCE, "mosquitto never has it");
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(subscribe(&mut second), ReasonCode::QuotaExceeded);
    publish(&mut second, "for one");
    let output = first.wait_with_output().expect("it ends");
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "for one");
}
