//! How groups reach other nodes; who carries it is up to the engine, and to
//! tests.

use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;

/// What a request is about.
pub mod kind {
    /// Entries, or a heartbeat.
    pub const APPEND: u16 = 1;
    /// A candidate asks for a vote.
    pub const VOTE: u16 = 2;
    /// A node asks whether it would be voted for.
    pub const PRE_VOTE: u16 = 3;
    /// A snapshot.
    pub const SNAPSHOT: u16 = 4;
    /// The leader asks another node to lead.
    pub const TRANSFER: u16 = 5;
    /// A batch for the leader to append.
    pub const PROPOSE: u16 = 6;
    /// A committed batch, for a node on which it is damaged.
    pub const FETCH: u16 = 7;
    /// Kinds below this one are the groups' own.
    pub const GROUPS_END: u16 = 64;
}

/// Why a request has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallFailed {
    /// The node could not be reached.
    #[error("the node cannot be reached: {0}")]
    Unreachable(String),
    /// Nobody knows whether the request arrived.
    #[error("no answer came: {0}")]
    Lost(String),
    /// The node said no.
    #[error("{0}")]
    Refused(String),
}

/// Carries requests to other nodes.
pub trait Transport: Send + Sync + 'static {
    /// Sends a request; the future is its answer. Requests to one node are sent
    /// in the order of the calls, as far as the connection lasts.
    fn call(
        &self,
        node: u64,
        address: &str,
        kind: u16,
        body: Bytes,
        timeout: Duration,
    ) -> BoxFuture<'static, Result<Bytes, CallFailed>>;
}
