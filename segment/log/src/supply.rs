//! Segment files made ready before the writer needs them, and files of removed
//! segments that are used again.
//!
//! **Invariants**
//! 1. A file has its segment's name, durably, before the first byte with that
//!    segment's id is written into it: no id is ever given twice.
//! 2. Its blocks are allocated and synced, so that writing finds room. They are
//!    also written, with zeros, so that the writer's syncs have no metadata to
//!    write; but not while rounds are so large that writing everything twice
//!    costs more than that.
//! 3. Files are handed out in the order of their ids.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::Mutex;
use robustmq_record::SegmentId;

use crate::disk::{Disk, DiskFile, is_disk_full, write_zeros};
use crate::file_names;

/// A segment file that nothing was written to yet.
pub(crate) struct Prepared {
    pub(crate) id: SegmentId,
    pub(crate) file: Arc<dyn DiskFile>,
    pub(crate) len: u64,
    /// Up to here every byte was written before, at least with zeros.
    pub(crate) zeroed_end: u64,
}

/// What the writer writes at a time from which on files are not filled with
/// zeros.
const LARGE_ROUND_BYTES: u64 = 512 << 10;

/// How slowly the mean of rounds follows them.
const ROUNDS_OF_MEAN: u64 = 8;

/// Files of removed segments, and the next id.
struct Maker {
    spares: Vec<SegmentId>,
    next_id: SegmentId,
}

/// What a supply is told.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SupplyLimits {
    pub(crate) segment_bytes: u64,
    pub(crate) ready_max: usize,
    pub(crate) spares_max: usize,
    pub(crate) free_bytes_min: u64,
}

pub(crate) struct Supply {
    disk: Arc<dyn Disk>,
    limits: SupplyLimits,
    ready: Mutex<VecDeque<Prepared>>,
    /// Held while files are made, renamed or removed.
    maker: Mutex<Maker>,
    /// The disk had no room for the next file.
    starved: AtomicBool,
    /// The mean of what the writer has lately written at a time.
    round_bytes: AtomicU64,
}

impl Supply {
    /// `spares` are files of removed segments, `ready` files with segment names
    /// that hold nothing; `next_id` is above all ids ever used.
    pub(crate) fn new(
        disk: Arc<dyn Disk>,
        limits: SupplyLimits,
        spares: Vec<SegmentId>,
        ready: VecDeque<Prepared>,
        next_id: SegmentId,
    ) -> Self {
        Self {
            disk,
            limits,
            ready: Mutex::new(ready),
            maker: Mutex::new(Maker { spares, next_id }),
            starved: AtomicBool::new(false),
            round_bytes: AtomicU64::new(0),
        }
    }

    /// The writer, and nobody else, says how much it has written at once.
    pub(crate) fn note_round(&self, bytes: u64) {
        let mean = self.round_bytes.load(Ordering::Relaxed);
        let mean = mean - mean / ROUNDS_OF_MEAN + bytes / ROUNDS_OF_MEAN;
        self.round_bytes.store(mean, Ordering::Relaxed);
    }

    /// Whether so much is written at once that its zeros would cost more than the
    /// metadata of one more sync.
    pub(crate) fn rounds_are_large(&self) -> bool {
        self.round_bytes.load(Ordering::Relaxed) >= LARGE_ROUND_BYTES
    }

    /// The next file, of at least `len_min` bytes. Makes one if none is ready.
    pub(crate) fn take(&self, len_min: u64) -> io::Result<Prepared> {
        let ready = self.ready.lock().pop_front();
        let prepared = match ready {
            Some(prepared) => prepared,
            None => {
                let mut maker = self.maker.lock();
                let ready = self.ready.lock().pop_front();
                match ready {
                    Some(prepared) => prepared,
                    None => self.make(&mut maker, self.limits.free_bytes_min)?,
                }
            }
        };
        if prepared.len >= len_min {
            return Ok(prepared);
        }
        let extended = prepared
            .file
            .allocate(len_min)
            .and_then(|()| prepared.file.sync_data());
        match extended {
            Ok(()) => Ok(Prepared {
                len: len_min,
                ..prepared
            }),
            Err(error) => {
                self.give_back(prepared);
                Err(error)
            }
        }
    }

