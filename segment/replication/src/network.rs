//! Raft's messages over the engine's transport.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream, Stream, StreamExt};
use openraft::entry::RaftEntry;
use openraft::errors::{NetworkError, RPCError, ReplicationClosed, StreamingError, Unreachable};
use openraft::network::{RPCOption, RaftNetworkFactory, RaftNetworkV2};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, StreamAppendResult,
    TransferLeaderRequest, TransferLeaderResponse, VoteRequest, VoteResponse,
};
use openraft::type_config::alias;
use openraft::{BasicNode, OptionalSend};
use robustmq_record::ShardId;

use crate::transport::{CallFailed, Transport, kind};
use crate::types::{LogId, Types};
use crate::wire::{self, SnapshotMessage, WireError};

/// Appends of one group that one node may have to answer: the next ones are sent
/// while it syncs the first.
const APPENDS_MAX: usize = 8;

/// Makes the ways from one group of this node to others.
#[derive(Clone)]
pub(crate) struct Network {
    pub(crate) group: ShardId,
    pub(crate) transport: Arc<dyn Transport>,
}

/// The way from a group of this node to the same group of another.
#[derive(Clone)]
pub(crate) struct Way {
    network: Network,
    node: u64,
    address: String,
}

impl RaftNetworkFactory<Types> for Network {
    type Network = Way;

    async fn new_client(&mut self, target: u64, node: &BasicNode) -> Way {
        Way {
            network: self.clone(),
            node: target,
            address: node.addr.clone(),
        }
    }
}

fn failed(error: CallFailed) -> RPCError<Types> {
    match error {
        CallFailed::Unreachable(reason) => RPCError::Unreachable(Unreachable::from_string(reason)),
        CallFailed::Lost(reason) | CallFailed::Refused(reason) => {
            RPCError::Network(NetworkError::from_string(reason))
        }
    }
}

fn unreadable(error: WireError) -> RPCError<Types> {
    RPCError::Network(NetworkError::from_string(error))
}

/// What became of an append that was sent in a stream of them, and whether the
/// next ones still count.
fn outcome(
    answer: AppendEntriesResponse<Types>,
    previous: Option<LogId>,
    last: Option<LogId>,
) -> Result<(StreamAppendResult<Types>, bool), RPCError<Types>> {
    if matches!(answer, AppendEntriesResponse::Conflict) && previous.is_none() {
        let reason = "what follows nothing is said not to follow";
        return Err(RPCError::Network(NetworkError::from_string(reason)));
    }
    let all = match &answer {
        AppendEntriesResponse::PartialSuccess(stored) => *stored == last,
        _ => true,
    };
    let result = answer.into_stream_result(previous, last);
    let goes_on = result.is_ok() && all;
    Ok((result, goes_on))
}

impl Way {
    /// Sends a request now; the future is its answer.
    fn call(
        &self,
        kind: u16,
        body: Bytes,
        timeout: Duration,
    ) -> impl Future<Output = Result<Bytes, RPCError<Types>>> + use<> {
        let transport = &self.network.transport;
        let answer = transport.call(self.node, &self.address, kind, body, timeout);
        async move { answer.await.map_err(failed) }
    }

    /// Sends an append now; the future is its answer.
    fn append(
        &self,
        request: &AppendEntriesRequest<Types>,
        option: &RPCOption,
    ) -> impl Future<Output = Result<AppendEntriesResponse<Types>, RPCError<Types>>> + use<> {
        let body = wire::write_append(self.network.group, request);
        let answer = self.call(kind::APPEND, body, option.hard_ttl());
        async move { wire::read_append_answer(&answer.await?).map_err(unreadable) }
    }

    async fn ask_for_vote(
        &self,
        kind: u16,
        request: VoteRequest<Types>,
        option: RPCOption,
    ) -> Result<VoteResponse<Types>, RPCError<Types>> {
        let body = wire::write_vote(self.network.group, &request);
        let answer = self.call(kind, body, option.hard_ttl()).await?;
        wire::read_vote_answer(&answer).map_err(unreadable)
    }
}

impl RaftNetworkV2<Types> for Way {
    type SnapshotData = Bytes;

    async fn append_entries(
        &mut self,
        request: AppendEntriesRequest<Types>,
        option: RPCOption,
    ) -> Result<AppendEntriesResponse<Types>, RPCError<Types>> {
        self.append(&request, &option).await
    }

    fn stream_append<'s, S>(
        &'s mut self,
        input: S,
        option: RPCOption,
    ) -> BoxFuture<
        's,
        Result<BoxStream<'s, Result<StreamAppendResult<Types>, RPCError<Types>>>, RPCError<Types>>,
    >
    where
        S: Stream<Item = AppendEntriesRequest<Types>> + OptionalSend + Unpin + 'static,
    {
        let way = self.clone();
        let answers = input.map(move |request| {
            let previous = request.prev_log_id;
            let last = request.entries.last().map(|entry| entry.log_id());
            let answer = way.append(&request, &option);
            async move { outcome(answer.await?, previous, last.or(previous)) }
        });
        let answers = Box::pin(answers.buffered(APPENDS_MAX));
        let results = stream::unfold(Some(answers), |answers| async move {
            let mut answers = answers?;
            Some(match answers.next().await? {
                Ok((result, goes_on)) => (Ok(result), goes_on.then_some(answers)),
                Err(error) => (Err(error), None),
            })
        });
        Box::pin(async move { Ok(results.boxed()) })
    }

    async fn vote(
        &mut self,
        request: VoteRequest<Types>,
        option: RPCOption,
    ) -> Result<VoteResponse<Types>, RPCError<Types>> {
        self.ask_for_vote(kind::VOTE, request, option).await
    }

    async fn pre_vote(
        &mut self,
        request: VoteRequest<Types>,
        option: RPCOption,
    ) -> Result<VoteResponse<Types>, RPCError<Types>> {
        self.ask_for_vote(kind::PRE_VOTE, request, option).await
    }

    async fn full_snapshot(
        &mut self,
        vote: alias::VoteOf<Types>,
        snapshot: alias::SnapshotOf<Types, Bytes>,
        cancel: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        option: RPCOption,
    ) -> Result<SnapshotResponse<Types>, StreamingError<Types>> {
        let message = SnapshotMessage {
            vote,
            last: snapshot.meta.last_log_id,
            membership: snapshot.meta.last_membership,
            data: snapshot.snapshot,
        };
        let body = wire::write_snapshot(self.network.group, &message);
        tokio::select! {
            biased;
            answer = self.call(kind::SNAPSHOT, body, option.hard_ttl()) => {
                let answer = answer.map_err(StreamingError::from)?;
                let answer = wire::read_snapshot_answer(&answer);
                Ok(answer.map_err(unreadable).map_err(StreamingError::from)?)
            }
            closed = cancel => Err(StreamingError::Closed(closed)),
        }
    }

    async fn transfer_leader(
        &mut self,
        request: TransferLeaderRequest<Types>,
        option: RPCOption,
    ) -> Result<TransferLeaderResponse<Types>, RPCError<Types>> {
        let body = wire::write_transfer(self.network.group, &request);
        self.call(kind::TRANSFER, body, option.hard_ttl()).await?;
        Ok(Ok(()))
    }
}
