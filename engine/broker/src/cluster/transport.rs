//! The groups' way to other nodes: connections between peers.

use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use robustmq_peers::{CallError, Lane, Peers, Request};
use robustmq_replication::{CallFailed, Transport, kind};

use super::place::Place;

/// A request to append that is not longer than this has no entries.
const HEARTBEAT_BYTES_MAX: usize = 64;

/// Carries what groups say over the connections between nodes.
pub(super) struct PeerTransport {
    pub(super) peers: Peers,
}

impl Transport for PeerTransport {
    fn call(
        &self,
        node: u64,
        address: &str,
        kind: u16,
        body: Bytes,
        timeout: Duration,
    ) -> BoxFuture<'static, Result<Bytes, CallFailed>> {
        // Votes and signs of life do not queue behind entries.
        let is_order = matches!(kind, kind::APPEND | kind::PROPOSE | kind::SNAPSHOT);
        let is_urgent = !is_order || kind == kind::APPEND && body.len() <= HEARTBEAT_BYTES_MAX;
        let lane = if is_urgent {
            Lane::Urgent
        } else {
            Lane::Ordered
        };
        let request = Request::new(kind, body).on(lane);
        let address = Place::address_of(address);
        let answer = match self.peers.send(node, address, request) {
            Ok(answer) => answer,
            Err(error) => return futures_util::future::ready(Err(failed(error))).boxed(),
        };
        async move {
            match tokio::time::timeout(timeout, answer).await {
                Ok(answer) => answer.map_err(failed),
                Err(_) => Err(failed(CallError::TimedOut)),
            }
        }
        .boxed()
    }
}

fn failed(error: CallError) -> CallFailed {
    match error {
        CallError::Refused(reason) => CallFailed::Refused(reason),
        CallError::Lost | CallError::TimedOut => CallFailed::Lost(error.to_string()),
        other => CallFailed::Unreachable(other.to_string()),
    }
}
