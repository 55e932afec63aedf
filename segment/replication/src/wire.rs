//! What nodes say to each other about a group, as bytes.
//!
//! A message is the group's number, the length of its head, the head, and the
//! bodies of batches one after the other. Heads are [`postcard`]; a version is
//! agreed on when nodes connect, not here. Lengths from the wire are checked
//! against the bytes that are there.

use std::sync::Arc;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, TransferLeaderRequest,
    VoteRequest, VoteResponse,
};
use openraft::type_config::alias;
use openraft::vote::leader_id_std::LeaderId;
use robustmq_record::{Batch, Mark, ShardId, Term};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::entry::Entry;
use crate::membership::WrittenMembership;
use crate::types::{LogId, RaftVote, StoredMembership, Types, batch_index, log_id, term_of};

type Snapshot = alias::SnapshotOf<Types, Bytes>;

/// A message that cannot be read.
#[derive(Clone, Debug, thiserror::Error)]
#[error("a message of another node cannot be read: {0}")]
pub(crate) struct WireError(pub(crate) String);

fn unreadable(what: impl ToString) -> WireError {
    WireError(what.to_string())
}

#[derive(Clone, Copy, Serialize, Deserialize)]
pub(crate) struct WireVote {
    term: u64,
    node: u64,
    committed: bool,
}

impl WireVote {
    fn new(vote: &RaftVote) -> Self {
        Self {
            term: vote.leader_id.term,
            node: vote.leader_id.voted_for,
            committed: vote.committed,
        }
    }

    fn read(self) -> RaftVote {
        RaftVote {
            leader_id: LeaderId {
                term: self.term,
                voted_for: self.node,
            },
            committed: self.committed,
        }
    }
}

/// An entry's place; indexes are those of batches, from 1.
#[derive(Clone, Copy, Serialize, Deserialize)]
struct WireId {
    term: u64,
    index: u64,
}

impl WireId {
    fn new(id: &LogId) -> Self {
        Self {
            term: term_of(id).0,
            index: batch_index(id.index),
        }
    }

    fn of(id: Option<&LogId>) -> Option<Self> {
        id.map(Self::new)
    }

    fn read(self) -> Result<LogId, WireError> {
        if self.index == 0 {
            return Err(unreadable("an entry without a place"));
        }
        Ok(log_id(Term(self.term), self.index))
    }
}

fn read_id(id: Option<WireId>) -> Result<Option<LogId>, WireError> {
    id.map(WireId::read).transpose()
}

#[derive(Serialize, Deserialize)]
struct EntryHead {
    id: WireId,
    len: u32,
}

#[derive(Serialize, Deserialize)]
struct AppendHead {
    vote: WireVote,
    previous: Option<WireId>,
    commit: Option<WireId>,
    entries: Vec<EntryHead>,
}

#[derive(Serialize, Deserialize)]
enum AppendAnswer {
    Success,
    Partial(Option<WireId>),
    Conflict,
    HigherVote(WireVote),
}

#[derive(Serialize, Deserialize)]
struct VoteHead {
    vote: WireVote,
    last: Option<WireId>,
    is_transfer: bool,
}

#[derive(Serialize, Deserialize)]
struct VoteAnswer {
    vote: WireVote,
    last: Option<WireId>,
    is_granted: bool,
}

#[derive(Serialize, Deserialize)]
struct TransferHead {
    vote: WireVote,
    to: u64,
    last: Option<WireId>,
}

#[derive(Serialize, Deserialize)]
struct SnapshotHead {
    vote: WireVote,
    last: Option<WireId>,
    member_entry: Option<WireId>,
    membership: String,
}

#[derive(Serialize, Deserialize)]
struct ProposeHead {
    term: u64,
    node: u64,
    run: u64,
    sequence: u64,
    previous: Option<u64>,
}

#[derive(Serialize, Deserialize)]
struct FetchHead {
    index: u64,
}

/// A batch on its way to the leader.
pub(crate) struct Proposed {
    /// The term in which alone it may be appended.
    pub(crate) term: u64,
    pub(crate) origin: Mark,
    /// The one before it of the same origin in the term, if there is one that
    /// somebody waits for.
    pub(crate) previous: Option<u64>,
    pub(crate) batch: Arc<Batch>,
}

fn message(group: ShardId, head: &impl Serialize, bodies: &[&Bytes]) -> Bytes {
    let head = postcard::to_allocvec(head).expect("numbers and text can be written");
    let bodies_len: usize = bodies.iter().map(|body| body.len()).sum();
    let mut out = BytesMut::with_capacity(8 + head.len() + bodies_len);
    out.put_u32_le(group.0);
    out.put_u32_le(head.len() as u32);
    out.extend_from_slice(&head);
    for body in bodies {
        out.extend_from_slice(body);
    }
    out.freeze()
}

