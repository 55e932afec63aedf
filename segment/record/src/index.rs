//! The index of a sealed segment: where each shard's batches are, and which of
//! them hold which topics. The layout is a table in `docs/formats/index.md`.
//!
//! **Invariants**
//! 1. An index says nothing that a scan of its segment would not say: it can
//!    be deleted and built again, and comes out byte by byte the same.
//! 2. A damaged index, one of another segment, or one of another life of the
//!    file is not accepted: the checksum covers everything and is seeded with
//!    the segment's id, and the end of the segment is named.
//! 3. Reading costs no more than what is looked for: tables have entries of
//!    fixed size, topic names are an FST that a filter walks as an automaton.
//!
//! **Not here**: files; when an index is built or believed (`robustmq-log`).

mod builder;
mod read;
mod topics;

pub use builder::IndexBuilder;
pub use read::{BatchEntry, SegmentIndex, ShardIndex};
pub use topics::{Posting, TopicEntry};

use crate::ids::{Lsn, SegmentId};

/// The first four bytes of an index: `RMQI`.
pub const INDEX_MAGIC: [u8; 4] = *b"RMQI";
/// The version of the layout that this crate writes and reads. Another one is
/// refused, and the index built again.
pub const INDEX_VERSION: u32 = 1;

/// Bytes of the header.
const HEADER_LEN: usize = 64;
/// Bytes of one shard's entry in the directory.
const SHARD_LEN: usize = 88;
/// Bytes of one entry of a batch table.
const BATCH_LEN: usize = 56;
/// Sections start at multiples of this.
const ALIGN: usize = 8;
/// In an entry's count: the batch has state that views must see.
const HAS_STATE: u32 = 1 << 31;

/// Which bytes of which segment an index is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IndexedSegment {
    /// The segment's id.
    pub segment_id: SegmentId,
    /// The end of its last frame.
    pub position_end: u64,
    /// The number of its first frame.
    pub lsn_start: Lsn,
    /// After the number of its last frame.
    pub lsn_end: Lsn,
}

#[cfg(test)]
mod tests;
