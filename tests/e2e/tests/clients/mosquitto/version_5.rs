//! What MQTT 5.0 adds.

use std::time::{Duration, Instant};

use robustmq_e2e::Broker;
use serde_json::json;

use super::{Subscriber, payload, payloads, program, publish, publish_text, receive, run};

/// Arguments for a property of a packet.
fn property<'a>(packet: &'a str, name: &'a str, value: &'a str) -> [&'a str; 4] {
    ["-D", packet, name, value]
}

/// What `mosquitto_pub` prints of its packets.
fn publish_log(broker: &Broker, arguments: &[&str]) -> String {
    let arguments = [&["-d"], arguments].concat();
    let output = run(program("mosquitto_pub", broker, "5", &arguments), b"");
    String::from_utf8(output).expect("the output is UTF-8")
}

#[test]
fn properties_arrive_untouched() {
    let broker = Broker::start(&[]);
    let subscriber = property("subscribe", "subscription-identifier", "77");
    let arguments = [&["-q", "1", "-t", "t"], &subscriber[..]].concat();
    let mut subscriber = Subscriber::start(&broker, "5", &arguments);
    let properties = [
        ["content-type", "text/plain"],
        ["response-topic", "answers/größe"],
        ["correlation-data", "42"],
        ["payload-format-indicator", "1"],
        ["message-expiry-interval", "1000"],
    ];
    let mut arguments = vec!["-q", "1", "-t", "t", "-m", "x"];
    for [name, value] in properties {
        arguments.extend(property("publish", name, value));
    }
    publish(&broker, "5", &arguments);
    let mut received = subscriber.message()["properties"].clone();
    let expiry = received["message-expiry-interval"].take();
    assert!(
        (900..=1000).contains(&expiry.as_u64().expect("seconds")),
        "{expiry}"
    );
    assert_eq!(
        received,
        json!({
            "content-type": "text/plain",
            "response-topic": "answers/größe",
            "correlation-data": "42",
            "payload-format-indicator": 1,
            "message-expiry-interval": null,
            "subscription-identifier": 77,
        })
    );
}

/// The output as JSON has no order.
#[test]
fn mqtt_3_3_2_18_user_properties_keep_their_order() {
    let broker = Broker::start(&[]);
    let mut arguments = vec!["-q", "1", "-r", "-t", "t", "-m", "x"];
    for [name, value] in [["z", "1"], ["a", "2"], ["z", "1"], ["a", "1"]] {
        arguments.extend(["-D", "publish", "user-property", name, value]);
    }
    publish(&broker, "5", &arguments);
    let arguments = ["-t", "t", "-C", "1", "-W", "60", "-F", "%P"];
    let printed = run(program("mosquitto_sub", &broker, "5", &arguments), b"");
    assert_eq!(String::from_utf8_lossy(&printed).trim(), "z:1 a:2 z:1 a:1");
}

#[test]
fn a_request_gets_its_response() {
    let broker = Broker::start(&[]);
    let mut answerer = Subscriber::start(&broker, "5", &["-q", "1", "-t", "questions"]);
    let broker_at = broker.address().port().to_string();
    let correlation = property("publish", "correlation-data", "cafe");
    let asker = std::thread::spawn(move || {
        let mut command = std::process::Command::new("mosquitto_rr");
        command.args(["-p", &broker_at, "-q", "1", "-W", "60", "-F", "%j"]);
        command.args(["-t", "questions", "-e", "answers/asker", "-m", "6 * 7"]);
        command.args(correlation);
        run(command, b"")
    });
    let question = answerer.message();
    let properties = &question["properties"];
    let to = properties["response-topic"].as_str().expect("a topic");
    let correlation = properties["correlation-data"].as_str().expect("data");
    assert_eq!(
        (payload(&question), to, correlation),
        ("6 * 7", "answers/asker", "cafe")
    );
    let correlation = property("publish", "correlation-data", correlation);
    publish(
        &broker,
        "5",
        &[&["-q", "1", "-t", to, "-m", "42"], &correlation[..]].concat(),
    );
    let printed = asker.join().expect("the asker ends");
    let answer: serde_json::Value = serde_json::from_slice(&printed).expect("JSON");
    assert_eq!(payload(&answer), "42");
    assert_eq!(answer["properties"]["correlation-data"], "cafe");
}

#[test]
fn publish_without_subscribers_says_so() {
    let broker = Broker::start(&[]);
    let _heard = Subscriber::start(&broker, "5", &["-t", "heard"]);
    for (topic, answer) in [("unheard", "(Mid: 1, RC:16)"), ("heard", "(Mid: 1, RC:0)")] {
        let log = publish_log(&broker, &["-q", "1", "-t", topic, "-m", "x"]);
        assert!(log.contains(&format!("received PUBACK {answer}")), "{log}");
    }
}

#[test]
fn mqtt_3_2_2_16_a_client_without_identifier_is_given_one() {
    let broker = Broker::start(&[]);
    let assigned = || {
        let log = publish_log(&broker, &["-t", "t", "-m", "x"]);
        let line = log
            .lines()
            .find(|line| line.contains("received CONNACK (0)"));
        let name = line
            .and_then(|line| line.split(' ').nth(1))
            .expect("a name");
        name.to_owned()
    };
    let (first, second) = (assigned(), assigned());
    assert_ne!(first, "(null)");
    assert_ne!(first, second);
}

