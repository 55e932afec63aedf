//! Table 2-4: which property may stand where, how often, with which values.

use super::*;

/// Every property with a value, on the wire.
pub(super) const SAMPLES: [(u8, &[u8]); 27] = [
    (0x01, b"\x01\x01"),
    (0x02, b"\x02\0\0\0\x3C"),
    (0x03, b"\x03\0\x04text"),
    (0x08, b"\x08\0\x03a/b"),
    (0x09, b"\x09\0\x02\0\xFF"),
    (0x0B, b"\x0B\x80\x01"),
    (0x11, b"\x11\xFF\xFF\xFF\xFF"),
    (0x12, b"\x12\0\x01c"),
    (0x13, b"\x13\0\x3C"),
    (0x15, b"\x15\0\x05SCRAM"),
    (0x16, b"\x16\0\x01\0"),
    (0x17, b"\x17\0"),
    (0x18, b"\x18\0\0\0\x05"),
    (0x19, b"\x19\x01"),
    (0x1A, b"\x1A\0\x01r"),
    (0x1C, b"\x1C\0\x01s"),
    (0x1F, b"\x1F\0\x03why"),
    (0x21, b"\x21\0\x01"),
    (0x22, b"\x22\0\0"),
    (0x23, b"\x23\0\x07"),
    (0x24, b"\x24\x01"),
    (0x25, b"\x25\0"),
    (0x26, b"\x26\0\x01n\0\x01v"),
    (0x27, b"\x27\0\0\0\x01"),
    (0x28, b"\x28\0"),
    (0x29, b"\x29\x01"),
    (0x2A, b"\x2A\0"),
];

/// Table 2-4 by rows: packet types by number, 0 for the will.
const TABLE: [(u8, &[u8]); 27] = [
    (0x01, &[3, 0]),
    (0x02, &[3, 0]),
    (0x03, &[3, 0]),
    (0x08, &[3, 0]),
    (0x09, &[3, 0]),
    (0x0B, &[3, 8]),
    (0x11, &[1, 2, 14]),
    (0x12, &[2]),
    (0x13, &[2]),
    (0x15, &[1, 2, 15]),
    (0x16, &[1, 2, 15]),
    (0x17, &[1]),
    (0x18, &[0]),
    (0x19, &[1]),
    (0x1A, &[2]),
    (0x1C, &[2, 14]),
    (0x1F, &[2, 4, 5, 6, 7, 9, 11, 14, 15]),
    (0x21, &[1, 2]),
    (0x22, &[1, 2]),
    (0x23, &[3]),
    (0x24, &[2]),
    (0x25, &[2]),
    (0x26, &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 14, 15]),
    (0x27, &[1, 2]),
    (0x28, &[2]),
    (0x29, &[2]),
    (0x2A, &[2]),
];

/// The places that have properties.
const PLACES: [u8; 14] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 14, 15];

/// A packet with these properties; what they need besides is added.
pub(super) fn packet_with(place: u8, properties: &[u8]) -> Vec<u8> {
    let needs_method = matches!(place, 1 | 15)
        && !properties.starts_with(b"\x15")
        && (place == 15 || properties.starts_with(b"\x16"));
    let method: &[u8] = if needs_method { b"\x15\0\x01m" } else { b"" };
    let len = [(properties.len() + method.len()) as u8];
    let block = [&len, method, properties].concat();
    let (first, before, after): (u8, &[u8], &[u8]) = match place {
        0 => (0x10, b"\0\x04MQTT\x05\x06\0\0\0\0\x01c", b"\0\x01t\0\0"),
        1 => (0x10, b"\0\x04MQTT\x05\x02\0\0", b"\0\0"),
        2 => (0x20, b"\0\0", b""),
        3 => (0x30, b"\0\x01t", b""),
        4 => (0x40, b"\0\x01\0", b""),
        5 => (0x50, b"\0\x01\0", b""),
        6 => (0x62, b"\0\x01\0", b""),
        7 => (0x70, b"\0\x01\0", b""),
        8 => (0x82, b"\0\x01", b"\0\x01a\0"),
        9 => (0x90, b"\0\x01", b"\0"),
        10 => (0xA2, b"\0\x01", b"\0\x01a"),
        11 => (0xB0, b"\0\x01", b"\0"),
        14 => (0xE0, b"\0", b""),
        15 => (0xF0, b"\x18", b""),
        _ => panic!("no properties in packet type {place}"),
    };
    frame(first, &[before, &block, after].concat())
}

#[test]
fn every_property_stands_where_table_2_4_has_it_and_nowhere_else() {
    for ((id, sample), (row, places)) in SAMPLES.iter().zip(TABLE) {
        assert_eq!(*id, row);
        for place in PLACES {
            let bytes = packet_with(place, sample);
            if places.contains(&place) {
                accept(ProtocolVersion::V5, &bytes);
            } else {
                refuse_v5(&bytes, ReasonCode::MalformedPacket, "2.2.2.2");
            }
        }
    }
}

