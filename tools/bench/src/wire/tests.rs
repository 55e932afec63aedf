use robustmq_protocol::codec::{Packet, Publish, PublishProperties, encode};
use robustmq_protocol::{PacketId, ProtocolVersion, QoS};

use super::{Broken, Frame, Stamp, acknowledgement, frame, incoming, push_acknowledgement};

fn encoded(version: ProtocolVersion, packet: &Packet<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode(&mut bytes, version, packet).expect("it can be written");
    bytes
}

#[test]
fn a_frame_is_found_when_all_of_it_is_there() {
    type Found = Result<Option<Frame>, Broken>;
    let cases: [(&[u8], Found); 6] = [
        (&[], Ok(None)),
        (&[0x40], Ok(None)),
        (&[0x40, 2, 0], Ok(None)),
        (&[0x40, 2, 0, 1, 9], frame_at(2, 4)),
        (&[0x30, 0x80, 0x80], Ok(None)),
        (
            &[0x30, 0xff, 0xff, 0xff, 0xff],
            Err(Broken("a Remaining Length has more than four bytes")),
        ),
    ];
    for (bytes, expected) in cases {
        assert_eq!(frame(bytes), expected, "{bytes:?}");
    }
    assert!(frame(&[0x30, 0xff, 0xff, 0xff, 0x7f]).is_err(), "too large");
}

fn frame_at(body_start: usize, end: usize) -> Result<Option<Frame>, Broken> {
    Ok(Some(Frame { body_start, end }))
}

#[test]
fn publishes_of_all_versions_and_qos_are_read() {
    for version in [ProtocolVersion::V4, ProtocolVersion::V5] {
        for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
            let id = PacketId::new(0x1234);
            let packet = Packet::Publish(Publish {
                dup: false,
                qos,
                retain: true,
                topic: "a/b",
                packet_id: id.filter(|_| qos > QoS::AtMostOnce),
                properties: PublishProperties {
                    message_expiry: (version == ProtocolVersion::V5).then_some(7),
                    ..PublishProperties::default()
                },
                payload: &[7; 300],
            });
            let bytes = encoded(version, &packet);
            let frame = frame(&bytes).expect("a packet").expect("all of it");
            assert_eq!(frame.end, bytes.len());
            let body = &bytes[frame.body_start..];
            let is_v5 = version == ProtocolVersion::V5;
            let found = incoming(bytes[0], body, is_v5).expect("a PUBLISH");
            assert_eq!(found.qos, qos as u8);
            assert_eq!(found.packet_id, if found.qos == 0 { 0 } else { 0x1234 });
            assert_eq!(found.payload, [7; 300]);
            // Nothing of it cut short panics.
            for end in 0..body.len() {
                let _ = incoming(bytes[0], &body[..end], is_v5);
            }
        }
    }
}

#[test]
fn acknowledgements_are_those_of_the_protocol_crate() {
    use robustmq_protocol::ReasonCode;
    use robustmq_protocol::codec::Ack;
    let ack = Ack::new(PacketId::new(517).expect("not 0"), ReasonCode::Success);
    let packets = [
        (super::PUBACK, Packet::PubAck(ack)),
        (super::PUBREC, Packet::PubRec(ack)),
        (super::PUBREL, Packet::PubRel(ack)),
        (super::PUBCOMP, Packet::PubComp(ack)),
    ];
    for (kind, packet) in packets {
        let mut bytes = Vec::new();
        push_acknowledgement(&mut bytes, kind, 517);
        assert_eq!(bytes, encoded(ProtocolVersion::V5, &packet));
        assert_eq!(acknowledgement(&bytes[2..]), Some((517, 0)));
    }
    assert_eq!(acknowledgement(&[0, 1, 0x97, 0]), Some((1, 0x97)));
    assert_eq!(acknowledgement(&[0]), None);
}

#[test]
fn a_stamp_comes_back() {
    let stamp = Stamp {
        flow: 3,
        number: u64::MAX - 1,
        sent_ns: 1 << 50,
    };
    let mut payload = stamp.to_bytes().to_vec();
    assert_eq!(Stamp::read(&payload), Some(stamp));
    payload.pop();
    assert_eq!(Stamp::read(&payload), None);
}
