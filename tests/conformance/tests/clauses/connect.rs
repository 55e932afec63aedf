//! CONNECT and CONNACK (3.1, 3.2).

use robustmq_conformance::packet::{raw, string};
use robustmq_conformance::{
    Broker, Client, Connect, Heard, Options, Packet, Props, Publish, Subscribe,
};
use robustmq_conformance::{Version, differs_on_peer, property};

use robustmq_conformance::client::PATIENCE;

/// Sends bytes on a new connection and expects the end of it, perhaps after a CONNACK; gives its code.
fn refusal(broker: &Broker, version: Version, bytes: &[u8]) -> Option<u8> {
    let mut client = Client::open(broker, version);
    client.send(bytes);
    match client.hear(PATIENCE) {
        Heard::Closed => None,
        Heard::Packet(Packet::ConnAck {
            session_present: false,
            code,
            ..
        }) if code != 0 => {
            client.expect_end(None);
            Some(code)
        }
        other => panic!("waited for a refusal: {other:?}"),
    }
}

#[test]
fn mqtt5_3_1_0_1_first_packet_must_be_connect() {
    let broker = Broker::start();
    let first = [
        Publish::new("t", "p").bytes(Version::V5),
        Subscribe::new(1, "t", 0).bytes(Version::V5),
        vec![0xc0, 0],
        vec![0xe0, 0],
        raw(0xf0, &[]),
    ];
    for bytes in first {
        assert_eq!(refusal(&broker, Version::V5, &bytes), None, "{bytes:02x?}");
    }
}

#[test]
fn mqtt5_3_1_0_2_second_connect_is_protocol_error() {
    let broker = Broker::start();
    let mut client = Client::v5(&broker, "twice");
    client.send(&Connect::v5("twice").bytes());
    client.expect_end(Some(0x82));
    let mut client = Client::v311(&broker, "twice");
    client.send(&Connect::v311("twice").bytes());
    client.expect_end(None);
}

#[test]
fn mqtt5_3_1_2_1_wrong_protocol_name_is_refused() {
    let broker = Broker::start();
    for name in ["MQTX", "mqtt", "HTTP", ""] {
        let mut body = string(name);
        body.extend([5, 2, 0, 0, 0, 0, 0]);
        let mut client = Client::open(&broker, Version::V5);
        client.send(&raw(0x10, &body));
        match client.hear(PATIENCE) {
            Heard::Closed
            | Heard::Packet(Packet::ConnAck {
                code: 0x81 | 0x84, ..
            }) => {}
            other => panic!("{name:?}: {other:?}"),
        }
    }
}

#[test]
fn mqtt5_3_1_2_2_unknown_version_is_refused() {
    let broker = Broker::start();
    for level in [0, 2, 6, 127, 255] {
        let mut body = string("MQTT");
        body.extend([level, 2, 0, 0, 0, 1, b'x']);
        let mut client = Client::open(&broker, Version::V5);
        client.send(&raw(0x10, &body));
        // In the form of 3.x or of 5.0, or nothing at all.
        let answer = client.bytes_to_end();
        let is_refusal =
            answer == [0x20, 2, 0, 1] || matches!(answer[..], [] | [0x20, _, 0, 0x84, ..]);
        assert!(is_refusal, "level {level}: {answer:02x?}");
    }
}

#[test]
fn mqtt5_3_1_2_3_reserved_connect_flag_must_be_0() {
    let broker = Broker::start();
    // 3.1 does not say so.
    for version in super::BOTH {
        let connect = Connect::new(version, "reserved");
        let bytes = connect.bytes_with_flags(connect.flags() | 1);
        let code = refusal(&broker, version, &bytes);
        assert!(matches!(code, None | Some(0x81)), "{version:?}: {code:?}");
    }
}

#[test]
fn mqtt5_3_1_2_11_will_qos_and_retain_need_the_will_flag() {
    let broker = Broker::start();
    for flags in [0x08, 0x10, 0x20] {
        let bytes = Connect::v5("flags").bytes_with_flags(0x02 | flags);
        let code = refusal(&broker, Version::V5, &bytes);
        assert!(
            matches!(code, None | Some(0x81 | 0x82)),
            "{flags:#04x}: {code:?}"
        );
    }
}

#[test]
fn mqtt5_3_1_2_12_will_qos_3_is_malformed() {
    let broker = Broker::start();
    for version in Version::ALL {
        let will = robustmq_conformance::Will {
            qos: 3,
            ..robustmq_conformance::Will::new("w", "w")
        };
        let code = refusal(
            &broker,
            version,
            &Connect::new(version, "will").will(will).bytes(),
        );
        assert!(matches!(code, None | Some(0x81)), "{version:?}: {code:?}");
    }
}

