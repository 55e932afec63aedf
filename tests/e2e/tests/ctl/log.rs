//! `robust-ctl log` on a running broker and on a stopped data directory.

use std::fs::OpenOptions;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use robustmq_e2e::{Broker, Client, Connect, Received, binary};
use robustmq_protocol::codec::{Publish, PublishProperties};
use robustmq_protocol::{PacketId, QoS};
use serde_json::Value;

const MESSAGES: u16 = 40;

fn ctl(data: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(binary("robust-ctl"));
    command.arg("log").args(arguments);
    command.arg("--data-dir").arg(data).stdin(Stdio::null());
    command.output().expect("robust-ctl starts: build it first")
}

fn json(data: &Path, arguments: &[&str]) -> Value {
    let output = ctl(data, &[arguments, &["--output", "json"]].concat());
    let text = String::from_utf8_lossy(&output.stdout);
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text} {output:?}"))
}

fn lines(data: &Path, arguments: &[&str]) -> Vec<Value> {
    let output = ctl(data, &[arguments, &["--output", "ndjson"]].concat());
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    let parse = |line| serde_json::from_str(line).expect("a JSON object per line");
    text.lines().map(parse).collect()
}

/// A broker with messages of one topic; their receipts.
fn filled() -> (Broker, Vec<String>) {
    let broker = Broker::start(&["storage.segment_size=1MB"]);
    let (mut client, _) = Client::accepted(broker.address(), &Connect::new("c"));
    let mut receipts = Vec::new();
    for number in 1..=MESSAGES {
        let payload = format!("message {number}");
        let publish = Publish {
            dup: false,
            qos: QoS::AtLeastOnce,
            retain: false,
            topic: "sensors/a",
            packet_id: PacketId::new(number),
            properties: PublishProperties::default(),
            payload: payload.as_bytes(),
        };
        client.publish(&publish).expect("PUBLISH is sent");
        match client.receive().expect("the broker answers") {
            Received::PubAck(_, _, properties) => receipts.push(receipt(&properties)),
            other => panic!("no PUBACK: {other:?}"),
        }
    }
    (broker, receipts)
}

fn receipt(properties: &[(String, String)]) -> String {
    let receipt = properties.iter().find(|(name, _)| name == "x-offset");
    receipt.map(|(_, value)| value.clone()).expect("a receipt")
}

fn segment_file(data: &Path) -> PathBuf {
    let segments = json(data, &["segments"]);
    let file = segments[0]["file"].as_str().expect("a file name");
    data.join("log").join(file)
}

#[test]
fn a_running_broker_can_be_looked_at() {
    let (mut broker, receipts) = filled();
    let data = broker.data();
    let info = json(&data, &["info"]);
    assert_eq!(info["broker_running"], true);
    assert_eq!(info["broker_pid"], broker.pid());
    let records = |shard: &Value| shard["records"].as_u64();
    let all: Option<u64> = info["shards"]
        .as_array()
        .into_iter()
        .flatten()
        .map(records)
        .sum();
    assert!(all >= Some(u64::from(MESSAGES)), "{info}");

    let dumped = lines(&data, &["dump", "--topic", "sensors/+"]);
    let tokens: Vec<&str> = dumped
        .iter()
        .filter_map(|line| line["token"].as_str())
        .collect();
    assert_eq!(
        tokens, receipts,
        "what a PUBACK names is what the log holds"
    );
    assert_eq!(dumped[0]["payload"], "message 1");

    let report = json(&data, &["verify", "--deep"]);
    assert_eq!(report["intact"], true, "{report}");
    assert_eq!(report["problems"], Value::Array(Vec::new()));
    broker.stop();
    assert!(!broker.log().contains("WARN"), "{}", broker.log());
}

#[test]
fn a_stopped_data_directory_can_be_looked_at() {
    let (mut broker, _) = filled();
    let data = broker.data();
    broker.stop();
    let info = json(&data, &["info"]);
    assert_eq!(info["broker_running"], false);
    assert_eq!(info["clean"], true);
    let frames = json(&data, &["dump"]);
    let frames = frames.as_array().expect("an array");
    assert_eq!(
        frames.first().map(|frame| &frame["kind"]),
        Some(&"segment_start".into())
    );
    assert_eq!(
        frames.last().map(|frame| &frame["kind"]),
        Some(&"end".into())
    );
    let table = ctl(&data, &["segments"]);
    let table = String::from_utf8_lossy(&table.stdout).into_owned();
    assert!(
        table.contains("SEGMENT") && table.contains("active"),
        "{table}"
    );
}

#[test]
fn a_killed_broker_leaves_a_log_that_is_intact() {
    let (mut broker, _) = filled();
    broker.kill();
    let data = broker.data();
    assert_eq!(json(&data, &["info"])["clean"], false);
    assert!(ctl(&data, &["verify", "--deep"]).status.success());
}

#[test]
fn damage_is_found_and_gives_exit_code_1() {
    let (mut broker, _) = filled();
    broker.stop();
    let data = broker.data();
    let batch = lines(&data, &["dump"])
        .into_iter()
        .find(|frame| frame["kind"] == "batch")
        .expect("there is a batch");
    let position = batch["position"].as_u64().expect("a position");
    let len = batch["len"].as_u64().expect("a length");
    flip(&segment_file(&data), position + len - 9);
    let output = ctl(&data, &["verify", "--deep"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        text.contains(&format!("damage: segment 1 at {position}")),
        "{text}"
    );
    assert!(text.contains("damaged:"), "{text}");
}

fn flip(file: &Path, position: u64) {
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .open(file)
        .expect("the segment opens");
    let mut byte = [0];
    file.seek(SeekFrom::Start(position))
        .expect("the place is there");
    file.read_exact(&mut byte).expect("the byte is there");
    file.seek(SeekFrom::Start(position))
        .expect("the place is there");
    file.write_all(&[byte[0] ^ 1]).expect("the byte is written");
}

#[test]
fn what_is_not_there_is_said_with_exit_code_2() {
    let nowhere = tempfile::tempdir().expect("a directory");
    let output = ctl(nowhere.path(), &["info"]);
    assert_eq!(output.status.code(), Some(2));
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        text.contains("no data directory") && text.contains("node.data_dir"),
        "{text}"
    );
    assert_eq!(
        std::fs::read_dir(nowhere.path()).map(Iterator::count).ok(),
        Some(0)
    );

    let (broker, _) = filled();
    let output = ctl(&broker.data(), &["dump", "--segment", "99"]);
    assert_eq!(output.status.code(), Some(2));
    let output = ctl(&broker.data(), &["dump", "--topic", "a/#/b"]);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(text.contains("`a/#/b` is no topic filter"), "{text}");
}

#[test]
fn a_closed_pipe_ends_it_quietly() {
    let (broker, _) = filled();
    let mut child = Command::new(binary("robust-ctl"))
        .args(["log", "dump", "--records", "--data-dir"])
        .arg(broker.data())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("robust-ctl starts");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("it ends");
    assert!(
        output.status.success() && output.stderr.is_empty(),
        "{output:?}"
    );
}
