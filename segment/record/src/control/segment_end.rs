//! SegmentEnd: the last frame of a sealed segment.

use crate::error::FormatError;
use crate::frame::FrameFields;
use crate::wire::Input;

/// Nothing follows in the segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentEnd {
    /// Frames in the segment, from SegmentStart to this one inclusive.
    pub frames: u64,
    /// Where this frame starts in the segment.
    pub position: u64,
    /// Sealed by an orderly shutdown.
    pub clean: bool,
}

impl SegmentEnd {
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.frames.to_le_bytes());
        out.extend_from_slice(&self.position.to_le_bytes());
    }

    pub(super) fn read(fields: &FrameFields, body: &[u8]) -> Result<Self, FormatError> {
        let mut input = Input::new("segment end", body);
        let (frames, position) = (input.u64()?, input.u64()?);
        input.finish()?;
        Ok(Self {
            frames,
            position,
            clean: fields.flags.clean,
        })
    }
}
