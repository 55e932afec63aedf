//! Reading the past: from a range as people spell it to messages in the order
//! of their time, over all shards.
//!
//! Invariants
//! 1. The same range gives the same messages in the same order each time, as
//!    long as nothing of it is removed.
//! 2. A bookmark resumes right behind the message it was taken at, in every
//!    shard: no gap, no twin.
//! 3. A reader holds no more than what it reads ahead.
//!
//! **Not here**: sending to MQTT clients (`connection::replay`), HTTP.

mod bookmark;
pub(crate) mod catch_up;
mod last;
mod message;
mod picks;
pub(crate) mod places;
mod range;
mod reader;
mod state;
mod topics;
mod watch;

pub(crate) use catch_up::{CatchUp, Step};
pub use message::{HistoryMessage, MessageBody};
pub(crate) use message::{Told, envelope};
pub use places::SHIFT_MAX;
pub(crate) use range::{RangeError, Resolved, Resolver, UNREACHED};
pub(crate) use reader::everything;
pub use reader::{HistoryPage, HistoryReader, Query};
pub use state::state;
pub use topics::{TopicInfo, topics};
pub(crate) use watch::Watch;

/// Why history cannot be told.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HistoryError {
    /// What was asked for is wrong; the text says what would be right.
    #[error("{0}")]
    Asked(String),
    /// There is no such thing.
    #[error("{0}")]
    NotFound(String),
    /// It cannot be done as things are now.
    #[error("{0}")]
    Conflict(String),
    /// The log or the views cannot be read, or not be written to.
    #[error("{0}")]
    Failed(String),
}

impl HistoryError {
    pub(crate) fn asked(error: &impl ToString) -> Self {
        Self::Asked(error.to_string())
    }

    pub(crate) fn failed(error: &impl ToString) -> Self {
        Self::Failed(error.to_string())
    }
}

impl From<RangeError> for HistoryError {
    fn from(error: RangeError) -> Self {
        match error {
            RangeError::Token(_) | RangeError::TooMany(_) => Self::asked(&error),
            RangeError::Read(_) => Self::failed(&error),
        }
    }
}

/// Runs what blocks on the disk, few at a time.
pub(crate) async fn blocking<T: Send + 'static>(
    broker: &crate::Broker,
    work: impl FnOnce() -> Result<T, HistoryError> + Send + 'static,
) -> Result<T, HistoryError> {
    let _permit = broker.reads.acquire().await;
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => {
            tracing::error!(%error, "reading the log failed");
            Err(HistoryError::failed(&"reading the log failed"))
        }
    }
}
