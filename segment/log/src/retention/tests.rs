//! What goes, what stays, and what is rewritten.

mod live;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use parking_lot::Mutex;
use robustmq_protocol::topic::FilterAutomaton;
use robustmq_record::{BatchBuilder, BatchLimits, Offset, RecordInput, ShardId};

use super::{CarryForward, RetentionBounds, RetentionPolicies, RetentionReport, Retirement};
use crate::inspect::LogInspector;
use crate::shard_log::TakenBatch;
use crate::sim::SimDisk;
use crate::testing::{Bench, History, SHARDS};
use crate::{Clock, GapReason, ReadLimits};

const HOUR_MS: u64 = 3_600_000;

/// Appends batches of ten records; the first of every fourth batch is on
/// `keep/…`, the last one is a state record, as is one of every fourth batch
/// under `keep/state`, all others are on `drop/…`.
fn fill(bench: &mut Bench, batches: u64) {
    for number in 0..batches {
        let shard = ShardId((number % u64::from(SHARDS)) as u32);
        let mut builder = BatchBuilder::new(BatchLimits::default());
        for place in 0..10 {
            let topic = match place {
                0 if number % 4 == 0 => format!("keep/{}", number % 3),
                8 if number % 4 == 1 => "keep/state".to_owned(),
                9 => String::new(),
                _ => format!("drop/{place}"),
            };
            let payload = format!("{number}-{place}-{}", "x".repeat(20));
            let record = RecordInput {
                kind: u8::from(place == 9 || topic == "keep/state"),
                namespace: "default",
                topic: &topic,
                client_id: "client",
                timestamp_ms: bench.clock.wall_ms(),
                payload: payload.as_bytes(),
                ..RecordInput::default()
            };
            builder.try_push(&record).expect("small");
        }
        let completion = Box::new(|result: Result<_, _>| assert!(result.is_ok()));
        bench.queue.push(
            shard,
            TakenBatch {
                builder,
                term: None,
                completion,
            },
        );
        bench.parts.inbox.wake(shard);
        bench.step();
    }
    bench.background();
}

/// Notes what it was asked to carry, and agrees or not.
struct Carrier {
    asked: Mutex<Vec<(ShardId, Offset)>>,
    agrees: bool,
}

impl CarryForward for Carrier {
    fn carry_forward(&self, shard: ShardId, end: Offset) -> bool {
        self.asked.lock().push((shard, end));
        self.agrees
    }
}

fn carrier(agrees: bool) -> Carrier {
    Carrier {
        asked: Mutex::default(),
        agrees,
    }
}

fn retire(bench: &Bench, policies: &RetentionPolicies, carry: &Carrier) -> RetentionReport {
    let retirement = Retirement {
        state: &bench.parts.state,
        supply: &bench.parts.supply,
        policies,
        now_ms: bench.clock.wall_ms(),
        carry,
    };
    retirement.run().expect("the disk works")
}

fn hours(time: u64) -> RetentionBounds {
    RetentionBounds {
        time_ms: Some(time * HOUR_MS),
        ..RetentionBounds::default()
    }
}

fn default_hours(time: u64) -> RetentionPolicies {
    RetentionPolicies {
        default: hours(time),
        ..RetentionPolicies::default()
    }
}

fn open() -> (SimDisk, Bench) {
    let (disk, history) = (SimDisk::new(1), Arc::new(History::default()));
    let bench = Bench::open(Arc::new(disk.clone()), &history).expect("opens");
    (disk, bench)
}

#[test]
fn time_removes_what_is_old_and_nothing_else() {
    let (_disk, mut bench) = open();
    fill(&mut bench, 60);
    bench.clock.advance(Duration::from_millis(2 * HOUR_MS));
    fill(&mut bench, 60);
    let before = bench.parts.state.catalog().segments().len();
    let carry = carrier(true);
    assert_eq!(
        retire(&bench, &default_hours(3), &carry),
        RetentionReport::default()
    );
    assert!(
        carry.asked.lock().is_empty(),
        "nobody is asked when nothing goes"
    );
    let report = retire(&bench, &default_hours(1), &carry);
    let after = bench.parts.state.catalog().segments().len();
    assert_eq!(report.segments as usize, before - after);
    assert!(report.segments > 3 && after > 3, "{before} to {after}");
    assert!(report.records <= 600, "{report:?}");
    for shard in 0..SHARDS {
        let position = bench.reader().position(ShardId(shard));
        let asked = carry
            .asked
            .lock()
            .iter()
            .rev()
            .find(|(at, _)| at.0 == shard)
            .map(|(_, end)| *end);
        assert_eq!(asked, Some(Offset::new(position.local_start, 0)));
        assert!(
            position.local_start > 10 && position.local_start <= 21,
            "{position:?}"
        );
    }
}

#[test]
fn nothing_goes_that_could_not_be_carried_forward() {
    let (_disk, mut bench) = open();
    fill(&mut bench, 60);
    bench.clock.advance(Duration::from_millis(2 * HOUR_MS));
    let report = retire(&bench, &default_hours(1), &carrier(false));
    assert_eq!(report, RetentionReport::default());
    assert_eq!(bench.reader().position(ShardId(0)).local_start, 1);
}

