//! Writing a frame.

use super::compress::EncodedBody;
use super::{FRAME_ALIGN, FrameFields, FrameHeader, HEADER_LEN, checksum};
use crate::ids::SegmentId;

/// Appends a frame to `out` and returns its header.
///
/// `out` may hold frames before this one, but nothing that breaks alignment.
///
/// # Panics
/// When a field could not be read again (see [`FrameFields`]) or `out` is not
/// aligned.
pub fn encode_frame(
    fields: &FrameFields,
    body: EncodedBody<'_>,
    segment_id: SegmentId,
    out: &mut Vec<u8>,
) -> FrameHeader {
    let start = out.len();
    assert!(start.is_multiple_of(FRAME_ALIGN), "frames are aligned");
    let padded = body.bytes.len().next_multiple_of(FRAME_ALIGN);
    out.reserve(HEADER_LEN + padded);
    out.resize(start + HEADER_LEN, 0);
    out.extend_from_slice(body.bytes);
    out.resize(start + HEADER_LEN + padded, 0);
    let header = FrameHeader {
        fields: *fields,
        codec: body.codec,
        body_len: u32::try_from(body.bytes.len()).unwrap_or(u32::MAX),
        raw_len: u32::try_from(body.raw_len).unwrap_or(u32::MAX),
        body_crc: checksum(segment_id, &out[start + HEADER_LEN..]),
    };
    let bytes = header.to_bytes(segment_id);
    out[start..start + HEADER_LEN].copy_from_slice(&bytes);
    header
}
