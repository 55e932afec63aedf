use robustmq_protocol::codec::{Decoded, Packet, decode};
use robustmq_protocol::{ProtocolVersion, QoS};

use super::{BLOCK_BYTES, Block, Template};
use crate::wire::Stamp;

fn template(version: ProtocolVersion, qos: QoS, topics: u32) -> Template {
    Template {
        version,
        qos,
        retain: false,
        topic: "bench/x".to_owned(),
        topics,
        payload_bytes: 64,
    }
}

fn stamp(number: u64) -> Stamp {
    Stamp {
        flow: 5,
        number,
        sent_ns: 99,
    }
}

#[test]
fn packets_are_what_the_protocol_crate_reads() {
    let versions = [ProtocolVersion::V4, ProtocolVersion::V5];
    let levels = [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce];
    let kinds = versions
        .into_iter()
        .flat_map(|version| levels.map(|qos| (version, qos)));
    for (version, qos) in kinds {
        for topics in [1, 1_000] {
            let template = template(version, qos, topics);
            let mut block = Block::new(&template, 100, 1).expect("it can be encoded");
            for number in 0..3 {
                block.push(stamp(number), 700 + number as u16, 123 + number as u32);
            }
            let mut bytes = block.pending();
            for number in 0..3u64 {
                let Ok(Decoded::Packet { packet, len }) = decode(bytes, version, 1_000) else {
                    panic!("no packet");
                };
                let Packet::Publish(publish) = packet else {
                    panic!("{packet:?}");
                };
                let id = (qos > QoS::AtMostOnce).then_some(700 + number as u16);
                assert_eq!(publish.packet_id.map(u16::from), id);
                let digits = format!("bench/x/{:08}", 123 + number);
                let topic = if topics > 1 { &digits } else { "bench/x" };
                assert_eq!(publish.topic, topic);
                assert_eq!(publish.payload.len(), 64);
                assert_eq!(Stamp::read(publish.payload), Some(stamp(number)));
                bytes = &bytes[len..];
            }
            assert!(bytes.is_empty());
        }
    }
}

#[test]
fn a_block_is_filled_and_drained_in_pieces() {
    let template = template(ProtocolVersion::V4, QoS::AtMostOnce, 1);
    let mut block = Block::new(&template, 2, 1).expect("it can be encoded");
    block.push(stamp(0), 0, 0);
    block.consume(10);
    assert!(block.is_within_packet());
    let first: Vec<u8> = block.pending().to_vec();
    block.push(stamp(1), 0, 0);
    assert!(block.is_full());
    assert!(block.pending().starts_with(&first));
    block.consume(block.pending().len());
    assert!(!block.is_full() && !block.is_within_packet() && block.pending().is_empty());
}

#[test]
fn a_block_has_the_size_that_is_of_use() {
    let mut template = template(ProtocolVersion::V4, QoS::AtMostOnce, 1);
    let large = Block::new(&template, usize::MAX, 1).expect("it can be encoded");
    assert!(large.bytes.len() <= BLOCK_BYTES && large.bytes.len() > BLOCK_BYTES - 100);
    template.payload_bytes = 2 * BLOCK_BYTES;
    let one = Block::new(&template, usize::MAX, 1).expect("it can be encoded");
    assert_eq!(one.bytes.len(), one.packet_len);
    for (bytes, expected) in [(1, Stamp::LEN), (0, 0)] {
        template.payload_bytes = bytes;
        let mut small = Block::new(&template, 1, 1).expect("it can be encoded");
        small.push(stamp(0), 0, 0);
        assert_eq!(small.packet_len - small.payload_at, expected);
    }
}
