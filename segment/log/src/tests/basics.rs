//! What is appended is read again: from memory, from disk, after reopening.

use std::sync::Arc;

use robustmq_protocol::topic::FilterAutomaton;
use robustmq_record::{Offset, ShardId};

use crate::sim::SimDisk;
use crate::testing::{Bench, Fate, History, SHARDS, payloads, some_payloads};
use crate::{GapReason, ReadLimits};

fn filled(disk: &SimDisk, history: &Arc<History>, batches: u64) -> Bench {
    let mut bench = Bench::open(Arc::new(disk.clone()), history).expect("opens");
    for seed in 0..batches {
        let (count, size) = (1 + (seed % 4) as usize, 20 + 37 * (seed % 9) as usize);
        bench.submit(
            (seed % u64::from(SHARDS)) as u32,
            some_payloads(seed, count, size),
        );
        if seed % 3 == 0 {
            bench.step();
        }
        if seed % 10 == 0 {
            bench.background();
        }
    }
    bench.step();
    bench
}

/// All submitted batches are there, in order and nothing else.
fn check_all(bench: &Bench) {
    let submitted = bench.history.submitted.lock();
    for shard in 0..SHARDS {
        let expected = submitted.iter().filter(|(at, _)| at.0 == shard);
        let expected: Vec<_> = expected.map(|(_, payloads)| payloads.clone()).collect();
        let (batches, gaps) = bench.read_all(shard);
        assert_eq!(gaps, []);
        let found: Vec<_> = batches.iter().map(|batch| payloads(batch)).collect();
        assert!(
            found == expected,
            "shard {shard}: {} of {}",
            found.len(),
            expected.len()
        );
        for (batch, index) in batches.iter().zip(1..) {
            assert_eq!((batch.shard(), batch.index()), (ShardId(shard), index));
        }
    }
}

#[test]
fn appended_batches_are_read_in_order_also_after_reopening() {
    let (disk, history) = (SimDisk::new(1), Arc::new(History::default()));
    let bench = filled(&disk, &history, 120);
    assert!(
        bench.parts.state.catalog().segments().len() > 5,
        "segments were rolled"
    );
    check_all(&bench);
    let stored = history
        .fates
        .lock()
        .values()
        .filter(|fate| matches!(fate, Fate::Stored { .. }))
        .count();
    assert_eq!((stored, history.committed.lock().len()), (120, 120));
    bench.background();
    check_all(&bench);
    drop(bench);
    for _ in 0..2 {
        let mut bench = Bench::open(Arc::new(disk.clone()), &history).expect("opens again");
        assert_eq!(
            (bench.report.torn_bytes, bench.report.damaged.len()),
            (0, 0)
        );
        check_all(&bench);
        bench.background();
        check_all(&bench);
        bench.submit(1, some_payloads(1000, 2, 50));
        bench.step();
        check_all(&bench);
    }
}

#[test]
fn recovery_scans_only_the_newest_segment() {
    let (disk, history) = (SimDisk::new(1), Arc::new(History::default()));
    let bench = filled(&disk, &history, 120);
    bench.background();
    drop(bench);
    let bench = Bench::open(Arc::new(disk.clone()), &history).expect("opens again");
    assert!(bench.report.segments > 5);
    assert_eq!(
        (bench.report.segments_scanned, bench.report.indexes_missing),
        (1, 0)
    );
}

#[test]
fn a_clean_end_is_noted() {
    let (disk, history) = (SimDisk::new(1), Arc::new(History::default()));
    let mut bench = filled(&disk, &history, 10);
    bench.submit(0, some_payloads(77, 1, 10));
    bench.parts.writer.finish();
    drop(bench);
    let bench = Bench::open(Arc::new(disk.crash(3)), &history).expect("opens again");
    assert!(bench.report.clean);
    check_all(&bench);
}

