//! Batches that this node has proposed to a group and whose fate is not known.
//!
//! A proposal carries a mark: who proposed it, and its place in what that run of
//! the node proposed. It is stored when the mark turns up in an entry that is
//! applied here. It can no longer turn up once an entry of a later term was
//! applied: then it is proposed again, in that later term.
//!
//! **Invariants**
//! 1. A batch is in the log once at most: it is proposed for one term, appended
//!    in that term only, and proposed for a later one only after the first entry
//!    of that later term was applied here.
//! 2. Batches of one node are in the log in the order in which it proposed them:
//!    the leader appends only what follows the last one of the same origin, or
//!    what has nothing before it that anybody still waits for.
//! 3. A batch that is for one term only is appended in that term or not at all:
//!    at a later one it is given up, after that invariant's proof of its absence.
//! 4. What was given up because its fate cannot be known may still turn up in
//!    an entry: nobody waits for it, and nothing waits behind it.
//!
//! **Not here**: which node leads ([`crate::proposer`]).

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use parking_lot::Mutex;
use robustmq_log::{AppendError, BatchCompletion};
use robustmq_record::{Batch, Mark};

use crate::wire::Proposed;

/// Something that is held while a batch is under way.
pub(crate) type Held = Box<dyn Send>;

struct Waiting {
    sequence: u64,
    /// The only term that it is for.
    term_only: Option<u64>,
    /// The term in which it has a place behind others, and behind which one.
    placed: Option<(u64, Option<u64>)>,
    batch: Arc<Batch>,
    completion: BatchCompletion,
    _held: Held,
}

#[derive(Default)]
struct State {
    /// In the order of their sequence numbers.
    waiting: VecDeque<Waiting>,
    sequence_next: u64,
    /// What is before this and does not wait has been given up, or was applied.
    given_up_end: u64,
    /// The term in which the first `sent` of them were proposed.
    term: u64,
    sent: usize,
    /// The last one that was given its place in the term.
    placed_last: Option<u64>,
    /// Increases whenever all has to be proposed again.
    attempt: u64,
}

/// What this node has proposed to a group.
pub(crate) struct Proposals {
    node: u64,
    run: u64,
    state: Mutex<State>,
}

impl Proposals {
    /// Of a run of a node; no two runs have the same number.
    pub(crate) fn new(node: u64, run: u64) -> Self {
        Self {
            node,
            run,
            state: Mutex::default(),
        }
    }

    /// The mark of the next proposal. Only its proposer asks, and gives the
    /// batch next.
    pub(crate) fn next_mark(&self) -> Mark {
        Mark {
            node: self.node,
            run: self.run,
            sequence: self.state.lock().sequence_next,
        }
    }

    /// Notes a batch that bears the mark given last.
    pub(crate) fn push(
        &self,
        batch: Arc<Batch>,
        term_only: Option<u64>,
        completion: BatchCompletion,
        held: Held,
    ) {
        let mut state = self.state.lock();
        let sequence = state.sequence_next;
        state.sequence_next += 1;
        state.waiting.push_back(Waiting {
            sequence,
            term_only,
            placed: None,
            batch,
            completion,
            _held: held,
        });
    }

