//! What holds for all packets and for all bytes.

use proptest::prelude::*;

use super::made::{kinds, with_packet};
use super::*;

fn encoded(version: ProtocolVersion, packet: &Packet<'_>) -> Vec<u8> {
    let mut out = b"before".to_vec();
    encode(&mut out, version, packet).unwrap();
    assert_eq!(packet_size(version, packet), Ok(out.len() - 6));
    assert_eq!(&out[..6], b"before");
    out.split_off(6)
}

/// Decodes and, if that works, checks that the packet survives another turn.
fn decode_again(version: ProtocolVersion, bytes: &[u8]) -> Option<()> {
    let Ok(Decoded::Packet { packet, .. }) = decode(bytes, version, PACKET_SIZE_MAX) else {
        return None;
    };
    let version = match &packet {
        Packet::Connect(connect) => connect.version,
        _ => version,
    };
    let again = encoded(version, &packet);
    assert_eq!(accept(version, &again), packet);
    Some(())
}

proptest! {
    #[test]
    fn every_packet_of_every_version_survives(seed: u64) {
        for version in VERSIONS {
            for kind in kinds(version) {
                with_packet(seed, *kind, version, |packet| {
                    assert_eq!(packet.kind(), *kind);
                    let mut bytes = encoded(version, packet);
                    let len = bytes.len();
                    assert_eq!(accept(version, &bytes), *packet);
                    // What follows in the input does not matter.
                    bytes.extend_from_slice(&[0xFF; 9]);
                    assert_eq!(
                        decode(&bytes, version, len as u32),
                        Ok(Decoded::Packet { packet: *packet, len })
                    );
                });
            }
        }
    }

    #[test]
    fn every_prefix_of_a_packet_is_incomplete(seed: u64) {
        for version in VERSIONS {
            for kind in kinds(version) {
                with_packet(seed, *kind, version, |packet| {
                    let bytes = encoded(version, packet);
                    let ends = (0..bytes.len().min(300)).chain([bytes.len() - 1]);
                    for end in ends {
                        match decode(&bytes[..end], version, bytes.len() as u32) {
                            Ok(Decoded::Incomplete { need }) => {
                                assert!(end < need && need <= bytes.len(), "{end} {need}");
                                assert!(end < 5 || need == bytes.len(), "{end} {need}");
                            }
                            other => panic!("{end} of {}: {other:?}", bytes.len()),
                        }
                    }
                });
            }
        }
    }

    /// A packet one byte larger than allowed is refused from its fixed header.
    #[test]
    fn packets_above_the_maximum_are_refused_early(seed: u64) {
        for kind in PacketKind::ALL {
            with_packet(seed, kind, ProtocolVersion::V5, |packet| {
                let bytes = encoded(ProtocolVersion::V5, packet);
                let header = peek(&bytes, ProtocolVersion::V5, PACKET_SIZE_MAX).unwrap().unwrap();
                let error = decode(
                    &bytes[..header.body_start],
                    ProtocolVersion::V5,
                    bytes.len() as u32 - 1,
                );
                assert_eq!(error.unwrap_err().reason, ReasonCode::PacketTooLarge);
                let mut out = vec![1];
                assert_eq!(
                    encode_within(&mut out, ProtocolVersion::V5, packet, bytes.len() as u32 - 1),
                    Err(EncodeError::PacketTooLarge)
                );
                assert_eq!(out, [1]);
            });
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        for version in VERSIONS {
            decode_again(version, &bytes);
            connect_version(&bytes);
        }
    }

    /// Bytes that at least get past the fixed header.
    #[test]
    fn arbitrary_bodies_never_panic(
        first: u8,
        body in prop::collection::vec(prop_oneof![Just(0u8), 0u8..48, any::<u8>()], 0..60),
    ) {
        let bytes = frame(first, &body);
        for version in VERSIONS {
            decode_again(version, &bytes);
        }
    }

    #[test]
    fn damaged_packets_never_panic(
        seed: u64,
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        for version in VERSIONS {
            for kind in kinds(version) {
                with_packet(seed, *kind, version, |packet| {
                    let mut bytes = encoded(version, packet);
                    for (at, value) in &damage {
                        let at = at.index(bytes.len().min(64));
                        bytes[at] = *value;
                    }
                    decode_again(version, &bytes);
                });
            }
        }
    }

    #[test]
    fn diagnostics_are_left_out_before_a_packet_is_too_large(seed: u64, max in 2u32..400) {
        for kind in PacketKind::ALL {
            with_packet(seed, kind, ProtocolVersion::V5, |packet| {
                let plain = packet.without_diagnostics();
                let mut out = Vec::new();
                let done = encode_trimmed(&mut out, ProtocolVersion::V5, packet, max);
                let fits = |packet| packet_size(ProtocolVersion::V5, packet).unwrap() <= max as usize;
                match done {
                    Ok(()) if fits(packet) => assert_eq!(accept(ProtocolVersion::V5, &out), *packet),
                    Ok(()) => {
                        assert!(fits(&plain));
                        assert_eq!(accept(ProtocolVersion::V5, &out), plain);
                    }
                    Err(error) => {
                        assert_eq!(error, EncodeError::PacketTooLarge);
                        assert!(!fits(&plain) && out.is_empty());
                    }
                }
            });
        }
    }
}
