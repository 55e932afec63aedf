//! What may go goes, what is live stays and keeps its offsets, wherever the
//! machine stops.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use robustmq_record::{Offset, ShardId};

use super::super::{CarryForward, Retirement};
use crate::sim::{Faults, SimDisk};
use crate::testing::{Bench, History, NothingLive, SHARDS, some_payloads};
use crate::{GapReason, RetentionBounds, RetentionPolicies, RetentionReport};

type Records = BTreeMap<(u32, Offset), (String, Vec<u8>)>;

/// Everything that can be read; all gaps must be intended.
fn records(bench: &Bench) -> Records {
    let mut records = Records::new();
    for shard in 0..SHARDS {
        let (batches, gaps) = bench.read_all(shard);
        let intended = gaps.iter().all(|gap| gap.reason == GapReason::Retention);
        assert!(intended, "{gaps:?}");
        for record in batches.iter().flat_map(|batch| batch.records()) {
            let content = (record.topic().to_owned(), record.payload().to_vec());
            let before = records.insert((shard, record.offset()), content);
            assert!(before.is_none(), "read twice: {:?}", record.offset());
        }
    }
    records
}

/// Appends batches of one record on `t/0` and, in every `every`-th one, more on
/// `t/1` to `t/3`.
fn fill(bench: &mut Bench, batches: u64, every: u64) {
    for seed in 0..batches {
        let count = if seed % every == 0 { 4 } else { 1 };
        bench.submit((seed % 3) as u32, some_payloads(seed, count, 100));
        bench.step();
    }
    bench.background();
}

fn open(disk: &SimDisk, history: &Arc<History>) -> Bench {
    Bench::open(Arc::new(disk.clone()), history).expect("opens")
}

fn retire(bench: &Bench, policies: &RetentionPolicies) -> RetentionReport {
    let retirement = Retirement {
        state: &bench.parts.state,
        supply: &bench.parts.supply,
        policies,
        now_ms: crate::Clock::wall_ms(&*bench.clock),
        carry: &NothingLive,
    };
    retirement.run().expect("nothing fails")
}

const A_SECOND: RetentionBounds = RetentionBounds {
    time_ms: Some(1000),
    bytes: None,
    records: None,
};

/// `t/1` is kept for ever, everything else for a second.
fn keep_t1() -> RetentionPolicies {
    RetentionPolicies {
        by_filter: vec![("t/1".to_owned(), RetentionBounds::default())],
        default: A_SECOND,
    }
}

/// Of the segments that can go only `t/1` is left, with its offsets; the last
/// sealed segment and the active one stay as they were.
fn check_only_t1(before: &Records, after: &Records, bench: &Bench) {
    let catalog = bench.parts.state.catalog();
    let newest = &catalog.segments()[catalog.segments().len() - 2];
    let stays = |shard: u32, offset: Offset| offset.index() >= newest.info.starts[shard as usize];
    let mut expected = before.clone();
    expected.retain(|(shard, offset), (topic, _)| topic == "t/1" || stays(*shard, *offset));
    assert!(
        *after == expected,
        "{} records are left, not {}",
        after.len(),
        expected.len()
    );
}

#[test]
fn segments_with_few_live_records_are_rewritten_and_offsets_stay() {
    let (disk, history) = (SimDisk::new(1), Arc::new(History::default()));
    let mut bench = open(&disk, &history);
    fill(&mut bench, 200, 10);
    let before = records(&bench);
    bench.clock.advance(Duration::from_secs(10));
    let report = retire(&bench, &keep_t1());
    assert!(report.segments_compacted > 3, "{report:?}");
    assert!(report.records > 150 && report.bytes > 10_000, "{report:?}");
    check_only_t1(&before, &records(&bench), &bench);
    assert_eq!(
        retire(&bench, &keep_t1()),
        RetentionReport::default(),
        "once is enough"
    );
    check_only_t1(&before, &records(&bench), &bench);
    drop(bench);
    // Also without the indexes, which are built again.
    for file in crate::Disk::list(&disk).expect("lists") {
        if file.name.ends_with(".idx") {
            crate::Disk::remove(&disk, &file.name).expect("removes");
        }
    }
    let mut bench = open(&disk, &history);
    check_only_t1(&before, &records(&bench), &bench);
    bench.background();
    bench.submit(0, some_payloads(7, 1, 10));
    bench.step();
    drop(bench);
    let bench = open(&disk.crash(1), &history);
    assert_eq!(bench.report.damaged, []);
    assert_eq!(bench.report.indexes_missing, 0);
    assert!(records(&bench).len() > before.values().filter(|(topic, _)| topic == "t/1").count());
}

#[test]
fn what_is_kept_for_ever_does_not_keep_the_rest() {
    let (disk, history) = (SimDisk::new(1), Arc::new(History::default()));
    let mut bench = open(&disk, &history);
    // The first segments hold mostly what is kept.
    for seed in 0..40 {
        bench.submit((seed % 3) as u32, some_payloads(seed, 4, 100));
        bench.step();
    }
    let mut policies = keep_t1();
    let forever = RetentionBounds::default();
    policies.by_filter.push(("t/2".to_owned(), forever));
    policies.by_filter.push(("t/3".to_owned(), forever));
    for round in 0..4 {
        fill(&mut bench, 100, 1000);
        bench.clock.advance(Duration::from_secs(10));
        let before = records(&bench);
        let report = retire(&bench, &policies);
        assert!(report.segments > 0, "round {round}: {report:?}");
        let after = records(&bench);
        let kept = |records: &Records| {
            let mut records = records.clone();
            records.retain(|_, (topic, _)| topic != "t/0");
            records
        };
        assert!(kept(&before) == kept(&after) && after.len() < before.len());
        assert!(
            bench.parts.state.catalog().segments().len() < 22,
            "round {round}: segments of which nothing is live are kept"
        );
    }
    let before = records(&bench);
    drop(bench);
    assert!(records(&open(&disk.crash(3), &history)) == before);
}

