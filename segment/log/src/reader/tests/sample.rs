//! Logs made by chance from a seed, in every state a log can be in.

use std::sync::Arc;
use std::time::Duration;

use robustmq_protocol::topic::FilterAutomaton;
use robustmq_record::{
    Batch, BatchBuilder, BatchLimits, KIND_MESSAGE, Offset, RecordInput, ShardId,
};

use crate::disk::Disk;
use crate::file_names::{FileKind, parse};
use crate::shard_log::TakenBatch;
use crate::sim::SimDisk;
use crate::testing::{Bench, History};
use crate::{Clock, Gap, GapReason, RetentionBounds, RetentionPolicies};

pub(super) const SHARD: ShardId = ShardId(1);

const TOPICS: [&str; 9] = [
    "a", "a/b", "a/b/c", "a/c", "b", "b/b", "b/rare", "$x/b", "c",
];

pub(super) const FILTERS: [&str; 8] = ["#", "a/#", "+/b", "b/rare", "a/b", "none", "+", "b/+"];

pub(super) fn filter(text: &str) -> FilterAutomaton {
    FilterAutomaton::parse(text).expect("a valid filter")
}

/// Small seeded chance.
pub(super) struct Chance(u64);

impl Chance {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(super) fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 20) % end
    }
}

/// Appends batches as they are given: topic, payload, retained, kind.
pub(super) type Given<'a> = (&'a str, &'a [u8], bool, u8);

pub(super) fn append(
    bench: &mut Bench,
    shard: ShardId,
    timestamps_ms: &[u64],
    records: &[Given<'_>],
) {
    let mut builder = BatchBuilder::new(BatchLimits::default());
    for ((topic, payload, retain, kind), timestamp_ms) in records.iter().zip(timestamps_ms) {
        let record = RecordInput {
            kind: *kind,
            retain: *retain,
            namespace: "default",
            topic,
            timestamp_ms: *timestamp_ms,
            payload,
            ..RecordInput::default()
        };
        builder.try_push(&record).expect("test batches are small");
    }
    let taken = TakenBatch {
        builder,
        term: None,
        completion: Box::new(|stored| drop(stored.expect("it is stored"))),
    };
    bench.queue.push(shard, taken);
    bench.parts.inbox.wake(shard);
    bench.step();
}

fn append_some(bench: &mut Bench, chance: &mut Chance) {
    let now_ms = bench.clock.wall_ms();
    let (mut records, mut times) = (Vec::new(), Vec::new());
    let payload = [7; 400];
    for _ in 0..=chance.below(6) {
        // One topic is rare, the others are frequent in turns.
        let place = match chance.below(40) {
            0 => 6,
            other => ((other + chance.below(4)) % 9) as usize,
        };
        let place = if place == 6 && chance.below(8) > 0 {
            0
        } else {
            place
        };
        let is_empty = chance.below(5) == 0;
        let len = if is_empty {
            0
        } else {
            chance.below(400) as usize
        };
        let kind = KIND_MESSAGE + u8::from(chance.below(12) == 0);
        records.push((TOPICS[place], &payload[..len], chance.below(2) == 0, kind));
        // Clocks are no order.
        times.push(now_ms + 20 - chance.below(40));
    }
    let shard = ShardId(if chance.below(3) == 0 { 0 } else { SHARD.0 });
    append(bench, shard, &times, &records);
    bench.clock.advance(Duration::from_millis(chance.below(30)));
}

/// A log and everything that a plain read of its shard finds.
pub(super) struct Sample {
    pub(super) bench: Bench,
    pub(super) chance: Chance,
    pub(super) batches: Vec<Arc<Batch>>,
    pub(super) gaps: Vec<Gap>,
    pub(super) context: String,
}

/// One message of a [`Sample`].
#[derive(Clone, Debug)]
pub(super) struct Message {
    pub(super) topic: String,
    pub(super) offset: Offset,
    pub(super) timestamp_ms: u64,
    pub(super) bytes: u64,
    pub(super) clears: bool,
}

impl Sample {
    pub(super) fn new(seed: u64) -> Self {
        let mut chance = Chance::new(seed);
        let (disk, history) = (SimDisk::new(seed), Arc::new(History::default()));
        let cache = [1 << 10, 6 << 10, 1 << 20][chance.below(3) as usize];
        let open = |disk: &SimDisk| {
            let change = |config: &mut crate::LogConfig| config.tail_cache_bytes = cache;
            Bench::open_with(Arc::new(disk.clone()), &history, change).expect("opens")
        };
        let mut bench = open(&disk);
        for _ in 0..40 + chance.below(120) {
            append_some(&mut bench, &mut chance);
            if chance.below(12) == 0 {
                bench.background();
            }
        }
        if seed % 3 == 1 {
            bench.background();
            retire(&bench, &mut chance);
        }
        if seed % 4 > 1 {
            bench.idle();
            drop(bench);
            if seed % 4 == 3 {
                damage(&disk, &mut chance);
            }
            bench = open(&disk);
            for _ in 0..chance.below(8) {
                append_some(&mut bench, &mut chance);
            }
        }
        let (batches, gaps) = bench.read_all(SHARD.0);
        Self {
            bench,
            chance,
            batches,
            gaps,
            context: format!("seed {seed}"),
        }
    }

    pub(super) fn is_damaged(&self) -> bool {
        let is_damage = |gap: &Gap| gap.reason == GapReason::Damage;
        self.gaps.iter().any(is_damage)
    }

    /// The messages that a filter matches.
    pub(super) fn messages(&self, filter: &FilterAutomaton) -> Vec<Message> {
        let records = self.batches.iter().flat_map(|batch| batch.records());
        records
            .filter(|record| record.kind() == KIND_MESSAGE)
            .filter(|record| filter.matches(record.topic().as_bytes()))
            .map(|record| Message {
                topic: record.topic().to_owned(),
                offset: record.offset(),
                timestamp_ms: record.timestamp_ms(),
                bytes: record.payload().len() as u64,
                clears: record.retain() && record.payload().is_empty(),
            })
            .collect()
    }

    /// An offset inside, before or after the log, often within a batch.
    pub(super) fn offset(&mut self) -> Offset {
        match self.chance.below(6) {
            0 => Offset::MAX,
            1 => Offset::ZERO,
            _ => {
                let end = self.batches.last().map_or(1, |last| last.index()) + 2;
                let slot = self.chance.below(5) as u16;
                Offset::new(self.chance.below(end), slot)
            }
        }
    }
}

/// Removes some of the oldest, or compacts them.
fn retire(bench: &Bench, chance: &mut Chance) {
    let few = RetentionBounds {
        records: Some(30 + chance.below(60)),
        ..RetentionBounds::default()
    };
    let policies = match chance.below(2) {
        0 => RetentionPolicies {
            default: few,
            ..RetentionPolicies::default()
        },
        _ => RetentionPolicies {
            by_filter: vec![("a/#".to_owned(), few)],
            ..RetentionPolicies::default()
        },
    };
    bench.retire(&policies);
}

/// Turns bits over in segments that are sealed.
fn damage(disk: &SimDisk, chance: &mut Chance) {
    let files = disk.list().expect("lists");
    let segments: Vec<_> = files
        .iter()
        .filter(|file| matches!(parse(&file.name), FileKind::Segment(_)))
        .collect();
    for _ in 0..3 {
        let place = chance.below(segments.len().saturating_sub(1).max(1) as u64);
        let file = segments[place as usize];
        disk.flip_bit(&file.name, chance.below(file.len * 8));
    }
}
