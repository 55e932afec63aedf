//! What can go wrong with views.

use robustmq_protocol::topic::TopicError;
use robustmq_record::{Offset, ShardId};

use crate::store::KvError;
use crate::wire::WireError;

/// Why views could not be read or updated.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ViewError {
    /// The store failed. After a failed update the process must not go on
    /// with these views; what the log holds is not lost.
    #[error(transparent)]
    Store(#[from] KvError),
    /// A stored value cannot be read: delete the views, they are folded anew.
    #[error("the {view} view is damaged: {source}")]
    Damaged {
        /// Which view.
        view: &'static str,
        /// What is wrong.
        source: WireError,
    },
    /// The shard has not been folded as far as was asked for: try again later.
    #[error("shard {shard} is folded up to {applied}, not yet to {up_to}")]
    NotApplied {
        /// The shard.
        shard: ShardId,
        /// The end of what has been folded.
        applied: Offset,
        /// The end of what was asked for.
        up_to: Offset,
    },
    /// What was given as a Topic Filter is none.
    #[error("not a topic filter: {0}")]
    Filter(#[from] TopicError),
}

impl ViewError {
    pub(crate) fn damaged(view: &'static str) -> impl Fn(WireError) -> Self {
        move |source| Self::Damaged { view, source }
    }

    pub(crate) fn bad_key(view: &'static str) -> Self {
        let source = WireError {
            position: 0,
            what: "a key is not as it was written",
        };
        Self::Damaged { view, source }
    }
}
