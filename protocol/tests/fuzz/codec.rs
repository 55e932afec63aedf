//! Packets: what is read is written again as it was, what is cut off is not
//! taken for whole, and nothing makes the codec panic.

use robustmq_protocol::ProtocolVersion;
use robustmq_protocol::codec::{self, Decoded, PacketKind};

const VERSIONS: [ProtocolVersion; 3] = [
    ProtocolVersion::V3,
    ProtocolVersion::V4,
    ProtocolVersion::V5,
];

/// Largest packet that is taken.
const PACKET_BYTES_MAX: u32 = 60_000;

fn check(input: &[u8]) {
    let _ = codec::connect_version(input);
    for version in VERSIONS {
        let Ok(Decoded::Packet { packet, len }) = codec::decode(input, version, PACKET_BYTES_MAX)
        else {
            continue;
        };
        assert!(len <= input.len(), "a packet ends where its bytes do");
        assert!(len <= PACKET_BYTES_MAX as usize + 5);
        let _ = packet.check_from_client();
        for cut in [len - 1, len / 2] {
            let part = codec::decode(&input[..cut], version, PACKET_BYTES_MAX);
            let is_whole = matches!(part, Ok(Decoded::Packet { .. }));
            assert!(!is_whole, "a packet without its end is not whole");
        }
        let mut written = Vec::new();
        if codec::encode(&mut written, version, &packet).is_err() {
            continue;
        }
        match codec::decode(&written, version, u32::MAX) {
            Ok(Decoded::Packet {
                packet: again,
                len: written_len,
            }) => {
                assert_eq!(again, packet, "{version:?}");
                assert_eq!(written_len, written.len());
            }
            other => panic!("{version:?}: what was written is not read: {other:?}"),
        }
    }
}

#[test]
fn packets() {
    robustmq_fuzzing::run("packets", check);
}

#[test]
fn the_corpus_holds_every_packet() {
    let mut seen = Vec::new();
    for file in std::fs::read_dir(robustmq_fuzzing::folder("packets")).expect("a folder") {
        let bytes = std::fs::read(file.expect("a file").path()).expect("it can be read");
        for version in VERSIONS {
            if let Ok(Decoded::Packet { packet, .. }) = codec::decode(&bytes, version, u32::MAX) {
                seen.push(packet.kind());
            }
        }
    }
    let all = [
        PacketKind::Connect,
        PacketKind::ConnAck,
        PacketKind::Publish,
        PacketKind::PubAck,
        PacketKind::PubRec,
        PacketKind::PubRel,
        PacketKind::PubComp,
        PacketKind::Subscribe,
        PacketKind::SubAck,
        PacketKind::Unsubscribe,
        PacketKind::UnsubAck,
        PacketKind::PingReq,
        PacketKind::PingResp,
        PacketKind::Disconnect,
        PacketKind::Auth,
    ];
    for kind in all {
        assert!(seen.contains(&kind), "no {kind:?}");
    }
}
