//! Purge: entries that are not needed any more.

use crate::error::FormatError;
use crate::frame::FrameFields;
use crate::ids::{ShardId, Term};
use crate::wire::Input;

/// All entries of the shard below `index_end` were removed from the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Purge {
    /// The shard.
    pub shard: ShardId,
    /// The term of the last removed entry.
    pub term: Term,
    /// The first index that is still there.
    pub index_end: u64,
}

impl Purge {
    pub(super) fn read(fields: &FrameFields, body: &[u8]) -> Result<Self, FormatError> {
        Input::new("purge", body).finish()?;
        Ok(Self {
            shard: fields.shard,
            term: fields.term,
            index_end: fields.index,
        })
    }
}
