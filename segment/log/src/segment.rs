//! A segment as the running log knows it.
//!
//! **Invariants**
//! 1. Entries of a shard are in index order, each index at most once.
//! 2. Until the index file is durable the tables stay in memory; afterwards
//!    the index is read when it is needed.
//! 3. A segment whose file went into other hands is marked `retired` before
//!    that happens: whoever then reads bytes that do not verify looks again.

use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, OnceLock};

use parking_lot::{Mutex, RwLock};
use robustmq_record::{BatchEntry, Lsn, SegmentId, SegmentIndex, ShardId};

use crate::disk::DiskFile;
use crate::retention::Shares;

/// Where the batches of each shard are.
#[derive(Debug, Default)]
pub(crate) struct Tables {
    shards: Vec<Vec<BatchEntry>>,
}

impl Tables {
    pub(crate) fn new(shards: u32) -> Self {
        Self {
            shards: (0..shards).map(|_| Vec::new()).collect(),
        }
    }

    pub(crate) fn shard(&self, shard: ShardId) -> &[BatchEntry] {
        &self.shards[shard.0 as usize]
    }

    /// Adds an entry and gives it its ordinal.
    pub(crate) fn push(&mut self, shard: ShardId, mut entry: BatchEntry) {
        let entries = &mut self.shards[shard.0 as usize];
        assert!(
            entries.last().is_none_or(|last| last.index < entry.index),
            "entries come in index order"
        );
        entry.ordinal = entries.len() as u32;
        entries.push(entry);
    }

    pub(crate) fn truncate(&mut self, shard: ShardId, index_start: u64) {
        let entries = &mut self.shards[shard.0 as usize];
        let keep = entries.partition_point(|entry| entry.index < index_start);
        entries.truncate(keep);
    }
}

/// Where a sealed segment ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SegmentBounds {
    pub(crate) position_end: u64,
    pub(crate) lsn_end: Lsn,
}

/// What distinguishes a segment; see [`Segment`].
pub(crate) struct SegmentInfo {
    pub(crate) id: SegmentId,
    pub(crate) lsn_start: Lsn,
    pub(crate) compacted: bool,
    /// Bytes of the file.
    pub(crate) len: u64,
    /// Per shard the first index that can be in here.
    pub(crate) starts: Box<[u64]>,
}

/// A segment as the running log knows it.
pub(crate) struct Segment {
    pub(crate) info: SegmentInfo,
    retired: AtomicBool,
    /// The batches while no index file says them.
    pub(crate) tables: RwLock<Option<Tables>>,
    /// Where the segment ends, once it is sealed and somebody found out.
    pub(crate) bounds: Mutex<Option<SegmentBounds>>,
    /// Kept open while there is room among the open files.
    pub(crate) file: Mutex<Option<Arc<dyn DiskFile>>>,
    /// Kept in memory while there is room in the index cache.
    pub(crate) index: Mutex<Option<SegmentIndex>>,
    /// Held while the index is read, built or removed.
    pub(crate) loading: Mutex<()>,
    /// How far the disk was told that the index will be needed.
    pub(crate) index_ahead: AtomicU8,
    /// What each retention policy's topics hold, once that was asked.
    pub(crate) shares: Mutex<Option<Shares>>,
    /// The file and index of a segment whose name belongs to a rewritten one.
    pinned: OnceLock<(Arc<dyn DiskFile>, SegmentIndex)>,
}

impl Segment {
    pub(crate) fn new(info: SegmentInfo, tables: Option<Tables>) -> Arc<Self> {
        Arc::new(Self {
            info,
            retired: AtomicBool::new(false),
            tables: RwLock::new(tables),
            bounds: Mutex::new(None),
            file: Mutex::new(None),
            index: Mutex::new(None),
            loading: Mutex::new(()),
            index_ahead: AtomicU8::new(0),
            shares: Mutex::new(None),
            pinned: OnceLock::new(),
        })
    }

    pub(crate) fn id(&self) -> SegmentId {
        self.info.id
    }

    /// Keeps file and index for those who hold this segment, since the names
    /// will belong to a rewritten one.
    pub(crate) fn pin(&self, file: Arc<dyn DiskFile>, index: SegmentIndex) {
        // Only a segment in the catalog is rewritten, and it leaves it then;
        // after a failure the first pin is as good.
        let _ = self.pinned.set((file, index));
    }

    pub(crate) fn pinned(&self) -> Option<&(Arc<dyn DiskFile>, SegmentIndex)> {
        self.pinned.get()
    }

    pub(crate) fn retire(&self) {
        self.retired.store(true, Ordering::SeqCst);
    }

    pub(crate) fn is_retired(&self) -> bool {
        self.retired.load(Ordering::SeqCst)
    }
}

impl std::fmt::Debug for Segment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Segment")
            .field("id", &self.info.id)
            .field("lsn_start", &self.info.lsn_start)
            .finish_non_exhaustive()
    }
}