#[test]
fn filtered_reads_find_the_same_with_and_without_index() {
    let (disk, history) = (SimDisk::new(1), Arc::new(History::default()));
    let bench = filled(&disk, &history, 120);
    let filters = [FilterAutomaton::parse("t/3").expect("a filter")];
    let read = |bench: &Bench| {
        let mut found = Vec::new();
        for shard in (0..SHARDS).map(ShardId) {
            let mut next = Offset::ZERO;
            loop {
                let limits = ReadLimits {
                    bytes_max: 500,
                    batches_max: 3,
                };
                let chunk = bench
                    .reader()
                    .read(shard, next, Some(&filters), limits)
                    .expect("reads");
                assert_eq!(chunk.gaps, []);
                next = chunk.next;
                found.extend(chunk.batches.iter().map(|batch| batch.first_offset()));
                if chunk.at_end {
                    break;
                }
            }
        }
        found
    };
    let without = read(&bench);
    // Every fourth batch has four records, the last of them on `t/3`.
    assert_eq!(without.len(), 30);
    bench.background();
    assert_eq!(read(&bench), without);
    drop(bench);
    let bench = Bench::open(Arc::new(disk.clone()), &history).expect("opens again");
    assert_eq!(read(&bench), without);
}

#[test]
fn a_batch_larger_than_a_segment_is_stored() {
    let (disk, history) = (SimDisk::new(1), Arc::new(History::default()));
    let mut bench = filled(&disk, &history, 5);
    bench.submit(2, some_payloads(500, 3, 9000));
    bench.submit(0, some_payloads(501, 1, 10));
    bench.step();
    check_all(&bench);
    bench.background();
    drop(bench);
    check_all(&Bench::open(Arc::new(disk.crash(9)), &history).expect("opens again"));
}

#[test]
fn single_batches_and_times_are_found() {
    let (disk, history) = (SimDisk::new(1), Arc::new(History::default()));
    let mut bench = Bench::open(Arc::new(disk.clone()), &history).expect("opens");
    let start = crate::Clock::wall_ms(&*bench.clock);
    for seed in 0..60 {
        bench.submit(0, some_payloads(seed, 1, 200));
        bench.step();
        bench.clock.advance(std::time::Duration::from_millis(10));
    }
    bench.background();
    for index in [1, 17, 60] {
        let batch = bench
            .reader()
            .entry(ShardId(0), index)
            .expect("reads")
            .expect("is there");
        assert_eq!(payloads(&batch), some_payloads(index - 1, 1, 200));
        let time = start + 10 * (index - 1);
        let found = bench.reader().find_time(ShardId(0), time).expect("reads");
        assert_eq!(found, Offset::new(index, 0));
    }
    assert!(
        bench
            .reader()
            .entry(ShardId(0), 61)
            .expect("reads")
            .is_none()
    );
    let end = bench
        .reader()
        .find_time(ShardId(0), start + 10_000)
        .expect("reads");
    assert_eq!(end, Offset::new(61, 0));
}

#[test]
fn reading_before_the_start_is_a_gap_of_retention() {
    let (disk, history) = (SimDisk::new(1), Arc::new(History::default()));
    let bench = filled(&disk, &history, 120);
    bench.background();
    bench.clock.advance(std::time::Duration::from_secs(10));
    let policies = crate::RetentionPolicies {
        default: crate::RetentionBounds {
            time_ms: Some(1000),
            ..Default::default()
        },
        ..Default::default()
    };
    bench.retire(&policies);
    assert_eq!(bench.parts.state.catalog().segments().len(), 2);
    let position = bench.reader().position(ShardId(0));
    assert!(position.local_start > 1 && position.log_start == position.local_start);
    let (batches, gaps) = bench.read_all(0);
    assert_eq!(
        batches.len() as u64,
        position.appended_end - position.local_start
    );
    assert_eq!(gaps.len(), 1);
    let expected = (
        Offset::new(1, 0),
        Offset::new(position.local_start, 0),
        GapReason::Retention,
    );
    assert_eq!((gaps[0].start, gaps[0].end, gaps[0].reason), expected);
}
