//! Auto subscription.

use serde_json::json;

use super::*;

#[test]
fn mosquitto_gets_what_it_never_asked_for() {
    let broker = Broker::start(&[
        r#"mqtt.auto_subscribe=[{ topic = "clients/${clientid}/inbox", qos = 1 }]"#,
    ]);
    let retained = ["-q", "1", "-r", "-t", "clients/reader/inbox", "-m", "hello"];
    mosquitto(&broker, "mosquitto_pub", &retained);
    let publish = ["-q", "1", "-t", "clients/other/inbox", "-m", "not for you"];
    mosquitto(&broker, "mosquitto_pub", &publish);
    // It subscribes to something else, since it must to something.
    let words = ["-i", "reader", "-t", "nothing", "-C", "1", "-W", "20", "-v"];
    let got = mosquitto(&broker, "mosquitto_sub", &words);
    assert_eq!(got, ["clients/reader/inbox hello"]);
    assert!(metric(&broker, "auto_subscriptions") >= 3);
}

#[test]
fn options_hold_and_a_session_that_has_it_goes_on() {
    let broker = Broker::start(&[r#"mqtt.auto_subscribe=[
        { topic = "own/#", qos = 1, no_local = true, retain_handling = 1 },
        { topic = "kept", retain_as_published = true, retain_handling = 2 },
        ]"#]);
    let mut publisher = clean(&broker, "p");
    let retained = Publish {
        dup: false,
        qos: QoS::AtLeastOnce,
        retain: true,
        topic: "own/a",
        packet_id: Some(PacketId::MIN),
        properties: PublishProperties::default(),
        payload: b"first",
    };
    publisher.publish(&retained).expect("PUBLISH is sent");
    let acked = publisher.receive().expect("the broker answers");
    assert!(matches!(acked, Received::PubAck(..)), "no local: {acked:?}");
    let (mut session, _) = Client::accepted(broker.address(), &Connect::persistent("s"));
    assert_eq!(take(&mut session), pair("own/a", "first"));
    session.disconnect(ReasonCode::Success).expect("DISCONNECT");
    publish(&mut publisher, "own/b", "while offline");
    let (mut session, present) = Client::accepted(broker.address(), &Connect::persistent("s"));
    assert!(present);
    // Retained messages come with a new subscription only, and the backlog once.
    assert_eq!(take(&mut session), pair("own/b", "while offline"));
    nothing(&mut session);
    let kept = Publish {
        topic: "kept",
        ..retained
    };
    publisher.publish(&kept).expect("PUBLISH is sent");
    let message = take_message(&mut session);
    assert!(
        message.retain && message.qos == QoS::AtMostOnce,
        "{message:?}"
    );
}

#[test]
fn a_client_identifier_with_a_wildcard_widens_nothing() {
    let broker = Broker::start(&[
        r#"mqtt.auto_subscribe=[{ topic = "clients/${clientid}", qos = 1 }, { topic = "from/${host}" }]"#,
    ]);
    let mut sly = clean(&broker, "#");
    let mut publisher = clean(&broker, "p");
    publish(&mut publisher, "clients/somebody", "secret");
    nothing(&mut sly);
    assert_eq!(metric(&broker, "auto_subscriptions_failed"), 1);
    let words = ["-t", "from/127.0.0.1", "-m", "by address", "-q", "1"];
    mosquitto(&broker, "mosquitto_pub", &words);
    assert_eq!(take(&mut sly), pair("from/127.0.0.1", "by address"));
}

#[test]
fn subscriptions_are_made_and_removed_at_run_time() {
    let mut broker = Broker::start(&[r#"mqtt.auto_subscribe=[{ topic = "fixed" }]"#]);
    let made = json(
        &broker,
        &[
            "auto-subscribe",
            "create",
            "-t",
            "news/${clientid}",
            "-q",
            "1",
        ],
    );
    assert_eq!(made["topic"], "news/${clientid}", "{made}");
    broker.kill_and_restart();
    let mut client = clean(&broker, "c");
    let mut publisher = clean(&broker, "p");
    publish(&mut publisher, "news/c", "one");
    assert_eq!(take(&mut client), pair("news/c", "one"));
    let list = json(&broker, &["auto-subscribe", "list"]);
    let sources: Vec<&Value> = (0..2).map(|index| &list[index]["source"]).collect();
    assert_eq!(sources, ["file", "runtime"], "{list}");
    let deleted = ctl(&broker, &["auto-subscribe", "delete", "news/${clientid}"]);
    assert!(deleted.status.success(), "{deleted:?}");
    let mut later = clean(&broker, "d");
    publish(&mut publisher, "news/d", "two");
    nothing(&mut later);
    let fixed = ctl(&broker, &["auto-subscribe", "delete", "fixed"]);
    assert_eq!(fixed.status.code(), Some(2));
    let text = String::from_utf8(fixed.stderr).expect("text");
    assert!(text.contains("configuration file"), "{text}");
    let many: Vec<Value> = (0..21)
        .map(|number| json!({ "topic": format!("t/{number}") }))
        .collect();
    let fields = [("Content-Type", "application/json")];
    let answer = http(&broker).ask(
        "PUT",
        "/api/v5/mqtt/auto_subscribe",
        &fields,
        &json!(many).to_string(),
    );
    assert_eq!(answer.status, 409, "{}", answer.text());
}
