//! What differs between the versions, and between client and server.

use super::properties::packet_with;
use super::*;
use crate::types::{PacketId, QoS};

const V3: ProtocolVersion = ProtocolVersion::V3;
const V4: ProtocolVersion = ProtocolVersion::V4;
const V5: ProtocolVersion = ProtocolVersion::V5;

#[test]
fn return_codes_before_5_0_stand_for_the_nearest_reason() {
    for (code, reason) in [
        (0, ReasonCode::Success),
        (1, ReasonCode::UnsupportedProtocolVersion),
        (2, ReasonCode::ClientIdentifierNotValid),
        (3, ReasonCode::ServerUnavailable),
        (4, ReasonCode::BadUserNameOrPassword),
        (5, ReasonCode::NotAuthorized),
    ] {
        assert_eq!(v3_return_code(reason), code);
        for version in [V3, V4] {
            let bytes = [0x20, 2, 0, code];
            let Packet::ConnAck(connack) = accept(version, &bytes) else {
                panic!()
            };
            assert_eq!(connack.reason, reason);
        }
    }
    for reason in ReasonCode::ALL
        .into_iter()
        .filter(|reason| reason.is_error())
    {
        assert!((1..=5).contains(&v3_return_code(reason)), "{reason:?}");
    }
    refuse(
        V4,
        &[0x20, 2, 0, 6],
        ReasonCode::MalformedPacket,
        "MQTT-3.1.1 3.2.2.3",
    );
}

#[test]
fn every_suback_failure_is_0x80_before_5_0() {
    let suback = Packet::SubAck(SubAck {
        packet_id: PacketId::MIN,
        properties: AckProperties {
            reason_string: Some("left out"),
            ..AckProperties::default()
        },
        reasons: ReasonCodes::from(&[ReasonCode::TopicFilterInvalid, ReasonCode::GrantedQoS2]),
    });
    for version in [V3, V4] {
        let mut out = Vec::new();
        encode(&mut out, version, &suback).unwrap();
        assert_eq!(out, [0x90, 4, 0, 1, 0x80, 2]);
    }
    refuse(
        V4,
        &[0x90, 3, 0, 1, 3],
        ReasonCode::ProtocolError,
        "MQTT-3.9.3-2",
    );
}

#[test]
fn unsuback_has_no_payload_before_5_0() {
    let unsuback = Packet::UnsubAck(UnsubAck {
        packet_id: PacketId::MIN,
        properties: AckProperties::default(),
        reasons: ReasonCodes::from(&[ReasonCode::Success]),
    });
    let mut out = Vec::new();
    encode(&mut out, V4, &unsuback).unwrap();
    assert_eq!(out, [0xB0, 2, 0, 1]);
    refuse(
        V4,
        &[0xB0, 3, 0, 1, 0],
        ReasonCode::MalformedPacket,
        "4.13.1",
    );
}

#[test]
fn what_5_0_added_cannot_be_said_before() {
    let ack = Ack::new(PacketId::MIN, ReasonCode::QuotaExceeded);
    let disconnect = Disconnect {
        reason: ReasonCode::SessionTakenOver,
        properties: DisconnectProperties::default(),
    };
    let auth = Auth {
        reason: ReasonCode::Success,
        properties: AuthProperties::default(),
    };
    for packet in [
        Packet::PubAck(ack),
        Packet::Disconnect(disconnect),
        Packet::Auth(auth),
    ] {
        for version in [V3, V4] {
            let mut out = Vec::new();
            assert_eq!(
                encode(&mut out, version, &packet),
                Err(EncodeError::NotInVersion)
            );
            assert!(out.is_empty());
        }
    }
    refuse(
        V4,
        b"\xF0\0",
        ReasonCode::MalformedPacket,
        "MQTT-3.1.1 2.2.1",
    );
    refuse(V4, b"\xE0\x01\0", ReasonCode::MalformedPacket, "4.13.1");
    refuse(
        V4,
        b"\x40\x03\0\x01\0",
        ReasonCode::MalformedPacket,
        "4.13.1",
    );
}