#[test]
fn unknown_properties_are_malformed() {
    let known = SAMPLES.map(|(id, _)| id);
    for id in (0..=255).filter(|id| !known.contains(id)) {
        for place in PLACES {
            let bytes = packet_with(place, &[id, 0, 0, 0, 0]);
            refuse_v5(&bytes, ReasonCode::MalformedPacket, "2.2.2.2");
        }
    }
}

#[test]
fn properties_are_there_once_but_user_properties_and_identifiers_of_publish() {
    for ((id, sample), (_, places)) in SAMPLES.iter().zip(TABLE) {
        for place in places {
            let bytes = packet_with(*place, &[*sample, *sample].concat());
            if *id == 0x26 || (*id, *place) == (0x0B, 3) {
                accept(ProtocolVersion::V5, &bytes);
            } else {
                refuse_v5(&bytes, ReasonCode::ProtocolError, "2.2.2.2");
            }
        }
    }
}

#[test]
fn properties_cut_short_are_malformed() {
    for ((_, sample), (_, places)) in SAMPLES.iter().zip(TABLE) {
        for end in 1..sample.len() {
            let bytes = packet_with(places[0], &sample[..end]);
            refuse_v5(&bytes, ReasonCode::MalformedPacket, "4.13.1");
        }
    }
}

#[test]
fn properties_that_are_0_or_1_have_no_other_value() {
    for (id, place) in [
        (0x01, 3),
        (0x01, 0),
        (0x17, 1),
        (0x19, 1),
        (0x25, 2),
        (0x28, 2),
        (0x29, 2),
        (0x2A, 2),
    ] {
        for value in 0..=255 {
            let bytes = packet_with(place, &[id, value]);
            if value <= 1 {
                accept(ProtocolVersion::V5, &bytes);
            } else {
                refuse_v5(&bytes, ReasonCode::ProtocolError, "2.2.2.2");
            }
        }
    }
}

#[test]
fn maximum_qos_is_0_or_1() {
    for value in 2..=255 {
        refuse_v5(
            &packet_with(2, &[0x24, value]),
            ReasonCode::ProtocolError,
            "3.2.2.3.4",
        );
    }
}

#[test]
fn receive_maximum_is_not_0() {
    for place in [1, 2] {
        let bytes = packet_with(place, b"\x21\0\0");
        refuse_v5(&bytes, ReasonCode::ProtocolError, "3.1.2.11.3");
    }
}

#[test]
fn maximum_packet_size_is_not_0() {
    for place in [1, 2] {
        let bytes = packet_with(place, b"\x27\0\0\0\0");
        refuse_v5(&bytes, ReasonCode::ProtocolError, "3.1.2.11.4");
    }
}

#[test]
fn subscription_identifier_is_not_0() {
    for place in [3, 8] {
        let bytes = packet_with(place, b"\x0B\0");
        refuse_v5(&bytes, ReasonCode::ProtocolError, "3.8.2.1.2");
    }
}

#[test]
fn mqtt_3_3_2_8_topic_alias_is_not_0() {
    let bytes = packet_with(3, b"\x23\0\0");
    refuse_v5(&bytes, ReasonCode::TopicAliasInvalid, "MQTT-3.3.2-8");
}

#[test]
fn mqtt_3_3_2_14_response_topic_holds_no_wildcard() {
    for place in [0, 3] {
        for topic in ["+", "a/#"] {
            let bytes = packet_with(place, &[b"\x08", &text(topic)[..]].concat());
            refuse_v5(&bytes, ReasonCode::ProtocolError, "MQTT-3.3.2-14");
        }
    }
}

#[test]
fn authentication_data_needs_a_method() {
    let connect = frame(0x10, b"\0\x04MQTT\x05\x02\0\0\x04\x16\0\x01d\0\0");
    refuse_v5(&connect, ReasonCode::ProtocolError, "3.1.2.11.10");
    let auth = frame(0xF0, b"\x18\x04\x16\0\x01d");
    refuse_v5(&auth, ReasonCode::ProtocolError, "3.15.2.2.2");
}

#[test]
fn mqtt_2_2_2_1_no_properties_are_a_length_of_zero() {
    let mut out = Vec::new();
    let packet = Packet::SubAck(SubAck {
        packet_id: crate::PacketId::MIN,
        properties: AckProperties::default(),
        reasons: ReasonCodes::from(&[ReasonCode::Success]),
    });
    encode(&mut out, ProtocolVersion::V5, &packet).unwrap();
    assert_eq!(out, [0x90, 4, 0, 1, 0, 0]);
}
