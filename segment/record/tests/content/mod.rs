//! What the golden files of version 1 hold.

use robustmq_record::{
    Batch, BatchBuilder, BatchLimits, Codec, Control, DurableMark, FrameFields, FrameStamp, Lsn,
    NodeId, Purge, RecordInput, SegmentEnd, SegmentId, SegmentStart, ShardId, ShardState, Term,
    Truncate, Vote,
};

pub(crate) const SEGMENT: SegmentId = SegmentId(7);
const TIME_MS: u64 = 1_764_000_000_000;

pub(crate) enum Frame {
    Batch(Codec, Box<Batch>),
    Control(Control),
}

/// The numbers of the frame in this place; each frame but the last two is
/// synced before the next is written.
pub(crate) fn stamp(place: u64) -> FrameStamp {
    FrameStamp {
        lsn: Lsn(41 + place),
        durable_lsn: Lsn(40 + place.min(12)),
        leader: NodeId(1),
        commit_hint: place / 2,
        timestamp_ms: TIME_MS + 10 * place,
    }
}

pub(crate) fn fields(stamp: &FrameStamp, batch: &Batch) -> FrameFields {
    FrameFields {
        lsn: stamp.lsn,
        durable_lsn: stamp.durable_lsn,
        leader: stamp.leader,
        commit_hint: stamp.commit_hint,
        ..FrameFields::of_batch(batch)
    }
}

fn build(shard: u32, index: u64, records: &[RecordInput<'_>]) -> Batch {
    let mut builder = BatchBuilder::new(BatchLimits::default());
    for record in records {
        builder.try_push(record).expect("a golden batch is small");
    }
    builder.finish(ShardId(shard), index, Term(2))
}

/// One message of each kind of flag, names in two namespaces, a clock that
/// goes back.
fn varied() -> Batch {
    let message = RecordInput {
        namespace: "default",
        topic: "sensors/1/temp",
        client_id: "sensor-1",
        timestamp_ms: TIME_MS,
        payload: b"21.5",
        ..RecordInput::default()
    };
    build(
        0,
        1,
        &[
            message,
            RecordInput {
                qos: 1,
                timestamp_ms: TIME_MS - 5,
                ..message
            },
            RecordInput {
                qos: 2,
                packet_id: Some(4711),
                payload: b"",
                ..message
            },
            RecordInput {
                retain: true,
                topic: "sensors/café",
                timestamp_ms: TIME_MS + 900,
                ..message
            },
            RecordInput {
                message_expiry_s: Some(86_400),
                client_id: "",
                ..message
            },
            // User property a = b, content type t.
            RecordInput {
                properties: b"\x26\0\x01a\0\x01b\x03\0\x01t",
                ..message
            },
            RecordInput {
                namespace: "acme",
                ..message
            },
            RecordInput {
                kind: 9,
                topic: "",
                payload: &[0, 0xff, 0x80],
                ..message
            },
        ],
    )
}

/// A batch that compresses.
fn many(shard: u32, index: u64) -> Batch {
    let payloads: Vec<_> = (0..120)
        .map(|place| format!("{{\"sensor\":{place},\"value\":20.{place},\"unit\":\"celsius\"}}"))
        .collect();
    let records: Vec<_> = payloads
        .iter()
        .enumerate()
        .map(|(place, payload)| RecordInput {
            qos: 1,
            namespace: "default",
            topic: ["plant/a", "plant/b", "plant/c"][place % 3],
            client_id: "gateway",
            timestamp_ms: TIME_MS + place as u64,
            payload: payload.as_bytes(),
            ..RecordInput::default()
        })
        .collect();
    build(shard, index, &records)
}

fn state(shard: u32) -> ShardState {
    ShardState {
        shard: ShardId(shard),
        term: Term(2),
        voted_for: NodeId(1),
        vote_committed: true,
        commit_index: 0,
        appended_index: u64::from(shard),
        appended_term: Term(1),
        log_start_index: 1,
        purged_term: Term(0),
    }
}

/// All batches, with how they are compressed.
pub(crate) fn batches() -> Vec<(Codec, Batch)> {
    let frames = frames().into_iter();
    frames
        .filter_map(|frame| match frame {
            Frame::Batch(codec, batch) => Some((codec, *batch)),
            Frame::Control(_) => None,
        })
        .collect()
}

/// All frames but the last.
pub(crate) fn frames() -> Vec<Frame> {
    let vote = |committed| Vote {
        shard: ShardId(3),
        term: Term(3),
        voted_for: NodeId(2),
        committed,
    };
    let compacted = varied()
        .retain(|record| record.offset().slot() % 3 == 1)
        .expect("some records stay");
    let compacted = Batch::parse(ShardId(3), 5, Term(2), compacted.body().clone());
    let batch = |codec, batch| Frame::Batch(codec, Box::new(batch));
    vec![
        Frame::Control(Control::SegmentStart(SegmentStart {
            segment_id: SEGMENT,
            node_id: NodeId(1),
            created_ms: TIME_MS,
            compacted: false,
            shards: vec![state(0), state(3)],
        })),
        batch(Codec::None, varied()),
        Frame::Control(Control::Vote(vote(false))),
        Frame::Control(Control::Vote(vote(true))),
        batch(Codec::Lz4, many(3, 4)),
        batch(Codec::Zstd, many(0, 2)),
        batch(Codec::None, compacted.expect("a compacted batch parses")),
        batch(Codec::Lz4, many(0, 3)),
        Frame::Control(Control::Truncate(Truncate {
            shard: ShardId(0),
            term: Term(3),
            index_start: 3,
        })),
        Frame::Control(Control::Purge(Purge {
            shard: ShardId(3),
            term: Term(1),
            index_end: 4,
        })),
        Frame::Control(Control::DurableMark(DurableMark { clean: false })),
        batch(
            Codec::None,
            build(
                0,
                3,
                &[RecordInput {
                    topic: "t",
                    ..RecordInput::default()
                }],
            ),
        ),
        Frame::Control(Control::DurableMark(DurableMark { clean: true })),
    ]
}

/// The last frame, which starts at `position`.
pub(crate) fn end(position: u64) -> Control {
    let frames = frames().len() as u64 + 1;
    Control::SegmentEnd(SegmentEnd {
        frames,
        position,
        clean: true,
    })
}
