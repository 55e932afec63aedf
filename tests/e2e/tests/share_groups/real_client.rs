//! mosquitto's clients as members.

use std::process::{Command, Stdio};

use super::*;

#[test]
fn mosquitto_shares() {
    let broker = Broker::start(&[]);
    let port = broker.address().port().to_string();
    let members: Vec<_> = ["5", "311"]
        .into_iter()
        .map(|version| {
            Command::new("mosquitto_sub")
                .args(["-p", &port, "-V", version, "-q", "1"])
                .args(["-t", "$share/workers/jobs/#", "-C", "10", "-W", "60"])
                .stdout(Stdio::piped())
                .spawn()
                .expect("mosquitto's clients are installed: make test installs them")
        })
        .collect();
    let path = "/api/v5/mqtt/shared_subscriptions/groups";
    let start = Instant::now();
    loop {
        let page = http(&broker).get(path).json();
        let members = page["data"][0]["members"].as_array().map_or(0, Vec::len);
        if members == 2 {
            break;
        }
        assert!(start.elapsed() < PATIENCE, "{page}");
        std::thread::sleep(Duration::from_millis(20));
    }
    for number in numbers(0..20) {
        let published = Command::new("mosquitto_pub")
            .args(["-p", &port, "-q", "1", "-t", "jobs/1", "-m", &number])
            .status();
        assert!(published.expect("mosquitto_pub runs").success());
    }
    let mut found = Vec::new();
    for member in members {
        let output = member.wait_with_output().expect("it ends");
        let text = String::from_utf8(output.stdout).expect("payloads are text");
        found.push(text.lines().map(str::to_owned).collect());
    }
    assert_eq!(sorted(found), numbers(0..20));
}
