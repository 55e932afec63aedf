use proptest::prelude::Strategy;
use proptest::prelude::*;
use robustmq_record::{BatchBuilder, BatchLimits, RecordInput, Term};

use super::*;
use crate::cursors::sharing;
use crate::history::everything;

const SHARD: ShardId = ShardId(0);

fn batch(index: u64, count: u16) -> Arc<Batch> {
    let mut builder = BatchBuilder::new(BatchLimits::default());
    for slot in 0..count {
        let payload = format!("{index}.{slot}");
        let record = RecordInput {
            topic: "t",
            namespace: "default",
            payload: payload.as_bytes(),
            ..RecordInput::default()
        };
        builder.try_push(&record).expect("it fits");
    }
    Arc::new(builder.finish(SHARD, index, Term(1)))
}

/// A log of one shard, as readers find it.
struct Log(Vec<Arc<Batch>>);

impl Log {
    fn new(sizes: &[u16]) -> Self {
        let batch = |(place, size): (usize, &u16)| batch(place as u64 + 1, *size);
        Self(sizes.iter().enumerate().map(batch).collect())
    }

    fn end(&self) -> Positions {
        [(SHARD, Offset::new(self.0.len() as u64 + 1, 0))]
            .into_iter()
            .collect()
    }

    /// At most two batches from a place on.
    fn read(&self, from: Offset) -> Found {
        let rest = self.0.iter().filter(|batch| batch.offset_end() > from);
        let batches: Vec<Arc<Batch>> = rest.take(2).cloned().collect();
        let end = self.end().get(SHARD);
        let next = batches
            .last()
            .map_or(end, |last| Offset::new(last.index() + 1, 0));
        Found::new(SHARD, batches, next, next >= end)
    }

    fn places(&self) -> Vec<Place> {
        let of = |batch: &Arc<Batch>| {
            let index = batch.index();
            (0..batch.records().count() as u16).map(move |slot| (SHARD, Offset::new(index, slot)))
        };
        self.0.iter().flat_map(of).collect()
    }
}

fn begin() -> CursorState {
    let from = [(SHARD, Offset::new(1, 0))].into_iter().collect();
    CursorState::new(everything("t"), &from)
}

/// Takes, reading whenever it has to.
fn take(state: &mut CursorState, log: &Log, member: MemberId, count: usize) -> Vec<Given> {
    loop {
        match state.take(member, count, &log.end(), sharing::Strategy::default()) {
            Taken::Messages(given) => return given,
            Taken::Wait => return Vec::new(),
            Taken::Read(places) => {
                let found = places.iter().map(|place| log.read(place.from)).collect();
                state.found(found, state.generation());
            }
        }
    }
}

#[test]
fn what_a_member_leaves_behind_another_gets() {
    let log = Log::new(&[3]);
    let mut state = begin();
    let first = take(&mut state, &log, 1, 2);
    assert_eq!(first.len(), 2);
    assert!(state.done(1, first[0].generation, first[0].place()));
    assert_eq!(state.leave(1), 1);
    let rest: Vec<Place> = take(&mut state, &log, 2, 9)
        .iter()
        .map(Given::place)
        .collect();
    assert_eq!(rest, log.places()[1..]);
}

#[test]
fn a_message_of_another_member_cannot_be_acknowledged() {
    let log = Log::new(&[1]);
    let mut state = begin();
    let given = take(&mut state, &log, 1, 1).remove(0);
    assert!(!state.done(2, given.generation, given.place()));
    assert_eq!(state.positions().get(SHARD), Offset::new(1, 0));
    assert!(state.done(1, given.generation, given.place()));
    assert_eq!(state.positions().get(SHARD), Offset::new(2, 0));
}

#[test]
fn after_a_seek_earlier_acknowledgements_do_not_count() {
    let log = Log::new(&[2, 2]);
    let mut state = begin();
    let given = take(&mut state, &log, 1, 3);
    let back = [(SHARD, Offset::new(1, 1))].into_iter().collect();
    state.seek(&back);
    assert!(!state.done(1, given[1].generation, given[1].place()));
    assert_eq!(state.positions(), back);
    let again: Vec<Place> = take(&mut state, &log, 1, 9)
        .iter()
        .map(Given::place)
        .collect();
    assert_eq!(again, log.places()[1..]);
}

