//! Raft's messages over the engine's transport.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use openraft::errors::{NetworkError, RPCError, ReplicationClosed, StreamingError, Unreachable};
use openraft::network::{RPCOption, RaftNetworkFactory, RaftNetworkV2};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, TransferLeaderRequest,
    TransferLeaderResponse, VoteRequest, VoteResponse,
};
use openraft::type_config::alias;
use openraft::{BasicNode, OptionalSend};
use robustmq_record::ShardId;

use crate::transport::{CallFailed, Transport, kind};
use crate::types::Types;
use crate::wire::{self, SnapshotMessage, WireError};

/// Makes the ways from one group of this node to others.
#[derive(Clone)]
pub(crate) struct Network {
    pub(crate) group: ShardId,
    pub(crate) transport: Arc<dyn Transport>,
}

/// The way from a group of this node to the same group of another.
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

impl Way {
    async fn call(
        &self,
        kind: u16,
        body: Bytes,
        timeout: Duration,
    ) -> Result<Bytes, RPCError<Types>> {
        let transport = &self.network.transport;
        let answer = transport.call(self.node, &self.address, kind, body, timeout);
        answer.await.map_err(failed)
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
        let body = wire::write_append(self.network.group, &request);
        let answer = self.call(kind::APPEND, body, option.hard_ttl()).await?;
        wire::read_append_answer(&answer).map_err(unreadable)
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