#[test]
fn mqtt5_3_1_2_wrong_connect_properties_get_their_code() {
    let broker = Broker::start();
    let cases = [
        (
            "receive maximum 0",
            Props::new().two(property::RECEIVE_MAX, 0),
            0x82,
        ),
        (
            "maximum packet size 0",
            Props::new().four(property::PACKET_SIZE_MAX, 0),
            0x82,
        ),
        (
            "problem information 2",
            Props::new().byte(property::REQUEST_PROBLEM_INFO, 2),
            0x82,
        ),
        (
            "response information 2",
            Props::new().byte(property::REQUEST_RESPONSE_INFO, 2),
            0x82,
        ),
        (
            "data without method",
            Props::new().binary(property::AUTH_DATA, b"x"),
            0x82,
        ),
        (
            "receive maximum twice",
            Props::new()
                .two(property::RECEIVE_MAX, 9)
                .two(property::RECEIVE_MAX, 9),
            0x82,
        ),
        (
            "session expiry twice",
            Props::new()
                .four(property::SESSION_EXPIRY, 9)
                .four(property::SESSION_EXPIRY, 9),
            0x82,
        ),
        (
            "a property of PUBLISH",
            Props::new().two(property::TOPIC_ALIAS, 1),
            0x82,
        ),
        ("a property nobody knows", Props::new().byte(0x7e, 1), 0x81),
    ];
    for (name, props, wanted) in cases {
        let code = refusal(
            &broker,
            Version::V5,
            &Connect::v5("wrong").props(props).bytes(),
        );
        // The server may close without a word (4.13.1); a word must be the right one. That a property is
        // in the wrong packet may be seen as malformed or as a protocol error.
        assert!(matches!(code, None | Some(0x81 | 0x82)), "{name}: {code:?}");
        if !robustmq_conformance::broker::is_peer() && !name.starts_with("a property of") {
            assert_eq!(code, Some(wanted), "{name}");
        }
    }
}

#[test]
fn mqtt5_3_1_3_4_client_id_must_be_utf8() {
    let broker = Broker::start();
    for id in [&b"\xff\xfe"[..], b"\xed\xa0\x80", b"\xc0\x80", b"a\0b"] {
        let mut body = string("MQTT");
        body.extend([5, 2, 0, 0, 0, 0, id.len() as u8]);
        body.extend(id);
        let code = refusal(&broker, Version::V5, &raw(0x10, &body));
        assert!(
            matches!(code, None | Some(0x81 | 0x85)),
            "{id:02x?}: {code:?}"
        );
    }
}

#[test]
pub(crate) fn mqtt5_3_1_3_6_empty_client_id_is_assigned_one() {
    let broker = Broker::start();
    let (mut first, present, props) = Client::connect(&broker, &Connect::v5(""));
    let first_id = props
        .string(property::ASSIGNED_CLIENT_ID)
        .expect("an identifier")
        .to_owned();
    assert!(!present);
    let (mut second, _, props) = Client::connect(&broker, &Connect::v5(""));
    assert_ne!(
        props.string(property::ASSIGNED_CLIENT_ID),
        Some(first_id.as_str())
    );
    first.ping();
    second.ping();
    // The assigned identifier is a name like any other.
    let (_taker, _, props) = Client::connect(&broker, &Connect::v5(&first_id));
    assert_eq!(props.string(property::ASSIGNED_CLIENT_ID), None);
    first.expect_end(Some(0x8e));
}

#[test]
fn mqtt5_3_1_3_7_assigned_client_id_keeps_its_session() {
    let broker = Broker::start();
    let connect = Connect::lasting(Version::V5, "");
    let (mut client, _, props) = Client::connect(&broker, &connect);
    let id = props
        .string(property::ASSIGNED_CLIENT_ID)
        .expect("an identifier")
        .to_owned();
    client.subscribe("t", 1);
    client.disconnect();
    let (_client, present) = Client::lasting(&broker, Version::V5, &id);
    assert!(present);
}

#[test]
fn mqtt5_3_1_4_5_packets_may_follow_connect_at_once() {
    let broker = Broker::start();
    for version in Version::ALL {
        let mut client = Client::open(&broker, version);
        let mut bytes = Connect::new(version, "eager").bytes();
        bytes.extend(Subscribe::new(1, "eager", 1).bytes(version));
        bytes.extend(Publish::new("eager", "first").qos(1, 2).bytes(version));
        bytes.extend([0xc0, 0]);
        client.send(&bytes);
        assert!(matches!(client.packet(), Packet::ConnAck { code: 0, .. }));
        client.wait_for("SUBACK", |packet| {
            matches!(packet, Packet::SubAck { .. }).then_some(())
        });
        client.wait_for_ack(robustmq_conformance::AckKind::PubAck, 2);
        let text = client.wait_for("the message", |packet| match packet {
            Packet::Publish(publish) => Some(publish.text()),
            _ => None,
        });
        assert_eq!(text, "first");
    }
}

