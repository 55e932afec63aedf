//! Every bit of a small log is turned over, one at a time. Each flip must be
//! detected and reported, or change nothing of what is read; what it did not
//! hit is there.

use std::sync::Arc;

use robustmq_record::Offset;

use crate::GapReason;
use crate::disk::Disk;
use crate::file_names::{FileKind, parse};
use crate::sim::SimDisk;
use crate::testing::{Bench, History, SHARDS, payloads, some_payloads};

pub(crate) type Content = Vec<(u64, Vec<Vec<u8>>)>;

/// Two sealed segments and an active one whose end is known to be durable.
pub(crate) fn sample() -> (SimDisk, Arc<History>, Vec<Content>) {
    let (disk, history) = (SimDisk::new(1), Arc::new(History::default()));
    let change = |config: &mut crate::LogConfig| config.spare_files = 0;
    let mut bench = Bench::open_with(Arc::new(disk.clone()), &history, change).expect("opens");
    let mut seed = 0;
    let mut rolled = 0;
    while rolled < 6 {
        seed += 1;
        bench.submit(
            (seed % 3) as u32,
            some_payloads(seed, 1 + (seed % 2) as usize, 230),
        );
        bench.step();
        rolled += u64::from(bench.parts.state.catalog().segments().len() == 3);
    }
    bench.background();
    bench.idle();
    let content = (0..SHARDS).map(|shard| content(&bench, shard)).collect();
    drop(bench);
    (disk.copy(), history, content)
}

fn content(bench: &Bench, shard: u32) -> Content {
    let (batches, _) = bench.read_all(shard);
    batches
        .iter()
        .map(|batch| (batch.index(), payloads(batch)))
        .collect()
}

/// What is read must be what was written, but for at most one batch, whose
/// place is a gap. Returns how many are missing.
fn compare(bench: &Bench, expected: &[Content], context: &str) -> usize {
    let mut missing = 0;
    for (shard, expected) in (0..).zip(expected) {
        let (batches, gaps) = bench.read_all(shard);
        let mut found = batches
            .iter()
            .map(|batch| (batch.index(), payloads(batch)))
            .peekable();
        for (index, payloads) in expected {
            if found.peek().is_some_and(|(found, _)| found == index) {
                let (_, read) = found.next().expect("it was peeked at");
                assert!(
                    read == *payloads,
                    "{context}: shard {shard} index {index} is served wrong"
                );
                continue;
            }
            missing += 1;
            let (start, end) = (Offset::new(*index, 0), Offset::new(index + 1, 0));
            let covered = gaps
                .iter()
                .any(|gap| gap.reason == GapReason::Damage && gap.start <= start && end <= gap.end);
            assert!(
                covered,
                "{context}: shard {shard} index {index} is missing silently: {gaps:?}"
            );
        }
        let more: Vec<u64> = found.map(|(index, _)| index).collect();
        assert!(
            more.is_empty(),
            "{context}: shard {shard} has what was never written: {more:?}"
        );
    }
    assert!(missing <= 1, "{context}: one flip costs {missing} batches");
    missing
}

/// Turns over every bit of the files that `wanted` picks; `step` bits apart.
fn flip_all(wanted: impl Fn(usize, FileKind) -> bool) -> (usize, usize) {
    let (disk, history, expected) = sample();
    let files = disk.list().expect("lists");
    let segments: Vec<_> = files
        .iter()
        .filter(|file| matches!(parse(&file.name), FileKind::Segment(_)))
        .collect();
    assert_eq!(segments.len(), 3);
    let (mut flips, mut hits) = (0, 0);
    for file in &files {
        let place = segments
            .iter()
            .position(|segment| segment.name[..16] == file.name[..16]);
        if !wanted(
            place.expect("every file belongs to a segment"),
            parse(&file.name),
        ) {
            continue;
        }
        for bit in 0..file.len * 8 {
            let context = format!("bit {bit} of {}", file.name);
            let disk = disk.copy();
            disk.flip_bit(&file.name, bit);
            let mut bench = Bench::open(Arc::new(disk.clone()), &history)
                .unwrap_or_else(|error| panic!("{context}: {error}"));
            let missing = compare(&bench, &expected, &context);
            if bit % 64 == 5 || missing > 0 && bit % 8 == 3 {
                goes_on(&mut bench, &disk, &history, &expected, &context);
            }
            flips += 1;
            hits += missing;
        }
    }
    (flips, hits)
}

/// The log goes on behind the damage, and no offset is given twice.
fn goes_on(
    bench: &mut Bench,
    disk: &SimDisk,
    history: &Arc<History>,
    expected: &[Content],
    context: &str,
) {
    for shard in 0..SHARDS {
        bench.submit(shard, some_payloads(9_000, 1, 50));
    }
    bench.step();
    let check = |bench: &Bench| {
        for (shard, expected) in (0..).zip(expected) {
            let last = content(bench, shard).pop().expect("something is there");
            let before = expected.last().map_or(0, |(index, _)| *index);
            assert!(
                last.1 == some_payloads(9_000, 1, 50),
                "{context}: appended and lost"
            );
            assert!(
                last.0 > before,
                "{context}: index {} was given before",
                last.0
            );
        }
    };
    check(bench);
    check(&Bench::open(Arc::new(disk.crash(7)), history).expect("opens again"));
}

#[test]
fn flips_in_sealed_segments() {
    let (flips, hits) = flip_all(|place, kind| place < 2 && matches!(kind, FileKind::Segment(_)));
    assert!(
        flips == 2 * 8 * 4096 && hits > 10_000,
        "{hits} of {flips} hit a batch"
    );
}

#[test]
fn flips_in_the_active_segment() {
    let (flips, hits) = flip_all(|place, kind| place == 2 && matches!(kind, FileKind::Segment(_)));
    assert!(
        flips == 8 * 4096 && hits > 5_000,
        "{hits} of {flips} hit a batch"
    );
}

#[test]
fn flips_in_indexes_cost_nothing() {
    let (flips, hits) = flip_all(|_, kind| matches!(kind, FileKind::Index(_)));
    assert!(flips > 10_000 && hits == 0, "{hits} of {flips} hit a batch");
}
