//! Opening a log: what the files say, and where writing goes on.
//!
//! Only the newest segments are read through. An older one is sealed, which its
//! successor's existence proves; of it only the first frame is read, which says
//! where every shard stood.
//!
//! **Invariants**
//! 1. What was synced is never cut off. Only what lies behind the last frame of
//!    the newest segment is zeroed, after it was found that nothing in it had
//!    been acknowledged.
//! 2. What is kept is durable before it is served: frames that were written but
//!    perhaps not synced before the end of the last run are written again and
//!    synced.
//! 3. Damage keeps nothing else from being served: it is reported, and the
//!    batches it hit are missing. Indexes of lost batches are not given again.
//! 4. Recovery can itself be cut off anywhere and begin again.
//!
//! **Not here**: building indexes (`indexes`), which is left to the background.

mod replay;
mod scan;

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use hashbrown::HashSet;
use robustmq_record::{
    Batch, Control, Damage, FrameFault, HEADER_LEN, Lsn, NodeId, SegmentId, SegmentStart, ShardId,
    parse_header,
};

use crate::config::LogConfig;
use crate::disk::{Disk, DiskFile};
use crate::error::OpenError;
use crate::file_names::{self, FileKind};
use crate::segment::{Segment, SegmentInfo};
use crate::state::ShardCell;
use crate::supply::Prepared;
use replay::Replay;
use scan::Unused;

/// What was found when a log was opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecoveryReport {
    /// Segments that hold frames.
    pub segments: usize,
    /// Segments that had to be read through.
    pub segments_scanned: usize,
    /// Batches found in those.
    pub batches: u64,
    /// Sealed segments without an index, which is built again in the background.
    pub indexes_missing: usize,
    /// Bytes at the end of the log that had been written but not synced, and
    /// were cut off. Nothing in them was acknowledged.
    pub torn_bytes: u64,
    /// Synced bytes found damaged, by segment. Damage in other segments is
    /// found, and logged, when they are read.
    pub damaged: Vec<(SegmentId, Damage)>,
    /// The last run ended in order.
    pub clean: bool,
}

/// Where writing goes on in the newest segment.
pub(crate) struct Resume {
    pub(crate) segment: Arc<Segment>,
    pub(crate) file: Arc<dyn DiskFile>,
    pub(crate) position: u64,
}

/// Everything that recovery finds.
pub(crate) struct Recovered {
    pub(crate) segments: Vec<Arc<Segment>>,
    pub(crate) cells: Vec<ShardCell>,
    /// None if a new segment is to be begun.
    pub(crate) resume: Option<Resume>,
    pub(crate) lsn_next: Lsn,
    /// Sealed segments that need an index.
    pub(crate) unindexed: Vec<Arc<Segment>>,
    pub(crate) ready: VecDeque<Prepared>,
    pub(crate) spares: Vec<SegmentId>,
    /// Batches that were damaged and came back.
    pub(crate) repaired: BTreeSet<(ShardId, u64)>,
    pub(crate) next_id: SegmentId,
    /// The newest batches, for the tail cache.
    pub(crate) recent: VecDeque<Arc<Batch>>,
    pub(crate) report: RecoveryReport,
}

/// A segment file and what its first frame says.
struct Found {
    id: SegmentId,
    file: Arc<dyn DiskFile>,
    len: u64,
    /// None if the first frame is damaged, torn or was never written.
    start: Option<(Lsn, SegmentStart)>,
}

/// The files of the log by what they are.
#[derive(Default)]
struct Listing {
    segments: Vec<(SegmentId, u64)>,
    indexes: HashSet<u64>,
    spares: Vec<SegmentId>,
    repaired: BTreeSet<(ShardId, u64)>,
    highest: u64,
}

