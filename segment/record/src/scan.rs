//! Finding the frames of a segment, and telling why there is none.
//!
//! A segment is read front to back. Where no valid frame follows, all that is
//! behind is looked through (frames start at multiples of 8 and their headers
//! have a checksum) and the question is: *was what should stand here synced?*
//! A later frame answers it by its durable number, or the caller by what later
//! segments say.
//!
//! **Invariants**
//! 1. Frames come in the order of their log sequence numbers, each at most once.
//! 2. What was synced is never taken for a torn write: if any valid frame
//!    behind proves that the missing one was durable, the place is reported as
//!    damaged and the scan goes on behind it.
//! 3. What was not synced and has a hole before it is never yielded.
//! 4. Memory is bounded by the largest frame or the chunk size; time is linear
//!    in the length of the segment.
//!
//! **Not here**: zeroing a torn tail, repairing damage (`robustmq-log`).

mod search;
mod window;

use crate::batch::Batch;
use crate::control::Control;
use crate::frame::{
    FrameFault, FrameHeader, FrameKind, HEADER_LEN, parse_header, read_batch, verify_body,
};
use crate::ids::{Lsn, SegmentId};
use search::{Search, Survey};
use window::Window;

/// What is known about a segment before it is read.
#[derive(Clone, Copy, Debug)]
pub struct ScanOptions {
    /// Seeds the checksums.
    pub segment_id: SegmentId,
    /// Bytes of the segment file.
    pub len: u64,
    /// The number of the segment's first frame. Without it the loss of the
    /// first frames is reported with a number of frames that is a guess.
    pub lsn_start: Option<Lsn>,
    /// The number of the next segment's first frame, if there is a next one.
    pub lsn_end: Option<Lsn>,
    /// The highest durable number seen in later segments; 0 if there is none.
    pub durable_lsn: Lsn,
    /// How much to read at once.
    pub chunk_bytes: usize,
}

impl ScanOptions {
    /// Reads of 256 KiB, and nothing known but the file.
    #[must_use]
    pub fn new(segment_id: SegmentId, len: u64) -> Self {
        Self {
            segment_id,
            len,
            lsn_start: None,
            lsn_end: None,
            durable_lsn: Lsn(0),
            chunk_bytes: 256 << 10,
        }
    }
}

/// A verified frame.
#[derive(Clone, Copy, Debug)]
pub struct ScannedFrame<'a> {
    /// Where it starts in the segment.
    pub position: u64,
    /// Its header.
    pub header: FrameHeader,
    /// Its body as stored, with padding.
    pub body: &'a [u8],
    segment_id: SegmentId,
}

impl ScannedFrame<'_> {
    /// The batch in a batch frame.
    ///
    /// # Errors
    /// As [`read_batch`].
    pub fn batch(&self) -> Result<Batch, FrameFault> {
        read_batch(&self.header, self.body, self.segment_id)
    }

    /// What a frame of another kind says.
    ///
    /// # Errors
    /// As [`Control::read`].
    pub fn control(&self) -> Result<Control, FrameFault> {
        Control::read(&self.header, self.body, self.segment_id)
    }
}

/// Bytes that held frames which were synced and are lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Damage {
    /// Where the damage starts in the segment.
    pub position: u64,
    /// Bytes until the next valid frame, or to the end of the segment.
    pub len: u64,
    /// The first lost frame.
    pub lsn_start: Lsn,
    /// After the last lost frame. Equal to `lsn_start` when the bytes held no
    /// frame at all.
    pub lsn_end: Lsn,
    /// The lost frame's header where only its body is damaged.
    pub header: Option<FrameHeader>,
}

/// How the frames of a segment end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tail {
    /// With the frame that seals the segment.
    Sealed,
    /// With nothing but zeros behind.
    Clean,
    /// With bytes behind that are no frames of this segment: left over from an
    /// earlier life of the file, or from a write of which no header arrived.
    Stale,
    /// With frames behind that were not synced and are incomplete, or follow
    /// one that is: a write that was never acknowledged.
    Torn,
}

