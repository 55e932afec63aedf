//! The steps of a message, one by one: decode, build, compress and frame, append,
//! match, encode, and looking it up later.

use std::hint::black_box;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use robustmq_log::{
    AppendError, BatchSource, CommitSink, DiskLog, FatalLogError, LogConfig, MemoryDisk, ShardLog,
    TakenBatch,
};
use robustmq_protocol::codec::{self, Packet, Publish, PublishOut, PublishProperties};
use robustmq_protocol::topic::{FilterAutomaton, SubscriptionTree};
use robustmq_protocol::{PacketId, ProtocolVersion, QoS};
use robustmq_record::{
    Batch, BatchBuilder, BatchLimits, BodyEncoder, Compression, FrameFields, IndexBuilder,
    IndexedSegment, Lsn, NodeId, RecordInput, SegmentId, SegmentIndex, ShardId, Term, encode_frame,
};

const PAYLOAD_BYTES: usize = 64;

/// Messages of a batch.
const MESSAGES: usize = 512;

const SEGMENT: SegmentId = SegmentId(7);

/// Messages whose making is not what is measured. As those of `robust-bench`:
/// bytes that do not compress, but alike from message to message.
struct Messages {
    topics: Vec<String>,
    payloads: Vec<[u8; PAYLOAD_BYTES]>,
}

impl Messages {
    fn new(topics: usize) -> Self {
        let mut state = 1u64;
        let noise = [0; PAYLOAD_BYTES].map(|_: u8| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (state >> 56) as u8
        });
        let payload = |number: usize| {
            let mut payload = noise;
            payload[..8].copy_from_slice(&(number as u64).to_be_bytes());
            payload
        };
        Self {
            topics: (0..topics)
                .map(|number| format!("plant/{number}/temperature"))
                .collect(),
            payloads: (0..MESSAGES).map(payload).collect(),
        }
    }

    /// The messages of batch `index`, to one topic after the other.
    fn build(&self, index: u64) -> BatchBuilder {
        let mut builder = BatchBuilder::new(BatchLimits::default());
        let first = index as usize * MESSAGES;
        for (number, payload) in self.payloads.iter().enumerate() {
            let record = RecordInput {
                namespace: "default",
                topic: &self.topics[(first + number) % self.topics.len()],
                client_id: "publisher",
                qos: 1,
                timestamp_ms: 1_700_000_000_000,
                payload,
                ..RecordInput::default()
            };
            builder.try_push(&record).expect("a batch has room for it");
        }
        builder
    }

    fn batch(&self, index: u64) -> Batch {
        self.build(index).finish(ShardId(0), index, Term(1))
    }

    /// The same as PUBLISH packets.
    fn packets(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (number, payload) in self.payloads.iter().enumerate() {
            let publish = Packet::Publish(Publish {
                dup: false,
                qos: QoS::AtLeastOnce,
                retain: false,
                topic: &self.topics[number % self.topics.len()],
                packet_id: PacketId::new(number as u16 + 1),
                properties: PublishProperties::default(),
                payload,
            });
            codec::encode(&mut bytes, ProtocolVersion::V5, &publish).expect("it can be written");
        }
        bytes
    }
}

fn codec(criterion: &mut Criterion) {
    let messages = Messages::new(8);
    let bytes = messages.packets();
    let mut group = criterion.benchmark_group("codec");
    group.throughput(Throughput::Elements(MESSAGES as u64));
    group.bench_function("decode PUBLISH", |bencher| {
        bencher.iter(|| {
            let mut rest = &bytes[..];
            while let Ok(codec::Decoded::Packet { packet, len }) =
                codec::decode(rest, ProtocolVersion::V5, u32::MAX)
            {
                black_box(&packet);
                rest = &rest[len..];
            }
            assert!(rest.is_empty());
        });
    });
    let publish = PublishOut {
        dup: false,
        qos: QoS::AtLeastOnce,
        retain: false,
        topic: "plant/7/line/3/temperature",
        topic_alias: None,
        packet_id: PacketId::new(7),
        message_expiry: None,
        subscription_ids: &[],
        forwarded: &[],
        extra_user_properties: &[],
        payload: &messages.payloads[0],
    };
    let mut out = Vec::new();
    group.bench_function("encode PUBLISH", |bencher| {
        bencher.iter(|| {
            out.clear();
            for _ in 0..MESSAGES {
                codec::encode_publish(&mut out, ProtocolVersion::V5, black_box(&publish))
                    .expect("it can be written");
            }
        });
    });
    group.finish();
}