    /// What is to be proposed now to the leader of a term, in order. All
    /// entries of earlier terms have been applied. Also tells which attempt it
    /// is.
    pub(crate) fn take_unsent(&self, term: u64) -> (u64, Vec<Proposed>) {
        let mut late = Vec::new();
        let mut state = self.state.lock();
        if state.term != term {
            assert!(state.term < term, "terms do not go back");
            state.term = term;
            state.sent = 0;
            state.attempt += 1;
            state.placed_last = None;
        }
        let waiting = std::mem::take(&mut state.waiting);
        for mut one in waiting {
            let has_place = one.placed.is_some_and(|(placed, _)| placed == term);
            if !has_place && one.term_only.is_some_and(|only| only != term) {
                late.push(one);
                continue;
            }
            if !has_place {
                one.placed = Some((term, state.placed_last.replace(one.sequence)));
            }
            state.waiting.push_back(one);
        }
        let unsent = state.waiting.iter().skip(state.sent);
        let unsent = unsent.map(|waiting| Proposed {
            term,
            origin: Mark {
                node: self.node,
                run: self.run,
                sequence: waiting.sequence,
            },
            previous: waiting.placed.and_then(|(_, previous)| previous),
            batch: Arc::clone(&waiting.batch),
        });
        let unsent = unsent.collect();
        state.sent = state.waiting.len();
        let attempt = state.attempt;
        drop(state);
        for one in late {
            (one.completion)(Err(AppendError::NotLeader));
        }
        (attempt, unsent)
    }

    /// Whether there is something that was not proposed in the term yet.
    pub(crate) fn has_unsent(&self, term: u64) -> bool {
        let state = self.state.lock();
        state.term != term && !state.waiting.is_empty() || state.sent < state.waiting.len()
    }

    /// Nobody knows what arrived of what was proposed in an attempt: all of it
    /// has to be proposed again. The leader knows what it has.
    pub(crate) fn send_again(&self, attempt: u64) {
        let mut state = self.state.lock();
        if state.attempt == attempt {
            state.attempt += 1;
            state.sent = 0;
        }
    }

    /// The batch was applied: who waits for it, if it was proposed here.
    pub(crate) fn resolve(&self, batch: &Batch) -> Option<(BatchCompletion, Held)> {
        let origin = batch.mark()?;
        if (origin.node, origin.run) != (self.node, self.run) {
            return None;
        }
        let mut state = self.state.lock();
        if origin.sequence < state.given_up_end {
            return None;
        }
        let front = state.waiting.front().map(|waiting| waiting.sequence);
        assert!(
            front == Some(origin.sequence),
            "proposals are applied in their order, each once: {origin:?}, expected {front:?}"
        );
        let waiting = state.waiting.pop_front()?;
        state.sent = state.sent.saturating_sub(1);
        Some((waiting.completion, waiting._held))
    }

    /// Nobody will know what became of them: a snapshot took the place of what
    /// they may be in, or this node ends.
    pub(crate) fn give_up(&self, error: &AppendError) {
        let waiting = {
            let mut state = self.state.lock();
            state.sent = 0;
            state.given_up_end = state.sequence_next;
            // The leader may never have got it: what comes now must not wait
            // for it.
            state.placed_last = None;
            std::mem::take(&mut state.waiting)
        };
        for one in waiting {
            (one.completion)(Err(error.clone()));
        }
    }
}

/// What a leader makes of a proposal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It follows what came before: to be appended.
    Append,
    /// It was accepted before.
    Known,
    /// Something before it is missing.
    Gap,
}

/// What a leader has accepted in its term: the last sequence number of every
/// origin.
#[derive(Default)]
pub(crate) struct Accepted {
    pub(crate) term: u64,
    sequences: HashMap<(u64, u64), u64>,
}

impl Accepted {
    /// Another term begins.
    pub(crate) fn begin(&mut self, term: u64) {
        self.term = term;
        self.sequences.clear();
    }

    pub(crate) fn judge(&mut self, proposed: &Proposed) -> Verdict {
        let Mark {
            node,
            run,
            sequence,
        } = proposed.origin;
        match self.sequences.get_mut(&(node, run)) {
            Some(last) if sequence <= *last => Verdict::Known,
            // Nothing before it, and yet there was something: the rest of that
            // has been given up.
            Some(last) if proposed.previous.is_none_or(|previous| previous == *last) => {
                *last = sequence;
                Verdict::Append
            }
            None if proposed.previous.is_none() => {
                self.sequences.insert((node, run), sequence);
                Verdict::Append
            }
            _ => Verdict::Gap,
        }
    }
}

#[cfg(test)]
mod tests;