#[test]
fn mqtt5_2_1_packets_may_arrive_in_any_pieces() {
    let broker = Broker::start();
    let mut client = Client::open(&broker, Version::V5);
    for byte in Connect::v5("pieces").bytes() {
        client.send(&[byte]);
    }
    assert!(matches!(client.packet(), Packet::ConnAck { code: 0, .. }));
    for byte in Subscribe::new(1, "pieces", 2).bytes(Version::V5) {
        client.send(&[byte]);
    }
    assert!(matches!(client.packet(), Packet::SubAck { .. }));
    for byte in Publish::new("pieces", "whole").bytes(Version::V5) {
        client.send(&[byte]);
    }
    assert_eq!(client.message().text(), "whole");
}

#[test]
fn mqtt5_3_2_2_connack_says_what_the_server_limits() {
    if differs_on_peer("leaves out what it grants in full") {
        return;
    }
    let options = Options::new()
        .set("mqtt.max_packet_size", "64KB")
        .set("mqtt.receive_maximum", "7")
        .set("mqtt.max_topic_alias", "5")
        .set("mqtt.max_qos", "1")
        .set("mqtt.retain_available", "false")
        .set("mqtt.session_expiry", "10m")
        .set("mqtt.max_session_expiry", "10m")
        .set("mqtt.server_keepalive", "30s");
    let broker = Broker::start_with(options);
    let props = Props::new().four(property::SESSION_EXPIRY, 5_000);
    let (_client, _, props) = Client::connect(&broker, &Connect::v5("limits").props(props));
    let number = |id| props.number(id);
    assert_eq!(number(property::PACKET_SIZE_MAX), Some(65_536));
    assert_eq!(number(property::RECEIVE_MAX), Some(7));
    assert_eq!(number(property::TOPIC_ALIAS_MAX), Some(5));
    assert_eq!(number(property::QOS_MAX), Some(1));
    assert_eq!(number(property::RETAIN_AVAILABLE), Some(0));
    assert_eq!(number(property::SESSION_EXPIRY), Some(600));
    assert_eq!(number(property::SERVER_KEEP_ALIVE), Some(30));
}

#[test]
fn mqtt5_3_2_2_11_qos_above_the_maximum_is_refused() {
    let broker = Broker::start_with(Options::new().set("mqtt.max_qos", "1"));
    let mut client = Client::v5(&broker, "qos");
    let codes = client.subscribe_with(&Subscribe::new(1, "t", 2));
    // The server grants less than asked for [MQTT-3.8.4-8]; mosquitto refuses nothing here.
    assert!(
        codes == [1] || robustmq_conformance::broker::is_peer(),
        "{codes:?}"
    );
    client.publish(&Publish::new("t", "p").qos(2, 2));
    client.expect_end(Some(0x9b));
    let will = robustmq_conformance::Will {
        qos: 2,
        ..robustmq_conformance::Will::new("w", "w")
    };
    let code = refusal(
        &broker,
        Version::V5,
        &Connect::v5("will").will(will).bytes(),
    );
    assert_eq!(code, Some(0x9b));
}

#[test]
fn mqtt5_3_2_2_14_retained_messages_can_be_unavailable() {
    let broker = Broker::start_with(Options::new().set("mqtt.retain_available", "false"));
    let mut client = Client::v5(&broker, "retain");
    client.publish(&Publish::new("t", "p").retain());
    client.expect_end(Some(0x9a));
    let will = robustmq_conformance::Will {
        retain: true,
        ..robustmq_conformance::Will::new("w", "w")
    };
    let code = refusal(
        &broker,
        Version::V5,
        &Connect::v5("will").will(will).bytes(),
    );
    assert_eq!(code, Some(0x9a));
}

#[test]
fn mqtt5_4_12_0_1_unknown_authentication_method_is_refused() {
    let broker = Broker::start();
    let props = Props::new().text(property::AUTH_METHOD, "NOBODY-KNOWS");
    let code = refusal(
        &broker,
        Version::V5,
        &Connect::v5("auth").props(props).bytes(),
    );
    assert_eq!(code, Some(0x8c));
}

#[test]
fn mqtt5_4_12_0_7_auth_without_a_method_is_protocol_error() {
    let broker = Broker::start();
    let mut client = Client::v5(&broker, "auth");
    client.send(&raw(0xf0, &[0x19, 0]));
    client.expect_end(Some(0x82));
}

#[test]
fn mqtt5_3_1_2_password_may_stand_without_user_name() {
    let broker = Broker::start();
    let connect = Connect {
        password: Some(b"secret".to_vec()),
        ..Connect::v5("token")
    };
    Client::connect(&broker, &connect);
    let connect = Connect {
        username: Some("name".to_owned()),
        ..connect
    };
    Client::connect(&broker, &connect);
}
