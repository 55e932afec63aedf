//! Looking at a log from outside, without changing it: for tools.
//!
//! Works on a stopped log and on one that is being written. In the latter case
//! the end may be caught in the middle of a write, and old segments may vanish;
//! neither is a fault.
//!
//! **Not here**: printing (`robust-ctl`), repair.

mod dump;
mod verify;

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use robustmq_record::{
    FrameFault, FrameScanner, Lsn, NodeId, ScanItem, ScanOptions, SegmentId, SegmentIndex, ShardId,
    ShardState, Tail,
};

use crate::disk::{Disk, DiskFile};
use crate::file_names::{self, FileKind};
use crate::indexes;
use crate::recovery::read_start;

pub use dump::DumpItem;
pub use verify::{Problem, VerifyProgress, VerifyReport};

/// What a segment file is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SegmentStatus {
    /// Made ready; nothing was written to it.
    Ready,
    /// The newest one, written to or left off.
    Active,
    /// Complete.
    Sealed,
    /// Its first frame cannot be read.
    Damaged,
    /// A later version of the format.
    Newer,
}

/// What a segment holds of a shard, by its index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShardSummary {
    /// The shard.
    pub shard: ShardId,
    /// The first index.
    pub index_start: u64,
    /// After the last index.
    pub index_end: u64,
    /// Batches.
    pub batches: u64,
    /// Records.
    pub records: u64,
    /// Distinct topics; 0 where no index was built yet.
    pub topics: u64,
    /// The earliest timestamp.
    pub timestamp_ms_min: u64,
    /// The latest timestamp.
    pub timestamp_ms_max: u64,
}

/// What there is to say about a segment without reading it through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentSummary {
    /// Its id.
    pub id: SegmentId,
    /// Its file.
    pub file: String,
    /// Bytes of the file.
    pub file_bytes: u64,
    /// What it is in.
    pub status: SegmentStatus,
    /// Rewritten by retention with only what was live.
    pub compacted: bool,
    /// The number of its first frame.
    pub lsn_start: Option<Lsn>,
    /// The node that wrote it.
    pub node_id: Option<NodeId>,
    /// When it was begun, in milliseconds since the Unix epoch.
    pub created_ms: Option<u64>,
    /// Every shard's state when it was begun.
    pub states: Vec<ShardState>,
    /// Bytes of its index file; `None` if there is none that can be believed.
    pub index_bytes: Option<u64>,
    /// Bytes of frames; known with an index.
    pub used_bytes: Option<u64>,
    /// What it holds, by its index.
    pub shards: Vec<ShardSummary>,
}

/// The log as a whole.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogInfo {
    /// Segments with frames.
    pub segments: u64,
    /// Those of them without an index that can be believed.
    pub segments_without_index: u64,
    /// Files made ready or kept to be used again.
    pub spare_files: u64,
    /// Bytes of all files.
    pub file_bytes: u64,
    /// Bytes of frames.
    pub used_bytes: u64,
    /// The number of the first frame.
    pub lsn_start: Lsn,
    /// After the number of the last frame.
    pub lsn_end: Lsn,
    /// The last run ended in order and nothing was written since.
    pub clean: bool,
    /// What is held of every shard.
    pub shards: Vec<ShardSummary>,
}

/// Looks at the log in a directory.
#[derive(Clone)]
pub struct LogInspector {
    disk: Arc<dyn Disk>,
}

impl std::fmt::Debug for LogInspector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LogInspector").finish_non_exhaustive()
    }
}

/// A segment file that is open.
struct Opened {
    summary: SegmentSummary,
    file: Arc<dyn DiskFile>,
    index: Option<SegmentIndex>,
}

impl LogInspector {
    /// Nothing is written: see [`crate::RealDisk::read_only`].
    #[must_use]
    pub fn new(disk: Arc<dyn Disk>) -> Self {
        Self { disk }
    }