#[test]
fn records_and_bytes_bound_what_newer_segments_hold() {
    for records in [true, false] {
        let (_disk, mut bench) = open();
        fill(&mut bench, 120);
        let bounds = RetentionBounds {
            records: records.then_some(300),
            bytes: (!records).then_some(300 * 25),
            time_ms: None,
        };
        let policies = RetentionPolicies {
            default: bounds,
            ..RetentionPolicies::default()
        };
        let report = retire(&bench, &policies, &carrier(true));
        assert!(report.segments > 3, "{report:?}");
        let left: usize = (0..SHARDS)
            .map(|shard| {
                bench
                    .read_all(shard)
                    .0
                    .iter()
                    .map(|batch| batch.count())
                    .sum::<usize>()
            })
            .sum();
        // At least what the bound keeps, at most two segments more.
        assert!((300..700).contains(&left), "{left} records are left");
    }
}

/// Everything under `keep/`, with its offset.
fn kept(bench: &Bench) -> Vec<(Offset, Vec<u8>)> {
    let keep = FilterAutomaton::parse("keep/#").expect("a filter");
    let mut found = Vec::new();
    for shard in (0..SHARDS).map(ShardId) {
        let filters = Some(std::slice::from_ref(&keep));
        let chunk = bench
            .reader()
            .read(shard, Offset::ZERO, filters, ReadLimits::default())
            .expect("reads");
        assert!(chunk.at_end);
        let mut gaps = chunk.gaps.iter();
        assert!(gaps.all(|gap| gap.reason == GapReason::Retention));
        for record in chunk.batches.iter().flat_map(|batch| batch.records()) {
            if record.kind() == 0 && record.topic().starts_with("keep/") {
                found.push((record.offset(), record.payload().to_vec()));
            }
        }
    }
    found
}

#[test]
fn few_live_records_survive_with_their_offsets() {
    let (disk, mut bench) = open();
    fill(&mut bench, 60);
    bench.clock.advance(Duration::from_millis(2 * HOUR_MS));
    fill(&mut bench, 12);
    let expected = kept(&bench);
    assert_eq!(expected.len(), 18);
    let policies = RetentionPolicies {
        by_filter: vec![("keep/#".to_owned(), RetentionBounds::default())],
        default: hours(1),
    };
    let held = bench.parts.state.catalog();
    let report = retire(&bench, &policies, &carrier(true));
    assert!(
        report.segments == 0 && report.segments_compacted > 3,
        "{report:?}"
    );
    assert!(report.records > 300 && report.bytes > 10_000, "{report:?}");
    assert_eq!(kept(&bench), expected);
    // A second look finds nothing more to do.
    let again = retire(&bench, &policies, &carrier(true));
    assert_eq!(again, RetentionReport::default());
    // Whoever held the old segments can still read them.
    for segment in held.segments() {
        assert!(
            crate::indexes::load(&bench.parts.state, segment).is_ok()
                || segment.tables.read().is_some()
        );
        assert!(crate::files::open(&bench.parts.state, segment).is_ok());
    }
    // Nothing that was dropped from the old segments can be read.
    let (batches, _) = bench.read_all(0);
    let old: Vec<_> = batches
        .iter()
        .filter(|batch| batch.is_compacted())
        .collect();
    assert!(!old.is_empty());
    let mut records = old.iter().flat_map(|batch| batch.records());
    assert!(records.all(|record| record.kind() == 0 && record.topic().starts_with("keep/")));
    let report = LogInspector::new(Arc::new(disk.clone()))
        .verify(true, &mut |_| ())
        .expect("reads");
    assert_eq!(report.problems, []);
    let history = Arc::clone(&bench.history);
    drop(bench);
    let bench = Bench::open(Arc::new(disk.crash(3)), &history).expect("opens again");
    assert_eq!(bench.report.damaged, []);
    assert_eq!(kept(&bench), expected);
    assert_eq!(
        bench.parts.state.counters.damages.load(Ordering::Relaxed),
        0
    );
}

#[test]
fn files_of_removed_segments_are_used_again() {
    let (disk, mut bench) = open();
    fill(&mut bench, 60);
    bench.clock.advance(Duration::from_millis(2 * HOUR_MS));
    retire(&bench, &default_hours(1), &carrier(true));
    let files = |suffix: &str| {
        let names = crate::Disk::list(&disk).expect("lists");
        names
            .iter()
            .filter(|entry| entry.name.ends_with(suffix))
            .count()
    };
    assert_eq!(files(".spare"), bench.parts.state.config.recycled_files_max);
    fill(&mut bench, 40);
    assert_eq!(files(".spare"), 0);
    let (batches, gaps) = bench.read_all(1);
    assert_eq!(
        (gaps.len(), batches.len() as u64),
        (1, 34 - bench.reader().position(ShardId(1)).local_start)
    );
}
