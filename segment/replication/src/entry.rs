//! Raft's entries as batches.

use std::fmt;
use std::sync::Arc;

use openraft::entry::{RaftEntry, RaftPayload};
use openraft::vote::leader_id_std::CommittedLeaderId;
use robustmq_record::{
    Batch, BatchBuilder, BatchLimits, KIND_CONSENSUS, NAMESPACE_CONSENSUS, RecordInput, ShardId,
    Term,
};

use crate::membership::WrittenMembership;
use crate::types::{LogId, Membership, batch_index, log_id, term_of};

/// Records on their way into the log: a batch without a place, whose index and
/// term mean nothing yet.
#[derive(Clone, Debug)]
pub struct Proposal(pub Arc<Batch>);

impl fmt::Display for Proposal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} records", self.0.count())
    }
}

#[derive(Clone, Debug)]
enum Content {
    /// What a new leader begins with.
    Blank,
    Records,
    Membership(Membership),
}

/// What an entry holds.
#[derive(Clone, Debug)]
pub struct Payload {
    content: Content,
    /// Not there for what Raft made itself and has not been appended.
    batch: Option<Arc<Batch>>,
}

impl fmt::Display for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.content, &self.batch) {
            (Content::Blank, _) => f.write_str("blank"),
            (Content::Membership(membership), _) => write!(f, "{membership}"),
            (Content::Records, batch) => {
                write!(f, "{} records", batch.as_ref().map_or(0, |it| it.count()))
            }
        }
    }
}

impl RaftPayload for Payload {
    type D = Proposal;
    type NodeId = u64;
    type Node = openraft::BasicNode;

    fn blank() -> Self {
        Self {
            content: Content::Blank,
            batch: None,
        }
    }

    fn with_normal(self, data: Proposal) -> Self {
        Self {
            content: Content::Records,
            batch: Some(data.0),
        }
    }

    fn with_membership(self, membership: Membership) -> Self {
        Self {
            content: Content::Membership(membership),
            batch: None,
        }
    }

    fn get_membership(&self) -> Option<Membership> {
        match &self.content {
            Content::Membership(membership) => Some(membership.clone()),
            Content::Blank | Content::Records => None,
        }
    }
}

/// A Raft entry.
#[derive(Clone, Debug)]
pub struct Entry {
    leader: CommittedLeaderId<u64>,
    index: u64,
    payload: Payload,
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.id(), self.payload)
    }
}

impl RaftEntry for Entry {
    type CommittedLeaderId = CommittedLeaderId<u64>;
    type Payload = Payload;

    fn new(log_id: LogId, payload: Payload) -> Self {
        Self {
            leader: log_id.leader_id,
            index: log_id.index,
            payload,
        }
    }

    fn log_id_parts(&self) -> (&CommittedLeaderId<u64>, u64) {
        (&self.leader, self.index)
    }

    fn set_log_id(&mut self, new: LogId) {
        (self.leader, self.index) = (new.leader_id, new.index);
    }

    fn get_membership(&self) -> Option<Membership> {
        self.payload.get_membership()
    }
}

impl Entry {
    pub(crate) fn id(&self) -> LogId {
        LogId::new(self.leader, self.index)
    }

    /// The entry that a batch of the log is.
    ///
    /// # Errors
    /// When it holds a record of consensus that this version cannot read.
    pub fn of_batch(batch: Arc<Batch>) -> Result<Self, UnreadableEntry> {
        let id = log_id(batch.term(), batch.index());
        let first = batch.records().next();
        let consensus = first.filter(|record| record.kind() == KIND_CONSENSUS);
        let content = match consensus.map(|record| record.payload().to_vec()) {
            None => Content::Records,
            Some(payload) if payload.is_empty() => Content::Blank,
            Some(payload) => {
                let written: Option<WrittenMembership> = serde_json::from_slice(&payload).ok();
                let membership = written.and_then(WrittenMembership::read);
                Content::Membership(membership.ok_or(UnreadableEntry(id))?)
            }
        };
        let payload = Payload {
            content,
            batch: Some(batch),
        };
        Ok(Self::new(id, payload))
    }

    /// The batch as it lies in the log, once the entry was read from there.
    pub(crate) fn stored(&self) -> Option<&Arc<Batch>> {
        self.payload.batch.as_ref()
    }

    /// The batch to append: the very one that came from the leader, or one made
    /// of the proposal.
    pub(crate) fn into_batch(self, shard: ShardId, now_ms: u64) -> Arc<Batch> {
        let id = self.id();
        let (index, term) = (batch_index(id.index), term_of(&id));
        let own = match self.payload.content {
            Content::Records => None,
            Content::Blank => Some(Vec::new()),
            Content::Membership(membership) => {
                let written = serde_json::to_vec(&WrittenMembership::new(&membership));
                Some(written.expect("numbers and addresses can be written"))
            }
        };
        match (self.payload.batch, own) {
            (Some(batch), _) if batch.index() == index && batch.term() == term => batch,
            (Some(batch), None) => {
                let batch = Arc::try_unwrap(batch).unwrap_or_else(|shared| (*shared).clone());
                Arc::new(batch.placed(index, term))
            }
            (_, own) => consensus_batch(shard, index, term, now_ms, &own.unwrap_or_default()),
        }
    }
}

fn consensus_batch(
    shard: ShardId,
    index: u64,
    term: Term,
    now_ms: u64,
    payload: &[u8],
) -> Arc<Batch> {
    let mut builder = BatchBuilder::new(BatchLimits::default());
    let record = RecordInput {
        kind: KIND_CONSENSUS,
        namespace: NAMESPACE_CONSENSUS,
        timestamp_ms: now_ms,
        payload,
        ..RecordInput::default()
    };
    let pushed = builder.try_push(&record);
    assert!(pushed.is_ok(), "an empty batch takes any record");
    Arc::new(builder.finish(shard, index, term))
}

/// A membership that cannot be read: a later version wrote it.
#[derive(Clone, Debug, thiserror::Error)]
#[error(
    "the membership in entry {0} cannot be read: use the version that wrote it, or a later one"
)]
pub struct UnreadableEntry(LogId);