/// Where the frames of a segment end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScanEnd {
    /// The next frame may be written here once everything up to `dirty_end` is
    /// zeroed.
    pub position: u64,
    /// How it ends.
    pub tail: Tail,
    /// The number that the next frame gets.
    pub lsn_next: Lsn,
    /// The end of what looks like frames of this segment; at least `position`.
    pub dirty_end: u64,
}

/// What a scan meets.
#[derive(Debug)]
pub enum ScanItem<'a> {
    /// The next valid frame.
    Frame(ScannedFrame<'a>),
    /// Lost bytes; the scan goes on behind them.
    Damaged(Damage),
    /// The end; nothing follows.
    End(ScanEnd),
}

/// What stands at a position.
enum Here {
    Frame(FrameHeader),
    /// A valid header whose body is not.
    BadBody(FrameHeader),
    Nothing,
}

/// Yields the frames of a segment, then its end.
///
/// `read(position, buffer)` fills the buffer from the segment at `position` and
/// says how many bytes that were; fewer means that the file ends there.
#[derive(Debug)]
pub struct FrameScanner<R> {
    window: Window<R>,
    options: ScanOptions,
    position: u64,
    /// The number of the frame that should stand at `position`.
    lsn_next: Option<Lsn>,
    /// Numbers may be missing without damage.
    compacted: bool,
    survey: Option<Survey>,
    /// The end, once it is known; yielded next.
    end: Option<ScanEnd>,
    done: bool,
}

