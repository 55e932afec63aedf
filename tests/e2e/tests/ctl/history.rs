//! `robust-ctl mqtt history|cursor|session|explain`.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Output, Stdio};

use robustmq_e2e::{Broker, binary};
use serde_json::Value;

fn command(broker: &Broker, arguments: &[&str]) -> Command {
    let mut command = Command::new(binary("robust-ctl"));
    command
        .arg("mqtt")
        .args(arguments)
        .env("ROBUSTMQ_SERVER", format!("http://{}", broker.http()))
        .env("ROBUSTMQ__NODE__DATA_DIR", broker.data())
        .stdin(Stdio::null());
    command
}

fn run(broker: &Broker, arguments: &[&str]) -> Output {
    let output = command(broker, arguments).output();
    output.expect("robust-ctl starts: build it first")
}

fn text(broker: &Broker, arguments: &[&str]) -> String {
    let output = run(broker, arguments);
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).expect("text")
}

fn json(broker: &Broker, arguments: &[&str]) -> Value {
    let text = text(broker, &[arguments, &["-o", "json"]].concat());
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// What a command that cannot be done says; it prints nothing else.
fn refused(broker: &Broker, arguments: &[&str]) -> String {
    let output = run(broker, arguments);
    assert_eq!(output.status.code(), Some(2), "{arguments:?}: {output:?}");
    assert!(output.stdout.is_empty(), "{output:?}");
    String::from_utf8(output.stderr).expect("text")
}

/// Publishes a message per payload with `robust-ctl`; their offset tokens.
fn publish(broker: &Broker, topic: &str, payloads: &[&str]) -> Vec<String> {
    let port = broker.address().port().to_string();
    let one = |payload: &&str| {
        let words = ["publish", "-h", "127.0.0.1", "-p", &port, "-q", "1"];
        let words = [&words[..], &["-t", topic, "-m", payload, "-o", "json"]].concat();
        let receipt: Value = serde_json::from_str(&text(broker, &words)).expect("JSON");
        let receipt = receipt.get(0).cloned().unwrap_or(receipt);
        receipt["offset"].as_str().expect("a token").to_owned()
    };
    payloads.iter().map(one).collect()
}

fn subscribe(broker: &Broker, arguments: &[&str]) {
    let port = broker.address().port().to_string();
    let words = ["subscribe", "-h", "127.0.0.1", "-p", &port, "-q", "1"];
    text(broker, &[&words[..], arguments].concat());
}

#[test]
fn a_range_is_read_in_every_format() {
    let broker = Broker::start(&[]);
    publish(&broker, "a/b", &["one", "two\tand a half", "three"]);
    publish(&broker, "a/c", &["four"]);
    let read = |arguments: &[&str]| text(&broker, &[&["history", "read"], arguments].concat());
    assert_eq!(read(&["-o", "raw"]), "one\ntwo\tand a half\nthree\nfour\n");
    let table = read(&["-t", "a/+", "--limit", "2"]);
    let rows: Vec<&str> = table.lines().collect();
    assert_eq!(rows.len(), 2);
    assert!(
        rows[1].ends_with("  q1  a/b  two\\tand a half"),
        "{}",
        rows[1]
    );
    let lines = read(&["-o", "ndjson", "--from", "last:1"]);
    let last: Vec<Value> = lines
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    assert_eq!(
        (&last[0]["payload"], &last[1]["payload"]),
        (&"three".into(), &"four".into())
    );
    let all = json(&broker, &["history", "read", "--from", "-1h"]);
    assert_eq!(all.as_array().map(Vec::len), Some(4));
    assert_eq!(
        json(&broker, &["history", "read", "-t", "none"]),
        Value::Array(Vec::new())
    );
    let rows = read(&["-o", "csv", "--limit", "1"]);
    assert_eq!(rows.lines().count(), 2);
    assert!(rows.starts_with("offset,timestamp,topic"), "{rows}");
}

#[test]
fn topics_and_states_are_listed() {
    let broker = Broker::start(&[]);
    publish(&broker, "a/b", &["one", "two"]);
    publish(&broker, "a/c", &["three"]);
    let topics = json(&broker, &["history", "topics"]);
    assert_eq!(topics[0]["topic"], "a/b");
    assert_eq!(topics[0]["messages"], 2);
    let table = text(&broker, &["history", "topics", "-t", "a/c"]);
    assert!(
        table.starts_with(" TOPIC") && table.contains("a/c"),
        "{table}"
    );
    assert_eq!(
        text(&broker, &["history", "state", "-o", "raw"]),
        "two\nthree\n"
    );
    let then = &json(&broker, &["history", "read"])[0]["timestamp"];
    let at = format!("ts:{then}");
    let state = text(&broker, &["history", "state", "--at", &at, "-o", "raw"]);
    assert_eq!(state, "one\n");
}

#[test]
fn an_export_is_whole_or_not_there() {
    let broker = Broker::start(&[]);
    publish(&broker, "a/b", &["one", "two"]);
    let directory = tempfile::tempdir().expect("a directory");
    let path = |name: &str| directory.path().join(name).display().to_string();
    let export = |name: &str, more: &[&str]| {
        let file = path(name);
        run(
            &broker,
            &[&["history", "export", "--file", &file], more].concat(),
        )
    };
    let read = |name: &str| std::fs::read_to_string(path(name)).expect("the file is there");
    assert!(export("all.ndjson", &[]).status.success());
    assert_eq!(read("all.ndjson").lines().count(), 2);
    assert!(export("all.csv", &[]).status.success());
    assert_eq!(read("all.csv").lines().count(), 3);
    assert!(export("all.dat", &["-o", "raw"]).status.success());
    assert_eq!(read("all.dat"), "one\ntwo\n");
    let again = export("all.dat", &["-o", "raw", "-t", "none"]);
    assert_eq!(again.status.code(), Some(2));
    assert_eq!(read("all.dat"), "one\ntwo\n");
    assert!(
        export("all.dat", &["-o", "raw", "-t", "none", "--force"])
            .status
            .success()
    );
    assert_eq!(read("all.dat"), "");
    let unknown = export("all.dat2", &[]);
    assert_eq!(unknown.status.code(), Some(2));
    let wrong = export("none.csv", &["-t", "a#"]);
    assert_eq!(wrong.status.code(), Some(2));
    let mut left: Vec<String> = std::fs::read_dir(directory.path())
        .expect("the directory is there")
        .map(|entry| {
            entry
                .expect("it can be read")
                .file_name()
                .to_string_lossy()
                .into_owned()
        })
        .collect();
    left.sort_unstable();
    assert_eq!(
        left,
        ["all.csv", "all.dat", "all.ndjson"],
        "nothing half done stays"
    );
}

/// A command whose lines are read as they come.
fn follow(broker: &Broker, arguments: &[&str]) -> (Child, impl Iterator<Item = String> + use<>) {
    let mut child = command(broker, arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("robust-ctl starts: build it first");
    let stdout = child.stdout.take().expect("a pipe");
    let lines = BufReader::new(stdout).lines();
    (child, lines.map(|line| line.expect("text")))
}

#[test]
fn a_tail_goes_on_over_a_killed_broker() {
    let mut broker = Broker::start(&[]);
    publish(&broker, "t", &["0", "1"]);
    let tail = [
        "history", "tail", "-t", "t", "--from", "earliest", "-o", "raw", "-n", "5",
    ];
    let (mut child, mut lines) = follow(&broker, &tail);
    let mut next = || lines.next().expect("a line");
    assert_eq!([next(), next()], ["0", "1"]);
    publish(&broker, "t", &["2"]);
    assert_eq!(next(), "2");
    broker.kill();
    broker.restart();
    publish(&broker, "t", &["3", "4"]);
    assert_eq!([next(), next()], ["3", "4"]);
    assert!(
        child.wait().expect("it ends").success(),
        "after five messages"
    );
}

#[test]
fn a_pipe_that_closes_ends_quietly() {
    let broker = Broker::start(&[]);
    let payloads: Vec<String> = (0..50).map(|number| format!("{number:01000}")).collect();
    let payloads: Vec<&str> = payloads.iter().map(String::as_str).collect();
    for _ in 0..4 {
        publish(&broker, "t", &payloads);
    }
    let (mut child, mut lines) = follow(&broker, &["history", "read", "-o", "raw"]);
    assert!(lines.next().is_some());
    drop(lines);
    let status = child.wait().expect("it ends");
    let mut stderr = String::new();
    std::io::Read::read_to_string(&mut child.stderr.take().expect("a pipe"), &mut stderr)
        .expect("text");
    assert!(status.success() && stderr.is_empty(), "{status}: {stderr}");
}

#[test]
fn cursors_are_listed_moved_and_deleted() {
    let broker = Broker::start(&[]);
    publish(&broker, "t", &["0", "1", "2"]);
    subscribe(&broker, &["-t", "$cursor/jobs@earliest/t", "-W", "1"]);
    assert_eq!(json(&broker, &["cursor", "list"])[0]["name"], "jobs");
    assert_eq!(
        json(&broker, &["cursor", "show", "jobs"])["lag_messages"],
        0
    );
    let rehearsal = ["cursor", "seek", "jobs", "--shift", "-2", "--dry-run"];
    assert_eq!(
        text(&broker, &rehearsal),
        "2 messages would be delivered again\n"
    );
    assert_eq!(
        json(&broker, &["cursor", "show", "jobs"])["lag_messages"],
        0
    );
    let moved = text(&broker, &["cursor", "seek", "jobs", "--to", "-1h"]);
    assert_eq!(moved, "3 messages delivered again\n");
    let shown = text(&broker, &["cursor", "show", "jobs"]);
    assert!(shown.contains("lag        3 messages"), "{shown}");
    let back = text(&broker, &["cursor", "seek", "jobs", "--shift", "1"]);
    assert_eq!(back, "1 messages passed over\n");
    assert_eq!(text(&broker, &["cursor", "delete", "jobs"]), "");
    assert!(refused(&broker, &["cursor", "show", "jobs"]).contains("no cursor `jobs`"));
    assert_eq!(json(&broker, &["cursor", "list"]), Value::Array(Vec::new()));
}

#[test]
fn sessions_are_listed_rewound_and_deleted() {
    let broker = Broker::start(&[]);
    let session = ["-i", "kitchen/1", "-c", "-t", "t"];
    subscribe(&broker, &[&session[..], &["-E"]].concat());
    let tokens = publish(&broker, "t", &["0", "1"]);
    subscribe(&broker, &[&session[..], &["-C", "2", "-W", "20"]].concat());
    let start = std::time::Instant::now();
    while json(&broker, &["session", "show", "kitchen/1"])["connected"] == true {
        assert!(start.elapsed().as_secs() < 20, "it stays connected");
    }
    let listed = json(&broker, &["session", "list"]);
    assert_eq!(listed[0]["clientid"], "kitchen/1");
    let told = text(&broker, &["explain", &tokens[1], "--client", "kitchen/1"]);
    assert!(told.contains("on t: delivered (by "), "{told}");
    let rewound = text(
        &broker,
        &["session", "rewind", "kitchen/1", "--to", "earliest"],
    );
    assert_eq!(rewound, "2 messages delivered again\n");
    let shown = text(&broker, &["session", "show", "kitchen/1"]);
    assert!(shown.contains("lag            2 messages"), "{shown}");
    let explained = json(&broker, &["explain", &tokens[1], "--client", "kitchen/1"]);
    assert_eq!(
        (&explained["verdict"], &explained["behind"]),
        (&"pending".into(), &1.into())
    );
    assert_eq!(text(&broker, &["session", "delete", "kitchen/1"]), "");
    assert!(refused(&broker, &["session", "show", "kitchen/1"]).contains("no lasting session"));
}

#[test]
fn errors_say_the_way_out() {
    let broker = Broker::start(&[]);
    let wrong = refused(&broker, &["history", "read", "--from", "soon"]);
    assert!(wrong.contains("`soon` is no position"), "{wrong}");
    let nobody = refused(
        &broker,
        &["cursor", "list", "--server", "http://127.0.0.1:1"],
    );
    assert!(nobody.contains("--server"), "{nobody}");
    let locked = refused(&broker, &["cursor", "list", "--data-dir", "/nonexistent"]);
    assert!(locked.contains("--api-key"), "{locked}");
    let guess = refused(&broker, &["cursor", "list", "--api-key", "local:guess"]);
    assert!(guess.contains("the secret of the key is wrong"), "{guess}");
    let format = refused(&broker, &["cursor", "list", "-o", "csv"]);
    assert!(format.contains("csv and raw are for messages"), "{format}");
    let help = text(&broker, &["history", "read", "--help"]);
    assert!(
        help.contains("Examples:") && help.contains("--from"),
        "{help}"
    );
}

#[test]
fn a_limit_of_csv_counts_messages_and_not_lines() {
    let broker = Broker::start(&[]);
    publish(
        &broker,
        "t",
        &["one", "two\nlines, and \"quotes\"\n", "three"],
    );
    let read = |limit: &str| {
        let arguments = ["history", "read", "-o", "csv", "--limit", limit];
        text(&broker, &arguments)
    };
    let names = read("1").lines().next().map(str::to_owned);
    assert!(names.is_some_and(|names| names.starts_with("offset,timestamp,topic,")));
    assert_eq!(read("1").lines().count(), 2);
    assert!(
        read("2").ends_with("\"two\nlines, and \"\"quotes\"\"\n\",,\r\n"),
        "{}",
        read("2")
    );
    // More than a page of the broker.
    let all = read("20000");
    assert!(
        all.starts_with(&read("2")) && all.ends_with(",three,,\r\n"),
        "{all}"
    );
}

#[test]
fn a_proxy_for_the_web_is_not_asked() {
    let broker = Broker::start(&[]);
    let mut listing = command(&broker, &["cursor", "list"]);
    for name in ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"] {
        listing.env(name, "http://127.0.0.1:1");
    }
    for name in ["no_proxy", "NO_PROXY"] {
        listing.env_remove(name);
    }
    let output = listing.output().expect("robust-ctl starts");
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn a_terminal_obeys_nothing_that_was_published() {
    let broker = Broker::start(&[]);
    let topic = "a/\u{1b}[31mred";
    let offset = publish(&broker, topic, &["\u{1b}[2J"]).remove(0);
    let client = "cl\u{1b}]0;title\u{7}";
    subscribe(&broker, &["-t", topic, "-i", client, "-c", "-E"]);
    for arguments in [
        &["history", "read"][..],
        &["history", "topics"],
        &["history", "state"],
        &["session", "list"],
        &["session", "show", client],
        &["explain", &offset, "--client", client],
    ] {
        let table = text(&broker, arguments);
        let is_harmless = !table.contains(|c: char| c.is_control() && c != '\n');
        assert!(is_harmless, "{arguments:?}: {table:?}");
        assert!(table.contains("\\u{1b}"), "{arguments:?}: {table}");
    }
    let raw = text(&broker, &["history", "read", "-o", "raw"]);
    assert_eq!(raw, "\u{1b}[2J\n", "programs get it as it is");
    let topics = json(&broker, &["history", "topics"]);
    assert_eq!(topics[0]["topic"], topic);
}

#[test]
fn a_tail_whose_key_is_refused_for_good_ends() {
    let mut broker = Broker::start(&[]);
    publish(&broker, "t", &["0"]);
    let key = broker.api_key();
    let tail = ["history", "tail", "--from", "earliest", "-o", "raw"];
    let tail = [&tail[..], &["--api-key", &key]].concat();
    let (mut child, mut lines) = follow(&broker, &tail);
    assert_eq!(lines.next().as_deref(), Some("0"));
    broker.kill();
    broker.restart();
    assert_eq!(lines.next(), None);
    assert_eq!(child.wait().expect("it ends").code(), Some(2));
    let mut said = String::new();
    let mut stderr = child.stderr.take().expect("a pipe");
    std::io::Read::read_to_string(&mut stderr, &mut said).expect("text");
    assert!(said.contains("the secret of the key is wrong"), "{said}");
}
