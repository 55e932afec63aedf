//! Wills (3.1.2.5, 3.1.3.2, 3.14).

use std::time::{Duration, Instant};

use robustmq_conformance::{
    Broker, Client, Connect, Props, Version, Will, differs_on_peer, property,
};

use super::{BOTH, publisher};

fn watcher(broker: &Broker) -> Client {
    let mut client = Client::v5(broker, "watcher");
    client.subscribe("will/#", 2);
    client
}

fn delayed(text: &str, seconds: u32) -> Will {
    Will {
        props: Props::new().four(property::WILL_DELAY, seconds),
        ..Will::new("will/t", text)
    }
}

#[test]
fn mqtt5_3_1_2_8_a_lost_connection_sends_the_will() {
    let broker = Broker::start();
    let mut watcher = watcher(&broker);
    for version in Version::ALL {
        for qos in 0..=2 {
            let will = Will {
                qos,
                ..Will::new("will/t", "lost")
            };
            let client = Client::connect(&broker, &Connect::new(version, "c").will(will)).0;
            client.cut();
            let message = watcher.take();
            assert_eq!((message.qos, message.text().as_str()), (qos, "lost"));
        }
    }
    watcher.expect_silence();
}

#[test]
fn mqtt5_3_14_4_3_a_normal_disconnect_drops_the_will() {
    let broker = Broker::start();
    let mut watcher = watcher(&broker);
    for version in Version::ALL {
        let connect = Connect::new(version, "c").will(Will::new("will/t", "never"));
        Client::connect(&broker, &connect).0.disconnect();
    }
    watcher.expect_silence();
}

#[test]
fn mqtt5_3_1_2_8_disconnect_can_ask_for_the_will() {
    let broker = Broker::start();
    let mut watcher = watcher(&broker);
    // 0x04 by its name, and any other error the client ends with.
    for code in [0x04, 0x80, 0x93] {
        let connect = Connect::v5("c").will(Will::new("will/t", "asked for"));
        Client::connect(&broker, &connect)
            .0
            .disconnect_with(code, &Props::new());
        assert_eq!(watcher.take().text(), "asked for", "{code:#04x}");
    }
    watcher.expect_silence();
}

#[test]
fn mqtt5_3_1_2_8_a_protocol_error_sends_the_will() {
    let broker = Broker::start();
    let mut watcher = watcher(&broker);
    for version in BOTH {
        let connect = Connect::new(version, "c").will(Will::new("will/t", "misbehaved"));
        let mut client = Client::connect(&broker, &connect).0;
        client.send(&[0x36, 0]);
        assert_eq!(watcher.take().text(), "misbehaved");
    }
}

#[test]
fn mqtt5_3_1_2_8_a_keep_alive_that_runs_out_sends_the_will() {
    let broker = Broker::start();
    let mut watcher = watcher(&broker);
    let connect = Connect::v5("c")
        .keep_alive(1)
        .will(Will::new("will/t", "silent"));
    let _silent = Client::connect(&broker, &connect).0;
    assert_eq!(watcher.take().text(), "silent");
}

#[test]
fn mqtt5_3_1_3_2_2_a_delayed_will_waits() {
    let broker = Broker::start();
    let mut watcher = watcher(&broker);
    let connect = Connect::lasting(Version::V5, "c").will(delayed("late", 1));
    let client = Client::connect(&broker, &connect).0;
    client.cut();
    let start = Instant::now();
    assert_eq!(watcher.take().text(), "late");
    let took = start.elapsed();
    assert!(took > Duration::from_millis(500), "{took:?}");
    watcher.expect_silence();
}

#[test]
fn mqtt5_3_1_3_9_a_client_that_returns_in_time_takes_its_will_back() {
    let broker = Broker::start();
    let mut watcher = watcher(&broker);
    let connect = Connect::lasting(Version::V5, "c");
    let client = Client::connect(&broker, &connect.clone().will(delayed("never", 1))).0;
    client.cut();
    let mut client = Client::connect(&broker, &connect.will(delayed("later", 0))).0;
    super::let_pass(Duration::from_millis(1_500));
    watcher.expect_silence();
    client.ping();
    client.cut();
    assert_eq!(watcher.take().text(), "later");
}

#[test]
fn mqtt5_3_1_2_15_a_will_can_be_retained() {
    let broker = Broker::start();
    let will = Will {
        retain: true,
        qos: 1,
        ..Will::new("will/kept", "kept")
    };
    let mut first = watcher(&broker);
    let client = Client::connect(&broker, &Connect::v5("c").will(will)).0;
    client.cut();
    assert!(!first.take().retain);
    let mut late = Client::v5(&broker, "late");
    late.subscribe("will/#", 1);
    let message = late.take();
    assert!(message.retain);
    assert_eq!(message.text(), "kept");
}

#[test]
fn mqtt5_3_1_3_10_will_properties_are_those_of_the_message() {
    let broker = Broker::start();
    let mut watcher = watcher(&broker);
    let props = Props::new()
        .byte(property::PAYLOAD_FORMAT, 1)
        .four(property::MESSAGE_EXPIRY, 100)
        .text(property::CONTENT_TYPE, "text/x")
        .text(property::RESPONSE_TOPIC, "answer/here")
        .binary(property::CORRELATION_DATA, b"\0\x01")
        .user("z", "1")
        .user("a", "2")
        .user("z", "3");
    let will = Will {
        props,
        ..Will::new("will/t", "w")
    };
    let client = Client::connect(&broker, &Connect::v5("c").will(will)).0;
    client.cut();
    let props = watcher.take().props;
    assert_eq!(props.users(), [("z", "1"), ("a", "2"), ("z", "3")]);
    assert_eq!(props.number(property::PAYLOAD_FORMAT), Some(1));
    assert_eq!(props.string(property::CONTENT_TYPE), Some("text/x"));
    assert_eq!(props.string(property::RESPONSE_TOPIC), Some("answer/here"));
    let expiry = props
        .number(property::MESSAGE_EXPIRY)
        .expect("what is left");
    assert!((90..=100).contains(&expiry));
    assert_eq!(props.number(property::WILL_DELAY), None);
}

#[test]
fn a_will_payload_may_be_empty_and_clears_a_retained_message() {
    let broker = Broker::start();
    let mut sender = publisher(&broker);
    sender.publish_through(
        robustmq_conformance::Publish::new("will/r", "old")
            .retain()
            .qos(1, 1),
    );
    let mut watcher = watcher(&broker);
    assert_eq!(watcher.take().text(), "old");
    let will = Will {
        retain: true,
        ..Will::new("will/r", "")
    };
    Client::connect(&broker, &Connect::v5("c").will(will))
        .0
        .cut();
    assert_eq!(watcher.take().text(), "");
    let mut late = Client::v5(&broker, "late");
    late.subscribe("will/#", 1);
    late.expect_silence();
}

#[test]
fn wills_of_a_killed_broker_are_sent_after_its_restart() {
    if differs_on_peer("keeps nothing when killed") {
        return;
    }
    let mut broker = Broker::start();
    let (mut lasting, _) = Client::lasting(&broker, Version::V5, "lasting-watcher");
    lasting.subscribe("will/#", 1);
    lasting.disconnect();
    let connect = Connect::lasting(Version::V5, "c").will(delayed("after all", 1));
    let _client = Client::connect(&broker, &connect).0;
    broker.kill_9();
    broker.restart();
    let (mut lasting, present) = Client::lasting(&broker, Version::V5, "lasting-watcher");
    assert!(present);
    assert_eq!(lasting.take().text(), "after all");
    lasting.expect_silence();
}
