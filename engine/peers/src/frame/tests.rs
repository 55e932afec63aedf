//! Frames as they are written and read.

use bytes::{Bytes, BytesMut};
use proptest::prelude::*;

use super::*;

fn header(frame_type: FrameType, lane: Lane, chunk_bytes: u32, body_bytes: u32) -> Header {
    Header {
        chunk_bytes,
        body_bytes,
        id: 7,
        kind: 3,
        frame_type,
        lane,
    }
}

fn written(header: &Header, chunk: &[u8]) -> BytesMut {
    let mut out = BytesMut::new();
    header.encode(&mut out);
    out.extend_from_slice(chunk);
    out
}

fn frame(header: Header) -> Frame {
    let chunk = Bytes::from(vec![1; header.chunk_bytes as usize]);
    Frame { header, chunk }
}

#[test]
fn a_frame_is_laid_out_as_documented() {
    let header = Header {
        chunk_bytes: 2,
        body_bytes: 3,
        id: 4,
        kind: 5,
        frame_type: FrameType::Answer,
        lane: Lane::Bulk,
    };
    let bytes = written(&header, b"xy");
    let expected = [
        2, 0, 0, 0, 3, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 5, 0, 6, 2, b'x', b'y',
    ];
    assert_eq!(bytes[..], expected);
}

#[test]
fn lengths_over_the_limit_are_refused_before_their_bytes_have_come() {
    for (chunk, body, what) in [(1, 1001, "a body"), (65_537, 65_537, "a chunk")] {
        let max = if what == "a body" { 1000 } else { 100_000 };
        let mut input = written(&header(FrameType::Request, Lane::Ordered, chunk, body), b"");
        let error = decode(&mut input, max).expect_err("it is refused");
        assert!(matches!(error, FrameError::TooLong { what: w, .. } if w == what));
    }
}

#[test]
fn what_makes_no_progress_is_refused() {
    for (chunk, body) in [(0, 1), (2, 1)] {
        let mut input = written(
            &header(FrameType::Request, Lane::Ordered, chunk, body),
            b"xy",
        );
        let error = decode(&mut input, 1000).expect_err("it is refused");
        assert!(matches!(error, FrameError::Misplaced(_)));
    }
}

#[test]
fn chunks_out_of_place_are_refused() {
    let begun = || {
        let mut assembler = Assembler::default();
        let first = header(FrameType::Request, Lane::Ordered, 2, 5);
        assert_eq!(assembler.push(frame(first)), Ok(None));
        assembler
    };
    let first = header(FrameType::Request, Lane::Ordered, 2, 5);
    let other_id = Header { id: 8, ..first };
    let other_length = Header {
        body_bytes: 6,
        ..first
    };
    let too_far = Header {
        chunk_bytes: 4,
        ..first
    };
    for next in [other_id, other_length, too_far] {
        let pushed = begun().push(frame(next));
        assert!(matches!(pushed, Err(FrameError::Misplaced(_))), "{next:?}");
    }
    let ping = header(FrameType::Ping, Lane::Urgent, 1, 2);
    assert!(begun().push(frame(ping)).is_err());
    // Other lanes and the other direction may come between.
    let mut assembler = begun();
    let bulk = header(FrameType::Request, Lane::Bulk, 1, 1);
    assert!(matches!(assembler.push(frame(bulk)), Ok(Some(_))));
    let answer = header(FrameType::Answer, Lane::Ordered, 1, 1);
    assert!(matches!(assembler.push(frame(answer)), Ok(Some(_))));
    let rest = Header {
        chunk_bytes: 3,
        ..first
    };
    assert!(matches!(assembler.push(frame(rest)), Ok(Some(_))));
}

proptest! {
    #[test]
    fn what_is_written_in_chunks_is_read_whole(
        body in proptest::collection::vec(any::<u8>(), 0..5000),
        chunk_bytes in 1_usize..2000,
        piece_bytes in 1_usize..700,
    ) {
        let mut wire = BytesMut::new();
        let mut chunks: Vec<&[u8]> = body.chunks(chunk_bytes).collect();
        if chunks.is_empty() {
            chunks.push(&[]);
        }
        for chunk in chunks {
            let lengths = (chunk.len() as u32, body.len() as u32);
            let head = header(FrameType::Request, Lane::Bulk, lengths.0, lengths.1);
            wire.extend_from_slice(&written(&head, chunk));
        }
        let mut assembler = Assembler::default();
        let (mut input, mut read) = (BytesMut::new(), Vec::new());
        for piece in wire.chunks(piece_bytes) {
            input.extend_from_slice(piece);
            while let Some(frame) = decode(&mut input, 5000).expect("it is well formed") {
                read.extend(assembler.push(frame).expect("it is in place"));
            }
        }
        prop_assert_eq!(read.len(), 1);
        prop_assert_eq!(&read[0].body[..], &body[..]);
    }
}
