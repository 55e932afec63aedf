//! Raft's orders: entries, votes, truncations, purges.

use std::sync::Arc;
use std::sync::mpsc;

use robustmq_record::{Batch, NodeId, Purge, ShardId, Term, Truncate, Vote};

use crate::inbox::{Command, Order};
use crate::sim::{Faults, SimDisk};
use crate::testing::{Bench, History, builder, payloads, some_payloads};
use crate::{AppendError, CommitRule, GapReason};

const SHARD: ShardId = ShardId(1);

fn open(disk: &SimDisk) -> Bench {
    let change = |config: &mut crate::LogConfig| config.commit = CommitRule::Told;
    Bench::open_with(Arc::new(disk.clone()), &Arc::default(), change).expect("opens")
}

fn order(bench: &mut Bench, order: Order) -> Result<(), AppendError> {
    let (sender, receiver) = mpsc::channel();
    let completion = Box::new(move |result| sender.send(result).expect("the test waits"));
    bench.parts.inbox.push(Command { order, completion });
    bench.step();
    receiver.try_recv().expect("completed within the round")
}

fn entry(index: u64, term: u64) -> Arc<Batch> {
    let payloads = some_payloads(100 * term + index, 1, 200);
    Arc::new(builder(&payloads, 1000).finish(SHARD, index, Term(term)))
}

fn append(bench: &mut Bench, indexes: std::ops::Range<u64>, term: u64) -> Result<(), AppendError> {
    let entries = indexes.map(|index| entry(index, term)).collect();
    order(bench, Order::Entries(entries))
}

fn truncate(bench: &mut Bench, index_start: u64, term: u64) -> Result<(), AppendError> {
    let truncate = Truncate {
        shard: SHARD,
        term: Term(term),
        index_start,
    };
    order(bench, Order::Truncate(truncate))
}

fn commit(bench: &Bench, commit_end: u64) {
    bench
        .parts
        .state
        .change_position(SHARD, |position| position.commit_end = commit_end);
}

/// Terms of the entries, as Raft reads them.
fn terms(bench: &Bench) -> Vec<u64> {
    let position = bench.reader().position(SHARD);
    (position.local_start..position.appended_end)
        .map(|index| {
            bench
                .reader()
                .entry(SHARD, index)
                .expect("reads")
                .map_or(0, |batch| batch.term().0)
        })
        .collect()
}

#[test]
fn entries_follow_each_other_and_are_seen_when_committed() {
    let (disk, mut bench) = (SimDisk::new(1), None);
    let bench = bench.get_or_insert_with(|| open(&disk));
    append(bench, 1..4, 2).expect("stored");
    assert!(
        matches!(append(bench, 5..6, 2), Err(AppendError::Conflict(_))),
        "a hole"
    );
    assert!(
        matches!(append(bench, 3..4, 2), Err(AppendError::Conflict(_))),
        "there already"
    );
    assert!(
        matches!(append(bench, 4..5, 1), Err(AppendError::Conflict(_))),
        "an older term"
    );
    assert_eq!(bench.read_all(1).0.len(), 0, "nothing is committed");
    commit(bench, 3);
    let (batches, gaps) = bench.read_all(1);
    assert_eq!((batches.len(), gaps.len()), (2, 0));
    assert_eq!(payloads(&batches[1]), some_payloads(202, 1, 200));
    let position = bench.reader().position(SHARD);
    assert_eq!(
        (
            position.flushed_end,
            position.appended_end,
            position.visible_end()
        ),
        (4, 4, 3)
    );
    assert!(
        bench.history.committed.lock().is_empty(),
        "Raft tells of commits itself"
    );
}

#[test]
fn votes_and_terms_are_kept_and_never_go_back() {
    let disk = SimDisk::new(1);
    let vote = |term, node, committed| Vote {
        shard: SHARD,
        term: Term(term),
        voted_for: NodeId(node),
        committed,
    };
    let mut bench = open(&disk);
    order(&mut bench, Order::Vote(vote(5, 2, false))).expect("stored");
    order(&mut bench, Order::Vote(vote(5, 2, true))).expect("stored");
    assert!(matches!(
        order(&mut bench, Order::Vote(vote(4, 1, false))),
        Err(AppendError::Conflict(_))
    ));
    // Segments later, the first frame of the newest still says it.
    append(&mut bench, 1..80, 5).expect("stored");
    drop(bench);
    let bench = open(&SimDisk::clone(&disk.crash(1)));
    assert!(bench.report.segments > 3 && bench.report.segments_scanned == 1);
    assert_eq!(bench.parts.state.cell(SHARD).vote, vote(5, 2, true));
    assert_eq!(bench.reader().position(SHARD).term, Term(5));
    assert_eq!(bench.parts.state.cell(ShardId(0)).vote.term, Term(0));
}

