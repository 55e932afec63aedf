//! Looking for frame headers in bytes that are not known to be frames.

use super::window::Window;
use super::{ScanEnd, Tail};
use crate::frame::{FRAME_ALIGN, FRAME_MAGIC, FrameHeader, HEADER_LEN, parse_header};
use crate::ids::{Lsn, SegmentId};

/// What lies behind a place without a valid frame.
#[derive(Clone, Copy, Debug)]
pub(super) struct Survey {
    /// The highest durable number that a header there names.
    pub(super) durable_lsn: Lsn,
    /// The end of the last frame that has a valid header; 0 if there is none.
    pub(super) frames_end: u64,
    /// There is nothing but zeros.
    pub(super) zeros: bool,
}

impl Survey {
    /// The end of the scan at `position`, with the next frame to be `lsn_next`.
    pub(super) fn end_at(&self, position: u64, lsn_next: Lsn) -> ScanEnd {
        let tail = match self {
            Self { frames_end, .. } if *frames_end > position => Tail::Torn,
            Self { zeros: true, .. } => Tail::Clean,
            _ => Tail::Stale,
        };
        ScanEnd {
            position,
            tail,
            lsn_next,
            dirty_end: self.frames_end.max(position),
        }
    }
}

/// A walk over the rest of a segment.
pub(super) struct Search<'a, R> {
    window: &'a mut Window<R>,
    segment_id: SegmentId,
    start: u64,
    position: u64,
    /// Frames were removed on purpose, so numbers may jump.
    compacted: bool,
    zeros: bool,
}

impl<'a, R, E> Search<'a, R>
where
    R: FnMut(u64, &mut [u8]) -> Result<usize, E>,
{
    pub(super) fn new(
        window: &'a mut Window<R>,
        segment_id: SegmentId,
        start: u64,
        compacted: bool,
    ) -> Self {
        Self {
            window,
            segment_id,
            start,
            position: start,
            compacted,
            zeros: true,
        }
    }

    /// Goes to the next header that can belong to a frame after those read,
    /// the next of which would have been `lsn`.
    pub(super) fn find(&mut self, lsn: Option<Lsn>) -> Result<Option<(u64, FrameHeader)>, E> {
        loop {
            let position = self.position;
            let chunk = self.window.chunk(position)?;
            if chunk.len() < FRAME_ALIGN {
                self.zeros &= chunk.iter().all(|&byte| byte == 0);
                return Ok(None);
            }
            let (skip, zeros) = skip_to_magic(chunk);
            let header = chunk
                .get(skip..)
                .and_then(|bytes| parse_header(bytes, self.segment_id).ok());
            let near_end = chunk.len() - skip.min(chunk.len()) < HEADER_LEN;
            self.zeros &= zeros;
            self.position += skip as u64;
            if let Some(header) = header
                && self.is_plausible(&header, lsn)
            {
                return Ok(Some((self.position, header)));
            }
            // A header that is cut off by the chunk is looked at again at the
            // front of the next one; anything else here is no header.
            let at_front = skip == 0;
            if !near_end || at_front {
                self.position += FRAME_ALIGN as u64;
                self.zeros = false;
            }
        }
    }

    /// Whether the header can be what its checksum says it is. Bytes that a
    /// publisher made to look like a frame lie inside a body; after damage the
    /// search may step on them, and they would have to fit here too.
    fn is_plausible(&self, header: &FrameHeader, lsn: Option<Lsn>) -> bool {
        let fits = self.position + header.frame_len() as u64 <= self.window.len();
        let Some(lsn) = lsn else { return fits };
        let Some(missing) = header.fields.lsn.0.checked_sub(lsn.0) else {
            return false;
        };
        // Every lost frame took at least a header. Where the walk starts no
        // bytes are missing, only numbers, and the frames before led here.
        let room = (self.position - self.start) / HEADER_LEN as u64;
        fits && (self.compacted || self.position == self.start || missing <= room)
    }

    /// Looks through everything that is left.
    pub(super) fn survey(mut self, lsn: Option<Lsn>) -> Result<Survey, E> {
        let mut survey = Survey {
            durable_lsn: Lsn(0),
            frames_end: 0,
            zeros: false,
        };
        while let Some((position, header)) = self.find(lsn)? {
            survey.durable_lsn = survey.durable_lsn.max(header.fields.durable_lsn);
            self.position = position + header.frame_len() as u64;
            survey.frames_end = self.position;
        }
        survey.zeros = self.zeros && survey.frames_end == 0;
        Ok(survey)
    }
}

/// How far it is to the next aligned place where a frame can start (or to the
/// end of the chunk's whole words), and whether all before it is zeros.
fn skip_to_magic(chunk: &[u8]) -> (usize, bool) {
    let mut zeros = true;
    for (place, word) in chunk.chunks_exact(FRAME_ALIGN).enumerate() {
        if word.starts_with(&FRAME_MAGIC) {
            return (place * FRAME_ALIGN, zeros);
        }
        zeros &= word == [0; FRAME_ALIGN];
    }
    (chunk.len() - chunk.len() % FRAME_ALIGN, zeros)
}