fn matching(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("match a topic");
    for count in [100u32, 10_000, 100_000] {
        let mut tree = SubscriptionTree::new();
        for number in 0..count {
            let filter = match number % 3 {
                0 => format!("elsewhere/{number}/value"),
                1 => format!("+/{number}/elsewhere"),
                _ => format!("plant/{number}/#"),
            };
            tree.insert(&filter, number, ());
        }
        group.bench_function(format!("among {count} subscriptions"), |bencher| {
            bencher.iter(|| {
                let mut matches = 0;
                tree.matches(black_box("plant/5/line/3/temperature"), &mut |_, ()| {
                    matches += 1;
                });
                assert_eq!(matches, 1);
            });
        });
    }
    group.finish();
}

fn batches(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("batch");
    group.throughput(Throughput::Elements(MESSAGES as u64));
    let messages = Messages::new(8);
    group.bench_function("build", |bencher| {
        bencher.iter(|| black_box(messages.batch(1)));
    });
    let built = messages.batch(1);
    let mut encoder = BodyEncoder::new(Compression::default());
    let mut out = Vec::new();
    group.bench_function("compress and frame", |bencher| {
        bencher.iter(|| {
            out.clear();
            let fields = FrameFields {
                lsn: Lsn(5),
                leader: NodeId(1),
                ..FrameFields::of_batch(&built)
            };
            let body = encoder.encode(built.body());
            black_box(encode_frame(&fields, body, SEGMENT, &mut out));
        });
    });
    group.bench_function("index", |bencher| {
        bencher.iter(|| {
            let mut builder = IndexBuilder::new();
            builder.add_batch(0, built.size_bytes(), &built);
            black_box(builder);
        });
    });
    group.finish();
}

fn lookup(criterion: &mut Criterion) {
    let messages = Messages::new(50_000);
    let mut builder = IndexBuilder::new();
    for index in 1..=1_000 {
        let batch = messages.batch(index);
        builder.add_batch(index * 1000, 900, &batch);
    }
    let bytes = builder.finish(IndexedSegment {
        segment_id: SEGMENT,
        position_end: 2_000_000,
        lsn_start: Lsn(1),
        lsn_end: Lsn(1_001),
    });
    let index = SegmentIndex::parse(bytes, SEGMENT).expect("a built index parses");
    let mut group = criterion.benchmark_group("look up in the index of 50000 topics");
    for (name, filter) in [
        ("one topic", "plant/40321/temperature"),
        ("a wildcard", "plant/+/temperature"),
    ] {
        let automaton = [FilterAutomaton::parse(filter).expect("a filter")];
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                let shard = index.shard(ShardId(0)).expect("the shard is in it");
                let found = shard.postings("default", black_box(&automaton));
                assert!(!found.expect("it can be read").is_empty());
            });
        });
    }
    group.finish();
}

/// Gives the log a batch whenever it is told to, and waits until it is stored.
#[derive(Default)]
struct Feed {
    next: Mutex<Option<BatchBuilder>>,
    stored: Arc<(Mutex<u64>, Condvar)>,
}

impl BatchSource for Feed {
    fn take(&self, _shard: ShardId) -> Option<TakenBatch> {
        let builder = self.next.lock().expect("nobody panicked").take()?;
        let stored = Arc::clone(&self.stored);
        let completion = Box::new(move |result: Result<Arc<Batch>, AppendError>| {
            assert!(result.is_ok());
            *stored.0.lock().expect("nobody panicked") += 1;
            stored.1.notify_all();
        });
        Some(TakenBatch {
            builder,
            term: None,
            completion,
        })
    }
}

struct Nobody;

impl CommitSink for Nobody {
    fn committed(&self, _batch: Arc<Batch>) {}

    fn failed(&self, error: FatalLogError) {
        panic!("{error}");
    }
}

fn append(criterion: &mut Criterion) {
    let feed = Arc::new(Feed::default());
    let source = Arc::clone(&feed) as Arc<dyn BatchSource>;
    let disk = Arc::new(MemoryDisk::default());
    let opened = DiskLog::open(disk, LogConfig::default(), source, Arc::new(Nobody));
    let (log, _) = opened.expect("an empty log opens");
    let messages = Messages::new(8);
    let mut group = criterion.benchmark_group("append to a log in memory");
    group.throughput(Throughput::Elements(MESSAGES as u64));
    // What is appended stays in memory.
    group.sample_size(20);
    group.warm_up_time(Duration::from_millis(200));
    group.measurement_time(Duration::from_secs(1));
    group.bench_function("a batch, with its thread", |bencher| {
        bencher.iter(|| {
            let before = *feed.stored.0.lock().expect("nobody panicked");
            *feed.next.lock().expect("nobody panicked") = Some(messages.build(1));
            log.wake(ShardId(0));
            let mut stored = feed.stored.0.lock().expect("nobody panicked");
            while *stored == before {
                stored = feed.stored.1.wait(stored).expect("nobody panicked");
            }
        });
    });
    group.finish();
    log.shutdown();
}

criterion_group!(hot_path, codec, matching, batches, lookup, append);
criterion_main!(hot_path);