#[test]
fn publish_before_5_0_has_nothing_to_forward() {
    for version in [V3, V4] {
        let Packet::Publish(publish) = accept(version, b"\x30\x04\0\x01t\0") else {
            panic!()
        };
        assert_eq!(publish.properties, PublishProperties::default());
        assert!(publish.properties.forwarded.is_empty());
        assert_eq!(publish.payload, b"\0");
    }
}

#[test]
fn mqtt_3_1_sets_dup_on_packets_that_are_sent_again() {
    for bytes in [
        &b"\x6A\x02\0\x01"[..],
        b"\x8A\x06\0\x01\0\x01a\0",
        b"\xAA\x05\0\x01\0\x01a",
        b"\x38\x03\0\x01t",
    ] {
        accept(V3, bytes);
        assert!(decode(bytes, V4, PACKET_SIZE_MAX).is_err());
    }
}

#[test]
fn mqtt_3_1_lets_flagged_user_name_and_password_be_missing() {
    let bytes = b"\x10\x0F\0\x06MQIsdp\x03\xC2\0\x3C\0\x01c";
    let Packet::Connect(connect) = accept(V3, bytes) else {
        panic!()
    };
    assert_eq!((connect.user_name, connect.password), (None, None));
    let bytes = b"\x10\x0D\0\x04MQTT\x04\xC2\0\x3C\0\x01c";
    refuse(V4, bytes, ReasonCode::MalformedPacket, "4.13.1");
}

#[test]
fn mqtt_3_1_connack_has_no_session_present() {
    let connack = Packet::ConnAck(ConnAck {
        session_present: true,
        reason: ReasonCode::Success,
        properties: ConnAckProperties::default(),
    });
    let mut out = Vec::new();
    encode(&mut out, V3, &connack).unwrap();
    assert_eq!(out, [0x20, 2, 0, 0]);
}

#[test]
fn remaining_length_may_be_padded_before_5_0() {
    for version in [V3, V4] {
        assert_eq!(accept(version, b"\xC0\x80\0"), Packet::PingReq);
    }
    let padded = b"\x10\x8D\0\0\x04MQTT\x04\x02\0\x3C\0\x01c";
    for version in VERSIONS {
        assert!(matches!(accept(version, padded), Packet::Connect(_)));
    }
    let padded = b"\x10\x8E\0\0\x04MQTT\x05\x02\0\x3C\0\0\x01c";
    refuse(V4, padded, ReasonCode::MalformedPacket, "MQTT-1.5.5-1");
}

#[test]
fn connect_version_is_known_although_the_rest_is_not_there_or_wrong() {
    assert_eq!(connect_version(b"\x10\x22\0\x04MQTT\x04"), Some(V4));
    assert_eq!(connect_version(b"\x10\x22\0\x04MQTT\x05\xFF\xFF"), Some(V5));
    assert_eq!(connect_version(b"\x10\x22\0\x06MQIsdp\x03"), Some(V3));
    assert_eq!(connect_version(b"\x10\x22\0\x04MQTT\x06\xFF"), None);
    assert_eq!(connect_version(b"\x10\x22\0\x04MQT"), None);
    assert_eq!(
        connect_version(b"\x10\x06\0\x04MQTT\x05"),
        None,
        "beyond the packet"
    );
    assert_eq!(connect_version(b"\xC0\0"), None);
    assert_eq!(connect_version(b""), None);
}

#[test]
fn mqtt_3_3_4_6_clients_send_no_subscription_identifier_in_publish() {
    let bytes = packet_with(3, b"\x0B\x01");
    let error = accept(V5, &bytes).check_from_client().unwrap_err();
    assert_eq!(
        (error.reason, error.clause),
        (ReasonCode::ProtocolError, "MQTT-3.3.4-6")
    );
    assert_eq!(accept(V5, &bytes).check_from_server(), Ok(()));
}

