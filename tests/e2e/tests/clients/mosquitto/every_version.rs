//! What works the same in MQTT 3.1, 3.1.1 and 5.0.

use robustmq_e2e::Broker;

use super::{
    Subscriber, VERSIONS, payload, payloads, program, publish, publish_text, receive, run,
};

#[test]
fn every_qos_both_ways() {
    let broker = Broker::start(&[]);
    for version in VERSIONS {
        for granted in 0..=2 {
            let letter = granted.to_string();
            let mut subscriber = Subscriber::start(&broker, version, &["-q", &letter, "-t", "t/+"]);
            for published in 0..=2 {
                let topic = format!("t/{published}");
                let qos = published.to_string();
                publish(&broker, version, &["-q", &qos, "-t", &topic, "-m", "größe"]);
                let message = subscriber.message();
                // [MQTT-3.8.4-8]: the lower of the two.
                assert_eq!(message["qos"], granted.min(published));
                assert_eq!(message["topic"], topic);
                assert_eq!(
                    (payload(&message), &message["retain"]),
                    ("größe", &0.into())
                );
            }
        }
    }
}

#[test]
fn large_payload_arrives_whole() {
    let broker = Broker::start(&[]);
    // No two places alike nearby: a lost or doubled piece shows.
    let payload: Vec<u8> = (0..900_000u32)
        .map(|place| (place.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    let file = ["-q", "1", "-r", "-t", "large", "-s"];
    run(program("mosquitto_pub", &broker, "311", &file), &payload);
    for version in VERSIONS {
        let raw = ["-t", "large", "-C", "1", "-W", "60", "-N"];
        let received = run(program("mosquitto_sub", &broker, version, &raw), b"");
        // No assert_eq: nobody wants to read such a message.
        assert!(received == payload, "{version}: {} bytes", received.len());
    }
}

/// [MQTT-4.6.0-6]
#[test]
fn ten_thousand_messages_arrive_in_order() {
    const COUNT: usize = 10_000;
    let broker = Broker::start(&[]);
    let mut subscriber = Subscriber::start(&broker, "311", &["-q", "1", "-t", "many"]);
    let lines: String = (0..COUNT).map(|number| format!("{number}\n")).collect();
    let arguments = ["-q", "1", "-t", "many", "-l"];
    run(
        program("mosquitto_pub", &broker, "311", &arguments),
        lines.as_bytes(),
    );
    for number in 0..COUNT {
        let message = subscriber.message();
        assert_eq!(payload(&message), number.to_string());
    }
}

#[test]
fn topics_in_any_script_and_with_wildcards() {
    let broker = Broker::start(&[]);
    for version in VERSIONS {
        let filters = ["-t", "sport/#", "-t", "+/温度", "-t", "/+", "-t", "end"];
        let mut subscriber = Subscriber::start(&broker, version, &filters);
        for topic in [
            "sport",
            "Sport",
            "sport/",
            "sport/tennis/player1",
            "🚀/温度",
            "🚀/温度/a",
            "温度",
            "/finance",
            "finance",
            "end",
        ] {
            publish_text(&broker, topic, "x");
        }
        for topic in [
            "sport",
            "sport/",
            "sport/tennis/player1",
            "🚀/温度",
            "/finance",
            "end",
        ] {
            assert_eq!(subscriber.message()["topic"], topic, "{version}");
        }
    }
}

/// Subscribes with a session that stays, and leaves.
fn leave_a_session(broker: &Broker, version: &str, topic: &str) {
    let id = format!("client-{version}");
    let arguments = ["-c", "-i", &id, "-q", "2", "-t", topic, "-E"];
    run(program("mosquitto_sub", broker, version, &arguments), b"");
}

/// Comes back to a session and gives what has waited.
fn come_back(broker: &Broker, version: &str, topic: &str, count: usize) -> Vec<String> {
    let id = format!("client-{version}");
    let arguments = ["-c", "-i", &id, "-q", "2", "-t", topic];
    let messages = receive(broker, version, count, &arguments);
    messages
        .iter()
        .map(|message| payload(message).to_owned())
        .collect()
}

#[test]
fn messages_wait_for_their_client() {
    let broker = Broker::start(&[]);
    for version in VERSIONS {
        leave_a_session(&broker, version, "t");
        for (qos, text) in [("1", "first"), ("1", "second"), ("2", "third")] {
            publish(&broker, version, &["-q", qos, "-t", "t", "-m", text]);
        }
        let received = come_back(&broker, version, "t", 3);
        assert_eq!(received, ["first", "second", "third"]);
        // What has been acknowledged does not come again.
        publish_text(&broker, "t", "fourth");
        assert_eq!(come_back(&broker, version, "t", 1), ["fourth"]);
    }
}

#[test]
fn sessions_and_retained_messages_survive_a_kill() {
    let mut broker = Broker::start(&[]);
    for version in VERSIONS {
        leave_a_session(&broker, version, version);
        publish_text(&broker, version, "waits");
        let topic = format!("retained/{version}");
        for text in ["old", "new"] {
            publish(
                &broker,
                version,
                &["-q", "1", "-r", "-t", &topic, "-m", text],
            );
        }
    }
    broker.kill_and_restart();
    for version in VERSIONS {
        assert_eq!(come_back(&broker, version, version, 1), ["waits"]);
        let topic = format!("retained/{version}");
        let retained = receive(&broker, version, 1, &["-t", &topic]);
        assert_eq!(
            (payload(&retained[0]), &retained[0]["retain"]),
            ("new", &1.into())
        );
    }
}

#[test]
fn mqtt_3_1_2_4_a_clean_start_discards_the_session() {
    let broker = Broker::start(&[]);
    for version in VERSIONS {
        let topic = format!("t/{version}");
        leave_a_session(&broker, version, &topic);
        publish_text(&broker, &topic, "lost");
        let id = format!("client-{version}");
        let arguments = ["-i", &id, "-t", "elsewhere", "-E"];
        run(program("mosquitto_sub", &broker, version, &arguments), b"");
        leave_a_session(&broker, version, &topic);
        publish_text(&broker, &topic, "kept");
        assert_eq!(come_back(&broker, version, &topic, 1), ["kept"]);
    }
}

/// [MQTT-3.3.1-5], [MQTT-3.3.1-6], [MQTT-3.3.1-8]
#[test]
fn retained_messages_come_on_subscribing_until_cleared() {
    let broker = Broker::start(&[]);
    for version in VERSIONS {
        for (topic, text) in [("r/cleared", "x"), ("r/kept", "old"), ("r/kept", "kept")] {
            publish(
                &broker,
                version,
                &["-q", "1", "-r", "-t", topic, "-m", text],
            );
        }
        publish(
            &broker,
            version,
            &["-q", "1", "-r", "-t", "r/cleared", "-n"],
        );
        let mut subscriber = Subscriber::start(&broker, version, &["-t", "r/#"]);
        let message = subscriber.message();
        assert_eq!((payload(&message), &message["retain"]), ("kept", &1.into()));
        // To those who have subscribed already it is a message as any other.
        publish(
            &broker,
            version,
            &["-q", "1", "-r", "-t", "r/kept", "-m", "live"],
        );
        let message = subscriber.message();
        assert_eq!((payload(&message), &message["retain"]), ("live", &0.into()));
    }
}

/// [MQTT-3.1.2-8]
#[test]
fn will_is_published_when_the_client_is_killed() {
    let broker = Broker::start(&[]);
    for version in VERSIONS {
        let mut watcher = Subscriber::start(&broker, version, &["-q", "2", "-t", "will"]);
        let id = format!("victim-{version}");
        let will = [
            "--will-topic",
            "will",
            "--will-payload",
            &id,
            "--will-qos",
            "1",
        ];
        let arguments = [&["-i", &id, "-t", "t"], &will[..]].concat();
        // One that leaves in order takes its will along.
        let orderly = [&arguments[..], &["-E"]].concat();
        run(program("mosquitto_sub", &broker, version, &orderly), b"");
        Subscriber::start(&broker, version, &arguments).kill();
        let message = watcher.message();
        assert_eq!((payload(&message), &message["qos"]), (&*id, &1.into()));
        publish_text(&broker, "will", "end");
        assert_eq!(payloads(&[watcher.message()]), ["end"]);
    }
}