    /// Returns a file that was taken last and not written to.
    pub(crate) fn give_back(&self, prepared: Prepared) {
        self.ready.lock().push_front(prepared);
    }

    /// Whether fewer files are ready than wanted.
    pub(crate) fn is_short(&self) -> bool {
        self.ready.lock().len() < self.limits.ready_max
    }

    /// Whether the last attempt to make a file ready found the disk full, and
    /// none is ready.
    pub(crate) fn is_starved(&self) -> bool {
        self.starved.load(Ordering::Relaxed)
    }

    /// Makes files ready up to the limit.
    pub(crate) fn restock(&self) -> io::Result<()> {
        let stocked = self.fill();
        let full = matches!(&stocked, Err(error) if is_disk_full(error));
        let starved = full && self.ready.lock().is_empty();
        self.starved.store(starved, Ordering::Relaxed);
        stocked
    }

    fn fill(&self) -> io::Result<()> {
        while self.is_short() {
            let mut maker = self.maker.lock();
            let prepared = self.make(&mut maker, self.limits.free_bytes_min)?;
            self.ready.lock().push_back(prepared);
        }
        Ok(())
    }

    /// Makes the file of a new log's first segment, even where that leaves less
    /// room than there should be.
    pub(crate) fn take_first(&self) -> io::Result<Prepared> {
        let ready = self.ready.lock().pop_front();
        match ready {
            Some(prepared) => Ok(prepared),
            None => self.make(&mut self.maker.lock(), 0),
        }
    }

    fn make(&self, maker: &mut Maker, free_bytes_min: u64) -> io::Result<Prepared> {
        let id = maker.next_id;
        let name = file_names::segment(id);
        let len = self.limits.segment_bytes;
        let (file, zeroed_end) = match maker.spares.pop() {
            Some(spare) => {
                self.disk.rename(&file_names::spare(spare), &name)?;
                (self.disk.open(&name)?, len)
            }
            None => {
                let fill = !self.rounds_are_large();
                let file = self.make_new(&name, fill, free_bytes_min)?;
                (file, if fill { len } else { 0 })
            }
        };
        maker.next_id = SegmentId(id.0 + 1);
        self.disk.sync_dir()?;
        Ok(Prepared {
            id,
            file,
            len,
            zeroed_end,
        })
    }

    fn make_new(
        &self,
        name: &str,
        fill: bool,
        free_bytes_min: u64,
    ) -> io::Result<Arc<dyn DiskFile>> {
        let len = self.limits.segment_bytes;
        if self.disk.free_bytes()? < len.saturating_add(free_bytes_min) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let temporary = file_names::temporary(name);
        let file = self.disk.create(&temporary)?;
        let filled = match fill {
            true => write_zeros(&*file, 0, len),
            false => file.allocate(len),
        };
        let filled = filled.and_then(|()| file.sync_data());
        if let Err(error) = filled.and_then(|()| self.disk.rename(&temporary, name)) {
            // Best effort: the next start removes it, and the first error counts.
            let _ = self.disk.remove(&temporary);
            return Err(error);
        }
        Ok(file)
    }

    /// Takes the file of a removed segment, to be used again or removed.
    pub(crate) fn recycle(&self, id: SegmentId, len: u64) -> io::Result<()> {
        let mut maker = self.maker.lock();
        let name = file_names::segment(id);
        let useful = len == self.limits.segment_bytes;
        if useful && maker.spares.len() < self.limits.spares_max {
            self.disk.rename(&name, &file_names::spare(id))?;
            self.disk.sync_dir()?;
            maker.spares.push(id);
            return Ok(());
        }
        self.disk.remove(&name)?;
        self.disk.sync_dir()
    }
}