    /// All segments, oldest first, including files made ready.
    ///
    /// # Errors
    /// What the system says.
    pub fn segments(&self) -> io::Result<Vec<SegmentSummary>> {
        let opened = self.open_all()?.into_iter();
        Ok(opened.map(|opened| opened.summary).collect())
    }

    fn open_all(&self) -> io::Result<Vec<Opened>> {
        let mut segments = Vec::new();
        for entry in self.disk.list()? {
            let FileKind::Segment(id) = file_names::parse(&entry.name) else {
                continue;
            };
            match self.open(id, entry.name, entry.len) {
                Ok(opened) => segments.push(opened),
                // Retention was faster.
                Err(error) if error.kind() == io::ErrorKind::NotFound => (),
                Err(error) => return Err(error),
            }
        }
        segments.sort_unstable_by_key(|opened| opened.summary.id);
        let begun = |opened: &Opened| opened.summary.status == SegmentStatus::Sealed;
        if let Some(newest) = segments.iter().rposition(begun) {
            segments[newest].summary.status = if segments[newest].index.is_some() {
                SegmentStatus::Sealed
            } else {
                SegmentStatus::Active
            };
            // A first frame that cannot be read, behind all others, is one that
            // was never written.
            let behind = segments[newest + 1..].iter_mut();
            behind
                .filter(|opened| opened.summary.status == SegmentStatus::Damaged)
                .for_each(|opened| opened.summary.status = SegmentStatus::Ready);
        } else if let [only] = &mut segments[..]
            && only.summary.status == SegmentStatus::Damaged
        {
            only.summary.status = SegmentStatus::Ready;
        }
        Ok(segments)
    }

    /// Opens a segment; every one that was begun is taken for sealed here.
    fn open(&self, id: SegmentId, name: String, len: u64) -> io::Result<Opened> {
        let file = self.disk.open(&name)?;
        let start = read_start(&*file, id, len)?;
        let index = indexes::read(&*self.disk, &*file, id)?;
        let status = match &start {
            Ok(_) => SegmentStatus::Sealed,
            Err(FrameFault::Newer { .. }) => SegmentStatus::Newer,
            Err(_) => SegmentStatus::Damaged,
        };
        let start = start.ok();
        let summary = SegmentSummary {
            id,
            file: name,
            file_bytes: len,
            status,
            compacted: start.as_ref().is_some_and(|(_, start)| start.compacted),
            lsn_start: start.as_ref().map(|(lsn, _)| *lsn),
            node_id: start.as_ref().map(|(_, start)| start.node_id),
            created_ms: start.as_ref().map(|(_, start)| start.created_ms),
            states: start.map_or_else(Vec::new, |(_, start)| start.shards),
            index_bytes: index.as_ref().map(|index| index.size_bytes() as u64),
            used_bytes: index.as_ref().map(|index| index.segment().position_end),
            shards: index.as_ref().map_or_else(Vec::new, summarize),
        };
        Ok(Opened {
            summary,
            file,
            index,
        })
    }

    /// Sums up the log. Segments without an index are read through.
    ///
    /// # Errors
    /// What the system says.
    pub fn info(&self) -> io::Result<LogInfo> {
        let mut info = LogInfo::default();
        let mut shards = BTreeMap::new();
        for entry in self.disk.list()? {
            info.file_bytes += entry.len;
            if matches!(file_names::parse(&entry.name), FileKind::Spare(_)) {
                info.spare_files += 1;
            }
        }
        for opened in self.open_all()? {
            let summary = &opened.summary;
            if summary.status == SegmentStatus::Ready {
                info.spare_files += 1;
                continue;
            }
            info.segments += 1;
            let read = match &opened.index {
                Some(index) => Contents {
                    used_bytes: index.segment().position_end,
                    lsn_end: index.segment().lsn_end,
                    clean: false,
                    shards: summary.shards.clone(),
                },
                None => {
                    info.segments_without_index += 1;
                    read_through(&opened)?
                }
            };
            if info.lsn_start == Lsn(0) {
                info.lsn_start = summary.lsn_start.unwrap_or(Lsn(0));
            }
            info.lsn_end = info.lsn_end.max(read.lsn_end);
            info.used_bytes += read.used_bytes;
            info.clean = read.clean;
            for state in &summary.states {
                let empty = empty_summary(state.shard, state.appended_index + 1);
                shards.entry(state.shard).or_insert(empty);
            }
            for held in read.shards {
                let total = shards
                    .entry(held.shard)
                    .or_insert_with(|| empty_summary(held.shard, held.index_start));
                add(total, &held);
            }
        }
        info.shards = shards.into_values().collect();
        Ok(info)
    }

