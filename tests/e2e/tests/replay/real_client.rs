//! Replays with clients that know nothing of them.

use std::process::Command;

use super::*;

/// Runs mosquitto_sub until it has `count` messages; what it printed.
fn mosquitto_sub(broker: &Broker, version: &str, filter: &str, count: usize) -> Vec<String> {
    let output = Command::new("mosquitto_sub")
        .args([
            "-h",
            "127.0.0.1",
            "-p",
            &broker.address().port().to_string(),
        ])
        .args(["-V", version, "-t", filter, "-v", "-q", "1"])
        .args(["-C", &count.to_string(), "-W", "20"])
        .output()
        .expect("mosquitto_sub is installed: make test installs it");
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).expect("payloads are text");
    text.lines().map(str::to_owned).collect()
}

#[test]
fn mosquitto_sub_replays_in_every_version() {
    let broker = Broker::start(&[]);
    let mut publisher = clean(&broker, "p");
    for number in 1..=3 {
        store(&mut publisher, "sensors/a", &format!("a{number}"));
        tick();
        store(&mut publisher, "sensors/b", &format!("b{number}"));
        tick();
    }
    for version in ["mqttv31", "mqttv311", "mqttv5"] {
        assert_eq!(
            mosquitto_sub(&broker, version, "$replay/-1h/sensors/#", 6),
            [
                "sensors/a a1",
                "sensors/b b1",
                "sensors/a a2",
                "sensors/b b2",
                "sensors/a a3",
                "sensors/b b3"
            ]
        );
        assert_eq!(
            mosquitto_sub(&broker, version, "$replay/last:1/sensors/b", 1),
            ["sensors/b b3"]
        );
    }
}
