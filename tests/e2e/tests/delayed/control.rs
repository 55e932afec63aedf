//! Looking at what waits, cancelling, limits.

use serde_json::json;

use super::*;

#[test]
fn what_waits_is_listed_shown_and_cancelled() {
    let broker = Broker::start(&[]);
    let mut publisher = clean(&broker, "p");
    let far = delay(&mut publisher, "$delayed/7200/a/far", "far away");
    let near = delay(&mut publisher, "$delayed/3600/a/near", "nearer");
    let list = json(&broker, &["list"]);
    let ids: Vec<&Value> = (0..2).map(|index| &list[index]["msgid"]).collect();
    assert_eq!(ids, [&json!(near), &json!(far)], "{list}");
    assert_eq!(list[0]["topic"], "a/near");
    assert_eq!(list[0]["delayed_interval"], 3600);
    assert_eq!(list[0]["from_clientid"], "p");
    let remaining = list[0]["delayed_remaining"].as_u64().expect("a number");
    assert!((3500..=3600).contains(&remaining), "{list}");
    let shown = json(&broker, &["show", &near]);
    assert_eq!(shown["payload"], "bmVhcmVy", "{shown}");
    let table = ctl(&broker, &["list"]);
    let table = String::from_utf8(table.stdout).expect("text");
    assert!(table.contains("a/far") && table.contains(&far), "{table}");
    let metrics = http(&broker).get("/metrics");
    assert!(
        metrics.text().contains("robustmq_delayed_count 2"),
        "{}",
        metrics.text()
    );
    assert!(ctl(&broker, &["cancel", &near]).status.success());
    let again = ctl(&broker, &["cancel", &near]);
    assert_eq!(again.status.code(), Some(2), "{again:?}");
    assert_eq!(waiting(&broker), 1);
    let page = http(&broker)
        .get("/api/v5/mqtt/delayed/messages?limit=1&page=2")
        .json();
    assert_eq!(page["data"], json!([]), "{page}");
    let none = http(&broker).get("/api/v5/mqtt/delayed/messages/nothing");
    assert_eq!(none.status, 404);
}

#[test]
fn a_cancelled_message_is_not_published() {
    let mut broker = Broker::start(&[]);
    let mut publisher = clean(&broker, "p");
    let cancelled = delay(&mut publisher, "$delayed/3/a", "cancelled");
    delay(&mut publisher, "$delayed/3/a", "published");
    assert!(ctl(&broker, &["cancel", &cancelled]).status.success());
    broker.kill_and_restart();
    let mut subscriber = clean(&broker, "s");
    subscriber.subscribe("$replay/earliest/a", QoS::AtMostOnce);
    assert_eq!(payload(&take(&mut subscriber)), "published");
    nothing(&mut subscriber);
}

#[test]
fn limits_hold_and_are_changed_at_run_time() {
    let mut broker = Broker::start(&["delayed.max_delayed_messages=2"]);
    let mut publisher = clean(&broker, "p");
    delay(&mut publisher, "$delayed/3600/a", "1");
    delay(&mut publisher, "$delayed/3600/a", "2");
    let third = publishing("$delayed/3600/a", "3");
    let (reason, _) = store(&mut publisher, &third);
    assert_eq!(reason, ReasonCode::QuotaExceeded);
    let put = |broker: &Broker, settings: &Value| {
        let fields = [("Content-Type", "application/json")];
        http(broker).ask(
            "PUT",
            "/api/v5/mqtt/delayed",
            &fields,
            &settings.to_string(),
        )
    };
    let wider = json!({ "enable": true, "max_delayed_messages": 3 });
    assert_eq!(put(&broker, &wider).json(), wider);
    delay(&mut publisher, "$delayed/3600/a", "3");
    broker.kill_and_restart();
    assert_eq!(http(&broker).get("/api/v5/mqtt/delayed").json(), wider);
    let mut publisher = clean(&broker, "p");
    assert_eq!(store(&mut publisher, &third).0, ReasonCode::QuotaExceeded);
    let off = json!({ "enable": false, "max_delayed_messages": 0 });
    assert_eq!(put(&broker, &off).status, 200);
    assert_eq!(
        store(&mut publisher, &third).0,
        ReasonCode::TopicNameInvalid
    );
    assert_eq!(put(&broker, &json!({ "enable": 1 })).status, 400);
}
