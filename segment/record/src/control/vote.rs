//! Vote: a shard's term and whom this node voted for in it.

use crate::error::FormatError;
use crate::frame::FrameFields;
use crate::ids::{NodeId, ShardId, Term};
use crate::wire::Input;

const FLAG_COMMITTED: u64 = 1;

/// A vote; durable before it is sent to anybody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vote {
    /// The shard.
    pub shard: ShardId,
    /// The term voted in.
    pub term: Term,
    /// The node voted for; 0 for nobody.
    pub voted_for: NodeId,
    /// Whether a majority granted the vote.
    pub committed: bool,
}

impl Vote {
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let flags = if self.committed { FLAG_COMMITTED } else { 0 };
        out.extend_from_slice(&self.voted_for.0.to_le_bytes());
        out.extend_from_slice(&flags.to_le_bytes());
    }

    pub(super) fn read(fields: &FrameFields, body: &[u8]) -> Result<Self, FormatError> {
        let mut input = Input::new("vote", body);
        let voted_for = NodeId(input.u64()?);
        let flags = input.u64()?;
        if flags & !FLAG_COMMITTED != 0 {
            return Err(input.error("unknown flags"));
        }
        input.finish()?;
        let committed = flags & FLAG_COMMITTED != 0;
        Ok(Self {
            shard: fields.shard,
            term: fields.term,
            voted_for,
            committed,
        })
    }
}
