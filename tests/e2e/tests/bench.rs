//! `robust-bench` against this broker and against mosquitto: every scenario, and
//! that what it counts is true.

use std::net::SocketAddr;
use std::process::Command;

use robustmq_e2e::{Broker, Mosquitto, binary};
use serde_json::Value;

/// Takes mosquitto's limits away; by default it drops what is over them.
const MOSQUITTO: &str = "\
allow_anonymous true
max_inflight_messages 0
max_queued_messages 0
persistence false
";

fn mosquitto() -> Mosquitto {
    Mosquitto::start(&[], MOSQUITTO).expect("`make test` installs mosquitto")
}

fn bench(address: SocketAddr, arguments: &str) -> Value {
    let mut command = Command::new(binary("robust-bench"));
    command.args(arguments.split_whitespace());
    command.args(["--json", "--host", &address.ip().to_string()]);
    command.args(["--port", &address.port().to_string()]);
    let output = command
        .output()
        .expect("robust-bench starts: build it first");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments}: {stderr}");
    serde_json::from_slice(&output.stdout).expect("it prints JSON")
}

fn count(part: &Value, name: &str) -> u64 {
    part[name]
        .as_u64()
        .unwrap_or_else(|| panic!("no {name}: {part}"))
}

/// Nothing lost, nothing twice, nothing late, nothing else wrong.
fn assert_faultless(part: &Value, what: &str) {
    let faults = [
        "lost",
        "duplicates",
        "order_violations",
        "foreign",
        "refused",
    ];
    for fault in faults.into_iter().chain(["connections_broken"]) {
        assert_eq!(count(part, fault), 0, "{what}: {fault}: {part:#}");
    }
    assert_eq!(count(part, "received"), count(part, "expected"), "{what}");
}

/// Runs for a second; with so many subscribers for each message.
fn check_timed(address: SocketAddr, arguments: &str, audience: u64) {
    let rate = "--rate 2000 --duration 1s --warmup 200ms";
    let document = bench(address, &format!("{arguments} {rate}"));
    let part = &document["parts"]["run"];
    assert_faultless(part, arguments);
    let sent = count(part, "sent");
    // 1.2 seconds; a slow machine sends them all the same.
    assert_eq!(sent, 2_400, "{arguments}");
    assert_eq!(count(part, "expected"), sent * audience, "{arguments}");
    assert!(part["latency_us"]["p99"].as_f64() > Some(0.0), "{part:#}");
}

fn check_all_qos(address: SocketAddr) {
    for version in ["mqttv311", "mqttv5"] {
        for qos in 0..=2 {
            let options = format!("--qos {qos} -V {version} --window 20");
            check_timed(address, &format!("fan-in --publishers 4 {options}"), 1);
        }
    }
    check_timed(address, "fan-out --subscribers 5 --qos 1", 5);
    check_timed(address, "pairs --pairs 4 --topics 3 --qos 2 --window 10", 1);
    check_timed(address, "mixed --pairs 6 --window 10 --threads 2", 2);
}

/// Those that count messages.
fn check_stored(address: SocketAddr) {
    let document = bench(address, "offline --qos 1 --messages 3000 --subscribers 2");
    let (store, drain) = (&document["parts"]["store"], &document["parts"]["drain"]);
    assert_eq!(count(store, "acknowledged"), 3_000);
    assert_eq!(count(drain, "expected"), 6_000);
    assert_faultless(drain, "offline");
    let document = bench(address, "retained --qos 1 --messages 1000");
    let (set, fetch) = (&document["parts"]["set"], &document["parts"]["fetch"]);
    assert_eq!(count(set, "acknowledged"), 1_000);
    assert_faultless(fetch, "retained");
    assert_eq!(count(fetch, "received"), 1_000);
    // As fast as possible, large, and by number.
    let arguments = "fan-in --qos 1 --payload 100000 --messages 300 --publishers 7";
    let document = bench(address, arguments);
    assert_eq!(count(&document["parts"]["run"], "received"), 300);
    assert_faultless(&document["parts"]["run"], arguments);
}

fn check_connections(address: SocketAddr) {
    let document = bench(address, "connect --connections 300");
    assert_eq!(count(&document["parts"]["connect"], "connections"), 300);
    let document = bench(
        address,
        "idle --connections 200 --duration 300ms --subscribe",
    );
    let part = &document["parts"]["idle"];
    assert_eq!(count(part, "connections"), 200);
    assert_eq!(count(part, "connections_broken"), 0);
}

#[test]
fn this_broker_under_every_qos_and_shape() {
    check_all_qos(Broker::start(&[]).address());
}

/// Floods, queues that fill, and handshakes of many at a time, over TLS.
#[test]
fn this_broker_over_tls() {
    let broker = Broker::start(&["listeners.tls.default.bind=127.0.0.1:0"]);
    let address = broker.listener("tls:default");
    let authority = broker.data().join("tls/self-signed.crt");
    let trusted = format!("--cafile {}", authority.display());
    for tls in ["--insecure", &trusted] {
        for arguments in [
            "fan-in --qos 0 --messages 20000",
            "fan-in --qos 2 --messages 1000 --publishers 3",
            "fan-in --qos 1 --payload 100000 --messages 100",
            "fan-out --qos 1 --messages 500 --subscribers 20",
        ] {
            let arguments = format!("{arguments} {tls}");
            let document = bench(address, &arguments);
            assert_faultless(&document["parts"]["run"], &arguments);
        }
    }
    let document = bench(address, "connect --connections 300 --insecure");
    assert_eq!(count(&document["parts"]["connect"], "connections"), 300);
    // Nobody is trusted without a reason.
    let refused = Command::new(binary("robust-bench"))
        .args(["connect", "--connections", "1", "--tls", "--port"])
        .arg(address.port().to_string())
        .output()
        .expect("robust-bench starts: build it first");
    let stderr = String::from_utf8_lossy(&refused.stderr);
    assert!(
        !refused.status.success() && stderr.contains("--cafile"),
        "{stderr}"
    );
}

#[test]
fn this_broker_stores_and_connects() {
    let broker = Broker::start(&[]);
    check_stored(broker.address());
    check_connections(broker.address());
}

#[test]
fn mosquitto_under_every_qos_and_shape() {
    check_all_qos(mosquitto().address());
}

#[test]
fn mosquitto_stores_and_connects() {
    let broker = mosquitto();
    check_stored(broker.address());
    check_connections(broker.address());
}

#[test]
fn the_process_of_the_broker_is_watched() {
    let broker = Broker::start(&[]);
    let pid = broker.pid();
    let arguments = format!("fan-in --qos 1 --messages 20000 --broker-pid {pid}");
    let document = bench(broker.address(), &arguments);
    let watched = &document["parts"]["run"]["broker"];
    assert!(
        watched["resident_bytes_peak"].as_u64() > Some(1 << 20),
        "{watched}"
    );
    assert!(watched["processor_s"].as_f64() > Some(0.0), "{watched}");
}

#[test]
fn nobody_there_is_said() {
    let mut command = Command::new(binary("robust-bench"));
    // Port 1 is nobody's here.
    let output = command.args(["fan-in", "--port", "1"]).output();
    let output = output.expect("robust-bench starts");
    assert!(!output.status.success());
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains("were not opened"), "{stderr}");
}
