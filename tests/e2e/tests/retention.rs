//! Retention by the real broker: what is beyond it goes, what is live stays,
//! also where the views have to be folded anew from what is left.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use robustmq_e2e::{Broker, Client, Connect, Http, Launch, Message, Received, binary};
use robustmq_protocol::codec::{Packet, Publish, PublishProperties};
use robustmq_protocol::{PacketId, QoS, ReasonCode};

/// How long retention may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// Messages that fill more than ten segments of 1 MB.
const FILLERS: u32 = 6_000;

fn publish<'a>(topic: &'a str, payload: &'a [u8], qos: QoS, retain: bool) -> Publish<'a> {
    Publish {
        dup: false,
        qos,
        retain,
        topic,
        packet_id: (qos > QoS::AtMostOnce).then_some(PacketId::MIN),
        properties: PublishProperties::default(),
        payload,
    }
}

fn store(client: &mut Client, topic: &str, payload: &[u8], retain: bool) {
    let packet = publish(topic, payload, QoS::AtLeastOnce, retain);
    client.publish(&packet).expect("PUBLISH is sent");
    let answer = client.receive().expect("the broker answers");
    assert!(matches!(answer, Received::PubAck(..)), "{answer:?}");
}

/// Publishes numbered messages that do not compress.
fn fill(client: &mut Client) {
    let mut state = 1u64;
    for number in 0..FILLERS {
        let mut payload = number.to_be_bytes().to_vec();
        while payload.len() < 2_048 {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            payload.extend((state >> 32).to_be_bytes());
        }
        // Waited for now and then, so that they are many batches.
        if number % 100 == 99 {
            store(client, "fill", &payload, false);
            continue;
        }
        let packet = publish("fill", &payload, QoS::AtMostOnce, false);
        client.publish(&packet).expect("PUBLISH is sent");
    }
    // Behind all of them.
    store(client, "fill", &FILLERS.to_be_bytes(), false);
}

fn take(client: &mut Client) -> Message {
    match client.receive().expect("the broker answers") {
        Received::Publish(message) => {
            if let Some(packet_id) = message.packet_id {
                client.ack(Packet::PubAck, packet_id).expect("PUBACK");
            }
            message
        }
        other => panic!("no PUBLISH: {other:?}"),
    }
}

/// What the log holds of a filter, read by its history.
fn history(broker: &Broker, filter: &str) -> Vec<Vec<u8>> {
    let (mut client, _) = Client::accepted(broker.address(), &Connect::new("historian"));
    client.subscribe("$SYS/replay/historian/caught_up", QoS::AtMostOnce);
    let replay = format!("$replay/earliest..latest/{filter}");
    client.subscribe(&replay, QoS::AtMostOnce);
    let mut found = Vec::new();
    loop {
        let message = take(&mut client);
        if message.topic.starts_with("$SYS") {
            return found;
        }
        found.push(message.payload);
    }
}

