//! The bytes of the log: records, batches, frames and segment indexes.
//!
//! Publishes are gathered by a [`BatchBuilder`] into a [`Batch`], a batch goes
//! to disk as the body of a frame ([`encode_frame`]), frames follow each other
//! in a segment and are found again by a [`FrameScanner`], and a sealed segment
//! gets a [`SegmentIndex`]. The layouts are tables in `docs/formats/`.
//!
//! **Invariants**
//! 1. Bytes from disk never panic and never choose an allocation size: all
//!    lengths are checked against the bytes that are really there.
//! 2. What [`Batch::parse`] accepted can be read without errors.
//! 3. A record keeps its offset for ever, also through compaction.
//! 4. Every bit of a frame is covered by a checksum that is seeded with the
//!    segment's id, so that bytes of a recycled file never verify.
//!
//! **Not here**: files, threads, clocks (`robustmq-log`); the meaning of record
//! kinds other than messages (`robustmq-views`).

mod batch;
mod builder;
mod control;
mod error;
mod frame;
mod ids;
mod index;
mod mark;
mod names;
mod record;
mod scan;
#[cfg(test)]
mod testing;
mod token;
mod wire;

pub use batch::Batch;
pub use builder::{BatchBuilder, BatchFull, BatchLimits, RECORDS_MAX};
pub use control::{
    Control, DurableMark, FORMAT_VERSION, FrameStamp, Purge, SegmentEnd, SegmentStart, ShardState,
    Truncate, Vote,
};
pub use error::FormatError;
pub use frame::{
    BodyEncoder, Codec, Compression, EncodedBody, FRAME_ALIGN, FRAME_MAGIC, FrameFault,
    FrameFields, FrameFlags, FrameHeader, FrameKind, HEADER_LEN, RATIO_MAX, RAW_LEN_MAX,
    encode_frame, parse_header, read_batch, read_body, verify_body,
};
pub use ids::{Lsn, NodeId, Offset, SegmentId, ShardId, Term};
pub use index::{
    BatchEntry, INDEX_MAGIC, INDEX_VERSION, IndexBuilder, IndexedSegment, Posting, SegmentIndex,
    ShardIndex, TopicEntry,
};
pub use mark::{Mark, NAMESPACE_CONSENSUS};
pub use record::{KIND_CONSENSUS, KIND_MESSAGE, RecordInput, RecordRef};
pub use scan::{
    Damage, FrameScanner, ScanEnd, ScanItem, ScanOptions, ScannedFrame, Tail, read_slice,
};
pub use token::{OffsetToken, TokenError, TokenText};
