//! The log with all its threads: submitters, readers and retention at the same
//! time, on a real directory, and on a simulated disk whose machine stops again
//! and again.

mod support;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use robustmq_log::sim::{Faults, SimDisk};
use robustmq_log::{
    Disk, DiskLog, LogConfig, RealDisk, RetentionBounds, RetentionPolicies, ShardLog,
};
use robustmq_record::{Offset, ShardId};
use support::{Mailboxes, Nobody, Read, read_all};

const SHARDS: u32 = 2;
/// How many records that are not kept for ever stay at least.
const KEPT: u64 = 300;

fn config() -> LogConfig {
    LogConfig {
        shards: SHARDS,
        segment_bytes: 8 << 10,
        tail_cache_bytes: 8 << 10,
        index_cache_bytes: 4 << 10,
        open_files_max: 4,
        free_bytes_min: 0,
        ..LogConfig::default()
    }
}

/// Few records are kept for ever; of the others the newest.
fn policies() -> RetentionPolicies {
    RetentionPolicies {
        by_filter: vec![("keep/#".to_owned(), RetentionBounds::default())],
        default: RetentionBounds {
            records: Some(KEPT),
            ..RetentionBounds::default()
        },
    }
}

/// What was submitted and what was acknowledged, over all runs.
#[derive(Default)]
struct Truth {
    submitted: Mutex<BTreeMap<String, String>>,
    stored: Mutex<BTreeMap<(ShardId, Offset), Read>>,
}

impl Truth {
    /// Submits until the log fails, or `count` records are stored.
    fn submit(&self, log: &DiskLog, mailboxes: &Mailboxes, name: &str, count: u32) -> bool {
        for number in 0..count {
            let shard = ShardId(number % SHARDS);
            let topic = if number % 23 == 0 {
                "keep/a"
            } else {
                "other/a"
            };
            let payload = format!("{name}-{number}-{}", "x".repeat(number as usize % 90));
            let mut submitted = self.submitted.lock();
            submitted.insert(payload.clone(), topic.to_owned());
            drop(submitted);
            let Ok(offset) = mailboxes.submit(log, shard, topic, &payload) else {
                return false;
            };
            let read = (topic.to_owned(), payload);
            let before = self.stored.lock().insert((shard, offset), read);
            assert!(before.is_none(), "{offset:?} of {shard} was given twice");
        }
        true
    }

    /// Everything that must be there is, and nothing else.
    fn check(&self, log: &DiskLog, context: &str) {
        let stored = self.stored.lock();
        let mut others = 0;
        for shard in (0..SHARDS).map(ShardId) {
            let found = read_all(&log.reader(), shard);
            let submitted = self.submitted.lock();
            for (offset, (topic, payload)) in &found {
                let known = submitted.get(payload).is_some_and(|known| known == topic);
                assert!(known, "{context}: {offset:?} was never submitted");
            }
            let mut missing_until = Offset::ZERO;
            let expected = stored.iter().filter(|((at, _), _)| *at == shard);
            for ((_, offset), read) in expected.clone() {
                match found.get(offset) {
                    Some(found) => assert_eq!(found, read, "{context}"),
                    None => {
                        assert!(
                            !read.0.starts_with("keep"),
                            "{context}: {offset:?} of {shard} is lost"
                        );
                        missing_until = *offset;
                    }
                }
            }
            let is_other = |read: &Read| !read.0.starts_with("keep");
            let hole = expected
                .clone()
                .filter(|((_, offset), read)| is_other(read) && *offset < missing_until)
                .find(|((_, offset), _)| found.contains_key(offset));
            assert!(
                hole.is_none(),
                "{context}: newer ones are missing: {hole:?}"
            );
            others += found.values().filter(|read| is_other(read)).count() as u64;
        }
        let total = stored.values().filter(|read| !read.0.starts_with("keep"));
        let total = total.count() as u64;
        assert!(others >= total.min(KEPT), "{context}: {others} of {total}");
    }
}

