//! `robust-ctl mqtt`.

use std::io::Write;
use std::process::{Command, Output, Stdio};

use robustmq_e2e::{Broker, binary};
use serde_json::Value;

fn ctl(broker: &Broker, arguments: &[&str], stdin: &str) -> Output {
    let port = broker.address().port().to_string();
    let mut child = Command::new(binary("robust-ctl"))
        .arg("mqtt")
        .args(arguments)
        .args(["-h", "127.0.0.1", "-p", &port])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("robust-ctl starts: build it first");
    let mut pipe = child.stdin.take().expect("stdin is piped");
    // One that reads nothing may have ended already.
    let _ = pipe.write_all(stdin.as_bytes());
    drop(pipe);
    child.wait_with_output().expect("it ends")
}

fn lines(broker: &Broker, arguments: &[&str], stdin: &str) -> Vec<String> {
    let output = ctl(broker, arguments, stdin);
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    let text = String::from_utf8(output.stdout).expect("text");
    text.lines().map(str::to_owned).collect()
}

#[test]
fn messages_are_published_and_read_in_every_version_and_qos() {
    let broker = Broker::start(&[]);
    for version in ["mqttv31", "mqttv311", "mqttv5"] {
        for qos in ["0", "1", "2"] {
            let session = [
                "subscribe",
                "-V",
                version,
                "-i",
                "reader",
                "-c",
                "-q",
                qos,
                "-t",
                "t/#",
            ];
            lines(&broker, &[&session[..], &["-E"]].concat(), "");
            let publish = ["publish", "-V", version, "-q", "2", "-t", "t/a", "-l"];
            lines(&broker, &publish, "one\ntwo\n");
            let got = lines(
                &broker,
                &[&session[..], &["-v", "-C", "2", "-W", "20"]].concat(),
                "",
            );
            assert_eq!(got, ["t/a one", "t/a two"], "{version} {qos}");
        }
    }
}

#[test]
fn a_receipt_can_be_replayed_from() {
    let broker = Broker::start(&[]);
    let publish = ["publish", "-q", "1", "-t", "orders/1", "-m"];
    lines(&broker, &[&publish[..], &["first"]].concat(), "");
    let receipt = lines(
        &broker,
        &[&publish[..], &["second", "-o", "json"]].concat(),
        "",
    );
    let receipt: Value = serde_json::from_str(&receipt.concat()).expect("JSON");
    let offset = receipt[0]["offset"].as_str().expect("an offset");
    lines(&broker, &[&publish[..], &["third"]].concat(), "");
    let filter = format!("$replay/o:{offset}..latest/orders/#");
    let replay = [
        "subscribe",
        "-t",
        &filter,
        "-C",
        "2",
        "-W",
        "20",
        "-o",
        "ndjson",
    ];
    let got = lines(&broker, &replay, "");
    let first: Value = serde_json::from_str(&got[0]).expect("JSON");
    assert_eq!(first["payload"], "second");
    assert_eq!(first["user_properties"][0][1], offset);
    // The same with a user property.
    let asked = format!("replay-from=o:{offset}");
    let replay = [
        "subscribe",
        "-t",
        "orders/#",
        "--user-property",
        &asked,
        "-C",
        "2",
        "-W",
        "20",
    ];
    assert_eq!(lines(&broker, &replay, ""), ["second", "third"]);
}

#[test]
fn properties_and_wills_are_sent() {
    let broker = Broker::start(&[]);
    let publish = [
        "publish",
        "-q",
        "1",
        "-r",
        "-t",
        "t",
        "-m",
        "x",
        "--content-type",
        "text/plain",
        "--user-property",
        "b=1",
        "--user-property",
        "a: 2",
    ];
    lines(&broker, &publish, "");
    let got = lines(
        &broker,
        &["subscribe", "-t", "t", "-C", "1", "-W", "20", "-o", "json"],
        "",
    );
    let got: Value = serde_json::from_str(&got.concat()).expect("JSON");
    assert_eq!(got[0]["retain"], true);
    assert_eq!(got[0]["content_type"], "text/plain");
    assert_eq!(
        got[0]["user_properties"],
        serde_json::json!([["b", "1"], ["a", "2"]])
    );
    lines(&broker, &["publish", "-q", "1", "-r", "-t", "t", "-n"], "");
    assert!(lines(&broker, &["subscribe", "-t", "t", "-W", "1"], "").is_empty());
}

#[test]
fn what_goes_wrong_is_said() {
    let broker = Broker::start(&[]);
    let said = |arguments: &[&str]| {
        let output = ctl(&broker, arguments, "");
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {output:?}");
        String::from_utf8(output.stderr).expect("text")
    };
    let bad = said(&["subscribe", "-t", "$replay/yesterday/#"]);
    assert!(bad.contains("`yesterday` is no position"), "{bad}");
    let bad = said(&["publish", "-t", "$SYS/x", "-m", "x", "-q", "1"]);
    assert!(bad.contains("Topic Name invalid"), "{bad}");
    let bad = said(&[
        "publish",
        "-t",
        "t",
        "-m",
        "x",
        "--user-property",
        "nothing",
    ]);
    assert!(bad.contains("NAME=VALUE"), "{bad}");
    let nowhere = Command::new(binary("robust-ctl"))
        .args(["mqtt", "publish", "-t", "t", "-m", "x", "-p", "1"])
        .output()
        .expect("robust-ctl starts");
    let text = String::from_utf8_lossy(&nowhere.stderr).into_owned();
    assert!(text.contains("no broker at 127.0.0.1:1"), "{text}");
}
