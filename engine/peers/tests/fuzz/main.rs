//! Bytes of a node that is mad: nothing panics, nothing grows beyond its limit.

use bytes::BytesMut;
use robustmq_peers::Hello;
use robustmq_peers::frame::{Assembler, CHUNK_BYTES_MAX, HEADER_BYTES, decode};

/// Small, so that the limit is met.
const BODY_BYTES_MAX: usize = 4096;

fn check_frames(input: &[u8]) {
    let mut rest = BytesMut::from(input);
    let mut assembler = Assembler::default();
    let mut reached = 0;
    while let Ok(Some(frame)) = decode(&mut rest, BODY_BYTES_MAX) {
        let taken = HEADER_BYTES + frame.chunk.len();
        assert_eq!(frame.chunk.len(), frame.header.chunk_bytes as usize);
        assert!(frame.chunk.len() <= CHUNK_BYTES_MAX);
        assert_eq!(
            rest.len() + reached + taken,
            input.len(),
            "all bytes are accounted for"
        );
        reached += taken;
        match assembler.push(frame) {
            Ok(Some(message)) => {
                assert_eq!(message.body.len(), message.header.body_bytes as usize);
                assert!(message.body.len() <= BODY_BYTES_MAX);
            }
            Ok(None) => {}
            Err(_) => return,
        }
    }
}

fn check_hello(input: &[u8]) {
    if let Ok(hello) = Hello::decode(input) {
        let shown = format!("{} {}", hello.address, hello.software);
        assert!(!shown.contains(char::is_control), "it ends up in log lines");
        assert!(shown.len() <= input.len());
    }
}

#[test]
fn frames() {
    robustmq_fuzzing::run("frames", check_frames);
}

#[test]
fn hellos() {
    robustmq_fuzzing::run("hellos", check_hello);
}
