//! A frame: one batch or control record as it lies on disk, behind a header
//! of fixed size. The layout is a table in `docs/formats/segment.md`.
//!
//! **Invariants**
//! 1. Every bit of a frame is covered by a checksum: the header's covers the
//!    header (and with it the body's checksum), the body's covers the body as
//!    stored and its padding.
//! 2. Both checksums start from the segment's id: a frame left over from an
//!    earlier life of a recycled file does not verify.
//! 3. Decompression yields exactly the announced length or fails, and that
//!    length is bounded by [`RAW_LEN_MAX`] and by [`RATIO_MAX`] times the
//!    bytes that are really there.
//!
//! **Not here**: finding frames in a segment (`scan`), what control frames say
//! (`control`).

mod compress;
mod encode;
mod fault;
mod header;

pub use compress::{BodyEncoder, Codec, Compression, EncodedBody};
pub use encode::encode_frame;
pub use fault::FrameFault;
pub use header::{FrameFields, FrameFlags, FrameHeader, FrameKind, parse_header};

use bytes::Bytes;

use crate::batch::Batch;
use crate::ids::SegmentId;

/// The first four bytes of a frame: `RMQF`.
pub const FRAME_MAGIC: [u8; 4] = *b"RMQF";
/// Bytes of a frame header.
pub const HEADER_LEN: usize = 88;
/// Frames start at multiples of this.
pub const FRAME_ALIGN: usize = 8;
/// The longest body before compression: the largest MQTT packet fits.
pub const RAW_LEN_MAX: usize = 512 << 20;
/// The most a body may shrink by compression. Bounds the memory that a small
/// frame can make its reader allocate.
pub const RATIO_MAX: usize = 256;

/// The checksum of `bytes` in a segment: CRC-32 (IEEE) over the segment's id
/// (8 bytes, little endian) and then the bytes.
pub(crate) fn checksum(segment_id: SegmentId, bytes: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&segment_id.0.to_le_bytes());
    hasher.update(bytes);
    hasher.finalize()
}

/// Checks a body, padding included, against its header's checksum.
///
/// `body` is what follows the header on disk, at least
/// [`FrameHeader::body_len_padded`] bytes of it.
///
/// # Errors
/// [`FrameFault::Short`] or [`FrameFault::BodyChecksum`].
pub fn verify_body(
    header: &FrameHeader,
    body: &[u8],
    segment_id: SegmentId,
) -> Result<(), FrameFault> {
    let padded = header.body_len_padded();
    let Some(bytes) = body.get(..padded) else {
        return Err(FrameFault::Short {
            need: HEADER_LEN + padded,
        });
    };
    if checksum(segment_id, bytes) != header.body_crc {
        return Err(FrameFault::BodyChecksum);
    }
    if bytes[header.body_len as usize..]
        .iter()
        .any(|&byte| byte != 0)
    {
        return Err(FrameFault::Field("padding is not zero"));
    }
    Ok(())
}

/// Verifies a body and undoes its compression.
///
/// # Errors
/// As [`verify_body`], and [`FrameFault::Compression`].
pub fn read_body(
    header: &FrameHeader,
    body: &[u8],
    segment_id: SegmentId,
) -> Result<Bytes, FrameFault> {
    verify_body(header, body, segment_id)?;
    let stored = &body[..header.body_len as usize];
    compress::decompress(header.codec, stored, header.raw_len as usize).map(Bytes::from)
}

/// Verifies the body of a batch frame and takes the batch out of it.
///
/// # Errors
/// As [`read_body`]; [`FrameFault::Field`] when the frame is no batch or its
/// header contradicts the batch; [`FrameFault::Format`].
pub fn read_batch(
    header: &FrameHeader,
    body: &[u8],
    segment_id: SegmentId,
) -> Result<Batch, FrameFault> {
    let fields = &header.fields;
    if fields.kind != FrameKind::Batch {
        return Err(FrameFault::Field("frame is not a batch"));
    }
    let raw = read_body(header, body, segment_id)?;
    let batch = Batch::parse(fields.shard, fields.index, fields.term, raw)?;
    let same = batch.count() == fields.count as usize
        && batch.timestamp_base_ms() == fields.timestamp_base_ms
        && batch.has_state() == fields.flags.has_state
        && batch.is_compacted() == fields.flags.compacted;
    if same {
        Ok(batch)
    } else {
        Err(FrameFault::Field("header contradicts the batch"))
    }
}

#[cfg(test)]
mod tests;
