//! From one segment to the next.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use robustmq_record::{Control, HEADER_LEN, Lsn, SegmentEnd, SegmentStart};

use super::{Active, Writer};
use crate::disk::{is_disk_full, write_zeros};
use crate::error::AppendError;
use crate::indexes::{SEGMENT_END_LEN, set_bounds};
use crate::segment::{Segment, SegmentInfo, Tables};
use crate::state::LogState;
use crate::supply::Prepared;

/// The most room at the end of a segment that only control frames may use.
const CONTROL_RESERVE: u64 = 16 << 10;

/// Zeros that a small write takes along where there are none.
const AHEAD_BYTES: u64 = 1 << 20;

/// Segments that wait for their index, and a call for new files.
#[derive(Default)]
pub(crate) struct Sealed {
    state: Mutex<SealedState>,
    bell: Condvar,
}

#[derive(Default)]
struct SealedState {
    segments: VecDeque<Arc<Segment>>,
    rung: bool,
    stopped: bool,
}

/// What the background is to do next.
pub(crate) enum Chore {
    Index(Arc<Segment>),
    /// See whether files are to be prepared.
    Restock,
    Stop,
}

impl Sealed {
    pub(crate) fn push(&self, segment: Arc<Segment>) {
        let mut state = self.state.lock();
        state.segments.push_back(segment);
        state.rung = true;
        self.bell.notify_one();
    }

    /// Asks for a look at the files.
    pub(crate) fn ring(&self) {
        self.state.lock().rung = true;
        self.bell.notify_one();
    }

    pub(crate) fn stop(&self) {
        self.state.lock().stopped = true;
        self.bell.notify_one();
    }

    /// The next chore; files come first, since the writer may need them soon.
    /// With a patience, a look at the files comes when it is over.
    pub(crate) fn wait(&self, patience: Option<Duration>) -> Chore {
        let mut state = self.state.lock();
        loop {
            match (state.next(), patience) {
                (Some(chore), _) => return chore,
                (None, None) => self.bell.wait(&mut state),
                (None, Some(patience)) => {
                    if self.bell.wait_for(&mut state, patience).timed_out() {
                        return state.next().unwrap_or(Chore::Restock);
                    }
                }
            }
        }
    }

    /// The next chore, if there is one.
    pub(crate) fn try_next(&self) -> Option<Chore> {
        self.state.lock().next()
    }
}

impl SealedState {
    fn next(&mut self) -> Option<Chore> {
        if self.stopped {
            return Some(Chore::Stop);
        }
        if std::mem::take(&mut self.rung) {
            return Some(Chore::Restock);
        }
        self.segments.pop_front().map(Chore::Index)
    }
}

impl Writer {
    /// Whether a frame of this length can be placed in the active segment.
    pub(super) fn has_room(&self, len: u64, batch: bool) -> bool {
        let info = &self.active.segment.info;
        let reserve = if batch { control_reserve(info.len) } else { 0 };
        let start = if self.is_begun() { 0 } else { self.start_len() };
        let used = self.active.position + self.part.buffer.len() as u64 + start;
        used + len + reserve + SEGMENT_END_LEN <= info.len
    }

    /// Called for every write, which ends at `end`. In a file that was not filled
    /// with zeros, a write changes the file's metadata, and its sync is dearer for
    /// it: while writes are small, one takes a piece of zeros along, so that the
    /// next ones need not.
    pub(super) fn zero_ahead(&mut self, end: u64) -> io::Result<()> {
        self.supply.note_round(end - self.active.position);
        if end <= self.active.zeroed_end {
            return Ok(());
        }
        self.active.zeroed_end = end;
        if !self.supply.rounds_are_large() {
            let ahead_end = (end + AHEAD_BYTES).min(self.active.segment.info.len);
            write_zeros(&*self.active.file, end, ahead_end)?;
            self.active.zeroed_end = end.max(ahead_end);
        }
        Ok(())
    }

