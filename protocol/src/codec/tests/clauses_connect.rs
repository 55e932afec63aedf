//! Sections 3.1, 3.2, 3.14 and 3.15: the beginning and the end of a connection.

use super::*;

const MALFORMED: ReasonCode = ReasonCode::MalformedPacket;

/// A CONNECT of MQTT 5.0 or 3.1.1 with these flags; everything they announce is
/// there.
fn connect_with(level: u8, flags: u8) -> Vec<u8> {
    let properties: &[u8] = if level == 5 { b"\0" } else { b"" };
    let mut body = [
        b"\0\x04MQTT",
        &[level, flags, 0, 0][..],
        properties,
        b"\0\0",
    ]
    .concat();
    if flags & 0x04 != 0 {
        body.extend([properties, b"\0\x01w\0\0"].concat());
    }
    for bit in [0x80, 0x40] {
        body.extend_from_slice(if flags & bit != 0 { b"\0\0" } else { b"" });
    }
    frame(0x10, &body)
}

#[test]
fn mqtt_3_1_2_1_protocol_name_is_mqtt() {
    for name in ["MQTt", "mqtt", "", "AMQP", "MQTT5"] {
        let bytes = frame(0x10, &[&text(name)[..], b"\x05\x02\0\0\0\0\0"].concat());
        refuse_v5(
            &bytes,
            ReasonCode::UnsupportedProtocolVersion,
            "MQTT-3.1.2-1",
        );
    }
}

#[test]
fn mqtt_3_1_2_2_unknown_protocol_versions_are_refused() {
    for (name, known) in [("MQTT", &[4, 5][..]), ("MQIsdp", &[3])] {
        for level in (0..=255).filter(|level| !known.contains(level)) {
            // Whatever follows: its form is not known.
            let bytes = frame(0x10, &[&text(name)[..], &[level]].concat());
            refuse_v5(
                &bytes,
                ReasonCode::UnsupportedProtocolVersion,
                "MQTT-3.1.2-2",
            );
        }
    }
}

#[test]
fn mqtt_3_1_2_3_reserved_connect_flag_is_0() {
    for level in [4, 5] {
        refuse_v5(&connect_with(level, 0x03), MALFORMED, "MQTT-3.1.2-3");
    }
}

#[test]
fn every_combination_of_connect_flags_is_judged() {
    for level in [4, 5] {
        for flags in 0..=255u8 {
            let (will, qos, retain) = (flags & 4 != 0, flags >> 3 & 3, flags & 0x20 != 0);
            let (user_name, password) = (flags & 0x80 != 0, flags & 0x40 != 0);
            let clause = match () {
                () if flags & 1 != 0 => Some("MQTT-3.1.2-3"),
                () if qos == 3 => Some("MQTT-3.1.2-12"),
                () if !will && qos != 0 => Some("MQTT-3.1.2-11"),
                () if !will && retain => Some("MQTT-3.1.2-13"),
                () if password && !user_name && level == 4 => Some("MQTT-3.1.1 MQTT-3.1.2-22"),
                () => None,
            };
            let bytes = connect_with(level, flags);
            if let Some(clause) = clause {
                refuse_v5(&bytes, MALFORMED, clause);
                continue;
            }
            let Packet::Connect(connect) = accept(ProtocolVersion::V5, &bytes) else {
                panic!()
            };
            assert_eq!(connect.clean_start, flags & 2 != 0);
            let found = connect.will.map(|will| (will.qos as u8, will.retain));
            assert_eq!(found, will.then_some((qos, retain)));
            assert_eq!(connect.user_name.is_some(), user_name);
            assert_eq!(connect.password.is_some(), password);
        }
    }
}

#[test]
fn mqtt_3_1_2_16_to_19_what_is_flagged_must_be_there() {
    for flags in [0x06, 0x82, 0xC2] {
        let whole = connect_with(5, flags);
        let body = &whole[2..whole.len() - 2];
        refuse_v5(&frame(0x10, body), MALFORMED, "4.13.1");
    }
}

#[test]
fn mqtt_3_1_3_4_client_identifier_is_a_string() {
    refuse_v5(
        b"\x10\x0E\0\x04MQTT\x05\x02\0\0\0\0\x01\xFF",
        MALFORMED,
        "MQTT-1.5.4-1",
    );
}

#[test]
fn mqtt_3_1_3_6_client_identifier_may_be_empty() {
    let bytes = connect_with(5, 2);
    assert!(matches!(
        accept(ProtocolVersion::V5, &bytes),
        Packet::Connect(Connect { client_id: "", .. })
    ));
}

