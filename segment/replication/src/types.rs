//! What openraft is told about our types.

use openraft::raft::responder::Responder;
use openraft::vote::leader_id_std::{CommittedLeaderId, LeaderId};
use openraft::{OptionalSend, RaftTypeConfig};
use robustmq_record::{NodeId, ShardId, Term, Vote};
use tokio::sync::oneshot;

use crate::entry::{Entry, Payload, Proposal};

/// The types of a shard's Raft group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Types;

impl RaftTypeConfig for Types {
    type D = Proposal;
    type R = ();
    type NodeId = u64;
    type Node = openraft::BasicNode;
    type Term = u64;
    type LeaderId = LeaderId<u64, u64>;
    type Vote = openraft::Vote<Self::LeaderId>;
    type Payload = Payload;
    type Entry = Entry;
    type AsyncRuntime = crate::runtime::GroupRuntime;
    type Responder<T>
        = Told<T>
    where
        T: OptionalSend + 'static;
    type Batch<T>
        = openraft::impls::InlineBatch<T>
    where
        T: OptionalSend + 'static;
    type ErrorSource = openraft::impls::BoxedErrorSource;
}

/// Tells who asked what became of it, if that one still listens: it is no news
/// that a batch which was seen to be appended is applied as well.
pub struct Told<T>(oneshot::Sender<T>);

impl<T> Told<T> {
    pub(crate) fn new() -> (Self, oneshot::Receiver<T>) {
        let (told, outcome) = oneshot::channel();
        (Self(told), outcome)
    }
}

impl<T: OptionalSend + 'static> Responder<Types, T> for Told<T> {
    fn on_complete(self, outcome: T) {
        let _ = self.0.send(outcome);
    }
}

/// An entry's identity: one leader per term, so term and index are enough.
pub type LogId = openraft::LogId<CommittedLeaderId<u64>>;
/// Raft's vote.
pub type RaftVote = openraft::Vote<LeaderId<u64, u64>>;
/// Who takes part in a group.
pub type Membership = openraft::Membership<u64, openraft::BasicNode>;
/// Who takes part, and which entry says so.
pub type StoredMembership =
    openraft::StoredMembership<CommittedLeaderId<u64>, u64, openraft::BasicNode>;

/// The identity of the batch at an index of the log.
pub(crate) fn log_id(term: Term, batch_index: u64) -> LogId {
    LogId::new(CommittedLeaderId::new(term.0), batch_index - 1)
}

/// The index of an entry's batch.
pub(crate) fn batch_index(raft_index: u64) -> u64 {
    raft_index + 1
}

pub(crate) fn term_of(log_id: &LogId) -> Term {
    Term(log_id.leader_id.term)
}

pub(crate) fn to_raft_vote(vote: &Vote) -> Option<RaftVote> {
    let is_set = vote.term != Term(0) || vote.voted_for != NodeId(0) || vote.committed;
    is_set.then_some(RaftVote {
        leader_id: LeaderId {
            term: vote.term.0,
            voted_for: vote.voted_for.0,
        },
        committed: vote.committed,
    })
}

pub(crate) fn to_log_vote(shard: ShardId, vote: &RaftVote) -> Vote {
    Vote {
        shard,
        term: Term(vote.leader_id.term),
        voted_for: NodeId(vote.leader_id.voted_for),
        committed: vote.committed,
    }
}
