//! Segment indexes: read when needed, built again when missing or damaged.
//!
//! **Invariants**
//! 1. An index is believed only if its checksum is right and the frame that
//!    seals the segment lies exactly where the index says the segment ends.
//! 2. An index file has its name only when it is complete and synced.
//! 3. Indexes in memory stay below a limit of bytes; the ones that were read
//!    longest ago go first.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use robustmq_record::{
    Control, Damage, FrameKind, FrameScanner, HEADER_LEN, IndexBuilder, IndexedSegment, Lsn,
    ScanItem, ScanOptions, SegmentId, SegmentIndex, ShardId, Tail, parse_header,
};

use crate::disk::{Disk, DiskFile, read_all};
use crate::file_names;
use crate::files;
use crate::segment::{Segment, SegmentBounds};
use crate::state::{LogCounters, LogState};

/// Bytes of the frame that seals a segment.
pub(crate) const SEGMENT_END_LEN: u64 = HEADER_LEN as u64 + 16;

/// What is known of a sealed segment without reading it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hints {
    pub(crate) id: SegmentId,
    pub(crate) lsn_start: Option<Lsn>,
    /// The number of the next segment's first frame.
    pub(crate) lsn_end: Option<Lsn>,
}

/// An index and what came to light while it was built.
pub(crate) struct Built {
    pub(crate) bytes: Bytes,
    pub(crate) index: SegmentIndex,
    pub(crate) damages: Vec<Damage>,
}

/// The index of a sealed segment: from memory, from its file, or built anew.
pub(crate) fn load(state: &LogState, segment: &Arc<Segment>) -> io::Result<SegmentIndex> {
    if let Some((_, index)) = segment.pinned() {
        return Ok(index.clone());
    }
    if let Some(index) = &*segment.index.lock() {
        return Ok(index.clone());
    }
    let _loading = segment.loading.lock();
    if let Some((_, index)) = segment.pinned() {
        return Ok(index.clone());
    }
    if let Some(index) = &*segment.index.lock() {
        return Ok(index.clone());
    }
    let file = files::open(state, segment)?;
    let id = segment.id();
    let index = match read(&*state.disk, &*file, id)? {
        Some(index) => index,
        None if segment.is_retired() => return Err(io::ErrorKind::NotFound.into()),
        None => rebuild(state, segment, &*file)?,
    };
    keep(state, segment, index.clone());
    Ok(index)
}

fn rebuild(
    state: &LogState,
    segment: &Arc<Segment>,
    file: &dyn DiskFile,
) -> io::Result<SegmentIndex> {
    let next = state.catalog();
    let next = next.segments().iter().find(|next| next.id() > segment.id());
    let hints = Hints {
        id: segment.id(),
        lsn_start: Some(segment.info.lsn_start),
        lsn_end: next.map(|next| next.info.lsn_start),
    };
    let built = build(file, hints)?;
    for damage in &built.damages {
        report_damage(segment.id(), damage);
    }
    let counters = &state.counters;
    LogCounters::add(&counters.damages, built.damages.len() as u64);
    LogCounters::add(&counters.indexes_built, 1);
    tracing::info!(
        segment = segment.id().0,
        "the index of a segment was built again"
    );
    if let Err(error) = write(&*state.disk, segment.id(), &built.bytes) {
        tracing::warn!(segment = segment.id().0, %error, "the index of a segment could not be stored; it will be built again when needed");
    }
    Ok(built.index)
}

pub(crate) fn report_damage(segment: SegmentId, damage: &Damage) {
    tracing::warn!(
        segment = segment.0,
        position = damage.position,
        bytes = damage.len,
        frames = damage.lsn_end.0 - damage.lsn_start.0,
        "synced bytes of the log are damaged; what they held is missing, everything else is served"
    );
}

/// Keeps the index in memory, letting go of others.
pub(crate) fn keep(state: &LogState, segment: &Arc<Segment>, index: SegmentIndex) {
    let size = index.size_bytes();
    if segment.index.lock().replace(index).is_some() {
        return;
    }
    let mut open = state.open_indexes.lock();
    open.push_back((Arc::downgrade(segment), size));
    let mut total: usize = open.iter().map(|(_, size)| size).sum();
    while total > state.config.index_cache_bytes && open.len() > 1 {
        if let Some((oldest, size)) = open.pop_front() {
            total -= size;
            if let Some(oldest) = oldest.upgrade() {
                *oldest.index.lock() = None;
                oldest.index_ahead.store(AHEAD_NOTHING, Ordering::Relaxed);
            }
        }
    }
}

