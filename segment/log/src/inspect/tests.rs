//! What tools see of a log.

use std::sync::Arc;

use robustmq_record::{Lsn, SegmentId, ShardId};

use super::{DumpItem, LogInspector, SegmentStatus};
use crate::sim::SimDisk;
use crate::testing::{Bench, History, some_payloads};

fn sample() -> (SimDisk, Bench) {
    let (disk, history) = (SimDisk::new(1), Arc::new(History::default()));
    let mut bench = Bench::open(Arc::new(disk.clone()), &history).expect("opens");
    for seed in 0..40 {
        bench.submit((seed % 3) as u32, some_payloads(seed, 2, 150));
        bench.step();
    }
    bench.background();
    (disk, bench)
}

fn inspector(disk: &SimDisk) -> LogInspector {
    LogInspector::new(Arc::new(disk.clone()))
}

#[test]
fn a_log_in_use_is_summed_up() {
    let (disk, bench) = sample();
    let segments = inspector(&disk).segments().expect("reads");
    let statuses: Vec<_> = segments.iter().map(|segment| segment.status).collect();
    let (behind, sealed) = (
        &statuses[statuses.len() - 2..],
        &statuses[..statuses.len() - 2],
    );
    assert_eq!(behind, [SegmentStatus::Active, SegmentStatus::Ready]);
    assert!(sealed.len() > 2 && sealed.iter().all(|status| *status == SegmentStatus::Sealed));
    assert!(
        segments[..sealed.len()]
            .iter()
            .all(|segment| segment.index_bytes.is_some())
    );

    let info = inspector(&disk).info().expect("reads");
    assert_eq!(
        (info.segments, info.spare_files),
        (statuses.len() as u64 - 1, 1)
    );
    assert_eq!(
        (info.segments_without_index, info.lsn_start, info.clean),
        (1, Lsn(1), false)
    );
    assert_eq!(info.shards.len(), 3);
    for held in &info.shards {
        let position = bench.reader().position(held.shard);
        assert_eq!(
            (held.index_start, held.index_end),
            (position.local_start, position.appended_end)
        );
        assert_eq!(
            (held.batches, held.records),
            (held.index_end - 1, 2 * (held.index_end - 1))
        );
    }
}

#[test]
fn an_orderly_end_is_seen() {
    let (disk, mut bench) = sample();
    bench.parts.writer.finish();
    assert!(inspector(&disk).info().expect("reads").clean);
}

#[test]
fn a_dump_shows_every_frame() {
    let (disk, _bench) = sample();
    let (mut batches, mut controls, mut ends) = (Vec::new(), 0, 0);
    for id in inspector(&disk)
        .segments()
        .expect("reads")
        .iter()
        .map(|segment| segment.id)
    {
        let visit = &mut |item| {
            match item {
                DumpItem::Batch { batch, .. } => batches.push((batch.shard(), batch.index())),
                DumpItem::Control { .. } => controls += 1,
                DumpItem::End(_) => ends += 1,
                other => panic!("{other:?}"),
            }
            true
        };
        inspector(&disk).dump(id, visit).expect("reads");
    }
    let expected: Vec<_> = (0..40)
        .map(|seed| (ShardId(seed % 3), u64::from(seed / 3 + 1)))
        .collect();
    assert_eq!(batches, expected);
    assert_eq!(
        controls,
        2 * (ends - 1) - 1,
        "a start and an end each, but for the active and the ready one"
    );
    assert!(inspector(&disk).dump(SegmentId(99), &mut |_| true).is_err());
}

#[test]
fn a_sound_log_has_no_problems() {
    let (disk, _bench) = sample();
    let mut last = super::VerifyProgress::default();
    let report = inspector(&disk)
        .verify(true, &mut |progress| last = progress)
        .expect("reads");
    assert_eq!(report.problems, []);
    assert_eq!((report.batches, report.records), (40, 80));
    assert!(last.segments_done == last.segments && last.bytes_done == last.bytes && last.bytes > 0);
    let report = inspector(&disk).verify(false, &mut |_| ()).expect("reads");
    assert_eq!((report.problems.len(), report.bytes), (0, 0));
}

#[test]
fn damage_is_found_by_a_deep_look_and_a_bad_index_by_any() {
    let (disk, _bench) = sample();
    let name = |suffix: &str| format!("{:016x}.{suffix}", 2);
    let damaged = disk.copy();
    damaged.flip_bit(&name("seg"), 8 * 1500);
    assert_eq!(
        inspector(&damaged)
            .verify(false, &mut |_| ())
            .expect("reads")
            .problems,
        []
    );
    let report = inspector(&damaged)
        .verify(true, &mut |_| ())
        .expect("reads");
    assert_eq!(report.problems.len(), 1);
    let problem = &report.problems[0];
    assert!(
        problem.loses_data
            && problem.segment == SegmentId(2)
            && problem.position.is_some_and(|position| position < 1500)
    );

    let damaged = disk.copy();
    damaged.flip_bit(&name("idx"), 100);
    for deep in [false, true] {
        let report = inspector(&damaged)
            .verify(deep, &mut |_| ())
            .expect("reads");
        assert_eq!(report.problems.len(), 1);
        assert!(
            !report.problems[0].loses_data && report.problems[0].what.contains("index is damaged")
        );
    }
}
