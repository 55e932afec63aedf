//! Failing syncs, full disks, panicking callers.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::crash::{Run, STEPS, mix};
use crate::sim::{Faults, SimDisk};
use crate::testing::{Bench, Fate, History, SHARDS, payloads, some_payloads};
use crate::{AppendError, RetentionBounds, RetentionPolicies};

fn run_with(faults: Faults, seed: u64) -> (SimDisk, Run) {
    let disk = SimDisk::new(seed);
    disk.plan(faults);
    let mut run = Run::new();
    run.may_fail_to_open = true;
    for steps in STEPS {
        run.script(&disk, steps);
    }
    (disk, run)
}

#[test]
fn after_a_failed_sync_nothing_is_stored_and_nothing_acknowledged_is_lost() {
    let whole = SimDisk::new(1);
    Run::new().script(&whole, STEPS[0]);
    let syncs = whole.syncs();
    assert!(syncs > 30, "{syncs} syncs");
    let mut poisoned = 0;
    for sync in 1..=syncs {
        let context = format!("sync {sync} of {syncs} fails");
        let disk = SimDisk::new(sync);
        disk.plan(Faults {
            fail_sync_at: Some(sync),
            ..Faults::default()
        });
        let mut run = Run::new();
        run.may_fail_to_open = true;
        run.script(&disk, STEPS[0]);
        disk.plan(Faults::default());
        let failures = run.history.failures.load(Ordering::SeqCst);
        assert!(failures <= 1, "{context}: told once");
        poisoned += failures;
        // The process ends, the machine goes on: what the system shows now may
        // never have reached the disk. What is served must reach it.
        let served = {
            let bench = run.check(Arc::new(disk.clone()), &context);
            (0..SHARDS)
                .map(|shard| contents(&bench, shard))
                .collect::<Vec<_>>()
        };
        let bench = run.check(Arc::new(disk.crash(mix(sync, 3))), &context);
        for shard in 0..SHARDS {
            let found = contents(&bench, shard);
            assert!(
                found == served[shard as usize],
                "{context}: what was served is lost"
            );
        }
    }
    assert!(
        poisoned * 2 > syncs,
        "most syncs are the writer's: {poisoned} of {syncs}"
    );
}

fn contents(bench: &Bench, shard: u32) -> Vec<(u64, Vec<Vec<u8>>)> {
    let (batches, _) = bench.read_all(shard);
    batches
        .iter()
        .map(|batch| (batch.index(), payloads(batch)))
        .collect()
}

#[test]
fn after_a_failure_every_submitter_gets_an_error() {
    let (disk, history) = (SimDisk::new(1), Arc::new(History::default()));
    let mut bench = Bench::open(Arc::new(disk.clone()), &history).expect("opens");
    bench.submit(0, some_payloads(1, 1, 10));
    bench.step();
    disk.plan(Faults {
        fail_sync_at: Some(1),
        ..Faults::default()
    });
    for seed in 2..8 {
        bench.submit((seed % 3) as u32, some_payloads(seed, 1, 10));
        if seed > 4 {
            bench.step();
        }
    }
    bench.parts.writer.finish();
    let fates = history.fates.lock();
    assert_eq!(fates.len(), 7, "everybody was told");
    let poisoned = fates
        .values()
        .filter(|fate| matches!(fate, Fate::Refused(AppendError::Poisoned(_))));
    assert_eq!(poisoned.count(), 6);
    assert_eq!(history.failures.load(Ordering::SeqCst), 1);
    assert_eq!(history.committed.lock().len(), 1);
}

#[test]
fn a_write_without_room_leaves_nothing_behind() {
    let writes = run_with(Faults::default(), 1).0.writes();
    let mut refused = 0;
    for write in 1..=writes {
        for seed in 0..2 {
            let context = format!("write {write} of {writes} finds no room, seed {seed}");
            let faults = Faults {
                full_at_write: Some(write),
                ..Faults::default()
            };
            let (disk, mut run) = run_with(faults, mix(write, seed));
            assert_eq!(run.history.failures.load(Ordering::SeqCst), 0, "{context}");
            let fates = run.history.fates.lock().clone();
            refused += fates
                .values()
                .filter(|fate| matches!(fate, Fate::Refused(AppendError::DiskFull)))
                .count();
            let disk = disk.crash(mix(write, seed));
            drop(run.check(Arc::new(disk.clone()), &context));
            run.script(&disk, 5);
            drop(run.check(Arc::new(disk.crash(seed)), &context));
        }
    }
    assert!(refused > 50, "batches were refused: {refused}");
}

#[test]
fn on_a_full_disk_publishes_are_refused_and_it_goes_on_when_there_is_room() {
    let (disk, mut run) = (SimDisk::new(1), Run::new());
    let capacity = Faults {
        capacity_bytes: Some(30_000),
        ..Faults::default()
    };
    disk.plan(capacity);
    let mut bench = Bench::open(Arc::new(disk.clone()), &run.history).expect("opens");
    let mut seed = 0;
    let mut submit = |bench: &mut Bench, count: usize| {
        let mut stored = 0;
        for _ in 0..count {
            seed += 1;
            let number = bench.submit((seed % 3) as u32, some_payloads(seed, 2, 300));
            bench.step();
            bench.background();
            let fates = bench.history.fates.lock();
            stored += usize::from(matches!(fates.get(&number), Some(Fate::Stored { .. })));
        }
        stored
    };
    let stored = submit(&mut bench, 80);
    assert!(stored > 10 && stored < 80, "{stored} fit");
    assert_eq!(submit(&mut bench, 5), 0, "all are refused now");
    let fates = bench.history.fates.lock().clone();
    assert!(fates.values().all(|fate| matches!(
        fate,
        Fate::Stored { .. } | Fate::Refused(AppendError::DiskFull)
    )));
    // It reads, it keeps votes, it can be opened again.
    let held: usize = (0..SHARDS).map(|shard| bench.read_all(shard).0.len()).sum();
    assert_eq!(held, stored);
    run.vote(&bench, 1, 99);
    bench.step();
    assert_eq!(run.acknowledged_vote(1), 99);
    drop(bench);
    let mut bench = run.check(Arc::new(disk.clone()), "full");
    assert_eq!(submit(&mut bench, 3), 0);
    // Retention makes room.
    let default = RetentionBounds {
        records: Some(10),
        ..RetentionBounds::default()
    };
    bench.retire(&RetentionPolicies {
        default,
        ..RetentionPolicies::default()
    });
    run.note_removed(&bench);
    assert!(submit(&mut bench, 5) > 0, "there is room again");
    drop(bench);
    let mut bench = run.check(Arc::new(disk.crash(5)), "after the room was used");
    // And so does a larger disk.
    assert_eq!(submit(&mut bench, 40), 40);
}