/// The disk has not been told.
const AHEAD_NOTHING: u8 = 0;
/// The disk was told of the index file.
const AHEAD_FILE: u8 = 1;
/// The disk was told of the segment's last frame as well.
const AHEAD_END: u8 = 2;

/// Has the disk begin with what [`load`] will read: first the index file, and
/// when it is needed soon the end of the segment, which the file names.
///
/// What is wrong with either comes to light when they are read.
pub(crate) fn will_need(state: &LogState, segment: &Arc<Segment>, is_near: bool) {
    let told = segment.index_ahead.load(Ordering::Relaxed);
    let is_here = segment.index.lock().is_some() || segment.pinned().is_some();
    if is_here || told == AHEAD_END || (told == AHEAD_FILE && !is_near) {
        return;
    }
    let Ok(file) = state.disk.open(&file_names::index(segment.id())) else {
        return;
    };
    if told == AHEAD_NOTHING {
        let Ok(len) = file.len() else { return };
        file.will_need(0, len);
        segment.index_ahead.store(AHEAD_FILE, Ordering::Relaxed);
        return;
    }
    segment.index_ahead.store(AHEAD_END, Ordering::Relaxed);
    let mut head = [0; SegmentIndex::HEAD_LEN];
    if file
        .read_at(0, &mut head)
        .is_ok_and(|read| read == head.len())
        && let Some(start) = SegmentIndex::end_of(&head).checked_sub(SEGMENT_END_LEN)
        && let Ok(file) = files::open(state, segment)
    {
        file.will_need(start, SEGMENT_END_LEN);
    }
}

/// Reads a segment's index file, if there is one that can be believed.
pub(crate) fn read(
    disk: &dyn Disk,
    segment: &dyn DiskFile,
    id: SegmentId,
) -> io::Result<Option<SegmentIndex>> {
    let file = match disk.open(&file_names::index(id)) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let bytes = Bytes::from(read_all(&*file)?);
    let Ok(index) = SegmentIndex::parse(bytes, id) else {
        tracing::warn!(segment = id.0, "the index of a segment is damaged");
        return Ok(None);
    };
    let believed = is_about(&index, segment, id)?;
    Ok(believed.then_some(index))
}

/// Whether the segment ends where the index says.
fn is_about(index: &SegmentIndex, file: &dyn DiskFile, id: SegmentId) -> io::Result<bool> {
    let about = index.segment();
    let Some(position) = about.position_end.checked_sub(SEGMENT_END_LEN) else {
        return Ok(false);
    };
    let mut frame = [0; SEGMENT_END_LEN as usize];
    let read = file.read_at(position, &mut frame)?;
    let Ok(header) = parse_header(&frame[..read], id) else {
        return Ok(false);
    };
    let end = Control::read(&header, &frame[HEADER_LEN..read.max(HEADER_LEN)], id);
    Ok(
        matches!(end, Ok(Control::SegmentEnd(end)) if end.position == position)
            && header.fields.lsn.next() == about.lsn_end,
    )
}