#[test]
fn a_crash_while_segments_are_removed_and_rewritten_loses_nothing_live() {
    let (disk, history) = (SimDisk::new(1), Arc::new(History::default()));
    let mut bench = open(&disk, &history);
    fill(&mut bench, 60, 1000);
    fill(&mut bench, 60, 10);
    fill(&mut bench, 40, 1000);
    let before = records(&bench);
    drop(bench);
    let run = |disk: &SimDisk| {
        let bench = open(disk, &history);
        bench.clock.advance(Duration::from_secs(10));
        bench.retire(&keep_t1());
    };
    let whole = disk.copy();
    whole.plan(Faults::default());
    run(&whole);
    let calls = whole.calls();
    assert!(calls > 30, "{calls} calls");
    let mut expected = before.clone();
    expected.retain(|_, (topic, _)| topic == "t/1");
    for call in 1..=calls {
        for seed in 0..4 {
            let stopped = disk.copy();
            stopped.plan(Faults {
                crash_at: Some(call),
                ..Faults::default()
            });
            if let Ok(bench) = Bench::open(Arc::new(stopped.clone()), &history) {
                bench.clock.advance(Duration::from_secs(10));
                bench.retire(&keep_t1());
            }
            assert!(stopped.has_crashed(), "call {call}");
            let disk = stopped.crash(seed);
            for _ in 0..2 {
                let bench = open(&disk, &history);
                assert_eq!(bench.report.damaged, [], "call {call}, seed {seed}");
                let after = records(&bench);
                let is_there = |(key, record)| after.get(key) == Some(record);
                assert!(expected.iter().all(is_there), "call {call}, seed {seed}");
                let was_there = |(key, record)| before.get(key) == Some(record);
                assert!(after.iter().all(was_there), "call {call}, seed {seed}");
                bench.background();
                bench.clock.advance(Duration::from_secs(10));
                retire(&bench, &keep_t1());
                check_only_t1(&before, &records(&bench), &bench);
            }
        }
    }
}

#[test]
fn bounds_of_records_and_bytes_keep_the_newest() {
    for bytes in [false, true] {
        let (disk, history) = (SimDisk::new(1), Arc::new(History::default()));
        let mut bench = open(&disk, &history);
        fill(&mut bench, 150, 1000);
        let before = records(&bench);
        let bound = if bytes {
            RetentionBounds {
                bytes: Some(5000),
                ..RetentionBounds::default()
            }
        } else {
            RetentionBounds {
                records: Some(50),
                ..RetentionBounds::default()
            }
        };
        let policies = RetentionPolicies {
            default: bound,
            ..RetentionPolicies::default()
        };
        let report = retire(&bench, &policies);
        let after = records(&bench);
        assert_eq!(after.len() as u64, before.len() as u64 - report.records);
        // What is kept may be above the bound by two segments: one that is only
        // partly above it, and the active one, which does not count.
        assert!((50..120).contains(&after.len()), "{} are left", after.len());
        assert!(
            after
                .iter()
                .all(|(key, record)| before.get(key) == Some(record))
        );
    }
}

#[test]
fn without_bounds_nothing_goes() {
    let (disk, history) = (SimDisk::new(1), Arc::new(History::default()));
    let mut bench = open(&disk, &history);
    fill(&mut bench, 100, 10);
    bench.clock.advance(Duration::from_secs(1 << 30));
    let report = retire(&bench, &RetentionPolicies::default());
    assert_eq!(report, RetentionReport::default());
}

/// Says no for one shard, and notes what it was asked.
struct Reluctant {
    refused: ShardId,
    asked: Mutex<Vec<(ShardId, Offset)>>,
}

impl CarryForward for Reluctant {
    fn carry_forward(&self, shard: ShardId, end: Offset) -> bool {
        self.asked.lock().push((shard, end));
        shard != self.refused
    }
}

#[test]
fn nothing_goes_before_it_was_carried_forward() {
    let (disk, history) = (SimDisk::new(1), Arc::new(History::default()));
    let mut bench = open(&disk, &history);
    fill(&mut bench, 100, 10);
    bench.clock.advance(Duration::from_secs(10));
    let before = records(&bench);
    let policies = RetentionPolicies {
        default: A_SECOND,
        ..RetentionPolicies::default()
    };
    let run = |refused| {
        let carry = Reluctant {
            refused: ShardId(refused),
            asked: Mutex::default(),
        };
        let retirement = Retirement {
            state: &bench.parts.state,
            supply: &bench.parts.supply,
            policies: &policies,
            now_ms: crate::Clock::wall_ms(&*bench.clock),
            carry: &carry,
        };
        let report = retirement.run().expect("nothing fails");
        (report.segments, carry.asked.into_inner())
    };
    let second = bench.parts.state.catalog().segments()[1]
        .info
        .starts
        .clone();
    let (removed, asked) = run(1);
    assert_eq!(removed, 0);
    let end = |shard: u32| Offset::new(second[shard as usize], 0);
    assert_eq!(asked, [0, 1].map(|shard| (ShardId(shard), end(shard))));
    assert!(records(&bench) == before);
    let (removed, asked) = run(SHARDS);
    assert!(removed > 3 && asked.len() as u64 == removed * u64::from(SHARDS));
    assert!(records(&bench).len() < before.len());
}