#[test]
fn what_was_cut_off_is_replaced_also_over_segments() {
    for (first, cut) in [(5, 3), (80, 3), (80, 60), (80, 79), (40, 1)] {
        let disk = SimDisk::new(1);
        let mut bench = open(&disk);
        append(&mut bench, 1..first, 1).expect("stored");
        truncate(&mut bench, cut, 2).expect("stored");
        let position = bench.reader().position(SHARD);
        assert_eq!((position.appended_end, position.flushed_end), (cut, cut));
        append(&mut bench, cut..cut + 30, 2).expect("stored");
        let expected: Vec<u64> = (1..cut + 30)
            .map(|index| if index < cut { 1 } else { 2 })
            .collect();
        assert_eq!(terms(&bench), expected, "{first}, {cut}");
        bench.background();
        assert_eq!(terms(&bench), expected, "{first}, {cut}, with indexes");
        drop(bench);
        for _ in 0..2 {
            let mut bench = open(&disk);
            assert_eq!(bench.report.damaged, []);
            assert_eq!(terms(&bench), expected, "{first}, {cut}, opened again");
            bench.background();
            assert_eq!(
                terms(&bench),
                expected,
                "{first}, {cut}, opened again, with indexes"
            );
            let end = bench.reader().position(SHARD).appended_end;
            truncate(&mut bench, end, 2).expect("nothing to do");
        }
    }
}

#[test]
fn a_crash_while_entries_are_replaced_leads_to_no_entry_that_was_cut_off() {
    const CUT: u64 = 60;
    let mut seen = [false; 3];
    for call in 1..40 {
        let disk = SimDisk::new(call);
        let mut bench = open(&disk);
        append(&mut bench, 1..80, 1).expect("stored");
        assert!(bench.parts.state.catalog().segments().len() > 3);
        disk.plan(Faults {
            crash_at: Some(call),
            ..Faults::default()
        });
        let is_cut = truncate(&mut bench, CUT, 1).is_ok();
        let is_replaced = is_cut && append(&mut bench, CUT..CUT + 5, 2).is_ok();
        drop(bench);
        let disk = disk.crash(call);
        let mut bench = open(&disk);
        let kept = terms(&bench);
        let replaced = kept.iter().filter(|term| **term == 2).count();
        let state = usize::from(kept.len() < 79) + usize::from(replaced > 0);
        seen[state] = true;
        assert!(!is_cut || state > 0, "crash at {call}: it was cut off");
        assert!(
            !is_replaced || replaced == 5,
            "crash at {call}: it was stored"
        );
        let term = bench.parts.state.cell(SHARD).appended_term;
        assert_eq!(kept.last(), Some(&term.0), "crash at {call}");
        let end = bench.reader().position(SHARD).appended_end;
        append(&mut bench, end..end + 10, 3).expect("stored");
        let expected = [&kept[..], &[3; 10]].concat();
        for _ in 0..3 {
            assert_eq!(terms(&bench), expected, "crash at {call}");
            bench.background();
            assert_eq!(terms(&bench), expected, "crash at {call}, with indexes");
            drop(bench);
            bench = open(&disk);
        }
    }
    assert_eq!(seen, [true; 3], "not cut off, cut off, and replaced");
}

#[test]
fn what_is_committed_is_never_cut_off() {
    let disk = SimDisk::new(1);
    let mut bench = open(&disk);
    append(&mut bench, 1..10, 1).expect("stored");
    commit(&bench, 6);
    assert!(matches!(
        truncate(&mut bench, 5, 2),
        Err(AppendError::Conflict(_))
    ));
    truncate(&mut bench, 6, 2).expect("stored");
    assert_eq!(terms(&bench), [1; 5]);
}

#[test]
fn purged_entries_are_a_gap_and_the_start_is_kept() {
    let disk = SimDisk::new(1);
    let mut bench = open(&disk);
    append(&mut bench, 1..10, 1).expect("stored");
    let purge = |index_end| {
        Order::Purge(Purge {
            shard: SHARD,
            term: Term(1),
            index_end,
        })
    };
    assert!(
        matches!(order(&mut bench, purge(4)), Err(AppendError::Conflict(_))),
        "not committed"
    );
    commit(&bench, 8);
    order(&mut bench, purge(4)).expect("stored");
    append(&mut bench, 10..60, 1).expect("stored");
    drop(bench);
    let bench = open(&disk);
    let position = bench.reader().position(SHARD);
    assert_eq!((position.log_start, position.local_start), (4, 4));
    assert!(
        position.commit_end >= 8,
        "the commit is remembered by later frames"
    );
    let (batches, gaps) = bench.read_all(1);
    assert_eq!(batches[0].index(), 4);
    assert_eq!(
        (gaps.len(), gaps[0].reason, gaps[0].end.index()),
        (1, GapReason::Retention, 4)
    );
}

#[test]
fn too_many_commands_are_refused() {
    let disk = SimDisk::new(1);
    let change = |config: &mut crate::LogConfig| config.commands_max = 2;
    let mut bench =
        Bench::open_with(Arc::new(disk), &Arc::new(History::default()), change).expect("opens");
    let (sender, receiver) = mpsc::channel();
    for _ in 0..3 {
        let sender = sender.clone();
        let completion = Box::new(move |result: Result<(), AppendError>| {
            sender.send(result.is_ok()).expect("the test waits")
        });
        bench.parts.inbox.push(Command {
            order: Order::Entries(Vec::new()),
            completion,
        });
    }
    bench.step();
    assert_eq!(receiver.try_iter().collect::<Vec<_>>(), [false, true, true]);
}
