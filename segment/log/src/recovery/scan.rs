//! Reading the newest segments through, and making their end fit to be written
//! behind.

use std::io;
use std::sync::Arc;

use robustmq_record::{FrameScanner, Lsn, ScanEnd, ScanItem, ScanOptions, Tail};

use super::replay::Replay;
use super::{Found, Resume};
use crate::config::LogConfig;
use crate::disk::{Disk, DiskFile};
use crate::error::OpenError;
use crate::file_names;
use crate::indexes::{self, Hints, set_bounds};
use crate::segment::{Segment, SegmentInfo};

/// Bytes looked at and zeroed at a time.
const CHUNK: u64 = 64 << 10;

/// What the newest segments hold.
pub(super) struct Outcome {
    /// Those with frames, oldest first, with their tables.
    pub(super) segments: Vec<Arc<Segment>>,
    /// Those of them that are sealed and need an index.
    pub(super) sealed: Vec<Arc<Segment>>,
    pub(super) resume: Option<Resume>,
    /// Those without frames.
    pub(super) unused: Vec<Unused>,
}

/// A segment without frames.
pub(super) struct Unused {
    pub(super) found: Found,
    /// No segment with frames is newer.
    pub(super) is_newest: bool,
    /// The end of what looks like frames of this segment.
    pub(super) dirty_end: u64,
}

/// What a first look at a segment tells, for reading the ones before it.
#[derive(Clone, Copy, Default)]
struct Look {
    /// It holds frames.
    is_begun: bool,
    /// The number of its first frame, where that is known.
    lsn_start: Option<Lsn>,
    durable_lsn: Lsn,
    dirty_end: u64,
}

pub(super) fn scan(found: Vec<Found>, replay: &mut Replay) -> Result<Outcome, OpenError> {
    let mut looks = Vec::with_capacity(found.len());
    for found in &found {
        let failed = OpenError::io(format!("reading {}", file_names::segment(found.id)));
        looks.push(look(found).map_err(failed)?);
    }
    let newest = looks.iter().rposition(|look| look.is_begun);
    let mut outcome = Outcome {
        segments: Vec::new(),
        sealed: Vec::new(),
        resume: None,
        unused: Vec::new(),
    };
    for (place, found) in found.into_iter().enumerate() {
        if !looks[place].is_begun {
            let is_newest = newest.is_none_or(|newest| newest < place);
            outcome.unused.push(Unused {
                found,
                is_newest,
                dirty_end: looks[place].dirty_end,
            });
            continue;
        }
        let name = file_names::segment(found.id);
        let failed = || OpenError::io(format!("recovering {name}"));
        let later = &looks[place + 1..];
        let is_newest = newest == Some(place);
        let (segment, end) = read(&found, later, replay).map_err(failed())?;
        if is_newest {
            secure(&found, &end, replay).map_err(failed())?;
        }
        if is_newest && end.tail != Tail::Sealed {
            outcome.resume = Some(Resume {
                segment: Arc::clone(&segment),
                file: Arc::clone(&found.file),
                position: end.position,
            });
        } else {
            set_bounds(&segment, end.position, end.lsn_next);
            outcome.sealed.push(Arc::clone(&segment));
        }
        *segment.file.lock() = Some(found.file);
        outcome.segments.push(segment);
    }
    Ok(outcome)
}

/// Whether the segment holds frames. Where its first one is good there is no
/// need to look further.
fn look(found: &Found) -> io::Result<Look> {
    if let Some((lsn, _)) = &found.start {
        return Ok(Look {
            is_begun: true,
            lsn_start: Some(*lsn),
            durable_lsn: Lsn(lsn.0 - 1),
            dirty_end: 0,
        });
    }
    let options = ScanOptions::new(found.id, found.len);
    let file = &*found.file;
    let mut scanner = FrameScanner::new(options, |position, buffer: &mut [u8]| {
        file.read_at(position, buffer)
    });
    let mut look = Look::default();
    while let Some(item) = scanner.next_item()? {
        match item {
            ScanItem::Frame(frame) => {
                look.is_begun = true;
                look.durable_lsn = look.durable_lsn.max(frame.header.fields.durable_lsn);
            }
            ScanItem::Damaged(_) => look.is_begun = true,
            ScanItem::End(end) => look.dirty_end = end.dirty_end,
        }
    }
    Ok(look)
}

