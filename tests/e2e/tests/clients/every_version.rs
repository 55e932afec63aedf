//! What every version can do: 3.1, 3.1.1 and 5.0.

use super::*;

const VERSIONS: [u8; 3] = [3, 4, 5];

/// Publishes that a client has under way at a time.
const UNDER_WAY_MAX: usize = 60;

#[test]
fn messages_of_every_qos_arrive() {
    let broker = Broker::start(&[]);
    each(&VERSIONS, |library, version| {
        let (mut subscriber, _) = Driver::connected(library, version, port(&broker), "s", &none());
        let (mut publisher, _) = Driver::connected(library, version, port(&broker), "p", &none());
        for qos in 0..3 {
            let topic = format!("q/{qos}");
            assert_eq!(subscriber.subscribe(&topic, qos, &none()), json!([qos]));
            publisher.publish(&topic, "hello", qos, &none());
            let (got, text, event) = subscriber.message();
            assert_eq!((got, text.as_str()), (topic, "hello"));
            assert_eq!(
                (&event["qos"], &event["retain"]),
                (&qos.into(), &false.into())
            );
        }
    });
}

#[test]
fn a_session_gets_what_was_published_while_it_was_away_also_after_a_kill() {
    each(&VERSIONS, |library, version| {
        let mut broker = Broker::start(&[]);
        let lasting = persistent(version);
        let (mut subscriber, event) =
            Driver::connected(library, version, port(&broker), "s", &lasting);
        assert_eq!(event["present"], false);
        subscriber.subscribe("t/#", 2, &none());
        subscriber.disconnect();
        let (mut publisher, _) = Driver::connected(library, version, port(&broker), "p", &none());
        for (number, qos) in [1, 2, 1].into_iter().enumerate() {
            publisher.publish("t/x", &number.to_string(), qos, &none());
        }
        broker.kill_and_restart();
        let (mut subscriber, event) =
            Driver::connected(library, version, port(&broker), "s", &lasting);
        // 3.1 has no such flag.
        assert_eq!(event["present"], version > 3, "{library:?} {version}");
        let mut got = subscriber.payloads(3);
        // Order holds per QoS.
        got.sort();
        assert_eq!(got, ["0", "1", "2"]);
        subscriber.disconnect();
        // A clean start leaves nothing of it.
        let (clean, event) = Driver::connected(library, version, port(&broker), "s", &none());
        assert_eq!(event["present"], false);
        clean.disconnect();
    });
}

#[test]
fn retained_messages_come_first_survive_a_kill_and_can_be_cleared() {
    each(&[4, 5], |library, version| {
        let mut broker = Broker::start(&[]);
        let (mut publisher, _) = Driver::connected(library, version, port(&broker), "p", &none());
        let retained = json!({"retain": true});
        publisher.publish("r/a", "kept", 1, &retained);
        publisher.publish("r/b", "gone", 1, &retained);
        publisher.publish("r/b", "", 1, &retained);
        broker.kill_and_restart();
        let (mut subscriber, _) = Driver::connected(library, version, port(&broker), "s", &none());
        subscriber.subscribe("r/#", 1, &none());
        let (topic, text, event) = subscriber.message();
        assert_eq!(
            (topic.as_str(), text.as_str(), &event["retain"]),
            ("r/a", "kept", &true.into())
        );
        let (mut publisher, _) = Driver::connected(library, version, port(&broker), "p", &none());
        publisher.publish("r/end", "end", 1, &none());
        assert_eq!(
            subscriber.message().0,
            "r/end",
            "what was cleared does not come"
        );
    });
}

#[test]
fn the_will_of_a_killed_client_is_published() {
    let broker = Broker::start(&[]);
    each(&VERSIONS, |library, version| {
        let (mut watcher, _) = Driver::connected(library, version, port(&broker), "w", &none());
        watcher.subscribe("will", 1, &none());
        let will = json!({"will": {"topic": "will", "payload": "gone", "qos": 1}});
        let (orderly, _) = Driver::connected(library, version, port(&broker), "o", &will);
        orderly.disconnect();
        let (killed, _) = Driver::connected(library, version, port(&broker), "k", &will);
        killed.kill();
        assert_eq!(watcher.message().1, "gone");
        // One will, of the killed one: the next message is another.
        let (mut publisher, _) = Driver::connected(library, version, port(&broker), "p", &none());
        publisher.publish("will", "end", 1, &none());
        assert_eq!(watcher.message().1, "end");
    });
}

