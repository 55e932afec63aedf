//! Sections 1.5 and 2: data types and fixed header.

use super::properties::packet_with;
use super::*;

const MALFORMED: ReasonCode = ReasonCode::MalformedPacket;

fn publish_to(topic: &[u8]) -> Vec<u8> {
    frame(0x30, &[&[0, topic.len() as u8], topic, &[0]].concat())
}

#[test]
fn mqtt_1_5_4_1_ill_formed_utf8_is_malformed() {
    let ill_formed: [&[u8]; 8] = [
        b"\xED\xA0\x80",     // surrogate D800
        b"\xED\xBF\xBF",     // surrogate DFFF
        b"\xC0\x80",         // overlong null
        b"\xE0\x80\xAF",     // overlong
        b"\xF5\x80\x80\x80", // beyond U+10FFFF
        b"\x80",             // continuation alone
        b"a\xC3",            // cut short
        b"\xFF",
    ];
    for topic in ill_formed {
        refuse_v5(&publish_to(topic), MALFORMED, "MQTT-1.5.4-1");
        refuse(
            ProtocolVersion::V4,
            &publish_to(topic),
            MALFORMED,
            "MQTT-1.5.4-1",
        );
    }
    // Every string of every packet is read by the same function: one each.
    for place in [1, 2, 4, 9, 14] {
        let property: &[u8] = if place == 1 {
            b"\x15\0\x01\xFF"
        } else {
            b"\x1F\0\x01\xFF"
        };
        refuse_v5(&packet_with(place, property), MALFORMED, "MQTT-1.5.4-1");
    }
    refuse_v5(b"\x82\x07\0\x01\0\0\x01\xFF\0", MALFORMED, "MQTT-1.5.4-1");
    refuse_v5(b"\xA2\x06\0\x01\0\0\x01\xFF", MALFORMED, "MQTT-1.5.4-1");
}

#[test]
fn mqtt_1_5_4_2_null_character_in_string_is_malformed() {
    refuse_v5(&publish_to(b"a\0b"), MALFORMED, "MQTT-1.5.4-2");
    refuse(
        ProtocolVersion::V3,
        &publish_to(b"\0"),
        MALFORMED,
        "MQTT-1.5.4-2",
    );
    refuse_v5(
        &packet_with(3, b"\x26\0\x01n\0\x01\0"),
        MALFORMED,
        "MQTT-1.5.4-2",
    );
}

#[test]
fn mqtt_1_5_4_3_byte_order_mark_is_kept() {
    let bytes = publish_to("\u{feff}a".as_bytes());
    let Packet::Publish(publish) = accept(ProtocolVersion::V5, &bytes) else {
        panic!()
    };
    assert_eq!(publish.topic, "\u{feff}a");
}

#[test]
fn mqtt_1_5_5_1_variable_byte_integers_are_minimal() {
    refuse_v5(b"\xC0\x80\0", MALFORMED, "MQTT-1.5.5-1");
    refuse_v5(b"\x30\x83\x80\0\0\x01t", MALFORMED, "MQTT-1.5.5-1");
    refuse_v5(&packet_with(3, b"\x0B\x81\0"), MALFORMED, "MQTT-1.5.5-1");
    // The length of properties.
    refuse_v5(b"\x30\x05\0\x01t\x80\0", MALFORMED, "MQTT-1.5.5-1");
}

#[test]
fn remaining_length_has_at_most_four_bytes() {
    for version in VERSIONS {
        refuse(version, b"\x30\xFF\xFF\xFF\xFF", MALFORMED, "1.5.5");
        refuse(version, b"\x30\x80\x80\x80\x80\x01", MALFORMED, "1.5.5");
    }
    let largest = b"\x30\xFF\xFF\xFF\x7F";
    let decoded = decode(largest, ProtocolVersion::V5, PACKET_SIZE_MAX);
    assert_eq!(
        decoded,
        Ok(Decoded::Incomplete {
            need: PACKET_SIZE_MAX as usize
        })
    );
}

#[test]
fn mqtt_1_5_7_1_both_strings_of_a_pair_are_checked() {
    refuse_v5(
        &packet_with(3, b"\x26\0\x01\xFF\0\x01v"),
        MALFORMED,
        "MQTT-1.5.4-1",
    );
    refuse_v5(
        &packet_with(3, b"\x26\0\x01n\0\x01\xFF"),
        MALFORMED,
        "MQTT-1.5.4-1",
    );
}

