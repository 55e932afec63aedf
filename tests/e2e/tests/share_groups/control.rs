//! Groups listed, and the strategy changed while they work.

use std::process::{Command, Output, Stdio};

use robustmq_e2e::binary;
use serde_json::Value;

use super::*;

fn ctl(broker: &Broker, arguments: &[&str]) -> Output {
    Command::new(binary("robust-ctl"))
        .args(["mqtt", "shared"])
        .args(arguments)
        .env("ROBUSTMQ_SERVER", format!("http://{}", broker.http()))
        .env("ROBUSTMQ__NODE__DATA_DIR", broker.data())
        .stdin(Stdio::null())
        .output()
        .expect("robust-ctl starts: build it first")
}

#[test]
fn groups_are_listed_with_members_and_what_waits() {
    let broker = Broker::start(&[]);
    let mut member = lasting(&broker, "member");
    subscribe(&mut member, "$share/g/a/#");
    let list = || -> Value {
        let output = ctl(&broker, &["list", "-o", "json"]);
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
    };
    let listed = list();
    assert_eq!(listed[0]["group"], "g");
    assert_eq!(listed[0]["filter"], "a/#");
    assert_eq!(listed[0]["strategy"], "round_robin");
    assert_eq!(listed[0]["members"], serde_json::json!(["member"]));
    goodbye(member);
    let mut publisher = clean(&broker, "p");
    for number in numbers(0..7) {
        store(&mut publisher, "a/b", &number);
    }
    let start = Instant::now();
    loop {
        let listed = list();
        if listed[0]["members"] == serde_json::json!([]) && listed[0]["lag_messages"] == 7 {
            break;
        }
        assert!(start.elapsed() < PATIENCE, "{listed}");
    }
    let metrics = http(&broker).get("/metrics");
    assert!(metrics.text().contains("robustmq_shared_groups_count 0"));
}

#[test]
fn a_strategy_is_changed_at_run_time_and_lasts() {
    let mut broker = Broker::start(&[]);
    let changed = ctl(&broker, &["strategy", "sticky", "--group", "g"]);
    assert!(changed.status.success(), "{changed:?}");
    let wrong = ctl(&broker, &["strategy", "fair"]);
    assert!(!wrong.status.success(), "{wrong:?}");
    broker.stop();
    broker.restart();
    let settings = http(&broker)
        .get("/api/v5/mqtt/shared_subscriptions")
        .json();
    assert_eq!(settings["strategy"], "round_robin");
    assert_eq!(settings["groups"]["g"], "sticky");
    let (mut one, mut two) = (clean(&broker, "one"), clean(&broker, "two"));
    subscribe(&mut one, "$share/g/a");
    subscribe(&mut two, "$share/g/a");
    let mut publisher = clean(&broker, "p");
    for number in numbers(0..20) {
        store(&mut publisher, "a", &number);
    }
    let found = drain(&mut [&mut one, &mut two], 20);
    assert!(found.iter().any(|found| found.len() == 20), "{found:?}");
}

#[test]
fn switched_off_they_are_refused() {
    let broker = Broker::start(&["shared_subscription.enable=false"]);
    let mut client = clean(&broker, "c");
    let answer = client.subscribe("$share/g/a", QoS::AtLeastOnce);
    assert_eq!(answer, [ReasonCode::SharedSubscriptionsNotSupported]);
}
