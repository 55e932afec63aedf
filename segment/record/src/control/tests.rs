use crate::testing::{SEGMENT, messages, put_batch, stamp};
use crate::{
    Control, DurableMark, EncodedBody, FORMAT_VERSION, FrameFault, FrameHeader, HEADER_LEN, NodeId,
    Purge, SegmentEnd, SegmentStart, ShardId, ShardState, Term, Truncate, Vote, encode_frame,
    parse_header,
};

fn samples() -> Vec<Control> {
    let state = |shard| ShardState {
        shard: ShardId(shard),
        term: Term(7),
        voted_for: NodeId(2),
        vote_committed: shard == 1,
        commit_index: 100,
        appended_index: 103,
        appended_term: Term(6),
        log_start_index: 50,
        purged_term: Term(4),
    };
    let start = |compacted, shards: &[u32]| {
        Control::SegmentStart(SegmentStart {
            segment_id: SEGMENT,
            node_id: NodeId(3),
            created_ms: 1_700_000_000_123,
            compacted,
            shards: shards.iter().map(|shard| state(*shard)).collect(),
        })
    };
    let vote = |committed| Vote {
        shard: ShardId(1),
        term: Term(8),
        voted_for: NodeId(3),
        committed,
    };
    vec![
        start(false, &[]),
        start(true, &[0, 1, 9]),
        Control::Vote(vote(true)),
        Control::Vote(vote(false)),
        Control::Truncate(Truncate {
            shard: ShardId(2),
            term: Term(8),
            index_start: 101,
        }),
        Control::Purge(Purge {
            shard: ShardId(2),
            term: Term(4),
            index_end: 60,
        }),
        Control::DurableMark(DurableMark { clean: true }),
        Control::DurableMark(DurableMark { clean: false }),
        Control::SegmentEnd(SegmentEnd {
            frames: 12,
            position: 4096,
            clean: false,
        }),
        Control::SegmentEnd(SegmentEnd {
            frames: 12,
            position: 4096,
            clean: true,
        }),
    ]
}

fn read(frame: &[u8]) -> Result<Control, FrameFault> {
    let header = parse_header(frame, SEGMENT)?;
    Control::read(&header, &frame[HEADER_LEN..], SEGMENT)
}

/// The frame again with another header, another body, or both.
fn rewrite(frame: &[u8], change: impl FnOnce(&mut FrameHeader, &mut Vec<u8>)) -> Vec<u8> {
    let mut header = parse_header(frame, SEGMENT).expect("a valid frame");
    let mut body = frame[HEADER_LEN..HEADER_LEN + header.body_len as usize].to_vec();
    change(&mut header, &mut body);
    let mut out = Vec::new();
    encode_frame(&header.fields, EncodedBody::plain(&body), SEGMENT, &mut out);
    out
}

#[test]
fn every_kind_comes_back() {
    for control in samples() {
        let mut frame = Vec::new();
        let header = control.encode(&stamp(5, 4), SEGMENT, &mut frame);
        assert_eq!(
            (header.fields.kind, header.frame_len()),
            (control.kind(), frame.len())
        );
        assert_eq!(read(&frame).as_ref(), Ok(&control));
    }
}

#[test]
fn bodies_of_another_length_are_refused() {
    for control in samples() {
        let mut frame = Vec::new();
        let header = control.encode(&stamp(5, 4), SEGMENT, &mut frame);
        let longer = rewrite(&frame, |_, body| body.push(0));
        assert!(
            matches!(read(&longer), Err(FrameFault::Format(_))),
            "{control:?}"
        );
        for len in 0..header.body_len as usize {
            let shorter = rewrite(&frame, |_, body| body.truncate(len));
            assert!(
                matches!(read(&shorter), Err(FrameFault::Format(_))),
                "{control:?} {len}"
            );
        }
    }
}

#[test]
fn headers_must_fit() {
    for control in samples() {
        let mut frame = Vec::new();
        control.encode(&stamp(5, 4), SEGMENT, &mut frame);
        let wrong = rewrite(&frame, |header, _| header.fields.flags.has_state = true);
        assert!(
            matches!(read(&wrong), Err(FrameFault::Field(_))),
            "{control:?}"
        );
    }
    let mut frame = Vec::new();
    put_batch(&mut frame, &messages(0, 1, 1, 1), 5, 4);
    assert_eq!(read(&frame), Err(FrameFault::Field("frame is a batch")));
}

#[test]
fn a_newer_format_is_named() {
    let mut frame = Vec::new();
    samples()[0].encode(&stamp(5, 4), SEGMENT, &mut frame);
    let newer = rewrite(&frame, |_, body| {
        body[..4].copy_from_slice(&(FORMAT_VERSION + 1).to_le_bytes());
        body.truncate(4);
    });
    assert_eq!(
        read(&newer),
        Err(FrameFault::Newer {
            version: FORMAT_VERSION + 1
        })
    );
    let zero = rewrite(&frame, |_, body| body[..4].fill(0));
    assert!(matches!(read(&zero), Err(FrameFault::Format(_))));
}

#[test]
fn shards_must_be_in_order_and_flags_known() {
    let mut frame = Vec::new();
    samples()[1].encode(&stamp(5, 4), SEGMENT, &mut frame);
    let swapped = rewrite(&frame, |_, body| body[32] = 9);
    assert!(
        matches!(read(&swapped), Err(FrameFault::Format(error)) if error.what == "shards are not in order")
    );
    let flags = rewrite(&frame, |_, body| body[36] = 2);
    assert!(
        matches!(read(&flags), Err(FrameFault::Format(error)) if error.what == "unknown flags")
    );
    let count = rewrite(&frame, |_, body| body[4..8].fill(0xff));
    assert!(matches!(read(&count), Err(FrameFault::Format(_))));
}
