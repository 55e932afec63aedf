//! Packets written down by hand, byte by byte, so that decoder and encoder
//! cannot be wrong in the same way.

use super::*;
use crate::types::{PacketId, QoS};

const V4: ProtocolVersion = ProtocolVersion::V4;
const V5: ProtocolVersion = ProtocolVersion::V5;

#[track_caller]
fn both_ways(version: ProtocolVersion, bytes: &[u8], packet: &Packet<'_>) {
    assert_eq!(accept(version, bytes), *packet);
    let mut out = Vec::new();
    encode(&mut out, version, packet).unwrap();
    assert_eq!(out, bytes);
}

fn id(value: u16) -> PacketId {
    PacketId::new(value).unwrap()
}

#[test]
fn connect_as_in_the_example_of_3_1_1() {
    // Figure 3.6 of MQTT 3.1.1: flags CE, keep alive 10.
    let bytes = b"\x10\x20\0\x04MQTT\x04\xCE\0\x0A\0\x01c\0\x01w\0\x02\x00\xFF\0\x04user\0\x04pass";
    both_ways(
        V4,
        bytes,
        &Packet::Connect(Connect {
            version: V4,
            clean_start: true,
            keep_alive_s: 10,
            client_id: "c",
            properties: ConnectProperties::default(),
            will: Some(Will {
                qos: QoS::AtLeastOnce,
                retain: false,
                topic: "w",
                delay_s: None,
                message_expiry: None,
                forwarded: Forwarded::EMPTY,
                payload: &[0x00, 0xFF],
            }),
            user_name: Some("user"),
            password: Some(b"pass"),
        }),
    );
}

#[test]
fn connect_of_3_1() {
    let bytes = b"\x10\x0F\0\x06MQIsdp\x03\x02\0\x3C\0\x01c";
    both_ways(
        ProtocolVersion::V3,
        bytes,
        &Packet::Connect(Connect {
            version: ProtocolVersion::V3,
            clean_start: true,
            keep_alive_s: 60,
            client_id: "c",
            properties: ConnectProperties::default(),
            will: None,
            user_name: None,
            password: None,
        }),
    );
}

#[test]
fn connect_of_5_0() {
    let bytes = b"\x10\x2D\0\x04MQTT\x05\x2C\0\x0A\x0B\x11\0\0\0\x0A\x21\0\x05\x22\0\x03\
        \0\x01c\x0C\x18\0\0\0\x05\x26\0\x01n\0\x01v\0\x01w\0\x02hi";
    let block = b"\x26\0\x01n\0\x01v";
    both_ways(
        V5,
        bytes,
        &Packet::Connect(Connect {
            version: V5,
            clean_start: false,
            keep_alive_s: 10,
            client_id: "c",
            properties: ConnectProperties {
                session_expiry_s: Some(10),
                receive_max: Some(5),
                topic_alias_max: Some(3),
                ..ConnectProperties::default()
            },
            will: Some(Will {
                qos: QoS::AtLeastOnce,
                retain: true,
                topic: "w",
                delay_s: Some(5),
                message_expiry: None,
                forwarded: Forwarded::parse(block).unwrap(),
                payload: b"hi",
            }),
            user_name: None,
            password: None,
        }),
    );
}

#[test]
fn connack_of_each_version() {
    let packet = |session_present, reason| {
        Packet::ConnAck(ConnAck {
            session_present,
            reason,
            properties: ConnAckProperties::default(),
        })
    };
    both_ways(V4, b"\x20\x02\x01\0", &packet(true, ReasonCode::Success));
    both_ways(
        V4,
        b"\x20\x02\0\x05",
        &packet(false, ReasonCode::NotAuthorized),
    );
    both_ways(V5, b"\x20\x03\x01\0\0", &packet(true, ReasonCode::Success));
    both_ways(
        V5,
        b"\x20\x03\0\x87\0",
        &packet(false, ReasonCode::NotAuthorized),
    );
    both_ways(
        V5,
        b"\x20\x0A\0\0\x07\x24\x01\x12\0\x02id",
        &Packet::ConnAck(ConnAck {
            session_present: false,
            reason: ReasonCode::Success,
            properties: ConnAckProperties {
                assigned_client_id: Some("id"),
                qos_max: Some(QoS::AtLeastOnce),
                ..ConnAckProperties::default()
            },
        }),
    );
}