/// Builds the index by reading the whole segment.
pub(crate) fn build(file: &dyn DiskFile, hints: Hints) -> io::Result<Built> {
    let mut options = ScanOptions::new(hints.id, file.len()?);
    options.lsn_start = hints.lsn_start;
    options.lsn_end = hints.lsn_end;
    options.durable_lsn = Lsn(hints.lsn_end.map_or(0, |end| end.0 - 1));
    let mut scanner = FrameScanner::new(options, |position, buffer: &mut [u8]| {
        file.read_at(position, buffer)
    });
    let mut builder = IndexBuilder::new();
    let mut ends = hashbrown::HashMap::<ShardId, u64>::new();
    let (mut damages, mut lsn_first) = (Vec::new(), None);
    let mut about = IndexedSegment {
        segment_id: hints.id,
        position_end: 0,
        lsn_start: hints.lsn_start.unwrap_or(Lsn(0)),
        lsn_end: hints.lsn_start.unwrap_or(Lsn(0)),
    };
    while let Some(item) = scanner.next_item()? {
        match item {
            ScanItem::Frame(frame) => {
                let fields = frame.header.fields;
                lsn_first.get_or_insert(fields.lsn);
                about.position_end = frame.position + frame.header.frame_len() as u64;
                about.lsn_end = fields.lsn.next();
                match fields.kind {
                    FrameKind::Truncate => {
                        builder.truncate(fields.shard, fields.index);
                        ends.insert(fields.shard, fields.index);
                    }
                    FrameKind::Batch => {
                        // A checksum that is right over a body that is not is
                        // a writer's mistake; readers report it again.
                        let Ok(batch) = frame.batch() else { continue };
                        let end = ends.entry(batch.shard()).or_insert(0);
                        if batch.index() < *end {
                            builder.truncate(batch.shard(), batch.index());
                        }
                        *end = batch.index() + 1;
                        builder.add_batch(frame.position, frame.header.frame_len(), &batch);
                    }
                    _ => (),
                }
            }
            ScanItem::Damaged(damage) => damages.push(damage),
            ScanItem::End(end) => {
                if end.tail != Tail::Sealed {
                    tracing::warn!(
                        segment = hints.id.0,
                        "the frame that seals a segment is missing"
                    );
                }
            }
        }
    }
    if hints.lsn_start.is_none() {
        about.lsn_start = lsn_first.unwrap_or(Lsn(0));
    }
    let bytes = builder.finish(about);
    let index = SegmentIndex::parse(bytes.clone(), hints.id).map_err(io::Error::other)?;
    Ok(Built {
        bytes,
        index,
        damages,
    })
}

/// Stores an index durably.
pub(crate) fn write(disk: &dyn Disk, id: SegmentId, bytes: &[u8]) -> io::Result<()> {
    let name = file_names::index(id);
    let temporary = file_names::temporary(&name);
    match disk.remove(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => (),
    }
    let file = disk.create(&temporary)?;
    let written = file.write_at(0, bytes).and_then(|()| file.sync_data());
    if let Err(error) = written.and_then(|()| disk.rename(&temporary, &name)) {
        // Best effort: the next start removes it, and the first error counts.
        let _ = disk.remove(&temporary);
        return Err(error);
    }
    disk.sync_dir()
}

/// Removes a segment's index, if there is one.
pub(crate) fn remove(disk: &dyn Disk, id: SegmentId) -> io::Result<()> {
    match disk.remove(&file_names::index(id)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Builds and stores the index of a segment that was just sealed, from what is
/// in memory as far as possible; afterwards the tables are let go.
pub(crate) fn seal(state: &LogState, segment: &Arc<Segment>) -> io::Result<()> {
    let Some(bounds) = *segment.bounds.lock() else {
        return Ok(());
    };
    let _loading = segment.loading.lock();
    if segment.is_retired() || segment.pinned().is_some() {
        return Ok(());
    }
    let file = files::open(state, segment)?;
    let mut builder = IndexBuilder::new();
    for shard in (0..state.config.shards).map(ShardId) {
        let entries = match &*segment.tables.read() {
            Some(tables) => tables.shard(shard).to_vec(),
            None => return Ok(()),
        };
        for entry in entries {
            let cached = state.tail_cache.get(shard, entry.index);
            let cached = cached.filter(|batch| batch.term() == entry.term);
            let batch = match cached {
                Some(batch) => batch,
                None => match crate::reader::read_entry(&*file, segment.id(), shard, &entry)? {
                    Ok(batch) => Arc::new(batch),
                    // Readers of the index report the missing batch as a gap.
                    Err(_) => {
                        LogCounters::add(&state.counters.damages, 1);
                        continue;
                    }
                },
            };
            builder.add_batch(entry.position, entry.frame_len as usize, &batch);
        }
    }
    let about = IndexedSegment {
        segment_id: segment.id(),
        position_end: bounds.position_end,
        lsn_start: segment.info.lsn_start,
        lsn_end: bounds.lsn_end,
    };
    let bytes = builder.finish(about);
    write(&*state.disk, segment.id(), &bytes)?;
    LogCounters::add(&state.counters.indexes_built, 1);
    let index = SegmentIndex::parse(bytes, segment.id()).map_err(io::Error::other)?;
    keep(state, segment, index);
    *segment.tables.write() = None;
    Ok(())
}

/// Notes where a segment ends.
pub(crate) fn set_bounds(segment: &Segment, position_end: u64, lsn_end: Lsn) {
    *segment.bounds.lock() = Some(SegmentBounds {
        position_end,
        lsn_end,
    });
}
