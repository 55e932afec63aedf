//! The hot path out, and the properties that pass through.

use proptest::prelude::*;

use super::made::with_packet;
use super::properties::{SAMPLES, packet_with};
use super::*;
use crate::types::{PacketId, QoS};

fn out_of<'a>(publish: &Publish<'a>, ids: &'a [u32], forwarded: &'a [u8]) -> PublishOut<'a> {
    PublishOut {
        dup: publish.dup,
        qos: publish.qos,
        retain: publish.retain,
        topic: publish.topic,
        topic_alias: publish.properties.topic_alias,
        packet_id: publish.packet_id,
        message_expiry: publish.properties.message_expiry,
        subscription_ids: ids,
        forwarded,
        extra_user_properties: &[],
        payload: publish.payload,
    }
}

const PLAIN: PublishOut<'static> = PublishOut {
    dup: false,
    qos: QoS::AtMostOnce,
    retain: false,
    topic: "t",
    topic_alias: None,
    packet_id: None,
    message_expiry: None,
    subscription_ids: &[],
    forwarded: &[],
    extra_user_properties: &[],
    payload: b"p",
};

proptest! {
    #[test]
    fn encode_publish_writes_the_same_as_encode(seed: u64) {
        for version in VERSIONS {
            with_packet(seed, PacketKind::Publish, version, |packet| {
                let Packet::Publish(publish) = packet else { panic!("{packet:?}") };
                let ids: Vec<u32> = publish.properties.subscription_ids.iter().collect();
                let mut forwarded = Vec::new();
                publish.properties.forwarded.write_to(&mut forwarded);
                let out = out_of(publish, &ids, &forwarded);
                let (mut hot, mut general) = (Vec::new(), Vec::new());
                encode_publish(&mut hot, version, &out).unwrap();
                encode(&mut general, version, packet).unwrap();
                assert_eq!(hot, general);
                assert_eq!(publish_size(version, &out), hot.len());
            });
        }
    }

    /// Forwarded properties keep their order and bytes, whatever stands
    /// between them.
    #[test]
    fn forwarded_properties_pass_unaltered(order in Just(SAMPLES.to_vec()).prop_shuffle(), users in 0usize..4) {
        let wanted = |id: u8| matches!(id, 0x01 | 0x03 | 0x08 | 0x09 | 0x26);
        let mut block = Vec::new();
        let mut expected = Vec::new();
        let mut count = 0;
        for (id, sample) in order {
            if wanted(id) || matches!(id, 0x02 | 0x0B | 0x23) {
                for _ in 0..(if id == 0x26 { users } else { 1 }) {
                    block.extend_from_slice(sample);
                    expected.extend_from_slice(if wanted(id) { sample } else { b"" });
                    count += usize::from(wanted(id));
                }
            }
        }
        let bytes = packet_with(3, &block);
        let Packet::Publish(publish) = accept(ProtocolVersion::V5, &bytes) else { panic!() };
        let forwarded = publish.properties.forwarded;
        let mut out = Vec::new();
        forwarded.write_to(&mut out);
        prop_assert_eq!(&out, &expected);
        prop_assert_eq!(forwarded.len(), expected.len());
        prop_assert!(forwarded.as_slice().is_none_or(|slice| slice == expected));
        prop_assert_eq!(forwarded.iter().count(), count);
        prop_assert_eq!(forwarded.user_properties().count(), users);
        prop_assert_eq!(forwarded.response_topic(), Some("a/b"));
        prop_assert_eq!(forwarded.correlation_data(), Some(&[0, 0xFF][..]));
        prop_assert_eq!(forwarded.content_type(), Some("text"));
        prop_assert!(forwarded.payload_is_utf8());
        prop_assert_eq!(Forwarded::parse(&expected), Ok(forwarded));
        prop_assert_eq!(publish.properties.topic_alias, Some(7));
        prop_assert_eq!(publish.properties.message_expiry, Some(60));
        prop_assert_eq!(publish.properties.subscription_ids, SubscriptionIds::from(&[128]));
    }
}

