//! The codec against the specification: packets made at random, bytes made at
//! random, bytes written down by hand, and one test for each clause.

mod bytes;
mod clauses_body;
mod clauses_connect;
mod clauses_wire;
mod made;
mod properties;
mod publish;
mod random;
mod versions;

use super::*;
use crate::types::{ProtocolVersion, ReasonCode};

const VERSIONS: [ProtocolVersion; 3] = [
    ProtocolVersion::V3,
    ProtocolVersion::V4,
    ProtocolVersion::V5,
];

/// A packet from its first byte and body.
fn frame(first: u8, body: &[u8]) -> Vec<u8> {
    let mut out = vec![first];
    let mut left = body.len();
    while left > 127 {
        out.push((left % 128) as u8 | 0x80);
        left /= 128;
    }
    out.push(left as u8);
    out.extend_from_slice(body);
    out
}

/// A string or binary value on the wire.
fn text(value: &str) -> Vec<u8> {
    let len = value.len() as u16;
    [&len.to_be_bytes(), value.as_bytes()].concat()
}

/// Decodes what must be exactly one packet.
#[track_caller]
fn accept(version: ProtocolVersion, bytes: &[u8]) -> Packet<'_> {
    match decode(bytes, version, PACKET_SIZE_MAX) {
        Ok(Decoded::Packet { packet, len }) => {
            assert_eq!(len, bytes.len());
            packet
        }
        other => panic!("{version:?} {bytes:02X?}: {other:?}"),
    }
}

/// Decodes what must be refused, for this reason and clause.
#[track_caller]
fn refuse(version: ProtocolVersion, bytes: &[u8], reason: ReasonCode, clause: &str) {
    match decode(bytes, version, PACKET_SIZE_MAX) {
        Err(error) => {
            assert_eq!((error.reason, error.clause), (reason, clause), "{error}");
        }
        Ok(decoded) => panic!("{version:?} {bytes:02X?} was accepted: {decoded:?}"),
    }
}

#[track_caller]
fn refuse_v5(bytes: &[u8], reason: ReasonCode, clause: &str) {
    refuse(ProtocolVersion::V5, bytes, reason, clause);
}