#[test]
fn mqtt_3_14_2_2_servers_send_no_session_expiry_in_disconnect() {
    let bytes = b"\xE0\x07\0\x05\x11\0\0\0\x01";
    assert_eq!(accept(V5, bytes).check_from_client(), Ok(()));
    let error = accept(V5, bytes).check_from_server().unwrap_err();
    assert_eq!(error.clause, "MQTT-3.14.2-2");
}

#[test]
fn each_side_sends_only_its_packets() {
    // Table 2-1: 1 client to server, 2 server to client, 3 both.
    const TABLE: [u8; 15] = [1, 2, 3, 3, 3, 3, 3, 1, 2, 1, 2, 1, 2, 3, 3];
    for (kind, directions) in PacketKind::ALL.into_iter().zip(TABLE) {
        let bytes = match kind {
            PacketKind::PingReq => b"\xC0\0".to_vec(),
            PacketKind::PingResp => b"\xD0\0".to_vec(),
            other => packet_with(other as u8, b""),
        };
        let packet = accept(V5, &bytes);
        assert_eq!(packet.kind(), kind);
        assert_eq!(
            packet.check_from_client().is_ok(),
            directions & 1 != 0,
            "{kind:?}"
        );
        assert_eq!(
            packet.check_from_server().is_ok(),
            directions & 2 != 0,
            "{kind:?}"
        );
    }
}

#[test]
fn disconnect_and_auth_say_what_their_side_may_say() {
    for (bytes, client, server) in [
        (&b"\xE0\x01\x04"[..], true, false),
        (b"\xE0\x01\x8B", false, true),
        (b"\xE0\x01\x8E", false, true),
        (b"\xE0\x01\x82", true, true),
        (b"\xE0\x06\0\x04\x1C\0\x01s", false, true),
        (b"\xF0\x06\0\x04\x15\0\x01m", false, true),
        (b"\xF0\x06\x19\x04\x15\0\x01m", true, false),
    ] {
        let packet = accept(V5, bytes);
        assert_eq!(packet.check_from_client().is_ok(), client, "{packet:?}");
        assert_eq!(packet.check_from_server().is_ok(), server, "{packet:?}");
    }
}

#[test]
fn subscription_options_and_their_byte_agree() {
    for byte in 0..=255 {
        match SubscriptionOptions::from_byte(byte) {
            Some(options) => assert_eq!(options.to_byte(), byte),
            None => assert!(byte & 0b11 == 3 || byte >> 4 > 2, "{byte:#010b}"),
        }
    }
    assert_eq!(SubscriptionOptions::new(QoS::ExactlyOnce).to_byte(), 2);
}

#[test]
fn mqtt_3_2_2_19_and_their_like_reason_string_and_user_properties_can_be_left_out() {
    // A reason string "x" and a user property "n" = "v".
    const WHY: &[u8] = b"\x1F\0\x01x\x26\0\x01n\0\x01v";
    for (place, plain) in [
        (2, &b"\x20\x03\0\0\0"[..]),
        (4, b"\x40\x02\0\x01"),
        (5, b"\x50\x02\0\x01"),
        (6, b"\x62\x02\0\x01"),
        (7, b"\x70\x02\0\x01"),
        (9, b"\x90\x04\0\x01\0\0"),
        (11, b"\xB0\x04\0\x01\0\0"),
        (14, b"\xE0\0"),
        (15, b"\xF0\x06\x18\x04\x15\0\x01m"),
    ] {
        let bytes = packet_with(place, WHY);
        let packet = accept(V5, &bytes);
        let mut out = Vec::new();
        encode(&mut out, V5, &packet.without_diagnostics()).unwrap();
        assert_eq!(out, plain);
        for (max, expected) in [(bytes.len(), &bytes[..]), (bytes.len() - 1, plain)] {
            out.clear();
            encode_trimmed(&mut out, V5, &packet, max as u32).unwrap();
            assert_eq!(out, expected);
        }
    }
    // A user property of a message is part of it.
    let bytes = packet_with(3, b"\x26\0\x01n\0\x01v");
    let packet = accept(V5, &bytes);
    assert_eq!(packet.without_diagnostics(), packet);
}