#[test]
fn forwarded_properties_that_stand_together_are_a_piece_of_the_input() {
    let bytes = packet_with(3, b"\x23\0\x07\x01\x01\x26\0\x01n\0\x01v\x02\0\0\0\x3C");
    let Packet::Publish(publish) = accept(ProtocolVersion::V5, &bytes) else {
        panic!()
    };
    let slice = publish.properties.forwarded.as_slice();
    assert_eq!(slice, Some(&b"\x01\x01\x26\0\x01n\0\x01v"[..]));
    let bytes = packet_with(3, b"\x01\x01\x23\0\x07\x26\0\x01n\0\x01v");
    let Packet::Publish(publish) = accept(ProtocolVersion::V5, &bytes) else {
        panic!()
    };
    assert_eq!(publish.properties.forwarded.as_slice(), None);
    assert!(!publish.properties.forwarded.is_empty());
}

#[test]
fn forwarded_parse_takes_only_what_is_forwarded() {
    for (id, sample) in SAMPLES {
        let taken = Forwarded::parse(sample).is_ok();
        assert_eq!(
            taken,
            matches!(id, 0x01 | 0x03 | 0x08 | 0x09 | 0x26),
            "{id:#04X}"
        );
    }
    assert!(Forwarded::parse(b"\x26\0\x01").is_err());
    assert_eq!(Forwarded::parse(b""), Ok(Forwarded::EMPTY));
}

#[test]
fn mqtt_3_3_2_17_and_18_user_properties_keep_their_order_and_additions_come_last() {
    let publish = PublishOut {
        forwarded: b"\x26\0\x01b\0\x011\x26\0\x01a\0\x012\x26\0\x01b\0\x013",
        extra_user_properties: &[("x-offset", "42"), ("b", "4")],
        ..PLAIN
    };
    let mut out = Vec::new();
    encode_publish(&mut out, ProtocolVersion::V5, &publish).unwrap();
    assert_eq!(out.len(), publish_size(ProtocolVersion::V5, &publish));
    let Packet::Publish(read) = accept(ProtocolVersion::V5, &out) else {
        panic!()
    };
    let users: Vec<_> = read.properties.forwarded.user_properties().collect();
    assert_eq!(
        users,
        [
            ("b", "1"),
            ("a", "2"),
            ("b", "3"),
            ("x-offset", "42"),
            ("b", "4")
        ]
    );
}

#[test]
fn mqtt_2_2_1_2_qos_0_has_no_packet_identifier_and_others_need_one() {
    let mut out = Vec::new();
    let with_id = PublishOut {
        packet_id: Some(PacketId::MIN),
        ..PLAIN
    };
    encode_publish(&mut out, ProtocolVersion::V4, &with_id).unwrap();
    assert_eq!(out, b"\x30\x04\0\x01tp");
    for version in VERSIONS {
        for qos in [QoS::AtLeastOnce, QoS::ExactlyOnce] {
            let without = PublishOut { qos, ..PLAIN };
            let done = encode_publish(&mut out, version, &without);
            assert_eq!(done, Err(EncodeError::PacketIdMissing));
            assert_eq!(out.len(), 6, "nothing is written");
        }
    }
}

#[test]
fn what_cannot_be_expressed_writes_nothing() {
    let long = "x".repeat(65_536);
    for publish in [
        PublishOut {
            topic: &long,
            ..PLAIN
        },
        PublishOut {
            extra_user_properties: &[("name", &long)],
            ..PLAIN
        },
        PublishOut {
            subscription_ids: &[1, 268_435_456],
            ..PLAIN
        },
    ] {
        let mut out = vec![7];
        assert!(encode_publish(&mut out, ProtocolVersion::V5, &publish).is_err());
        assert_eq!(out, [7]);
    }
}

#[test]
fn publish_size_counts_across_the_steps_of_the_remaining_length() {
    for payload_len in [
        0, 118, 119, 120, 121, 16_370, 16_380, 16_384, 2_097_140, 2_097_152,
    ] {
        let payload = vec![0; payload_len];
        let publish = PublishOut {
            payload: &payload,
            message_expiry: Some(1),
            ..PLAIN
        };
        for version in VERSIONS {
            let mut out = Vec::new();
            encode_publish(&mut out, version, &publish).unwrap();
            assert_eq!(out.len(), publish_size(version, &publish));
            accept(version, &out);
        }
    }
}
