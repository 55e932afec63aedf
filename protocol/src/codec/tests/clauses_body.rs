//! Sections 3.3 to 3.11: messages and subscriptions.

use super::*;

const V4: ProtocolVersion = ProtocolVersion::V4;
const MALFORMED: ReasonCode = ReasonCode::MalformedPacket;
const PROTOCOL: ReasonCode = ReasonCode::ProtocolError;

#[test]
fn mqtt_3_3_1_2_dup_is_0_at_qos_0() {
    for retain in [0, 1] {
        let bytes = [0x38 | retain, 4, 0, 1, b't', 0];
        refuse_v5(&bytes, PROTOCOL, "MQTT-3.3.1-2");
        refuse(V4, &bytes, PROTOCOL, "MQTT-3.3.1-2");
    }
}

#[test]
fn mqtt_3_3_1_4_both_qos_bits_are_malformed() {
    for flags in [0x36, 0x37, 0x3E, 0x3F] {
        for version in VERSIONS {
            let bytes = [flags, 6, 0, 1, b't', 0, 1, 0];
            refuse(version, &bytes, MALFORMED, "MQTT-3.3.1-4");
        }
    }
}

#[test]
fn mqtt_3_3_2_1_topic_name_is_a_string() {
    refuse_v5(b"\x30\x04\0\x01\xFE\0", MALFORMED, "MQTT-1.5.4-1");
}

#[test]
fn mqtt_3_3_2_2_topic_name_holds_no_wildcard() {
    for topic in ["+", "#", "a/#", "a/+/b", "a+b"] {
        let bytes = frame(0x30, &[&text(topic)[..], &[0]].concat());
        for version in VERSIONS {
            refuse(
                version,
                &bytes,
                ReasonCode::TopicNameInvalid,
                "MQTT-3.3.2-2",
            );
        }
    }
}

#[test]
fn empty_topic_name_needs_a_topic_alias() {
    refuse_v5(b"\x30\x03\0\0\0", PROTOCOL, "3.3.2.1");
    let bytes = b"\x30\x06\0\0\x03\x23\0\x01";
    let Packet::Publish(publish) = accept(ProtocolVersion::V5, bytes) else {
        panic!()
    };
    assert_eq!(
        (publish.topic, publish.properties.topic_alias),
        ("", Some(1))
    );
    refuse(
        V4,
        b"\x30\x02\0\0",
        ReasonCode::TopicNameInvalid,
        "MQTT-4.7.3-1",
    );
}

#[test]
fn payload_may_be_empty_and_of_any_bytes() {
    for payload in [&b""[..], b"\0", b"\xFF\xFE"] {
        let bytes = frame(0x30, &[b"\0\x01t\0", payload].concat());
        let Packet::Publish(publish) = accept(ProtocolVersion::V5, &bytes) else {
            panic!()
        };
        assert_eq!(publish.payload, payload);
    }
}

#[test]
fn mqtt_3_8_3_1_topic_filters_are_strings() {
    refuse(V4, b"\x82\x06\0\x01\0\x01\xFF\0", MALFORMED, "MQTT-1.5.4-1");
}

#[test]
fn mqtt_3_8_3_2_subscribe_has_a_topic_filter() {
    refuse_v5(b"\x82\x03\0\x01\0", PROTOCOL, "MQTT-3.8.3-2");
    refuse(V4, b"\x82\x02\0\x01", PROTOCOL, "MQTT-3.8.3-2");
}

#[test]
fn mqtt_3_8_3_4_no_local_is_not_for_shared_subscriptions() {
    let subscribe = |filter: &str, options: u8| {
        frame(0x82, &[b"\0\x01\0", &text(filter)[..], &[options]].concat())
    };
    refuse_v5(&subscribe("$share/g/a", 0b100), PROTOCOL, "MQTT-3.8.3-4");
    accept(ProtocolVersion::V5, &subscribe("$share/g/a", 0));
    accept(ProtocolVersion::V5, &subscribe("$shared/g/a", 0b100));
}

#[test]
fn mqtt_3_8_3_5_reserved_subscription_options_are_0() {
    for options in 0..=255u8 {
        let bytes = [0x82, 7, 0, 1, 0, 0, 1, b'a', options];
        if options & 0xC0 != 0 {
            refuse_v5(&bytes, MALFORMED, "MQTT-3.8.3-5");
        } else if options & 3 == 3 || options >> 4 == 3 {
            refuse_v5(&bytes, PROTOCOL, "3.8.3.1");
        } else {
            accept(ProtocolVersion::V5, &bytes);
        }
        let bytes = [0x82, 6, 0, 1, 0, 1, b'a', options];
        match options {
            0..=2 => drop(accept(V4, &bytes)),
            3 => refuse(V4, &bytes, PROTOCOL, "3.8.3.1"),
            _ => refuse(V4, &bytes, MALFORMED, "MQTT-3.8.3-5"),
        }
    }
}

#[test]
fn mqtt_3_10_3_1_topic_filters_to_unsubscribe_are_strings() {
    refuse(V4, b"\xA2\x05\0\x01\0\x01\xFF", MALFORMED, "MQTT-1.5.4-1");
}

#[test]
fn mqtt_3_10_3_2_unsubscribe_has_a_topic_filter() {
    refuse_v5(b"\xA2\x03\0\x01\0", PROTOCOL, "MQTT-3.10.3-2");
    refuse(V4, b"\xA2\x02\0\x01", PROTOCOL, "MQTT-3.10.3-2");
}

#[test]
fn mqtt_4_7_3_1_topic_filters_are_not_empty() {
    refuse_v5(b"\x82\x06\0\x01\0\0\0\0", PROTOCOL, "MQTT-4.7.3-1");
    refuse_v5(b"\xA2\x05\0\x01\0\0\0", PROTOCOL, "MQTT-4.7.3-1");
    refuse(V4, b"\x82\x05\0\x01\0\0\0", PROTOCOL, "MQTT-4.7.3-1");
    refuse(V4, b"\xA2\x04\0\x01\0\0", PROTOCOL, "MQTT-4.7.3-1");
}

#[test]
fn ill_formed_wildcards_are_left_to_the_answer_of_each_filter() {
    let bytes = b"\x82\x08\0\x01\0\0\x02a#\0";
    let Packet::Subscribe(subscribe) = accept(ProtocolVersion::V5, bytes) else {
        panic!()
    };
    let filters: Vec<_> = subscribe.filters.iter().map(|item| item.filter).collect();
    assert_eq!(filters, ["a#"]);
    assert!(crate::topic::Filter::parse(filters[0]).is_err());
}