#[test]
fn one_member_reads_and_the_others_wait() {
    let log = Log::new(&[1]);
    let mut state = begin();
    let generation = state.generation();
    assert!(matches!(
        state.take(1, 1, &log.end(), sharing::Strategy::default()),
        Taken::Read(_)
    ));
    assert!(matches!(
        state.take(2, 1, &log.end(), sharing::Strategy::default()),
        Taken::Wait
    ));
    // It could not: the next one reads.
    state.found(Vec::new(), generation);
    assert!(matches!(
        state.take(2, 1, &log.end(), sharing::Strategy::default()),
        Taken::Read(_)
    ));
}

#[test]
fn a_member_that_takes_nothing_does_not_hold_up_the_others() {
    let log = Log::new(&[400]);
    let from = [(SHARD, Offset::new(1, 0))].into_iter().collect();
    let mut state = CursorState::shared(everything("t"), &from, 7);
    state.enter(1);
    state.enter(2);
    let taken = take(&mut state, &log, 2, 1_000);
    let mut filled = state.take_filled();
    filled.sort_unstable();
    assert_eq!(filled, [1, 2]);
    // What the other one was chosen for waits for it, within a bound.
    assert_eq!(taken.len(), 400 - 128);
    for given in &taken {
        assert!(state.done(2, given.generation, given.place()));
    }
    let kept = state.positions().get(SHARD);
    assert!(kept <= log.places()[1].1, "the position waits for it, too");
    // When it leaves, the others get it.
    assert_eq!(state.leave(1), 0, "nothing was sent to it");
    assert_eq!(take(&mut state, &log, 2, 1_000).len(), 128);
}

#[derive(Clone, Debug)]
enum Act {
    Take(MemberId, usize),
    Acknowledge(usize),
    PutBack(usize),
    Leave(MemberId),
    /// The broker crashes: only the position is known.
    Crash,
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        4 => (0..3u64, 1..5usize).prop_map(|(member, count)| Act::Take(member, count)),
        4 => any::<usize>().prop_map(Act::Acknowledge),
        1 => any::<usize>().prop_map(Act::PutBack),
        1 => (0..3u64).prop_map(Act::Leave),
        1 => Just(Act::Crash),
    ]
}

proptest! {
    /// Whatever happens, every message is acknowledged in the end, is with one
    /// member at a time, and the position passes none that is not.
    #[test]
    fn nothing_is_passed_and_nothing_is_with_two(
        sizes in proptest::collection::vec(1..4u16, 1..6),
        acts in proptest::collection::vec(act(), 0..60),
    ) {
        let log = Log::new(&sizes);
        let mut state = begin();
        let mut held: Vec<(MemberId, Given)> = Vec::new();
        let mut acknowledged = std::collections::BTreeSet::new();
        for act in acts {
            match act {
                Act::Take(member, count) => {
                    for given in take(&mut state, &log, member, count) {
                        let is_twice = held.iter().any(|(_, other)| other.place() == given.place());
                        prop_assert!(!is_twice, "{:?} is with two", given.place());
                        held.push((member, given));
                    }
                }
                Act::Acknowledge(which) if !held.is_empty() => {
                    let (member, given) = held.swap_remove(which % held.len());
                    prop_assert!(state.done(member, given.generation, given.place()));
                    acknowledged.insert(given.place());
                }
                Act::PutBack(which) if !held.is_empty() => {
                    let (member, given) = held.swap_remove(which % held.len());
                    state.put_back(member, &given);
                }
                Act::Leave(member) => {
                    state.leave(member);
                    held.retain(|(other, _)| *other != member);
                }
                Act::Crash => {
                    let from = state.positions();
                    state = CursorState::new(everything("t"), &from);
                    held.clear();
                }
                Act::Acknowledge(_) | Act::PutBack(_) => {}
            }
            let position = state.positions().get(SHARD);
            let passed = log.places().into_iter().filter(|(_, offset)| *offset < position);
            for place in passed {
                prop_assert!(acknowledged.contains(&place), "{place:?} is passed");
            }
        }
        let mut rest: Vec<Place> = Vec::new();
        loop {
            let given = take(&mut state, &log, 9, usize::MAX);
            if given.is_empty() {
                break;
            }
            rest.extend(given.iter().map(Given::place));
        }
        rest.extend(held.iter().map(|(_, given)| given.place()));
        rest.extend(acknowledged);
        rest.sort_unstable();
        rest.dedup();
        prop_assert_eq!(rest, log.places());
    }
}