#[test]
fn packet_type_0_is_malformed() {
    for version in VERSIONS {
        refuse(version, b"\0", MALFORMED, "2.1.2");
        refuse(version, b"\x0F\0", MALFORMED, "2.1.2");
    }
}

#[test]
fn mqtt_2_1_3_1_reserved_flags_are_checked() {
    for kind in PacketKind::ALL
        .into_iter()
        .filter(|kind| *kind != PacketKind::Publish)
    {
        let right = match kind {
            PacketKind::PubRel | PacketKind::Subscribe | PacketKind::Unsubscribe => 2,
            _ => 0,
        };
        for flags in (0..16).filter(|flags| *flags != right) {
            let first = (kind as u8) << 4 | flags;
            for version in [ProtocolVersion::V4, ProtocolVersion::V5] {
                // Told from the first byte alone.
                refuse(version, &[first], MALFORMED, "MQTT-2.1.3-1");
            }
        }
    }
}

#[test]
fn mqtt_2_2_1_3_packet_identifiers_are_not_0() {
    for bytes in [
        &b"\x32\x06\0\x01t\0\0\0"[..],
        b"\x34\x06\0\x01t\0\0\0",
        b"\x40\x02\0\0",
        b"\x50\x02\0\0",
        b"\x62\x02\0\0",
        b"\x70\x02\0\0",
        b"\x82\x07\0\0\0\0\x01a\0",
        b"\x90\x04\0\0\0\0",
        b"\xA2\x06\0\0\0\0\x01a",
        b"\xB0\x04\0\0\0\0",
    ] {
        refuse_v5(bytes, ReasonCode::ProtocolError, "MQTT-2.2.1-3");
    }
}

#[test]
fn packets_end_where_their_content_ends() {
    for bytes in [
        &b"\xC0\x01\0"[..],
        b"\xD0\x01\0",
        b"\x20\x04\0\0\0\0",
        b"\x40\x05\0\x01\0\0\0",
        b"\xE0\x03\0\0\0",
        b"\xF0\x07\x18\x04\x15\0\x01m\0",
        b"\x10\x0E\0\x04MQTT\x05\x02\0\0\0\0\0\0",
    ] {
        refuse_v5(bytes, MALFORMED, "4.13.1");
    }
}

#[test]
fn lengths_beyond_the_packet_are_malformed() {
    for bytes in [
        &b"\x30\x02\0\x05"[..],
        b"\x30\x04\0\x01t\x7F",
        b"\x32\x03\0\x01t",
        b"\x40\x01\0",
        b"\x20\x01\0",
        b"\x20\x02\0\0",
        b"\x90\x02\0\x01",
        b"\x82\x06\0\x01\0\0\x01a",
        b"\x82\x05\0\x01\0\0\x09",
        b"\x10\x0B\0\x04MQTT\x05\x02\0\0\0",
        b"\xF0\x01\x18",
    ] {
        refuse_v5(bytes, MALFORMED, "4.13.1");
    }
}

#[test]
fn mqtt_3_2_2_15_packets_above_the_maximum_are_refused_from_their_header() {
    let header = b"\x30\x80\x01";
    let at = |max| decode(header, ProtocolVersion::V5, max);
    assert_eq!(at(131), Ok(Decoded::Incomplete { need: 131 }));
    let error = at(130).unwrap_err();
    assert_eq!(
        (error.reason, error.clause),
        (ReasonCode::PacketTooLarge, "MQTT-3.2.2-15")
    );
}

#[test]
fn peek_knows_kind_and_size_before_the_body() {
    let header = peek(b"\x3D\xC8\x01", ProtocolVersion::V5, PACKET_SIZE_MAX)
        .unwrap()
        .unwrap();
    assert_eq!(header.kind, PacketKind::Publish);
    assert_eq!(
        (header.flags, header.body_start, header.packet_end),
        (0x0D, 3, 203)
    );
    for bytes in [
        &b""[..],
        b"\x30",
        b"\x30\x80",
        b"\x30\x80\x80",
        b"\x30\x80\x80\x80",
    ] {
        assert_eq!(peek(bytes, ProtocolVersion::V5, PACKET_SIZE_MAX), Ok(None));
    }
}