#[test]
fn publish_of_each_version() {
    // Figure 3.11 of MQTT 3.1.1.
    let plain = Publish {
        dup: false,
        qos: QoS::AtLeastOnce,
        retain: false,
        topic: "a/b",
        packet_id: Some(id(10)),
        properties: PublishProperties::default(),
        payload: b"!",
    };
    both_ways(V4, b"\x32\x08\0\x03a/b\0\x0A!", &Packet::Publish(plain));
    both_ways(V5, b"\x32\x09\0\x03a/b\0\x0A\0!", &Packet::Publish(plain));
    let full = Publish {
        dup: true,
        qos: QoS::ExactlyOnce,
        retain: true,
        topic: "",
        packet_id: Some(id(0x1234)),
        properties: PublishProperties {
            topic_alias: Some(7),
            message_expiry: Some(60),
            subscription_ids: SubscriptionIds::from(&[1, 128]),
            forwarded: Forwarded::parse(b"\x01\x01\x09\0\x01\xFF").unwrap(),
        },
        payload: b"",
    };
    let bytes = b"\x3D\x18\0\0\x12\x34\x13\x23\0\x07\x02\0\0\0\x3C\x0B\x01\x0B\x80\x01\x01\x01\x09\0\x01\xFF";
    both_ways(V5, bytes, &Packet::Publish(full));
}