/// Waits until retention has removed all but the newest fillers.
fn wait_for_removal(broker: &Broker) {
    let start = Instant::now();
    while history(broker, "fill").len() > FILLERS as usize / 2 {
        assert!(
            start.elapsed() < PATIENCE,
            "nothing is removed\n{}",
            broker.log()
        );
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Asks for a range over HTTP in every format and with `robust-ctl`: whether all
/// of them say that it begins before what is kept.
fn is_told_cut(broker: &Broker, from: &str) -> bool {
    let http = Http::new(broker.http(), Some(&broker.api_key()));
    let path = format!("/api/v5/history/messages?from={from}");
    let page = http.get(&format!("{path}&limit=1"));
    let is_cut = page.json()["cut"] == true;
    for query in ["format=ndjson&limit=1", "format=csv&limit=1", "format=csv"] {
        let lines = http.get(&format!("{path}&{query}"));
        assert_eq!(lines.header("x-cut"), Some(&*is_cut.to_string()), "{query}");
    }
    let read = Command::new(binary("robust-ctl"))
        .args(["mqtt", "history", "read", "--limit", "1", "--from", from])
        .arg("--data-dir")
        .arg(broker.data())
        .env("ROBUSTMQ_SERVER", format!("http://{}", broker.http()))
        .output()
        .expect("robust-ctl starts: build it first");
    assert!(read.status.success(), "{read:?}");
    let said = String::from_utf8_lossy(&read.stderr).into_owned();
    assert_eq!(said.contains("before the oldest"), is_cut, "{said}");
    is_cut
}

fn is_intact(data: &Path) -> bool {
    let verified = Command::new(binary("robust-ctl"))
        .args(["log", "verify", "--deep", "--data-dir"])
        .arg(data)
        .output()
        .expect("robust-ctl starts: build it first");
    verified.status.success()
}

#[test]
fn what_is_old_goes_and_what_is_live_stays() {
    let mut broker = Broker::start(&[
        "storage.segment_size=1MB",
        "storage.retention_messages=500",
        "storage.retention_check_interval=100ms",
    ]);
    let (mut session, _) = Client::accepted(broker.address(), &Connect::persistent("session"));
    session.subscribe("live/#", QoS::AtLeastOnce);
    session.disconnect(ReasonCode::Success).expect("DISCONNECT");
    let (mut publisher, _) = Client::accepted(broker.address(), &Connect::new("publisher"));
    store(&mut publisher, "kept", b"retained", true);
    assert!(!is_told_cut(&broker, "-1h"), "nothing is gone yet");
    fill(&mut publisher);
    wait_for_removal(&broker);
    assert!(is_told_cut(&broker, "-1h"));
    assert!(!is_told_cut(&broker, "earliest"));
    let left = history(&broker, "fill");
    assert_eq!(
        left.last().map(Vec::as_slice),
        Some(&FILLERS.to_be_bytes()[..])
    );
    assert!(
        left.len() >= 400,
        "{} messages are left of 500 to keep",
        left.len()
    );
    broker.stop();
    assert!(!broker.log().contains("ERROR"), "{}", broker.log());

    // What is left of the log alone says what is live.
    broker.kill();
    std::fs::remove_dir_all(broker.data().join("views")).expect("the views can be removed");
    broker.restart();
    let (mut reader, _) = Client::accepted(broker.address(), &Connect::new("reader"));
    reader.subscribe("kept", QoS::AtMostOnce);
    assert_eq!(take(&mut reader).payload, b"retained");
    let (mut publisher, _) = Client::accepted(broker.address(), &Connect::new("publisher"));
    store(&mut publisher, "live/x", b"for the session", false);
    let (mut session, present) =
        Client::accepted(broker.address(), &Connect::persistent("session"));
    assert!(present);
    assert_eq!(take(&mut session).payload, b"for the session");
    assert!(is_intact(&broker.data()));
}

#[test]
fn a_policy_keeps_its_topics_longer() {
    let folder = tempfile::tempdir().expect("a directory");
    let config = folder.path().join("robustmq.toml");
    let text = "\
[storage]
segment_size = \"1MB\"
retention_messages = 500
retention_check_interval = \"100ms\"

[[storage.policy]]
filter = \"keep/#\"
retention_time = \"unlimited\"
retention_messages = \"unlimited\"
";
    std::fs::write(&config, text).expect("the configuration is written");
    let launch = Launch {
        arguments: vec!["--config".to_owned(), config.display().to_string()],
        ..Launch::default()
    };
    let mut broker = Broker::start_in(launch, &[]);
    let (mut publisher, _) = Client::accepted(broker.address(), &Connect::new("publisher"));
    for number in 0..10u8 {
        store(&mut publisher, &format!("keep/{number}"), &[number], false);
    }
    fill(&mut publisher);
    wait_for_removal(&broker);
    let kept: Vec<Vec<u8>> = (0..10).map(|number| vec![number]).collect();
    let sorted = |broker: &Broker| {
        let mut found = history(broker, "keep/#");
        found.sort();
        found
    };
    assert_eq!(sorted(&broker), kept);
    broker.kill_and_restart();
    assert_eq!(sorted(&broker), kept);
    assert!(is_intact(&broker.data()));
}

#[test]
fn on_a_quiet_broker_time_removes_too() {
    let mut broker = Broker::start(&[
        "storage.segment_size=1MB",
        "storage.retention_time=3s",
        "storage.retention_check_interval=100ms",
    ]);
    let (mut session, _) = Client::accepted(broker.address(), &Connect::persistent("session"));
    session.subscribe("live/#", QoS::AtLeastOnce);
    session.disconnect(ReasonCode::Success).expect("DISCONNECT");
    let (mut publisher, _) = Client::accepted(broker.address(), &Connect::new("publisher"));
    store(&mut publisher, "kept", b"retained", true);
    for number in 0..5u8 {
        store(&mut publisher, "old", &[number], false);
    }
    assert_eq!(history(&broker, "old").len(), 5);
    let start = Instant::now();
    while !history(&broker, "old").is_empty() {
        assert!(
            start.elapsed() < PATIENCE,
            "nothing is removed\n{}",
            broker.log()
        );
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(
        start.elapsed() >= Duration::from_secs(2),
        "{:?}",
        start.elapsed()
    );
    // Sealing comes to an end: it costs no file for every look.
    let files = || std::fs::read_dir(broker.data().join("log")).map(Iterator::count);
    std::thread::sleep(Duration::from_secs(2));
    assert!(files().expect("the log is there") < 14, "{:?}", files());

    broker.kill();
    std::fs::remove_dir_all(broker.data().join("views")).expect("the views can be removed");
    broker.restart();
    let (mut reader, _) = Client::accepted(broker.address(), &Connect::new("reader"));
    reader.subscribe("kept", QoS::AtMostOnce);
    assert_eq!(take(&mut reader).payload, b"retained");
    let (_, present) = Client::accepted(broker.address(), &Connect::persistent("session"));
    assert!(present);
    assert!(is_intact(&broker.data()));
}
