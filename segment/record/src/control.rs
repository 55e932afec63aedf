//! Control frames: what the log writes about itself. One file per kind.
//!
//! The shard, term and index that a control record concerns stand in the frame
//! header, where a scan sees them without the body; bodies hold the rest.
//!
//! **Not here**: the engine's state records; they are records in batches.

mod durable_mark;
mod purge;
mod segment_end;
mod segment_start;
mod truncate;
mod vote;

pub use durable_mark::DurableMark;
pub use purge::Purge;
pub use segment_end::SegmentEnd;
pub use segment_start::{FORMAT_VERSION, SegmentStart, ShardState};
pub use truncate::Truncate;
pub use vote::Vote;

use crate::frame::{
    EncodedBody, FrameFault, FrameFields, FrameFlags, FrameHeader, FrameKind, encode_frame,
    read_body,
};
use crate::ids::{Lsn, NodeId, SegmentId, ShardId, Term};

/// What a frame that is no batch says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Control {
    /// The first frame of a segment.
    SegmentStart(SegmentStart),
    /// A shard's vote.
    Vote(Vote),
    /// Entries from an index on are void.
    Truncate(Truncate),
    /// Entries up to an index were removed.
    Purge(Purge),
    /// Only the header's durable number matters.
    DurableMark(DurableMark),
    /// The last frame of a segment.
    SegmentEnd(SegmentEnd),
}

/// What the log adds to every frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameStamp {
    /// The frame's number, at least 1.
    pub lsn: Lsn,
    /// All frames up to and including this number are synced.
    pub durable_lsn: Lsn,
    /// The writing node.
    pub leader: NodeId,
    /// The commit index of the shard concerned; 0 if there is none.
    pub commit_hint: u64,
    /// Now, in milliseconds since the Unix epoch.
    pub timestamp_ms: u64,
}

impl Control {
    /// The kind of frame it goes into.
    #[must_use]
    pub fn kind(&self) -> FrameKind {
        match self {
            Self::SegmentStart(_) => FrameKind::SegmentStart,
            Self::Vote(_) => FrameKind::Vote,
            Self::Truncate(_) => FrameKind::Truncate,
            Self::Purge(_) => FrameKind::Purge,
            Self::DurableMark(_) => FrameKind::DurableMark,
            Self::SegmentEnd(_) => FrameKind::SegmentEnd,
        }
    }

    /// Appends the frame to `out`, as [`encode_frame`] does.
    ///
    /// # Panics
    /// As [`encode_frame`].
    pub fn encode(
        &self,
        stamp: &FrameStamp,
        segment_id: SegmentId,
        out: &mut Vec<u8>,
    ) -> FrameHeader {
        let (shard, term, index) = self.place();
        let (compacted, clean) = match self {
            Self::SegmentStart(start) => (start.compacted, false),
            Self::DurableMark(mark) => (false, mark.clean),
            Self::SegmentEnd(end) => (false, end.clean),
            _ => (false, false),
        };
        let fields = FrameFields {
            kind: self.kind(),
            flags: FrameFlags {
                has_state: false,
                compacted,
                clean,
            },
            shard,
            index,
            term,
            leader: stamp.leader,
            count: 0,
            lsn: stamp.lsn,
            durable_lsn: stamp.durable_lsn,
            commit_hint: stamp.commit_hint,
            timestamp_base_ms: stamp.timestamp_ms,
        };
        let mut body = Vec::new();
        match self {
            Self::SegmentStart(start) => start.write(&mut body),
            Self::Vote(vote) => vote.write(&mut body),
            Self::SegmentEnd(end) => end.write(&mut body),
            Self::Truncate(_) | Self::Purge(_) | Self::DurableMark(_) => (),
        }
        encode_frame(&fields, EncodedBody::plain(&body), segment_id, out)
    }

    fn place(&self) -> (ShardId, Term, u64) {
        match self {
            Self::Vote(vote) => (vote.shard, vote.term, 0),
            Self::Truncate(truncate) => (truncate.shard, truncate.term, truncate.index_start),
            Self::Purge(purge) => (purge.shard, purge.term, purge.index_end),
            _ => (ShardId(0), Term(0), 0),
        }
    }

    /// Verifies the body of a control frame and reads it.
    ///
    /// # Errors
    /// As [`read_body`]; [`FrameFault::Newer`] for a segment in a format of a
    /// later version; [`FrameFault::Format`] for a body that breaks the rules;
    /// [`FrameFault::Field`] for a batch or a header that does not fit.
    pub fn read(
        header: &FrameHeader,
        body: &[u8],
        segment_id: SegmentId,
    ) -> Result<Self, FrameFault> {
        let body = read_body(header, body, segment_id)?;
        let control = match header.fields.kind {
            FrameKind::Batch => return Err(FrameFault::Field("frame is a batch")),
            FrameKind::SegmentStart => {
                Self::SegmentStart(SegmentStart::read(&header.fields, &body)?)
            }
            FrameKind::Vote => Self::Vote(Vote::read(&header.fields, &body)?),
            FrameKind::Truncate => Self::Truncate(Truncate::read(&header.fields, &body)?),
            FrameKind::Purge => Self::Purge(Purge::read(&header.fields, &body)?),
            FrameKind::DurableMark => Self::DurableMark(DurableMark::read(&header.fields, &body)?),
            FrameKind::SegmentEnd => Self::SegmentEnd(SegmentEnd::read(&header.fields, &body)?),
        };
        let fields = &header.fields;
        let clean = matches!(
            &control,
            Self::DurableMark(DurableMark { clean: true })
                | Self::SegmentEnd(SegmentEnd { clean: true, .. })
        );
        let compacted = matches!(&control, Self::SegmentStart(start) if start.compacted);
        let flags = FrameFlags {
            has_state: false,
            compacted,
            clean,
        };
        if control.place() != (fields.shard, fields.term, fields.index) || flags != fields.flags {
            return Err(FrameFault::Field("header does not fit the control frame"));
        }
        Ok(control)
    }
}

#[cfg(test)]
mod tests;