fn list(disk: &dyn Disk, config: &LogConfig) -> Result<Listing, OpenError> {
    let mut listing = Listing::default();
    for entry in disk.list().map_err(OpenError::io("listing the log"))? {
        let remove = |disk: &dyn Disk| {
            let action = format!("removing {}", entry.name);
            disk.remove(&entry.name).map_err(OpenError::io(action))
        };
        let id = match file_names::parse(&entry.name) {
            FileKind::Segment(id) => {
                listing.segments.push((id, entry.len));
                id
            }
            FileKind::Index(id) => {
                listing.indexes.insert(id.0);
                id
            }
            FileKind::Spare(id) => {
                if entry.len == config.segment_bytes {
                    listing.spares.push(id);
                } else {
                    remove(disk)?;
                }
                id
            }
            FileKind::Repaired(shard, index) => {
                listing.repaired.insert((shard, index));
                continue;
            }
            FileKind::Temporary => {
                remove(disk)?;
                continue;
            }
            FileKind::Unknown => {
                tracing::warn!(
                    file = entry.name,
                    "the log's directory holds a file that is not the log's"
                );
                continue;
            }
        };
        listing.highest = listing.highest.max(id.0);
    }
    listing.segments.sort_unstable();
    Ok(listing)
}

fn find(disk: &dyn Disk, id: SegmentId, len: u64) -> Result<Found, OpenError> {
    let name = file_names::segment(id);
    let failed = || OpenError::io(format!("reading {name}"));
    let file = disk.open(&name).map_err(failed())?;
    let start = match read_start(&*file, id, len).map_err(failed())? {
        Ok(start) => Some(start),
        Err(FrameFault::Newer { version }) => {
            return Err(OpenError::Newer {
                file: name,
                version,
            });
        }
        Err(_) => None,
    };
    Ok(Found {
        id,
        file,
        len,
        start,
    })
}

/// Reads the first frame of a segment. The outer error is the disk's.
pub(crate) fn read_start(
    file: &dyn DiskFile,
    id: SegmentId,
    len: u64,
) -> std::io::Result<Result<(Lsn, SegmentStart), FrameFault>> {
    let mut frame = vec![0; 4096.min(len) as usize];
    let read = file.read_at(0, &mut frame)?;
    frame.truncate(read);
    let header = match parse_header(&frame, id) {
        Ok(header) => header,
        Err(fault) => return Ok(Err(fault)),
    };
    if header.frame_len() as u64 > len {
        return Ok(Err(FrameFault::Short {
            need: header.frame_len(),
        }));
    }
    if frame.len() < header.frame_len() {
        frame.resize(header.frame_len(), 0);
        let read = file.read_at(0, &mut frame)?;
        frame.truncate(read.max(HEADER_LEN));
    }
    Ok(match Control::read(&header, &frame[HEADER_LEN..], id) {
        Ok(Control::SegmentStart(start)) => Ok((header.fields.lsn, start)),
        Ok(_) => Err(FrameFault::Field("the first frame begins no segment")),
        Err(fault) => Err(fault),
    })
}

/// Finds out where the log stands and makes it fit to be written to.
pub(crate) fn recover(disk: &dyn Disk, config: &LogConfig) -> Result<Recovered, OpenError> {
    let listing = list(disk, config)?;
    let found = listing.segments.iter();
    let found: Result<Vec<Found>, OpenError> =
        found.map(|&(id, len)| find(disk, id, len)).collect();
    let mut found = found?;
    check_shards(&found, config)?;
    // From the newest segment whose first frame is good, everything is read.
    let newest = found.iter().rposition(|found| found.start.is_some());
    let scanned = found.split_off(newest.unwrap_or(0));
    let sealed = found;

    let mut replay = Replay::new(config);
    let outcome = scan::scan(scanned, &mut replay)?;
    let first_scanned = outcome.segments.first();
    let mut segments = sealed_segments(disk, config, sealed, first_scanned)?;
    let mut unindexed: Vec<Arc<Segment>> = segments
        .iter()
        .filter(|segment| !listing.indexes.contains(&segment.id().0))
        .cloned()
        .collect();
    replay.report.indexes_missing = unindexed.len();
    unindexed.extend(outcome.sealed);
    segments.extend(outcome.segments);
    replay.report.segments = segments.len();
    let orphans = listing.indexes.iter().filter(|id| {
        let known = segments.iter().any(|segment| segment.id().0 == **id);
        !known
    });
    for id in orphans {
        let name = file_names::index(SegmentId(*id));
        let action = format!("removing {name}");
        disk.remove(&name).map_err(OpenError::io(action))?;
    }
    let ready = make_ready(outcome.unused, config, disk)?;
    let next_id = SegmentId(listing.highest + 1);
    Ok(replay.finish(Remains {
        segments,
        unindexed,
        resume: outcome.resume,
        ready,
        spares: listing.spares,
        repaired: listing.repaired,
        next_id,
    }))
}

