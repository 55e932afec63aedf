//! Why something did not work.

use std::net::SocketAddr;
use std::path::PathBuf;

/// Why connections between nodes cannot be offered.
#[derive(Debug, thiserror::Error)]
pub enum PeersError {
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {source}. Free the port or choose another one")]
    Bind {
        /// What was asked for.
        address: SocketAddr,
        /// Why not.
        source: std::io::Error,
    },
    /// A certificate or key is of no use.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The system gives no random bytes.
    #[error("the system gives no random bytes: {0}")]
    Random(String),
}

/// A file that is of no use.
#[derive(Debug, thiserror::Error)]
#[error("{}: {problem}. {remedy}", path.display())]
pub struct TlsError {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it.
    pub problem: String,
    /// What to do.
    pub remedy: &'static str,
}

/// Why a request has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// It was never sent.
    #[error("the node cannot be reached: {0}")]
    Unreachable(String),
    /// It was sent, and the connection was lost before the answer: it may or may not have been done.
    #[error("the connection was lost before the answer came")]
    Lost,
    /// There is no answer yet: it may or may not have been done.
    #[error("no answer in time")]
    TimedOut,
    /// The node says no.
    #[error("refused: {0}")]
    Refused(String),
    /// Too much waits for this node already; nothing was sent.
    #[error("too many requests wait for this node")]
    Busy,
    /// The body is longer than the other node takes; nothing was sent.
    #[error("the request is too large")]
    TooLarge,
    /// This node is shutting down, or has done with the other one.
    #[error("shut down")]
    Shutdown,
}
