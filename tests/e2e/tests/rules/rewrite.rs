//! Topic rewrite.

use robustmq_protocol::codec::{Forwarded, Will};
use serde_json::json;

use super::*;

const RULES: &str = r#"mqtt.rewrite=[
{ action = "all", source_topic = "x/#", re = "^x/y/(.+)$", dest_topic = "z/y/x/$1" },
{ action = "all", source_topic = "x/y/+", re = '^x/y/(\d+)$', dest_topic = "z/y/$1" },
{ action = "publish", source_topic = "in", re = "^in$", dest_topic = "clients/${clientid}/in" },
]"#;

#[test]
fn mosquitto_publishes_and_subscribes_under_other_names() {
    let broker = Broker::start(&[RULES]);
    let session = ["-i", "reader", "-c", "-q", "1"];
    let filters = [
        "-t",
        "x/y/7",
        "-t",
        "$replay/earliest/x/y/a/b",
        "-t",
        "clients/+/in",
    ];
    let words = [&session[..], &filters[..]].concat();
    mosquitto(&broker, "mosquitto_sub", &[&words[..], &["-E"]].concat());
    for (topic, payload) in [
        ("x/y/7", "number"),
        ("x/y/a/b", "letters"),
        ("x/1", "same"),
        ("in", "mine"),
    ] {
        let words = ["-q", "1", "-i", "p", "-t", topic, "-m", payload];
        mosquitto(&broker, "mosquitto_pub", &words);
    }
    let words = [&words[..], &["-C", "3", "-W", "20", "-v"]].concat();
    let mut got = mosquitto(&broker, "mosquitto_sub", &words);
    got.sort_unstable();
    assert_eq!(
        got,
        ["clients/p/in mine", "z/y/7 number", "z/y/x/a/b letters"]
    );
    // What no rule changes stays.
    let words = [
        "-t",
        "$replay/earliest..latest/x/#",
        "-C",
        "1",
        "-W",
        "20",
        "-v",
    ];
    assert_eq!(mosquitto(&broker, "mosquitto_sub", &words), ["x/1 same"]);
    assert!(metric(&broker, "topics_rewritten") >= 5);
}

#[test]
fn a_rule_made_at_run_time_is_in_force_at_once_and_after_a_kill() {
    let mut broker = Broker::start(&[]);
    let mut subscriber = clean(&broker, "s");
    assert_eq!(
        subscriber.subscribe("#", QoS::AtLeastOnce),
        [ReasonCode::GrantedQoS1]
    );
    let mut publisher = clean(&broker, "p");
    publish(&mut publisher, "a/1", "before");
    assert_eq!(take(&mut subscriber), pair("a/1", "before"));
    let made = json(
        &broker,
        &[
            "topic-rewrite",
            "create",
            "--source",
            "a/#",
            "--re",
            "^a/(.+)$",
            "--dest",
            "b/$1/${clientid}",
        ],
    );
    assert_eq!(made["source"], "runtime", "{made}");
    // The connection was there before the rule.
    publish(&mut publisher, "a/1", "after");
    assert_eq!(take(&mut subscriber), pair("b/1/p", "after"));
    let list = json(&broker, &["topic-rewrite", "list"]);
    assert_eq!(list[0]["id"], made["id"], "{list}");
    let table = ctl(&broker, &["topic-rewrite", "list"]);
    let table = String::from_utf8(table.stdout).expect("text");
    assert!(
        table.contains("b/$1/${clientid}") && table.contains("runtime"),
        "{table}"
    );
    broker.kill_and_restart();
    let mut publisher = clean(&broker, "p");
    publish(&mut publisher, "a/2", "after the kill");
    // Views are folded from the log.
    broker.kill();
    std::fs::remove_dir_all(broker.data().join("views")).expect("there are views");
    broker.restart();
    let mut publisher = clean(&broker, "p");
    publish(&mut publisher, "a/3", "after the views were deleted");
    let words = [
        "-t",
        "$replay/earliest..latest/b/#",
        "-C",
        "3",
        "-W",
        "20",
        "-F",
        "%t",
    ];
    let topics = mosquitto(&broker, "mosquitto_sub", &words);
    assert_eq!(topics, ["b/1/p", "b/2/p", "b/3/p"]);
    let id = made["id"].as_str().expect("an id");
    assert!(
        ctl(&broker, &["topic-rewrite", "delete", id])
            .status
            .success()
    );
    let mut subscriber = clean(&broker, "s");
    subscriber.subscribe("#", QoS::AtLeastOnce);
    publish(&mut publisher, "a/4", "as it is");
    assert_eq!(take(&mut subscriber), pair("a/4", "as it is"));
    let again = ctl(&broker, &["topic-rewrite", "delete", id]);
    assert_eq!(again.status.code(), Some(2), "{again:?}");
}

