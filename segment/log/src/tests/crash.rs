//! The machine stops at every changing call of a scripted run; what is found
//! afterwards is compared with what had been acknowledged.

use std::sync::Arc;

use robustmq_record::{NodeId, ShardId, Term, Vote};

use crate::disk::Disk;
use crate::inbox::{Command, Order};
use crate::sim::{Faults, SimDisk};
use crate::testing::{Bench, Fate, History, SHARDS, payloads, some_payloads};
use crate::{GapReason, RetentionBounds, RetentionPolicies};

/// What a run left behind for the one that checks it.
pub(super) struct Run {
    pub(super) history: Arc<History>,
    /// Per shard the highest term of a vote that was acknowledged.
    votes: Arc<parking_lot::Mutex<[u64; SHARDS as usize]>>,
    /// Per shard how far retention may have removed batches.
    removed_end: [u64; SHARDS as usize],
    steps: u64,
    /// A fault may strike while the log is opened.
    pub(super) may_fail_to_open: bool,
}

impl Run {
    pub(super) fn new() -> Self {
        Self {
            history: Arc::default(),
            votes: Arc::default(),
            removed_end: [1; SHARDS as usize],
            steps: 0,
            may_fail_to_open: false,
        }
    }

    pub(super) fn acknowledged_vote(&self, shard: usize) -> u64 {
        self.votes.lock()[shard]
    }

    pub(super) fn note_removed(&mut self, bench: &Bench) {
        for (shard, end) in self.removed_end.iter_mut().enumerate() {
            let position = bench.parts.state.position(ShardId(shard as u32));
            *end = position.local_start.max(*end);
        }
    }

    pub(super) fn vote(&self, bench: &Bench, shard: u32, term: u64) {
        let votes = Arc::clone(&self.votes);
        let vote = Vote {
            shard: ShardId(shard),
            term: Term(term),
            voted_for: NodeId(7),
            committed: true,
        };
        bench.parts.inbox.push(Command {
            order: Order::Vote(vote),
            completion: Box::new(move |result| {
                if result.is_ok() {
                    votes.lock()[shard as usize] = term;
                }
            }),
        });
    }

    /// One part of the script; the whole is a few segments long.
    pub(super) fn script(&mut self, disk: &SimDisk, steps: u64) {
        let Ok(mut bench) = Bench::open(Arc::new(disk.clone()), &self.history) else {
            assert!(
                self.may_fail_to_open || disk.has_crashed(),
                "only a stopped machine keeps a log from opening"
            );
            return;
        };
        for _ in 0..steps {
            self.steps += 1;
            let step = self.steps;
            let submissions = 1 + step % 4;
            for number in 0..submissions {
                let seed = 10 * step + number;
                let size = if step.is_multiple_of(7) {
                    900
                } else {
                    10 + 40 * (seed % 5) as usize
                };
                bench.submit(
                    (seed % 3) as u32,
                    some_payloads(seed, 1 + (seed % 3) as usize, size),
                );
            }
            if step.is_multiple_of(5) {
                self.vote(&bench, (step % 3) as u32, step);
            }
            bench.step();
            if step.is_multiple_of(6) {
                bench.background();
            }
            if step.is_multiple_of(4) {
                bench.idle();
            }
            if step.is_multiple_of(9) {
                let default = RetentionBounds {
                    records: Some(60),
                    ..Default::default()
                };
                bench.retire(&RetentionPolicies {
                    default,
                    ..Default::default()
                });
            }
            self.note_removed(&bench);
        }
        if steps % 2 == 1 {
            bench.parts.writer.finish();
        }
    }