/// The group that a message is about.
pub(crate) fn group_of(message: &Bytes) -> Result<ShardId, WireError> {
    let group = message.get(..4).and_then(|bytes| bytes.try_into().ok());
    let group = group.ok_or_else(|| unreadable("it is too short"))?;
    Ok(ShardId(u32::from_le_bytes(group)))
}

/// The head of a message, and the bodies behind it.
fn open<T: DeserializeOwned>(mut message: Bytes) -> Result<(ShardId, T, Bytes), WireError> {
    let group = group_of(&message)?;
    if message.len() < 8 {
        return Err(unreadable("it is too short"));
    }
    message.advance(4);
    let len = message.get_u32_le() as usize;
    if len > message.len() {
        return Err(unreadable("its head is cut off"));
    }
    let head = message.split_to(len);
    let head = postcard::from_bytes(&head).map_err(unreadable)?;
    Ok((group, head, message))
}

fn answer(head: &impl Serialize) -> Bytes {
    let head = postcard::to_allocvec(head).expect("numbers can be written");
    Bytes::from(head)
}

fn read_answer<T: DeserializeOwned>(answer: &Bytes) -> Result<T, WireError> {
    postcard::from_bytes(answer).map_err(unreadable)
}

pub(crate) fn write_append(group: ShardId, request: &AppendEntriesRequest<Types>) -> Bytes {
    let batches: Vec<Arc<Batch>> = request
        .entries
        .iter()
        .map(|entry| {
            let stored = entry.stored().map(Arc::clone);
            stored.unwrap_or_else(|| entry.clone().into_batch(group, 0))
        })
        .collect();
    let entries = batches.iter().map(|batch| EntryHead {
        id: WireId {
            term: batch.term().0,
            index: batch.index(),
        },
        len: batch.body().len() as u32,
    });
    let head = AppendHead {
        vote: WireVote::new(&request.vote),
        previous: WireId::of(request.prev_log_id.as_ref()),
        commit: WireId::of(request.leader_commit.as_ref()),
        entries: entries.collect(),
    };
    let bodies: Vec<&Bytes> = batches.iter().map(|batch| batch.body()).collect();
    message(group, &head, &bodies)
}

pub(crate) fn read_append(bytes: Bytes) -> Result<AppendEntriesRequest<Types>, WireError> {
    let (group, head, mut bodies) = open::<AppendHead>(bytes)?;
    let mut entries = Vec::new();
    for entry in head.entries {
        let len = entry.len as usize;
        if len > bodies.len() {
            return Err(unreadable("an entry is cut off"));
        }
        let body = bodies.split_to(len);
        let batch = Batch::parse(group, entry.id.index, Term(entry.id.term), body);
        let batch = Arc::new(batch.map_err(unreadable)?);
        entries.push(Entry::of_batch(batch).map_err(unreadable)?);
    }
    Ok(AppendEntriesRequest {
        vote: head.vote.read(),
        prev_log_id: read_id(head.previous)?,
        entries,
        leader_commit: read_id(head.commit)?,
    })
}

pub(crate) fn write_append_answer(response: &AppendEntriesResponse<Types>) -> Bytes {
    answer(&match response {
        AppendEntriesResponse::Success => AppendAnswer::Success,
        AppendEntriesResponse::PartialSuccess(id) => AppendAnswer::Partial(WireId::of(id.as_ref())),
        AppendEntriesResponse::Conflict => AppendAnswer::Conflict,
        AppendEntriesResponse::HigherVote(vote) => AppendAnswer::HigherVote(WireVote::new(vote)),
    })
}

pub(crate) fn read_append_answer(bytes: &Bytes) -> Result<AppendEntriesResponse<Types>, WireError> {
    Ok(match read_answer(bytes)? {
        AppendAnswer::Success => AppendEntriesResponse::Success,
        AppendAnswer::Partial(id) => AppendEntriesResponse::PartialSuccess(read_id(id)?),
        AppendAnswer::Conflict => AppendEntriesResponse::Conflict,
        AppendAnswer::HigherVote(vote) => AppendEntriesResponse::HigherVote(vote.read()),
    })
}

pub(crate) fn write_vote(group: ShardId, request: &VoteRequest<Types>) -> Bytes {
    let head = VoteHead {
        vote: WireVote::new(&request.vote),
        last: WireId::of(request.last_log_id.as_ref()),
        is_transfer: request.leadership_transfer,
    };
    message(group, &head, &[])
}

pub(crate) fn read_vote(bytes: Bytes) -> Result<VoteRequest<Types>, WireError> {
    let (_, head, _) = open::<VoteHead>(bytes)?;
    let mut request = VoteRequest::new(head.vote.read(), read_id(head.last)?);
    request.leadership_transfer = head.is_transfer;
    Ok(request)
}

pub(crate) fn write_vote_answer(response: &VoteResponse<Types>) -> Bytes {
    answer(&VoteAnswer {
        vote: WireVote::new(&response.vote),
        last: WireId::of(response.last_log_id.as_ref()),
        is_granted: response.vote_granted,
    })
}