fn open(disk: &Arc<dyn Disk>) -> Option<(DiskLog, Arc<Mailboxes>)> {
    let mailboxes = Arc::new(Mailboxes::default());
    let source = Arc::clone(&mailboxes);
    let opened = DiskLog::open(Arc::clone(disk), config(), source, Arc::new(Nobody));
    let (log, report) = opened.ok()?;
    assert_eq!(report.damaged, [], "crashes damage nothing");
    Some((log, mailboxes))
}

/// Submits from several threads while others read and remove; whether all was
/// stored.
fn churn(log: &DiskLog, mailboxes: &Mailboxes, truth: &Truth, name: &str, count: u32) -> bool {
    const SUBMITTERS: u32 = 4;
    let running = AtomicBool::new(true);
    std::thread::scope(|scope| {
        let submitters: Vec<_> = (0..SUBMITTERS)
            .map(|submitter| {
                let name = format!("{name}-{submitter}");
                scope.spawn(move || truth.submit(log, mailboxes, &name, count))
            })
            .collect();
        let running = &running;
        scope.spawn(move || {
            while running.load(Ordering::SeqCst) {
                if log.retire(&policies(), 0, &Nobody).is_err() {
                    return;
                }
                std::thread::yield_now();
            }
        });
        for shard in (0..SHARDS).map(ShardId) {
            scope.spawn(move || {
                while running.load(Ordering::SeqCst) {
                    let chunk = log.reader().read(
                        shard,
                        Offset::ZERO,
                        None,
                        robustmq_log::ReadLimits {
                            bytes_max: usize::MAX,
                            batches_max: usize::MAX,
                        },
                    );
                    let Ok(chunk) = chunk else { return };
                    let intended =
                        |gap: &robustmq_log::Gap| gap.reason == robustmq_log::GapReason::Retention;
                    assert!(chunk.gaps.iter().all(intended), "{:?}", chunk.gaps);
                    let indexes = chunk.batches.iter().map(|batch| batch.index());
                    assert!(indexes.is_sorted_by(|a, b| a < b));
                }
            });
        }
        let stored: Vec<_> = submitters
            .into_iter()
            .map(|submitter| submitter.join())
            .collect();
        running.store(false, Ordering::SeqCst);
        stored
            .into_iter()
            .all(|stored| stored.expect("no submitter panics"))
    })
}

#[test]
fn readers_and_retention_beside_submitters() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let disk: Arc<dyn Disk> = Arc::new(RealDisk::new(directory.path()).expect("a disk"));
    let truth = Truth::default();
    for run in 0..3 {
        let (log, mailboxes) = open(&disk).expect("opens");
        truth.check(&log, "opened");
        let stored = churn(&log, &mailboxes, &truth, &format!("run {run}"), 700);
        assert!(stored, "nothing fails");
        truth.check(&log, "running");
        log.retire(&policies(), 0, &Nobody).expect("retires");
        truth.check(&log, "retired");
        let counters = log.counters();
        let count = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
        assert!(count(&counters.segments_compacted) > 0, "{counters:?}");
        assert_eq!(count(&counters.damages), 0);
    }
    let (log, _) = open(&disk).expect("opens");
    truth.check(&log, "at the end");
}

#[test]
fn the_machine_stops_again_and_again() {
    let truth = Truth::default();
    let mut disk = SimDisk::new(1);
    let mut random = 1u64;
    let mut roll = move || {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        random >> 33
    };
    for run in 0..150 {
        disk.plan(Faults {
            crash_at: Some(1 + roll() % 400),
            ..Faults::default()
        });
        let shared: Arc<dyn Disk> = Arc::new(disk.clone());
        if let Some((log, mailboxes)) = open(&shared) {
            let stored = churn(&log, &mailboxes, &truth, &format!("run {run}"), 400);
            assert!(
                stored || disk.has_crashed(),
                "run {run}: a failure without cause"
            );
        }
        // Sometimes only the process ends, and the disk goes on as it is.
        disk = if disk.has_crashed() || roll() % 2 == 0 {
            disk.crash(roll())
        } else {
            disk
        };
        disk.plan(Faults::default());
        let shared: Arc<dyn Disk> = Arc::new(disk.clone());
        let (log, _) = open(&shared).expect("opens after a crash");
        truth.check(&log, &format!("after run {run}"));
    }
}