    /// Opens the log and compares it with the history.
    pub(super) fn check(&self, disk: Arc<dyn Disk>, context: &str) -> Bench {
        let bench =
            Bench::open(disk, &self.history).unwrap_or_else(|error| panic!("{context}: {error}"));
        assert_eq!(
            bench.report.damaged,
            [],
            "{context}: nothing is damaged by a crash"
        );
        let submitted = self.history.submitted.lock();
        let fates = self.history.fates.lock();
        for shard in 0..SHARDS {
            let position = bench.parts.state.position(ShardId(shard));
            let start = position.local_start;
            assert!(
                start <= self.removed_end[shard as usize],
                "{context}: more was removed than retention had asked"
            );
            let (batches, gaps) = bench.read_all(shard);
            assert!(
                gaps.iter()
                    .all(|gap| gap.reason == GapReason::Retention && gap.end.index() == start),
                "{context}: {gaps:?}"
            );
            let numbers: Vec<usize> = (0..submitted.len())
                .filter(|&number| submitted[number].0.0 == shard)
                .collect();
            let mut numbers = numbers.into_iter();
            for (batch, index) in batches.iter().zip(start..) {
                assert_eq!(batch.index(), index, "{context}: indexes are contiguous");
                let found = payloads(batch);
                let number = numbers.find(|&number| submitted[number].1 == found);
                let number = number.unwrap_or_else(|| {
                    panic!("{context}: batch {index} was never submitted, or in another order")
                });
                match fates.get(&number) {
                    Some(Fate::Stored { index: told }) => assert_eq!(*told, index, "{context}"),
                    Some(Fate::Refused(crate::AppendError::DiskFull)) => {
                        panic!("{context}: a refused batch is there")
                    }
                    // Its answer was never given, or was that nobody knows.
                    Some(Fate::Refused(_)) | None => (),
                }
            }
            let end = start + batches.len() as u64;
            for (number, fate) in fates.iter() {
                let Fate::Stored { index } = fate else {
                    continue;
                };
                if submitted[*number].0.0 == shard {
                    assert!(
                        *index < end,
                        "{context}: acknowledged batch {index} of shard {shard} is lost"
                    );
                }
            }
            let vote = bench.parts.state.cell(ShardId(shard)).vote;
            assert!(
                vote.term.0 >= self.votes.lock()[shard as usize],
                "{context}: an acknowledged vote is lost"
            );
        }
        drop((submitted, fates));
        bench
    }
}

pub(super) const STEPS: [u64; 2] = [17, 13];

fn count_calls() -> u64 {
    let disk = SimDisk::new(1);
    let mut run = Run::new();
    for steps in STEPS {
        run.script(&disk, steps);
    }
    let calls = disk.calls();
    let bench = run.check(Arc::new(disk.clone()), "no crash");
    assert!(
        bench.parts.state.catalog().segments()[0].id().0 > 2,
        "retention removed segments"
    );
    calls
}

/// A number from the seed and the call, for the second crash.
pub(super) fn mix(call: u64, seed: u64) -> u64 {
    (call * 31 + seed).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32
}

#[test]
fn a_crash_at_any_call_loses_nothing_acknowledged() {
    let calls = count_calls();
    assert!(calls > 150, "the script is worth it: {calls} calls");
    for call in 1..=calls {
        for seed in 0..4 {
            let context = format!("crash at call {call} of {calls}, seed {seed}");
            let disk = SimDisk::new(mix(call, seed));
            disk.plan(Faults {
                crash_at: Some(call),
                ..Faults::default()
            });
            let mut run = Run::new();
            for steps in STEPS {
                run.script(&disk, steps);
            }
            assert!(disk.has_crashed(), "{context}");
            // Recovery is cut off as well, somewhere, before it succeeds.
            let disk = disk.crash(mix(call, seed) + 1);
            disk.plan(Faults {
                crash_at: Some(1 + mix(call, seed) % 12),
                ..Faults::default()
            });
            drop(Bench::open(Arc::new(disk.clone()), &run.history));
            let disk = disk.crash(mix(call, seed) + 2);
            drop(run.check(Arc::new(disk.clone()), &context));
            run.script(&disk, 5);
            drop(run.check(
                Arc::new(disk.crash(seed)),
                &format!("{context}, after going on"),
            ));
        }
    }
}

#[test]
fn what_was_cut_off_never_comes_back() {
    let mut torn = 0;
    for seed in 0..900 {
        let (disk, history) = (SimDisk::new(seed), Arc::new(History::default()));
        let mut bench = Bench::open(Arc::new(disk.clone()), &history).expect("opens");
        bench.submit(2, some_payloads(1, 1, 10));
        bench.step();
        // Two frames in one write, shard 1 first since shards take turns, and
        // the machine stops before the sync.
        disk.plan(Faults {
            crash_at: Some(2),
            ..Faults::default()
        });
        bench.submit(1, some_payloads(2, 1, 900));
        bench.submit(0, some_payloads(3, 1, 10));
        bench.step();
        assert!(disk.has_crashed());
        let disk = disk.crash(seed);
        let mut bench = Bench::open(Arc::new(disk.clone()), &history).expect("opens again");
        if bench.report.torn_bytes == 0 {
            continue;
        }
        torn += 1;
        assert_eq!(
            bench.read_all(0).0.len(),
            0,
            "what follows a hole is cut off"
        );
        // A frame of the same length takes the place of the one that was torn.
        bench.submit(1, some_payloads(4, 1, 900));
        bench.step();
        let bench = Bench::open(Arc::new(disk.clone()), &history).expect("opens again");
        assert_eq!(bench.read_all(1).0.len(), 1);
        assert_eq!(bench.read_all(0).0.len(), 0, "seed {seed}: it came back");
    }
    assert!(torn > 20, "{torn} torn ends");
}