fn read(found: &Found, later: &[Look], replay: &mut Replay) -> io::Result<(Arc<Segment>, ScanEnd)> {
    let mut options = ScanOptions::new(found.id, found.len);
    options.lsn_start = match &found.start {
        Some((lsn, _)) => Some(*lsn),
        None => replay.lsn_next(),
    };
    let mut later = later.iter().filter(|look| look.is_begun).peekable();
    options.lsn_end = later.peek().and_then(|next| next.lsn_start);
    options.durable_lsn = later.map(|look| look.durable_lsn).max().unwrap_or(Lsn(0));
    let file = &*found.file;
    let mut scanner = FrameScanner::new(options, |position, buffer: &mut [u8]| {
        file.read_at(position, buffer)
    });
    replay.begin(found.id, found.start.as_ref().map(|(_, start)| start));
    let mut end = None;
    while let Some(item) = scanner.next_item()? {
        match item {
            ScanItem::Frame(frame) => replay.frame(&frame),
            ScanItem::Damaged(damage) => replay.damaged(found.id, damage),
            ScanItem::End(scan_end) => end = Some(scan_end),
        }
    }
    let end = end.expect("a scan ends with its end");
    let (tables, starts, lsn_start) = replay.end(&end, options.lsn_start);
    let start = found.start.as_ref().map(|(_, start)| start);
    let info = SegmentInfo {
        id: found.id,
        lsn_start,
        compacted: start.is_some_and(|start| start.compacted),
        len: found.len,
        starts,
    };
    Ok((Segment::new(info, Some(tables)), end))
}

/// Makes sure that what was found at the end of the log is on the disk, and
/// that nothing else is behind it.
fn secure(found: &Found, end: &ScanEnd, replay: &mut Replay) -> io::Result<()> {
    if end.tail == Tail::Torn {
        replay.torn(found.id, end);
    }
    // The last run may have died before its sync, or of a failed one: then the
    // system may hold bytes for written that never were. So they are written
    // once more.
    let unproven = replay.unproven_position().min(end.position);
    if unproven < end.position {
        let mut bytes = vec![0; (end.position - unproven) as usize];
        let read = found.file.read_at(unproven, &mut bytes)?;
        found.file.write_at(unproven, &bytes[..read])?;
    }
    if end.tail == Tail::Sealed {
        return found.file.sync_data();
    }
    wipe(&*found.file, end.position, found.len)
}

/// Zeroes what is not zero, and syncs.
pub(super) fn wipe(file: &dyn DiskFile, start: u64, end: u64) -> io::Result<()> {
    let mut bytes = vec![0; CHUNK as usize];
    let mut position = start;
    while position < end {
        let len = (end - position).min(CHUNK) as usize;
        let read = file.read_at(position, &mut bytes[..len])?;
        if bytes[..read].iter().any(|&byte| byte != 0) {
            bytes[..read].fill(0);
            file.write_at(position, &bytes[..read])?;
        }
        position += len as u64;
    }
    file.sync_data()
}

/// Finds out about a sealed segment whose first frame is damaged; `None` if it
/// holds no frame.
pub(super) fn describe(
    disk: &dyn Disk,
    config: &LogConfig,
    found: &Found,
    next: Option<&Arc<Segment>>,
) -> Result<Option<SegmentInfo>, OpenError> {
    let name = file_names::segment(found.id);
    let failed = || OpenError::io(format!("reading {name}"));
    let index = match indexes::read(disk, &*found.file, found.id).map_err(failed())? {
        Some(index) => index,
        None => {
            if !look(found).map_err(failed())?.is_begun {
                return Ok(None);
            }
            let hints = Hints {
                id: found.id,
                lsn_start: None,
                lsn_end: next.map(|next| next.info.lsn_start),
            };
            indexes::build(&*found.file, hints).map_err(failed())?.index
        }
    };
    tracing::warn!(
        segment = found.id.0,
        "the first frame of a segment is damaged; its index tells what it said"
    );
    let shards = (0..config.shards).map(robustmq_record::ShardId);
    let starts = shards.map(|shard| match (index.shard(shard), next) {
        (Some(table), _) => table.index_start(),
        (None, Some(next)) => next.info.starts[shard.0 as usize],
        (None, None) => 1,
    });
    Ok(Some(SegmentInfo {
        id: found.id,
        lsn_start: index.segment().lsn_start,
        compacted: false,
        len: found.len,
        starts: starts.collect(),
    }))
}
