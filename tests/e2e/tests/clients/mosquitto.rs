//! mosquitto_pub and mosquitto_sub.

use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use super::*;

const VERSIONS: [&str; 3] = ["mqttv31", "mqttv311", "mqttv5"];

fn run(program: &str, broker: &Broker, arguments: &[&str]) -> Output {
    let output = Command::new(program)
        .args(["-h", "127.0.0.1", "-p", &port(broker).to_string()])
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|error| panic!("{program}: {error}; make test installs it"));
    assert!(
        output.status.success(),
        "{program} {arguments:?}: {output:?}"
    );
    output
}

fn publish(broker: &Broker, arguments: &[&str]) {
    run("mosquitto_pub", broker, arguments);
}

fn lines(broker: &Broker, arguments: &[&str]) -> Vec<String> {
    let output = run(
        "mosquitto_sub",
        broker,
        &[arguments, &["-W", "30"]].concat(),
    );
    let text = String::from_utf8(output.stdout).expect("payloads are text");
    text.lines().map(str::to_owned).collect()
}

#[test]
fn the_quick_start_of_the_readme_works_over_a_kill() {
    for version in VERSIONS {
        let mut broker = Broker::start(&[]);
        let session = [
            "-V", version, "-c", "-i", "kitchen", "-q", "1", "-t", "orders/#",
        ];
        lines(&broker, &[&session[..], &["-E"]].concat());
        publish(
            &broker,
            &[
                "-V",
                version,
                "-q",
                "1",
                "-t",
                "orders/1",
                "-m",
                "one coffee",
            ],
        );
        broker.kill_and_restart();
        let got = lines(&broker, &[&session[..], &["-C", "1", "-v"]].concat());
        assert_eq!(got, ["orders/1 one coffee"], "{version}");
    }
}

#[test]
fn every_qos_and_retain() {
    let broker = Broker::start(&[]);
    for version in VERSIONS {
        for qos in ["0", "1", "2"] {
            let topic = format!("{version}/{qos}");
            let publisher = ["-V", version, "-t", &topic, "-q", qos, "-r"];
            publish(&broker, &[&publisher[..], &["-m", "kept"]].concat());
            let read = [
                "-V",
                version,
                "-t",
                &topic,
                "-q",
                qos,
                "-C",
                "1",
                "-F",
                "%t %q %r %p",
            ];
            let got = lines(&broker, &read);
            // QoS 0 is not waited for: it may come as retained or live.
            let live = (qos == "0").then(|| format!("{topic} 0 0 kept"));
            let retained = format!("{topic} {qos} 1 kept");
            assert!(
                got == [retained] || live.is_some_and(|live| got == [live]),
                "{got:?}"
            );
            publish(&broker, &[&publisher[..], &["-n"]].concat());
        }
    }
}

#[test]
fn lines_of_a_file_come_in_order() {
    let broker = Broker::start(&[]);
    let session = ["-c", "-i", "reader", "-q", "2", "-t", "lines"];
    lines(&broker, &[&session[..], &["-E"]].concat());
    let sent: Vec<String> = (0..1_000).map(|number| format!("line {number}")).collect();
    let mut publisher = Command::new("mosquitto_pub")
        .args(["-h", "127.0.0.1", "-p", &port(&broker).to_string()])
        .args(["-q", "2", "-t", "lines", "-l"])
        .stdin(Stdio::piped())
        .spawn()
        .expect("mosquitto_pub is installed: make test installs it");
    let mut stdin = publisher.stdin.take().expect("stdin is piped");
    std::io::Write::write_all(&mut stdin, (sent.join("\n") + "\n").as_bytes()).expect("it reads");
    drop(stdin);
    assert!(publisher.wait().expect("it ends").success());
    assert_eq!(
        lines(&broker, &[&session[..], &["-C", "1000"]].concat()),
        sent
    );
}

#[test]
fn properties_of_version_5() {
    let broker = Broker::start(&[]);
    publish(
        &broker,
        &[
            "-V",
            "mqttv5",
            "-t",
            "t",
            "-m",
            "x",
            "-q",
            "1",
            "-r",
            "-D",
            "publish",
            "user-property",
            "b",
            "1",
            "-D",
            "publish",
            "user-property",
            "a",
            "2",
            "-D",
            "publish",
            "content-type",
            "text/plain",
            "-D",
            "publish",
            "response-topic",
            "answers",
        ],
    );
    let read = ["-V", "mqttv5", "-t", "t", "-C", "1", "-F", "%p|%P|%C|%R"];
    assert_eq!(lines(&broker, &read), ["x|b:1 a:2|text/plain|answers"]);
}

#[test]
fn the_shipped_configuration_starts_and_serves() {
    let crate_folder = std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo runs this");
    let config = PathBuf::from(crate_folder).join("../../config/robustmq.toml");
    let config = config.to_str().expect("a path in UTF-8");
    let launch = robustmq_e2e::Launch {
        arguments: vec!["--config".to_owned(), config.to_owned()],
        ..robustmq_e2e::Launch::default()
    };
    let broker = Broker::start_in(launch, &[]);
    publish(&broker, &["-t", "t", "-m", "x", "-r", "-q", "1"]);
    assert_eq!(lines(&broker, &["-t", "t", "-C", "1"]), ["x"]);
}