pub(crate) fn read_vote_answer(bytes: &Bytes) -> Result<VoteResponse<Types>, WireError> {
    let head: VoteAnswer = read_answer(bytes)?;
    let last = read_id(head.last)?;
    Ok(VoteResponse::new(head.vote.read(), last, head.is_granted))
}

pub(crate) fn write_transfer(group: ShardId, request: &TransferLeaderRequest<Types>) -> Bytes {
    let head = TransferHead {
        vote: WireVote::new(request.from_leader()),
        to: *request.to_node_id(),
        last: WireId::of(request.last_log_id()),
    };
    message(group, &head, &[])
}

pub(crate) fn read_transfer(bytes: Bytes) -> Result<TransferLeaderRequest<Types>, WireError> {
    let (_, head, _) = open::<TransferHead>(bytes)?;
    let last = read_id(head.last)?;
    Ok(TransferLeaderRequest::new(head.vote.read(), head.to, last))
}

/// What is said of a snapshot: where it stands and who takes part.
pub(crate) struct SnapshotMessage {
    pub(crate) vote: RaftVote,
    pub(crate) last: Option<LogId>,
    pub(crate) membership: StoredMembership,
    pub(crate) data: Bytes,
}

impl SnapshotMessage {
    pub(crate) fn into_parts(self) -> (RaftVote, Snapshot) {
        let meta = alias::SnapshotMetaOf::<Types> {
            last_log_id: self.last,
            last_membership: self.membership,
        };
        let snapshot = Snapshot {
            meta,
            snapshot: self.data,
        };
        (self.vote, snapshot)
    }
}

pub(crate) fn write_snapshot(group: ShardId, snapshot: &SnapshotMessage) -> Bytes {
    let membership = WrittenMembership::new(snapshot.membership.membership());
    let head = SnapshotHead {
        vote: WireVote::new(&snapshot.vote),
        last: WireId::of(snapshot.last.as_ref()),
        member_entry: WireId::of(snapshot.membership.log_id().as_ref()),
        membership: serde_json::to_string(&membership).expect("numbers can be written"),
    };
    message(group, &head, &[&snapshot.data])
}

pub(crate) fn read_snapshot(bytes: Bytes) -> Result<SnapshotMessage, WireError> {
    let (_, head, data) = open::<SnapshotHead>(bytes)?;
    let written: WrittenMembership = serde_json::from_str(&head.membership).map_err(unreadable)?;
    let membership = written.read();
    let membership = membership.ok_or_else(|| unreadable("a membership does not fit together"))?;
    Ok(SnapshotMessage {
        vote: head.vote.read(),
        last: read_id(head.last)?,
        membership: StoredMembership::new(read_id(head.member_entry)?, membership),
        data,
    })
}

pub(crate) fn write_snapshot_answer(response: &SnapshotResponse<Types>) -> Bytes {
    answer(&WireVote::new(&response.vote))
}

pub(crate) fn read_snapshot_answer(bytes: &Bytes) -> Result<SnapshotResponse<Types>, WireError> {
    let vote: WireVote = read_answer(bytes)?;
    Ok(SnapshotResponse::new(vote.read()))
}

pub(crate) fn write_proposed(group: ShardId, proposed: &Proposed) -> Bytes {
    let head = ProposeHead {
        term: proposed.term,
        node: proposed.origin.node,
        run: proposed.origin.run,
        sequence: proposed.origin.sequence,
        previous: proposed.previous,
    };
    message(group, &head, &[proposed.batch.body()])
}

pub(crate) fn read_proposed(bytes: Bytes) -> Result<Proposed, WireError> {
    let (group, head, body) = open::<ProposeHead>(bytes)?;
    let batch = Batch::parse(group, 1, Term(0), body).map_err(unreadable)?;
    Ok(Proposed {
        term: head.term,
        origin: Mark {
            node: head.node,
            run: head.run,
            sequence: head.sequence,
        },
        previous: head.previous,
        batch: Arc::new(batch),
    })
}

pub(crate) fn write_fetch(group: ShardId, index: u64) -> Bytes {
    message(group, &FetchHead { index }, &[])
}

pub(crate) fn read_fetch(bytes: Bytes) -> Result<u64, WireError> {
    let (_, head, _) = open::<FetchHead>(bytes)?;
    Ok(head.index)
}

pub(crate) fn write_fetched(batch: &Batch) -> Bytes {
    let id = WireId {
        term: batch.term().0,
        index: batch.index(),
    };
    message(batch.shard(), &id, &[batch.body()])
}

pub(crate) fn read_fetched(bytes: Bytes) -> Result<Batch, WireError> {
    let (group, id, body) = open::<WireId>(bytes)?;
    Batch::parse(group, id.index, Term(id.term), body).map_err(unreadable)
}