    fn find(&self, id: SegmentId) -> io::Result<Opened> {
        let name = file_names::segment(id);
        let len = self.disk.open(&name)?.len()?;
        self.open(id, name, len)
    }
}

fn empty_summary(shard: ShardId, index_start: u64) -> ShardSummary {
    ShardSummary {
        shard,
        index_start,
        index_end: index_start,
        batches: 0,
        records: 0,
        topics: 0,
        timestamp_ms_min: u64::MAX,
        timestamp_ms_max: 0,
    }
}

fn add(total: &mut ShardSummary, held: &ShardSummary) {
    total.index_end = total.index_end.max(held.index_end);
    total.batches += held.batches;
    total.records += held.records;
    // Topics of segments overlap; the most of one is what is known for sure.
    total.topics = total.topics.max(held.topics);
    total.timestamp_ms_min = total.timestamp_ms_min.min(held.timestamp_ms_min);
    total.timestamp_ms_max = total.timestamp_ms_max.max(held.timestamp_ms_max);
}

fn summarize(index: &SegmentIndex) -> Vec<ShardSummary> {
    let summary = |table: robustmq_record::ShardIndex<'_>| ShardSummary {
        shard: table.shard(),
        index_start: table.index_start(),
        index_end: table.index_end(),
        batches: u64::from(table.batch_count()),
        records: table.records(),
        topics: u64::from(table.topic_count()),
        timestamp_ms_min: table.timestamp_ms_min(),
        timestamp_ms_max: table.timestamp_ms_max(),
    };
    index.shards().map(summary).collect()
}

/// What reading a segment through finds.
struct Contents {
    used_bytes: u64,
    lsn_end: Lsn,
    clean: bool,
    shards: Vec<ShardSummary>,
}

fn read_through(opened: &Opened) -> io::Result<Contents> {
    let mut shards: BTreeMap<ShardId, ShardSummary> = BTreeMap::new();
    let mut contents = Contents {
        used_bytes: 0,
        lsn_end: Lsn(0),
        clean: false,
        shards: Vec::new(),
    };
    let file = &*opened.file;
    let mut scanner = FrameScanner::new(options(opened), |position, buffer: &mut [u8]| {
        file.read_at(position, buffer)
    });
    while let Some(item) = scanner.next_item()? {
        match item {
            ScanItem::Frame(frame) => {
                contents.clean = frame.header.fields.flags.clean;
                let Ok(batch) = frame.batch() else { continue };
                let held = ShardSummary {
                    index_end: batch.index() + 1,
                    batches: 1,
                    records: batch.count() as u64,
                    timestamp_ms_min: batch.timestamp_ms_min(),
                    timestamp_ms_max: batch.timestamp_ms_max(),
                    ..empty_summary(batch.shard(), batch.index())
                };
                let total = shards
                    .entry(batch.shard())
                    .or_insert_with(|| empty_summary(batch.shard(), batch.index()));
                add(total, &held);
            }
            ScanItem::Damaged(_) => (),
            ScanItem::End(end) => {
                contents.used_bytes = end.position;
                contents.lsn_end = end.lsn_next;
                contents.clean &= end.tail != Tail::Torn;
            }
        }
    }
    contents.shards = shards.into_values().collect();
    Ok(contents)
}

fn options(opened: &Opened) -> ScanOptions {
    let mut options = ScanOptions::new(opened.summary.id, opened.summary.file_bytes);
    options.lsn_start = opened.summary.lsn_start;
    options
}

#[cfg(test)]
mod tests;