/// What recovery found besides what the frames say.
struct Remains {
    segments: Vec<Arc<Segment>>,
    unindexed: Vec<Arc<Segment>>,
    resume: Option<Resume>,
    ready: VecDeque<Prepared>,
    spares: Vec<SegmentId>,
    repaired: BTreeSet<(ShardId, u64)>,
    next_id: SegmentId,
}

fn check_shards(found: &[Found], config: &LogConfig) -> Result<(), OpenError> {
    let starts = found.iter().rev().filter_map(|found| found.start.as_ref());
    if let Some((_, start)) = starts.clone().next() {
        if start.shards.len() != config.shards as usize {
            return Err(OpenError::Shards {
                found: start.shards.len() as u32,
                configured: config.shards,
            });
        }
        if start.node_id != config.node_id && start.node_id != NodeId(0) {
            tracing::warn!(
                found = start.node_id.0,
                configured = config.node_id.0,
                "the log was written by a node of another id"
            );
        }
    }
    Ok(())
}

/// The segments that are not read through, oldest first. `next` is the segment
/// behind them.
fn sealed_segments(
    disk: &dyn Disk,
    config: &LogConfig,
    sealed: Vec<Found>,
    next: Option<&Arc<Segment>>,
) -> Result<Vec<Arc<Segment>>, OpenError> {
    let mut segments: Vec<Arc<Segment>> = Vec::with_capacity(sealed.len());
    for found in sealed.into_iter().rev() {
        let next = segments.last().or(next);
        let info = match found.start {
            Some((lsn, start)) => SegmentInfo {
                id: found.id,
                lsn_start: lsn,
                compacted: start.compacted,
                len: found.len,
                starts: start
                    .shards
                    .iter()
                    .map(|state| state.appended_index + 1)
                    .collect(),
            },
            None => match scan::describe(disk, config, &found, next)? {
                Some(info) => info,
                // Never written to: its number was given, and then the next.
                None => continue,
            },
        };
        segments.push(Segment::new(info, None));
    }
    segments.reverse();
    Ok(segments)
}

/// Files with a segment's name that hold nothing may be written to next; their
/// leftovers go first.
fn make_ready(
    unused: Vec<Unused>,
    config: &LogConfig,
    disk: &dyn Disk,
) -> Result<VecDeque<Prepared>, OpenError> {
    let mut ready = VecDeque::new();
    for unused in unused {
        let found = unused.found;
        let name = file_names::segment(found.id);
        let failed = || OpenError::io(format!("preparing {name}"));
        if !unused.is_newest || found.len != config.segment_bytes {
            disk.remove(&name).map_err(failed())?;
            disk.sync_dir().map_err(failed())?;
            continue;
        }
        if unused.dirty_end > 0 {
            scan::wipe(&*found.file, 0, unused.dirty_end).map_err(failed())?;
        }
        ready.push_back(Prepared {
            id: found.id,
            file: found.file,
            len: found.len,
            // Nothing says whether it was filled.
            zeroed_end: 0,
        });
    }
    Ok(ready)
}