#[test]
fn will_topic_is_a_topic_name() {
    for topic in ["", "a/+", "#"] {
        let body = [b"\0\x04MQTT\x05\x06\0\0\0\0\0\0", &text(topic)[..], b"\0\0"].concat();
        refuse_v5(&frame(0x10, &body), ReasonCode::TopicNameInvalid, "4.7");
    }
}

#[test]
fn mqtt_3_2_2_1_reserved_connect_acknowledge_flags_are_0() {
    for flags in 2..=255 {
        refuse_v5(&[0x20, 3, flags, 0, 0], MALFORMED, "MQTT-3.2.2-1");
        refuse(
            ProtocolVersion::V4,
            &[0x20, 2, flags, 0],
            MALFORMED,
            "MQTT-3.2.2-1",
        );
    }
}

#[test]
fn mqtt_3_2_2_6_no_session_is_present_when_the_connection_is_refused() {
    refuse_v5(
        b"\x20\x03\x01\x87\0",
        ReasonCode::ProtocolError,
        "MQTT-3.2.2-6",
    );
    refuse(
        ProtocolVersion::V4,
        b"\x20\x02\x01\x05",
        ReasonCode::ProtocolError,
        "MQTT-3.2.2-6",
    );
}

#[test]
fn disconnect_may_end_after_each_of_its_parts() {
    let reason = |bytes: &[u8]| match accept(ProtocolVersion::V5, bytes) {
        Packet::Disconnect(disconnect) => disconnect.reason,
        other => panic!("{other:?}"),
    };
    assert_eq!(reason(b"\xE0\0"), ReasonCode::Success);
    assert_eq!(reason(b"\xE0\x01\x04"), ReasonCode::DisconnectWithWill);
    assert_eq!(reason(b"\xE0\x02\x04\0"), ReasonCode::DisconnectWithWill);
}

/// Table 2-6, written down by rows: reason code, packets by number.
const REASONS: [(u8, &[u8]); 43] = [
    (0x00, &[2, 4, 5, 6, 7, 9, 11, 14, 15]),
    (0x01, &[9]),
    (0x02, &[9]),
    (0x04, &[14]),
    (0x10, &[4, 5]),
    (0x11, &[11]),
    (0x18, &[15]),
    (0x19, &[15]),
    (0x80, &[2, 4, 5, 9, 11, 14]),
    (0x81, &[2, 14]),
    (0x82, &[2, 14]),
    (0x83, &[2, 4, 5, 9, 11, 14]),
    (0x84, &[2]),
    (0x85, &[2]),
    (0x86, &[2]),
    (0x87, &[2, 4, 5, 9, 11, 14]),
    (0x88, &[2]),
    (0x89, &[2, 14]),
    (0x8A, &[2]),
    (0x8B, &[14]),
    (0x8C, &[2, 14]),
    (0x8D, &[14]),
    (0x8E, &[14]),
    (0x8F, &[9, 11, 14]),
    (0x90, &[2, 4, 5, 14]),
    (0x91, &[4, 5, 9, 11]),
    (0x92, &[6, 7]),
    (0x93, &[14]),
    (0x94, &[14]),
    (0x95, &[2, 14]),
    (0x96, &[14]),
    (0x97, &[2, 4, 5, 9, 14]),
    (0x98, &[14]),
    (0x99, &[2, 4, 5, 14]),
    (0x9A, &[2, 14]),
    (0x9B, &[2, 14]),
    (0x9C, &[2, 14]),
    (0x9D, &[2, 14]),
    (0x9E, &[9, 14]),
    (0x9F, &[2, 14]),
    (0xA0, &[14]),
    (0xA1, &[9, 14]),
    (0xA2, &[9, 14]),
];

#[test]
fn packets_carry_the_reason_codes_of_table_2_6_only() {
    for kind in [2u8, 4, 5, 6, 7, 9, 11, 14, 15] {
        let first = kind << 4 | u8::from(kind == 6) << 1;
        for code in 0..=255 {
            let body = match kind {
                2 => vec![0, code, 0],
                9 | 11 => vec![0, 1, 0, code],
                14 => vec![code],
                15 => [&[code, 4][..], b"\x15\0\x01m"].concat(),
                _ => vec![0, 1, code],
            };
            let row = REASONS.iter().find(|(row, _)| *row == code);
            let expected = row.is_some_and(|(_, kinds)| kinds.contains(&kind));
            let bytes = frame(first, &body);
            let decoded = decode(&bytes, ProtocolVersion::V5, PACKET_SIZE_MAX);
            assert_eq!(decoded.is_ok(), expected, "{code:#04X} in {kind}");
        }
    }
}
