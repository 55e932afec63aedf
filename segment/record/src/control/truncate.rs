//! Truncate: entries that lost to another leader's are void.

use crate::error::FormatError;
use crate::frame::FrameFields;
use crate::ids::{ShardId, Term};
use crate::wire::Input;

/// All entries of the shard from `index_start` on, in frames before this one,
/// are void.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Truncate {
    /// The shard.
    pub shard: ShardId,
    /// The term of the entry before them; 0 if there is none.
    pub term: Term,
    /// The first void index.
    pub index_start: u64,
}

impl Truncate {
    pub(super) fn read(fields: &FrameFields, body: &[u8]) -> Result<Self, FormatError> {
        Input::new("truncate", body).finish()?;
        Ok(Self {
            shard: fields.shard,
            term: fields.term,
            index_start: fields.index,
        })
    }
}