#[test]
fn wildcards_match_as_they_should() {
    let broker = Broker::start(&[]);
    each(&[4, 5], |library, version| {
        let (mut subscriber, _) = Driver::connected(library, version, port(&broker), "s", &none());
        for filter in ["sport/#", "+/finals", "/+/x"] {
            subscriber.subscribe(filter, 1, &none());
        }
        let (mut publisher, _) = Driver::connected(library, version, port(&broker), "p", &none());
        for topic in [
            "sport",
            "sport/tennis/1",
            "cup/finals",
            "cup/finals/1",
            "/y/x",
            "y/x",
            "sport/ü",
        ] {
            publisher.publish(topic, topic, 1, &none());
        }
        assert_eq!(
            subscriber.payloads(5),
            ["sport", "sport/tennis/1", "cup/finals", "/y/x", "sport/ü"]
        );
    });
}

#[test]
fn a_second_connection_takes_the_session_over() {
    let broker = Broker::start(&[]);
    each(&[4, 5], |library, version| {
        let lasting = persistent(version);
        let (mut first, _) = Driver::connected(library, version, port(&broker), "same", &lasting);
        let (second, event) = Driver::connected(library, version, port(&broker), "same", &lasting);
        assert_eq!(event["present"], true);
        let told = first.expect("disconnected");
        if version == 5 {
            assert_eq!(told["code"], 0x8e, "{library:?}: {told}");
        }
        second.disconnect();
        let (clean, _) = Driver::connected(library, version, port(&broker), "same", &none());
        clean.disconnect();
    });
}

#[test]
fn many_and_large_messages_arrive_whole_and_in_order() {
    let broker = Broker::start(&[]);
    each(&[4, 5], |library, version| {
        let (mut subscriber, _) = Driver::connected(library, version, port(&broker), "s", &none());
        subscriber.subscribe("t", 2, &none());
        let (mut publisher, _) = Driver::connected(library, version, port(&broker), "p", &none());
        for qos in [1, 2] {
            for number in 0..500 {
                publisher.send(&json!({
                    "do": "publish", "topic": "t", "payload": number.to_string(), "qos": qos,
                }));
                // A client of 3.x knows no Receive Maximum; beyond mqtt.max_await_rel
                // QoS 2 messages under way it is cut off.
                if number >= UNDER_WAY_MAX {
                    publisher.expect("published");
                }
            }
            (0..UNDER_WAY_MAX).for_each(|_| drop(publisher.expect("published")));
            let expected: Vec<String> = (0..500).map(|number| number.to_string()).collect();
            assert_eq!(
                subscriber.payloads(500),
                expected,
                "{library:?} {version} QoS {qos}"
            );
        }
        publisher.publish("t", "0123456789", 1, &json!({"repeat": 90_000}));
        assert_eq!(subscriber.message().1, "0123456789".repeat(90_000));
    });
}

#[test]
fn a_client_that_has_stopped_is_given_up() {
    let broker = Broker::start(&[]);
    let (mut watcher, _) = Driver::connected(Library::Paho, 4, port(&broker), "w", &none());
    watcher.subscribe("will", 1, &none());
    let silent = json!({
        "keepalive": 1, "will": {"topic": "will", "payload": "silent", "qos": 1},
    });
    let (stopped, _) = Driver::connected(Library::MqttJs, 4, port(&broker), "c", &silent);
    stopped.stop();
    assert_eq!(watcher.message().1, "silent");
}

#[test]
fn any_client_replays() {
    let broker = Broker::start(&[]);
    each(&VERSIONS, |library, version| {
        let topic = format!("h/{library:?}/{version}");
        let (mut publisher, _) = Driver::connected(library, version, port(&broker), "p", &none());
        for number in 0..3 {
            publisher.publish(&topic, &number.to_string(), 1, &none());
        }
        let (mut subscriber, _) = Driver::connected(library, version, port(&broker), "s", &none());
        subscriber.subscribe(&format!("$replay/earliest/{topic}"), 1, &none());
        assert_eq!(subscriber.payloads(3), ["0", "1", "2"]);
        publisher.publish(&topic, "live", 1, &none());
        assert_eq!(subscriber.payloads(1), ["live"]);
    });
}
