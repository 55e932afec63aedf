//! Strategies and samples for the tests of this crate.

use proptest::prelude::*;

use crate::{
    Batch, BatchBuilder, BatchLimits, Control, EncodedBody, FrameFields, FrameStamp, Lsn, NodeId,
    RecordInput, SegmentId, SegmentStart, ShardId, ShardState, Term, encode_frame,
};

pub(crate) const SEGMENT: SegmentId = SegmentId(77);

/// A record that owns what [`RecordInput`] borrows.
#[derive(Clone, Debug)]
pub(crate) struct Owned {
    pub(crate) kind: u8,
    pub(crate) qos: u8,
    pub(crate) retain: bool,
    pub(crate) namespace: String,
    pub(crate) topic: String,
    pub(crate) client_id: String,
    pub(crate) timestamp_ms: u64,
    pub(crate) message_expiry_s: Option<u32>,
    pub(crate) packet_id: Option<u16>,
    pub(crate) properties: Vec<u8>,
    pub(crate) payload: Vec<u8>,
}

impl Owned {
    pub(crate) fn input(&self) -> RecordInput<'_> {
        RecordInput {
            kind: self.kind,
            qos: self.qos,
            retain: self.retain,
            namespace: &self.namespace,
            topic: &self.topic,
            client_id: &self.client_id,
            timestamp_ms: self.timestamp_ms,
            message_expiry_s: self.message_expiry_s,
            packet_id: self.packet_id,
            properties: &self.properties,
            payload: &self.payload,
        }
    }
}

fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "[abc](/[abcé]?){0,3}",
        1 => any::<String>(),
        1 => Just(String::new()),
    ]
}

pub(crate) fn record() -> impl Strategy<Value = Owned> {
    let timestamp = prop_oneof![4 => 1_700_000_000_000u64..1_700_000_100_000, 1 => any::<u64>()];
    let bytes = |max| proptest::collection::vec(any::<u8>(), 0..max);
    let kind = prop_oneof![3 => Just(0u8), 1 => any::<u8>()];
    let flags = (kind, 0u8..3, any::<bool>());
    let names = (
        prop_oneof![Just("default".to_owned()), "[a-z]{0,4}"],
        name(),
        name(),
    );
    let numbers = (timestamp, any::<Option<u32>>(), any::<Option<u16>>());
    (flags, names, numbers, bytes(40), bytes(300)).prop_map(
        |(flags, names, numbers, properties, payload)| Owned {
            kind: flags.0,
            qos: flags.1,
            retain: flags.2,
            namespace: names.0,
            topic: names.1,
            client_id: names.2,
            timestamp_ms: numbers.0,
            message_expiry_s: numbers.1,
            packet_id: numbers.2,
            properties,
            payload,
        },
    )
}

pub(crate) fn records() -> impl Strategy<Value = Vec<Owned>> {
    proptest::collection::vec(record(), 1..60)
}

pub(crate) fn build(shard: u32, index: u64, records: &[Owned]) -> Batch {
    let mut builder = BatchBuilder::new(BatchLimits::default());
    for (place, record) in records.iter().enumerate() {
        assert_eq!(builder.try_push(&record.input()), Ok(place as u16));
    }
    builder.finish(ShardId(shard), index, Term(3))
}

/// A batch of `count` messages on topics `t/0`, `t/1`, … of which there are `topics`.
pub(crate) fn messages(shard: u32, index: u64, count: usize, topics: usize) -> Batch {
    let mut builder = BatchBuilder::new(BatchLimits::default());
    for place in 0..count {
        let topic = format!("t/{}", place % topics);
        let payload = format!("payload {place} of batch {index}");
        let record = RecordInput {
            qos: 1,
            namespace: "default",
            topic: &topic,
            client_id: "client",
            timestamp_ms: 1_700_000_000_000 + 1000 * index + place as u64,
            payload: payload.as_bytes(),
            ..RecordInput::default()
        };
        builder.try_push(&record).expect("a few messages fit");
    }
    builder.finish(ShardId(shard), index, Term(3))
}

pub(crate) fn stamp(lsn: u64, durable_lsn: u64) -> FrameStamp {
    FrameStamp {
        lsn: Lsn(lsn),
        durable_lsn: Lsn(durable_lsn),
        leader: NodeId(1),
        commit_hint: 0,
        timestamp_ms: 1_700_000_000_000,
    }
}

pub(crate) fn segment_start(compacted: bool) -> Control {
    Control::SegmentStart(SegmentStart {
        segment_id: SEGMENT,
        node_id: NodeId(1),
        created_ms: 1_700_000_000_000,
        compacted,
        shards: vec![ShardState {
            shard: ShardId(0),
            ..ShardState::default()
        }],
    })
}

/// Appends an uncompressed batch frame.
pub(crate) fn put_batch(out: &mut Vec<u8>, batch: &Batch, lsn: u64, durable_lsn: u64) {
    let fields = FrameFields {
        lsn: Lsn(lsn),
        durable_lsn: Lsn(durable_lsn),
        leader: NodeId(1),
        ..FrameFields::of_batch(batch)
    };
    encode_frame(&fields, EncodedBody::plain(batch.body()), SEGMENT, out);
}
