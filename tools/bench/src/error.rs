//! What ends a run.

use std::io;

use robustmq_protocol::codec::EncodeError;

/// Why there are no figures.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BenchError {
    #[error("no address of the host is known: {0}")]
    Address(String),
    #[error("the system refuses: {0}")]
    Io(#[from] io::Error),
    #[error("a packet cannot be written ({0:?}): shorten the topic or the payload")]
    Packet(EncodeError),
    #[error("{failed} of {all} connections were not opened: {first}")]
    NotConnected {
        failed: u64,
        all: usize,
        first: String,
    },
    #[error("TLS cannot be used: {0}")]
    Tls(String),
    #[error("{0}")]
    Options(String),
}

impl From<EncodeError> for BenchError {
    fn from(error: EncodeError) -> Self {
        Self::Packet(error)
    }
}

impl From<rustix::io::Errno> for BenchError {
    fn from(error: rustix::io::Errno) -> Self {
        Self::Io(error.into())
    }
}