    fn is_begun(&self) -> bool {
        self.active.position > 0 || !self.part.buffer.is_empty()
    }

    /// Bytes of the frame that begins a segment.
    fn start_len(&self) -> u64 {
        HEADER_LEN as u64 + 32 + 64 * u64::from(self.state.config.shards)
    }

    /// Goes on to the next segment if the frame does not fit this one.
    pub(super) fn make_room(&mut self, len: u64, batch: bool) -> Result<(), AppendError> {
        if self.has_room(len, batch) {
            return Ok(());
        }
        self.roll(len)
    }

    /// Seals the active segment and goes on to the next one, in which a frame
    /// of this length will have room.
    pub(super) fn roll(&mut self, len: u64) -> Result<(), AppendError> {
        let next = self.take_next(len)?;
        self.roll_to(next)
    }

    pub(super) fn take_next(&mut self, len: u64) -> Result<Prepared, AppendError> {
        let segment_bytes = self.state.config.segment_bytes;
        let fixed = self.start_len() + SEGMENT_END_LEN;
        // The reserve depends on the length of the file, and is bounded.
        let len_min = (fixed + len + CONTROL_RESERVE).max(segment_bytes);
        let len_min = if fixed + len + control_reserve(segment_bytes) <= segment_bytes {
            segment_bytes
        } else {
            len_min
        };
        self.supply.take(len_min).map_err(|error| {
            if is_disk_full(&error) {
                // Told once per batch to its publisher; here once per round.
                tracing::debug!(%error, "no room for another segment");
                AppendError::DiskFull
            } else {
                self.poison("preparing a segment", error)
            }
        })
    }

    pub(super) fn roll_to(&mut self, next: Prepared) -> Result<(), AppendError> {
        if self.is_begun() {
            let lsn_start = self.active.segment.info.lsn_start;
            let end = SegmentEnd {
                frames: self.lsn_next.0 - lsn_start.0 + 1,
                position: self.active.position + self.part.buffer.len() as u64,
                clean: false,
            };
            self.place_control(&Control::SegmentEnd(end), None);
            self.part.must_sync = true;
            if let Err(error) = self.flush() {
                self.supply.give_back(next);
                return Err(error);
            }
            set_bounds(&self.active.segment, self.active.position, self.lsn_next);
            self.sealed.push(Arc::clone(&self.active.segment));
        }
        self.active = begin(&self.state, next, self.lsn_next);
        self.dirty_end = 0;
        Ok(())
    }

    /// Places the frame that begins a segment, if none was written yet.
    pub(super) fn begin_segment(&mut self) {
        if self.is_begun() {
            return;
        }
        let cells = self.state.cells.iter();
        let start = SegmentStart {
            segment_id: self.active.segment.id(),
            node_id: self.state.config.node_id,
            created_ms: self.state.config.clock.wall_ms(),
            compacted: false,
            shards: cells.map(|cell| cell.lock().to_state()).collect(),
        };
        self.place_control(&Control::SegmentStart(start), None);
    }
}

/// Takes a prepared file as the segment that is written next.
pub(crate) fn begin(state: &LogState, next: Prepared, lsn_start: Lsn) -> Active {
    let cells = state.cells.iter();
    let info = SegmentInfo {
        id: next.id,
        lsn_start,
        compacted: false,
        len: next.len,
        starts: cells
            .map(|cell| cell.lock().position.appended_end)
            .collect(),
    };
    let segment = Segment::new(info, Some(Tables::new(state.config.shards)));
    crate::files::keep(state, &segment, Arc::clone(&next.file));
    state.change_catalog(|segments| segments.push(Arc::clone(&segment)));
    Active {
        segment,
        file: next.file,
        position: 0,
        zeroed_end: next.zeroed_end,
    }
}

fn control_reserve(segment_len: u64) -> u64 {
    (segment_len / 16).min(CONTROL_RESERVE)
}