/// Behind `-l` the first line names the topic and the alias, the others the
/// alias only.
#[test]
fn mqtt_3_3_2_12_a_topic_alias_stands_for_its_topic() {
    let broker = Broker::start(&[]);
    let mut subscriber = Subscriber::start(&broker, "5", &["-t", "some/long/#"]);
    let alias = property("publish", "topic-alias", "9");
    let arguments = [&["-q", "1", "-t", "some/long/topic", "-l"], &alias[..]].concat();
    run(
        program("mosquitto_pub", &broker, "5", &arguments),
        b"first\nsecond\nthird\n",
    );
    for text in ["first", "second", "third"] {
        let message = subscriber.message();
        assert_eq!(
            (payload(&message), &message["topic"]),
            (text, &"some/long/topic".into())
        );
        assert!(message["properties"]["topic-alias"].is_null(), "{message}");
    }
}

#[test]
fn mqtt_3_1_2_25_a_packet_too_large_for_the_client_is_left_out() {
    let broker = Broker::start(&[]);
    let limit = property("connect", "maximum-packet-size", "500");
    let arguments = [&["-q", "1", "-t", "t"], &limit[..]].concat();
    let mut subscriber = Subscriber::start(&broker, "5", &arguments);
    for text in ["first", &"x".repeat(500), "last"] {
        publish_text(&broker, "t", text);
    }
    let messages = [subscriber.message(), subscriber.message()];
    assert_eq!(payloads(&messages), ["first", "last"]);
}

/// [MQTT-3.3.1-13]
#[test]
fn retain_as_published_keeps_the_flag() {
    let broker = Broker::start(&[]);
    let kept = ["-t", "t", "--retain-as-published"];
    let mut kept = Subscriber::start(&broker, "5", &kept);
    let mut cleared = Subscriber::start(&broker, "5", &["-t", "t"]);
    publish(&broker, "5", &["-q", "1", "-r", "-t", "t", "-m", "x"]);
    assert_eq!(kept.message()["retain"], 1);
    assert_eq!(cleared.message()["retain"], 0);
}

#[test]
fn mqtt_3_1_4_3_a_second_client_takes_the_session_over() {
    let broker = Broker::start(&[]);
    let mut first = Subscriber::start(&broker, "5", &["-i", "same", "-t", "t"]);
    // One that leaves at once: the first comes back after a second.
    let second = ["-i", "same", "-t", "t", "-E"];
    run(program("mosquitto_sub", &broker, "5", &second), b"");
    first.line("Received DISCONNECT (142)");
}

/// This program's keep alive is five seconds at least, but it obeys a broker
/// that wants less. Its connection stays open.
#[test]
fn mqtt_3_1_2_22_a_silent_client_is_given_up() {
    let broker = Broker::start(&["mqtt.server_keepalive=1s"]);
    let mut watcher = Subscriber::start(&broker, "5", &["-t", "will/+"]);
    let will = ["-t", "t", "--will-topic", "will/silent"];
    let silent = Subscriber::start(&broker, "5", &will);
    let will = ["-t", "t", "--will-topic", "will/alive"];
    let alive = Subscriber::start(&broker, "5", &will);
    silent.freeze();
    assert_eq!(watcher.message()["topic"], "will/silent");
    alive.kill();
    assert_eq!(watcher.message()["topic"], "will/alive");
}

/// Wills are the clock: one is published when its session expires, long before
/// its delay is over, one when its delay is over.
#[test]
fn sessions_messages_and_wills_have_their_time() {
    const DELAY: Duration = Duration::from_secs(2);
    let broker = Broker::start(&[]);
    let mut watcher = Subscriber::start(&broker, "5", &["-t", "will/+"]);
    let session = |id, expiry| ["-c", "-q", "1", "-i", id, "-x", expiry];
    let kill_with_will = |id, expiry, topic, delay| {
        let delay = property("will", "will-delay-interval", delay);
        let will = ["--will-topic", topic];
        let arguments = [&session(id, expiry)[..], &["-t", "t"], &will, &delay].concat();
        let subscriber = Subscriber::start(&broker, "5", &arguments);
        let killed = Instant::now();
        subscriber.kill();
        killed
    };
    let long = [&session("long", "3600")[..], &["-t", "t", "-E"]].concat();
    run(program("mosquitto_sub", &broker, "5", &long), b"");
    let short_killed = kill_with_will("short", "1", "will/expired", "3600");
    let expiry = property("publish", "message-expiry-interval", "1");
    let expiring = [&["-q", "1", "-t", "t", "-m", "expired"], &expiry[..]].concat();
    publish(&broker, "5", &expiring);
    publish_text(&broker, "t", "kept");
    let clock_killed = kill_with_will("clock", "3600", "will/delayed", "2");
    assert_eq!(watcher.message()["topic"], "will/expired");
    assert!(short_killed.elapsed() >= Duration::from_secs(1));
    assert_eq!(watcher.message()["topic"], "will/delayed");
    assert!(clock_killed.elapsed() >= DELAY);

    // The session that expired has lost all, the other what expired itself.
    let come_back = |id| [&session(id, "0")[..], &["-t", "u"]].concat();
    let mut short = Subscriber::start(&broker, "5", &come_back("short"));
    publish_text(&broker, "u", "live");
    assert_eq!(payload(&short.message()), "live");
    let waiting = receive(&broker, "5", 1, &come_back("long"));
    assert_eq!(payloads(&waiting), ["kept"]);
}

/// [MQTT-3.14.2]: 0x8B.
#[test]
fn shutdown_says_goodbye() {
    let mut broker = Broker::start(&[]);
    let mut subscriber = Subscriber::start(&broker, "5", &["-t", "t"]);
    let (status, _) = broker.stop();
    assert!(status.success(), "{status}");
    subscriber.line("Received DISCONNECT (139)");
}
