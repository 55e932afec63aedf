//! What was given up must neither stop this node when it turns up after all,
//! nor what comes behind it when it does not.

use std::sync::Arc;

use parking_lot::Mutex;
use robustmq_log::AppendError;
use robustmq_record::{Batch, BatchBuilder, BatchLimits, Mark, RecordInput, ShardId, Term};

use super::{Accepted, Proposals, Verdict};
use crate::wire::Proposed;

const TERM: u64 = 3;

/// How proposals ended, in that order: as what, and whether they are stored.
type Ends = Arc<Mutex<Vec<(&'static str, bool)>>>;

struct Proposer {
    proposals: Proposals,
    ends: Ends,
}

impl Proposer {
    fn new() -> Self {
        Self {
            proposals: Proposals::new(1, 7),
            ends: Ends::default(),
        }
    }

    fn push(&self, payload: &'static str) {
        let mut builder = BatchBuilder::new(BatchLimits::default());
        let record = RecordInput {
            namespace: "default",
            topic: "t",
            payload: payload.as_bytes(),
            ..RecordInput::default()
        };
        builder.try_push(&record).expect("it is small");
        let mark = self.proposals.next_mark().encode();
        builder.try_push(&Mark::record(&mark, 0)).expect("it fits");
        let batch = Arc::new(builder.finish(ShardId(0), 1, Term(0)));
        let ends = Arc::clone(&self.ends);
        let completion = move |outcome: Result<Arc<Batch>, AppendError>| {
            ends.lock().push((payload, outcome.is_ok()));
        };
        let (only, held) = (None, Box::new(()));
        self.proposals.push(batch, only, Box::new(completion), held);
    }

    fn take(&self, term: u64) -> Vec<Proposed> {
        self.proposals.take_unsent(term).1
    }

    /// The batch is applied here; whether somebody waited for it.
    fn apply(&self, proposed: &Proposed) -> bool {
        let Some((completion, _held)) = self.proposals.resolve(&proposed.batch) else {
            return false;
        };
        completion(Ok(Arc::clone(&proposed.batch)));
        true
    }
}

/// A leader of the term that has accepted these.
fn leader(proposed: &[Proposed]) -> Accepted {
    let mut accepted = Accepted::default();
    accepted.begin(TERM);
    for one in proposed {
        assert_eq!(accepted.judge(one), Verdict::Append);
    }
    accepted
}

#[test]
fn what_was_given_up_may_turn_up_behind_the_snapshot() {
    let proposer = Proposer::new();
    proposer.push("a");
    proposer.push("b");
    let sent = proposer.take(TERM);
    let mut accepted = leader(&sent);
    proposer.proposals.give_up(&AppendError::NotLeader);
    proposer.push("c");
    assert!(!proposer.apply(&sent[0]), "nobody waits for it any more");
    let later = proposer.take(TERM);
    assert_eq!(later.len(), 1);
    assert_eq!(accepted.judge(&later[0]), Verdict::Append);
    assert!(!proposer.apply(&sent[1]), "nobody waits for it any more");
    assert!(proposer.apply(&later[0]));
    let ends = proposer.ends.lock();
    assert_eq!(*ends, [("a", false), ("b", false), ("c", true)]);
}

#[test]
fn what_was_given_up_and_never_arrived_holds_nothing_up() {
    let proposer = Proposer::new();
    proposer.push("a");
    let arrived = proposer.take(TERM);
    let mut accepted = leader(&arrived);
    proposer.push("lost");
    let lost = proposer.take(TERM);
    proposer.proposals.give_up(&AppendError::NotLeader);
    proposer.push("b");
    proposer.push("c");
    let later = proposer.take(TERM);
    assert_eq!(accepted.judge(&later[1]), Verdict::Gap, "b is before it");
    assert_eq!(accepted.judge(&later[0]), Verdict::Append);
    assert_eq!(accepted.judge(&later[1]), Verdict::Append);
    // It comes after all, late: behind others it has no place.
    assert_eq!(accepted.judge(&lost[0]), Verdict::Known);
    for (one, expected) in arrived.iter().chain(&later).zip([false, true, true]) {
        assert_eq!(proposer.apply(one), expected);
    }
}

#[test]
fn what_comes_twice_or_too_early_is_not_appended() {
    let proposer = Proposer::new();
    for payload in ["a", "b", "c"] {
        proposer.push(payload);
    }
    let sent = proposer.take(TERM);
    let mut accepted = leader(&sent[..1]);
    assert_eq!(accepted.judge(&sent[0]), Verdict::Known);
    assert_eq!(accepted.judge(&sent[2]), Verdict::Gap);
    assert_eq!(accepted.judge(&sent[1]), Verdict::Append);
    assert_eq!(accepted.judge(&sent[2]), Verdict::Append);
}