#[test]
fn acknowledgements_in_all_their_lengths() {
    let ack = |reason| Ack::new(id(0x0102), reason);
    for (first, make) in [
        (0x40, Packet::PubAck as fn(Ack<'static>) -> Packet<'static>),
        (0x50, Packet::PubRec),
        (0x62, Packet::PubRel),
        (0x70, Packet::PubComp),
    ] {
        let success = make(ack(ReasonCode::Success));
        for version in VERSIONS {
            both_ways(version, &[first, 2, 1, 2], &success);
        }
        assert_eq!(accept(V5, &[first, 3, 1, 2, 0]), success);
        assert_eq!(accept(V5, &[first, 4, 1, 2, 0, 0]), success);
        let explained = make(Ack {
            properties: AckProperties {
                reason_string: Some("x"),
                ..AckProperties::default()
            },
            ..ack(ReasonCode::Success)
        });
        both_ways(V5, &[first, 8, 1, 2, 0, 4, 0x1F, 0, 1, b'x'], &explained);
    }
    both_ways(
        V5,
        &[0x62, 3, 1, 2, 0x92],
        &Packet::PubRel(ack(ReasonCode::PacketIdentifierNotFound)),
    );
    both_ways(
        V5,
        &[0x40, 3, 1, 2, 0x97],
        &Packet::PubAck(ack(ReasonCode::QuotaExceeded)),
    );
}

#[test]
fn subscribe_and_suback() {
    let mut options = SubscriptionOptions::new(QoS::ExactlyOnce);
    let plain = [SubscribeFilter {
        filter: "c/d",
        options,
    }];
    let subscribe = Subscribe {
        packet_id: id(10),
        subscription_id: None,
        user_properties: UserProperties::default(),
        filters: SubscribeFilters::from(&plain),
    };
    both_ways(
        V4,
        b"\x82\x08\0\x0A\0\x03c/d\x02",
        &Packet::Subscribe(subscribe),
    );
    options.no_local = true;
    options.retain_as_published = true;
    options.retain_handling = RetainHandling::DoNotSend;
    let filters = [
        SubscribeFilter {
            filter: "c/d",
            options,
        },
        plain[0],
    ];
    both_ways(
        V5,
        b"\x82\x11\0\x0A\x02\x0B\x05\0\x03c/d\x2E\0\x03c/d\x02",
        &Packet::Subscribe(Subscribe {
            subscription_id: Some(5),
            filters: SubscribeFilters::from(&filters),
            ..subscribe
        }),
    );
    let suback = SubAck {
        packet_id: id(10),
        properties: AckProperties::default(),
        reasons: ReasonCodes::from(&[ReasonCode::GrantedQoS1, ReasonCode::UnspecifiedError]),
    };
    both_ways(V4, b"\x90\x04\0\x0A\x01\x80", &Packet::SubAck(suback));
    both_ways(V5, b"\x90\x05\0\x0A\0\x01\x80", &Packet::SubAck(suback));
}

#[test]
fn unsubscribe_and_unsuback() {
    let unsubscribe = Packet::Unsubscribe(Unsubscribe {
        packet_id: id(10),
        user_properties: UserProperties::default(),
        filters: UnsubscribeFilters::from(&["a/b", "#"]),
    });
    both_ways(V4, b"\xA2\x0A\0\x0A\0\x03a/b\0\x01#", &unsubscribe);
    both_ways(V5, b"\xA2\x0B\0\x0A\0\0\x03a/b\0\x01#", &unsubscribe);
    let unsuback = |reasons| {
        Packet::UnsubAck(UnsubAck {
            packet_id: id(10),
            properties: AckProperties::default(),
            reasons,
        })
    };
    both_ways(V4, b"\xB0\x02\0\x0A", &unsuback(ReasonCodes::default()));
    let reasons = [ReasonCode::Success, ReasonCode::NoSubscriptionExisted];
    both_ways(
        V5,
        b"\xB0\x05\0\x0A\0\0\x11",
        &unsuback(ReasonCodes::from(&reasons)),
    );
}

#[test]
fn pings_disconnect_and_auth() {
    for version in VERSIONS {
        both_ways(version, b"\xC0\0", &Packet::PingReq);
        both_ways(version, b"\xD0\0", &Packet::PingResp);
        let normal = Disconnect {
            reason: ReasonCode::Success,
            properties: DisconnectProperties::default(),
        };
        both_ways(version, b"\xE0\0", &Packet::Disconnect(normal));
    }
    let taken_over = Disconnect {
        reason: ReasonCode::SessionTakenOver,
        properties: DisconnectProperties::default(),
    };
    both_ways(V5, b"\xE0\x01\x8E", &Packet::Disconnect(taken_over));
    both_ways(
        V5,
        b"\xE0\x07\0\x05\x11\0\0\0\x01",
        &Packet::Disconnect(Disconnect {
            reason: ReasonCode::Success,
            properties: DisconnectProperties {
                session_expiry_s: Some(1),
                ..DisconnectProperties::default()
            },
        }),
    );
    both_ways(
        V5,
        b"\xF0\x0A\x18\x08\x15\0\x01m\x16\0\x01d",
        &Packet::Auth(Auth {
            reason: ReasonCode::ContinueAuthentication,
            properties: AuthProperties {
                authentication_method: Some("m"),
                authentication_data: Some(b"d"),
                ..AuthProperties::default()
            },
        }),
    );
    assert!(matches!(
        accept(V5, b"\xF0\0"),
        Packet::Auth(Auth {
            reason: ReasonCode::Success,
            ..
        })
    ));
}

#[test]
fn short_encoders_write_the_same_as_the_general_one() {
    for (kind, make) in [
        (
            PacketKind::PubAck,
            Packet::PubAck as fn(Ack<'static>) -> Packet<'static>,
        ),
        (PacketKind::PubRec, Packet::PubRec),
        (PacketKind::PubRel, Packet::PubRel),
        (PacketKind::PubComp, Packet::PubComp),
    ] {
        for version in VERSIONS {
            for reason in ReasonCode::ALL {
                let (mut short, mut general) = (Vec::new(), Vec::new());
                let packet = make(Ack::new(id(7), reason));
                assert_eq!(
                    encode_ack(&mut short, version, kind, id(7), reason),
                    encode(&mut general, version, &packet)
                );
                assert_eq!(short, general);
            }
        }
    }
    let mut out = Vec::new();
    encode_pingresp(&mut out);
    encode_disconnect(&mut out, ReasonCode::ServerBusy, None);
    encode_disconnect(&mut out, ReasonCode::ServerBusy, Some("x"));
    encode_disconnect(&mut out, ReasonCode::ServerBusy, Some(&"x".repeat(70_000)));
    assert_eq!(
        out,
        b"\xD0\0\xE0\x01\x89\xE0\x06\x89\x04\x1F\0\x01x\xE0\x01\x89"
    );
}

#[test]
fn an_acknowledgement_with_a_user_property_is_written_as_by_the_general_one() {
    let long = "x".repeat(200);
    for kind in [PacketKind::PubAck, PacketKind::PubRec, PacketKind::PubComp] {
        for reason in [ReasonCode::Success, ReasonCode::QuotaExceeded] {
            for (name, value) in [("x-offset", "7-1042-65535"), ("", ""), ("x", &long)] {
                let pairs = [(name, value)];
                let ack = Ack {
                    properties: AckProperties {
                        user_properties: UserProperties::from(&pairs),
                        ..AckProperties::default()
                    },
                    ..Ack::new(id(7), reason)
                };
                let packet = match kind {
                    PacketKind::PubAck => Packet::PubAck(ack),
                    PacketKind::PubRec => Packet::PubRec(ack),
                    _ => Packet::PubComp(ack),
                };
                let mut general = Vec::new();
                encode(&mut general, ProtocolVersion::V5, &packet).expect("it can be written");
                let size = general.len();
                for size_max in [size as u32, size as u32 - 1] {
                    let mut short = vec![1];
                    let pair = (name, value);
                    let about = (id(7), reason);
                    let written = encode_ack_with(&mut short, kind, about, pair, size_max);
                    let fits = size <= ACK_WITH_BYTES_MAX && size <= size_max as usize;
                    assert_eq!(written, fits, "{kind:?} {name} of {size_max}");
                    let rest: &[u8] = if fits { &general } else { &[] };
                    assert_eq!(&short[1..], rest);
                }
            }
        }
    }
}