#[test]
fn aliases_wills_unsubscribes_and_what_is_no_topic() {
    let broker = Broker::start(&[r#"mqtt.rewrite=[
        { source_topic = "a/#", re = "^a/(.*)$", dest_topic = "b/$1" },
        { source_topic = "bad/#", re = "^bad/(.*)$", dest_topic = "$1" },
        ]"#]);
    let mut subscriber = clean(&broker, "s");
    assert_eq!(
        subscriber.subscribe("a/#", QoS::AtLeastOnce),
        [ReasonCode::GrantedQoS1]
    );
    let mut publisher = clean(&broker, "p");
    let alias = PublishProperties {
        topic_alias: Some(3),
        ..PublishProperties::default()
    };
    publish_with(&mut publisher, "a/1", "named", alias);
    publish_with(&mut publisher, "", "by its alias", alias);
    assert_eq!(take(&mut subscriber), pair("b/1", "named"));
    assert_eq!(take(&mut subscriber), pair("b/1", "by its alias"));
    assert_eq!(
        publish(&mut publisher, "bad/", "x"),
        ReasonCode::TopicNameInvalid
    );
    assert_eq!(
        subscriber.subscribe("bad/", QoS::AtLeastOnce),
        [ReasonCode::TopicFilterInvalid]
    );
    assert_eq!(metric(&broker, "topics_rewritten_invalid"), 2);
    let will = Will {
        qos: QoS::AtLeastOnce,
        retain: false,
        topic: "a/gone",
        delay_s: None,
        message_expiry: None,
        forwarded: Forwarded::default(),
        payload: b"gone",
    };
    let connect = Connect {
        will: Some(will),
        ..Connect::new("w")
    };
    let (dying, _) = Client::accepted(broker.address(), &connect);
    drop(dying);
    assert_eq!(take(&mut subscriber), pair("b/gone", "gone"));
    assert_eq!(subscriber.unsubscribe(&["a/#"]), [ReasonCode::Success]);
    publish(&mut publisher, "a/1", "nobody listens");
    nothing(&mut subscriber);
}

#[test]
fn a_rehearsal_says_what_a_topic_becomes_and_by_which_rule() {
    let broker = Broker::start(&[RULES]);
    let tried = json(&broker, &["topic-rewrite", "try", "x/y/2"]);
    assert_eq!(tried["result"], "z/y/2", "{tried}");
    assert_eq!(tried["rule"]["id"], "file:2");
    let tried = json(&broker, &["topic-rewrite", "try", "x/y/z"]);
    assert_eq!(
        (&tried["result"], &tried["matched"]),
        (&json!("x/y/z"), &json!(false))
    );
    let tried = json(
        &broker,
        &[
            "topic-rewrite",
            "try",
            "$share/g/x/y/2/3",
            "--action",
            "subscribe",
        ],
    );
    assert_eq!(tried["result"], "$share/g/z/y/x/2/3");
    let wild = ctl(&broker, &["topic-rewrite", "try", "in", "--clientid", "+"]);
    assert_eq!(wild.status.code(), Some(1), "{wild:?}");
    let text = String::from_utf8(wild.stdout).expect("text");
    assert!(text.contains("in -> clients/+/in"), "{text}");
}

#[test]
fn what_the_file_says_stays_and_what_cannot_be_used_is_refused() {
    let broker = Broker::start(&[RULES]);
    let http = http(&broker);
    let list = http.get("/api/v5/mqtt/topic_rewrite").json();
    assert_eq!(list.as_array().map(Vec::len), Some(3));
    let put = |body: &Value| {
        let fields = [("Content-Type", "application/json")];
        http.ask(
            "PUT",
            "/api/v5/mqtt/topic_rewrite",
            &fields,
            &body.to_string(),
        )
    };
    let rule = json!({ "action": "all", "source_topic": "a", "re": "^a$", "dest_topic": "b" });
    let refused = put(&json!([rule]));
    assert_eq!(refused.status, 409, "{}", refused.text());
    assert!(
        refused.text().contains("configuration file"),
        "{}",
        refused.text()
    );
    // As EMQX's dashboard does: the list that was got, with one more.
    let mut wanted: Vec<Value> = list.as_array().expect("a list").clone();
    for rule in &mut wanted {
        let rule = rule.as_object_mut().expect("an object");
        rule.retain(|key, _| !matches!(&**key, "id" | "source"));
    }
    wanted.push(rule.clone());
    let all = put(&json!(wanted)).json();
    assert_eq!(all[3]["source"], "runtime", "{all}");
    let deleted = http.ask("DELETE", "/api/v5/mqtt/topic_rewrite/file:1", &[], "");
    assert_eq!(deleted.status, 409);
    for (key, value) in [
        ("re", "("),
        ("dest_topic", "$1"),
        ("source_topic", "a/#/b"),
        ("action", "both"),
    ] {
        let mut rule = rule.clone();
        rule[key] = json!(value);
        let answer = http.post("/api/v5/mqtt/topic_rewrite", &rule);
        assert_eq!(answer.status, 400, "{key}: {}", answer.text());
        assert!(answer.text().contains(key), "{}", answer.text());
    }
    let data = tempfile::tempdir().expect("a folder");
    let bad = r#"mqtt.rewrite=[{ source_topic = "a", re = "(", dest_topic = "b" }]"#;
    let Err(failed) = Broker::try_start(data.path(), &[bad]) else {
        panic!("a broker with a bad pattern started");
    };
    assert!(
        failed.stderr.contains("mqtt.rewrite[0].re"),
        "{}",
        failed.stderr
    );
}
