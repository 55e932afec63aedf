//! SegmentStart: who wrote a segment, and all that older segments said about
//! shards other than their records, so that those can go.

use crate::error::FormatError;
use crate::frame::{FrameFault, FrameFields};
use crate::ids::{NodeId, SegmentId, ShardId, Term};
use crate::wire::Input;

/// The version of the format that this crate writes, and the highest it reads.
pub const FORMAT_VERSION: u32 = 1;

/// Encoded bytes of one shard's state.
const SHARD_STATE_LEN: usize = 64;
const FLAG_VOTE_COMMITTED: u32 = 1;

/// The first frame of a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentStart {
    /// The id that seeds all checksums of the segment.
    pub segment_id: SegmentId,
    /// The node that wrote the segment.
    pub node_id: NodeId,
    /// When, in milliseconds since the Unix epoch.
    pub created_ms: u64,
    /// Frames were removed from the segment on purpose.
    pub compacted: bool,
    /// Every shard's state when the segment was started, in the order of ids.
    pub shards: Vec<ShardState>,
}

/// A shard's hard state: what Raft must not forget.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ShardState {
    /// The shard.
    pub shard: ShardId,
    /// The current term.
    pub term: Term,
    /// Whom this node voted for in `term`; 0 for nobody.
    pub voted_for: NodeId,
    /// Whether a majority granted that vote.
    pub vote_committed: bool,
    /// The highest index known committed; 0 for none.
    pub commit_index: u64,
    /// The highest index in the log; 0 for none.
    pub appended_index: u64,
    /// The term of the entry at `appended_index`.
    pub appended_term: Term,
    /// The lowest index that is still in the log.
    pub log_start_index: u64,
    /// The term of the entry before `log_start_index`; 0 for none.
    pub purged_term: Term,
}

impl SegmentStart {
    /// # Panics
    /// When the shards are not in the order of their ids.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        assert!(
            self.shards.is_sorted_by(|a, b| a.shard < b.shard),
            "shards are in order"
        );
        out.extend_from_slice(&FORMAT_VERSION.to_le_bytes());
        out.extend_from_slice(&(self.shards.len() as u32).to_le_bytes());
        out.extend_from_slice(&self.segment_id.0.to_le_bytes());
        out.extend_from_slice(&self.node_id.0.to_le_bytes());
        out.extend_from_slice(&self.created_ms.to_le_bytes());
        for state in &self.shards {
            state.write(out);
        }
    }

    pub(super) fn read(fields: &FrameFields, body: &[u8]) -> Result<Self, FrameFault> {
        let mut input = Input::new("segment start", body);
        let version = input.u32()?;
        if version > FORMAT_VERSION {
            return Err(FrameFault::Newer { version });
        }
        if version == 0 {
            return Err(input.error("format version is 0").into());
        }
        let count = input.u32()? as usize;
        let mut start = Self {
            segment_id: SegmentId(input.u64()?),
            node_id: NodeId(input.u64()?),
            created_ms: input.u64()?,
            compacted: fields.flags.compacted,
            shards: Vec::new(),
        };
        if count.saturating_mul(SHARD_STATE_LEN) != input.remaining() {
            return Err(input.error("shard count does not fit the bytes").into());
        }
        start.shards.reserve_exact(count);
        for _ in 0..count {
            start.shards.push(ShardState::read(&mut input)?);
        }
        input.finish()?;
        if !start.shards.is_sorted_by(|a, b| a.shard < b.shard) {
            return Err(input.error("shards are not in order").into());
        }
        Ok(start)
    }
}

impl ShardState {
    fn write(&self, out: &mut Vec<u8>) {
        let flags = if self.vote_committed {
            FLAG_VOTE_COMMITTED
        } else {
            0
        };
        out.extend_from_slice(&self.shard.0.to_le_bytes());
        out.extend_from_slice(&flags.to_le_bytes());
        let numbers = [
            self.term.0,
            self.voted_for.0,
            self.commit_index,
            self.appended_index,
            self.appended_term.0,
            self.log_start_index,
            self.purged_term.0,
        ];
        numbers
            .iter()
            .for_each(|number| out.extend_from_slice(&number.to_le_bytes()));
    }

    fn read(input: &mut Input<'_>) -> Result<Self, FormatError> {
        let shard = ShardId(input.u32()?);
        let flags = input.u32()?;
        if flags & !FLAG_VOTE_COMMITTED != 0 {
            return Err(input.error("unknown flags"));
        }
        Ok(Self {
            shard,
            vote_committed: flags & FLAG_VOTE_COMMITTED != 0,
            term: Term(input.u64()?),
            voted_for: NodeId(input.u64()?),
            commit_index: input.u64()?,
            appended_index: input.u64()?,
            appended_term: Term(input.u64()?),
            log_start_index: input.u64()?,
            purged_term: Term(input.u64()?),
        })
    }
}
