//! What is particular to 3.1 and 3.1.1.

use robustmq_conformance::client::PATIENCE;
use robustmq_conformance::packet::{raw, string};
use robustmq_conformance::{Broker, Client, Connect, Heard, Packet, Publish, Version, Will};

use super::publisher;

/// What a CONNECT is answered with; 0 is acceptance.
fn return_code(broker: &Broker, bytes: &[u8]) -> Option<u8> {
    let mut client = Client::open(broker, Version::V311);
    client.send(bytes);
    match client.hear(PATIENCE) {
        Heard::Closed => None,
        Heard::Packet(Packet::ConnAck {
            code,
            session_present,
            ..
        }) => {
            assert!(code == 0 || !session_present);
            if code != 0 {
                client.expect_end(None);
            }
            Some(code)
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn mqtt311_3_1_3_8_an_empty_identifier_needs_a_clean_session() {
    let broker = Broker::start();
    assert_eq!(return_code(&broker, &Connect::v311("").bytes()), Some(0));
    assert_eq!(
        return_code(&broker, &Connect::v311("").clean(false).bytes()),
        Some(2)
    );
}

#[test]
fn mqtt31_an_empty_identifier_is_refused() {
    let broker = Broker::start();
    assert_eq!(
        return_code(&broker, &Connect::new(Version::V31, "").bytes()),
        Some(2)
    );
}

#[test]
fn mqtt311_3_1_2_2_an_unknown_level_is_refused_in_the_form_of_3_1_1() {
    let broker = Broker::start();
    let connect = |name: &str, level| {
        let mut body = string(name);
        body.extend([level, 2, 0, 0, 0, 1, b'x']);
        let mut client = Client::open(&broker, Version::V311);
        client.send(&raw(0x10, &body));
        client
    };
    for (name, level) in [("MQTT", 4), ("MQIsdp", 3)] {
        assert!(matches!(
            connect(name, level).packet(),
            Packet::ConnAck { code: 0, .. }
        ));
    }
    for (name, level) in [("MQTT", 3), ("MQIsdp", 4), ("MQIsdp", 5), ("MQTT", 1)] {
        // A client of 3.x would not understand a CONNACK of 5.0.
        let answer = connect(name, level).bytes_to_end();
        assert!(
            answer.is_empty() || answer == [0x20, 2, 0, 1],
            "{name} {level}: {answer:02x?}"
        );
    }
}

#[test]
fn mqtt311_3_1_2_22_a_password_needs_a_user_name() {
    let broker = Broker::start();
    let connect = Connect {
        password: Some(b"p".to_vec()),
        ..Connect::v311("password")
    };
    assert_eq!(return_code(&broker, &connect.bytes()), None);
    let connect = Connect {
        username: Some("u".to_owned()),
        ..connect
    };
    assert_eq!(return_code(&broker, &connect.bytes()), Some(0));
}

#[test]
fn mqtt31_a_client_of_3_1_is_served() {
    let broker = Broker::start();
    let will = Will {
        qos: 1,
        ..Will::new("will", "bye")
    };
    let mut watcher = Client::v5(&broker, "watcher");
    watcher.subscribe("will", 1);
    let (mut client, _, _) =
        Client::connect(&broker, &Connect::new(Version::V31, "old").will(will));
    for qos in 0..=2 {
        client.subscribe("t", qos);
        publisher(&broker).publish_2("t", "down");
        assert_eq!(client.take().qos, qos);
    }
    client.publish(&Publish::new("t", "0"));
    assert_eq!(client.take().text(), "0");
    client.publish_1("t", "1");
    client.publish_2("t", "2");
    assert_eq!(client.take_texts(2), ["1", "2"]);
    client.ping();
    client.cut();
    assert_eq!(watcher.take().text(), "bye");
}

#[test]
fn mqtt311_properties_of_5_0_are_not_sent_to_3_1_1() {
    let broker = Broker::start();
    let mut client = Client::v311(&broker, "old");
    client.subscribe("t", 1);
    let props = robustmq_conformance::Props::new()
        .user("a", "b")
        .user("c", "d");
    publisher(&broker).publish_through(Publish::new("t", "payload").qos(1, 1).props(props));
    let message = client.take();
    assert_eq!(message.text(), "payload");
}

#[test]
fn mqtt311_3_14_4_3_disconnect_drops_the_will() {
    let broker = Broker::start();
    let mut watcher = Client::v5(&broker, "watcher");
    watcher.subscribe("will", 1);
    let connect = Connect::v311("old").will(Will::new("will", "never"));
    Client::connect(&broker, &connect).0.disconnect();
    watcher.expect_silence();
}