impl<R, E> FrameScanner<R>
where
    R: FnMut(u64, &mut [u8]) -> Result<usize, E>,
{
    /// Starts at the front of a segment.
    pub fn new(options: ScanOptions, read: R) -> Self {
        Self {
            window: Window::new(read, options.len, options.chunk_bytes),
            options,
            position: 0,
            lsn_next: options.lsn_start,
            compacted: false,
            survey: None,
            end: None,
            done: false,
        }
    }

    /// The next frame, damage or the end; `None` after the end.
    ///
    /// # Errors
    /// Those of the read function; calling again repeats the read.
    pub fn next_item(&mut self) -> Result<Option<ScanItem<'_>>, E> {
        if self.done {
            return Ok(None);
        }
        if let Some(end) = self.end {
            return Ok(Some(self.finish(end)));
        }
        match self.look()? {
            Here::Frame(header) if self.in_sequence(&header) => self.accept(header).map(Some),
            Here::BadBody(header) if self.in_sequence(&header) => {
                let behind = self.position + header.frame_len() as u64;
                let behind = behind.min(self.window.len());
                self.fault(Some(header), behind, Some(header.fields.lsn.next()))
                    .map(Some)
            }
            _ => {
                let lsn_next = self.lsn_next;
                let found = self.search().find(lsn_next)?;
                let (behind, lsn) = match found {
                    Some((position, header)) => (position, Some(header.fields.lsn)),
                    None => (self.window.len(), None),
                };
                self.fault(None, behind, lsn).map(Some)
            }
        }
    }

    /// Whether the frame is the one that should stand here.
    fn in_sequence(&self, header: &FrameHeader) -> bool {
        let compacted = self.compacted || is_compacted_start(header);
        match self.lsn_next {
            None => true,
            Some(lsn) => header.fields.lsn == lsn || compacted && header.fields.lsn > lsn,
        }
    }

    fn look(&mut self) -> Result<Here, E> {
        let segment_id = self.options.segment_id;
        let bytes = self.window.bytes(self.position, HEADER_LEN)?;
        let Ok(header) = parse_header(bytes, segment_id) else {
            return Ok(Here::Nothing);
        };
        let frame = self.window.bytes(self.position, header.frame_len())?;
        match verify_body(&header, &frame[HEADER_LEN..], segment_id) {
            Ok(()) => Ok(Here::Frame(header)),
            Err(_) => Ok(Here::BadBody(header)),
        }
    }

    /// Yields the frame that was just looked at.
    fn accept(&mut self, header: FrameHeader) -> Result<ScanItem<'_>, E> {
        let position = self.position;
        self.compacted |= is_compacted_start(&header);
        self.position += header.frame_len() as u64;
        let lsn_next = header.fields.lsn.next();
        self.lsn_next = Some(lsn_next);
        if header.fields.kind == FrameKind::SegmentEnd {
            let position = self.position;
            self.end = Some(ScanEnd {
                position,
                tail: Tail::Sealed,
                lsn_next,
                dirty_end: position,
            });
        }
        let frame = self.window.bytes(position, header.frame_len())?;
        Ok(ScanItem::Frame(ScannedFrame {
            position,
            header,
            body: &frame[HEADER_LEN..],
            segment_id: self.options.segment_id,
        }))
    }

    fn search(&mut self) -> Search<'_, R> {
        let segment_id = self.options.segment_id;
        Search::new(&mut self.window, segment_id, self.position, self.compacted)
    }

    /// What is behind the first place without a valid frame; found out once.
    fn survey(&mut self) -> Result<Survey, E> {
        if let Some(survey) = self.survey {
            return Ok(survey);
        }
        let lsn_next = self.lsn_next;
        let mut survey = self.search().survey(lsn_next)?;
        survey.durable_lsn = survey.durable_lsn.max(self.options.durable_lsn);
        self.survey = Some(survey);
        Ok(survey)
    }

    /// No valid frame stands at the position; the next one is at `behind` and
    /// has the number `lsn_behind`, if there is one.
    fn fault(
        &mut self,
        header: Option<FrameHeader>,
        behind: u64,
        lsn_behind: Option<Lsn>,
    ) -> Result<ScanItem<'_>, E> {
        let survey = self.survey()?;
        let proven_end = survey.durable_lsn.next();
        let lsn_start = match (self.lsn_next, lsn_behind) {
            (Some(lsn), _) => lsn,
            // The first frame is lost and nobody knows its number: at least
            // the one before the first frame found.
            (None, Some(lsn)) => Lsn(lsn.0.saturating_sub(1).max(1)),
            (None, None) => self.options.lsn_end.unwrap_or(Lsn(1)),
        };
        let missing_end = lsn_behind
            .or(self.options.lsn_end)
            .unwrap_or(proven_end)
            .max(lsn_start);
        let lost_end = missing_end.min(proven_end).max(lsn_start);
        let nothing_missing = missing_end == lsn_start && lsn_behind.is_some();
        if lost_end == lsn_start && !nothing_missing {
            let end = survey.end_at(self.position, lsn_start);
            return Ok(self.finish(end));
        }
        let damage = Damage {
            position: self.position,
            len: behind - self.position,
            lsn_start,
            lsn_end: lost_end,
            header,
        };
        self.position = behind;
        self.lsn_next = Some(lost_end);
        if lost_end < missing_end || lsn_behind.is_none() {
            self.end = Some(survey.end_at(behind, lost_end));
        }
        Ok(ScanItem::Damaged(damage))
    }

    fn finish(&mut self, end: ScanEnd) -> ScanItem<'static> {
        self.done = true;
        ScanItem::End(end)
    }
}

/// A reader for [`FrameScanner::new`] over a segment in memory.
pub fn read_slice(
    bytes: &[u8],
) -> impl FnMut(u64, &mut [u8]) -> Result<usize, std::convert::Infallible> {
    move |position, buffer| {
        let rest = usize::try_from(position)
            .ok()
            .and_then(|position| bytes.get(position..));
        let rest = rest.unwrap_or(&[]);
        let len = rest.len().min(buffer.len());
        buffer[..len].copy_from_slice(&rest[..len]);
        Ok(len)
    }
}

fn is_compacted_start(header: &FrameHeader) -> bool {
    header.fields.kind == FrameKind::SegmentStart && header.fields.flags.compacted
}

#[cfg(test)]
mod tests;
