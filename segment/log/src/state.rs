//! What the writer, the readers and the background threads of a log share.
//!
//! **Invariants**
//! 1. Locks are held for moments and never across a disk call (but for
//!    `Segment::loading`, which readers alone wait for): readers never block
//!    the writer.
//! 2. Once a fatal error is set it stays, and nothing is acknowledged any more.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, Weak};

use parking_lot::{Mutex, RwLock};
use robustmq_record::{ShardId, ShardState, Term, Vote};

use crate::catalog::Catalog;
use crate::config::{CommitRule, LogConfig};
use crate::disk::Disk;
use crate::error::FatalLogError;
use crate::position::ShardPosition;
use crate::repairs::Repairs;
use crate::segment::Segment;
use crate::tail_cache::TailCache;

/// What has happened since the log was opened; only grows.
#[derive(Debug, Default)]
pub struct LogCounters {
    /// Batches made durable.
    pub batches: AtomicU64,
    /// Records in them.
    pub records: AtomicU64,
    /// Bytes written, frame headers and padding included.
    pub bytes_written: AtomicU64,
    /// Rounds: writes of gathered frames.
    pub rounds: AtomicU64,
    /// Syncs of segment files by the writer.
    pub syncs: AtomicU64,
    /// Batches refused because the disk is full.
    pub batches_refused: AtomicU64,
    /// Times that damage was met, at start or by a reader.
    pub damages: AtomicU64,
    /// Damaged batches that came back from another node.
    pub repairs: AtomicU64,
    /// Segments removed by retention.
    pub segments_removed: AtomicU64,
    /// Segments rewritten with only what is live.
    pub segments_compacted: AtomicU64,
    /// Segment indexes built.
    pub indexes_built: AtomicU64,
}

impl LogCounters {
    /// Every counter by name.
    #[must_use]
    pub fn all(&self) -> [(&'static str, u64); 11] {
        [
            ("log_batches", &self.batches),
            ("log_records", &self.records),
            ("log_bytes_written", &self.bytes_written),
            ("log_rounds", &self.rounds),
            ("log_syncs", &self.syncs),
            ("log_batches_refused", &self.batches_refused),
            ("log_damages", &self.damages),
            ("log_repairs", &self.repairs),
            ("log_segments_removed", &self.segments_removed),
            ("log_segments_compacted", &self.segments_compacted),
            ("log_indexes_built", &self.indexes_built),
        ]
        .map(|(name, counter)| (name, counter.load(Ordering::Relaxed)))
    }

    pub(crate) fn add(counter: &AtomicU64, count: u64) {
        counter.fetch_add(count, Ordering::Relaxed);
    }
}

/// A shard's position and what else is durable about it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ShardCell {
    pub(crate) position: ShardPosition,
    pub(crate) vote: Vote,
    /// The term of the last entry.
    pub(crate) appended_term: Term,
    /// The term of the entry before the first that is still there.
    pub(crate) purged_term: Term,
}

impl ShardCell {
    pub(crate) fn new(shard: ShardId) -> Self {
        Self {
            position: ShardPosition::default(),
            vote: Vote {
                shard,
                term: Term(0),
                voted_for: robustmq_record::NodeId(0),
                committed: false,
            },
            appended_term: Term(0),
            purged_term: Term(0),
        }
    }

    /// As it is written into the start of a segment.
    pub(crate) fn to_state(self) -> ShardState {
        ShardState {
            shard: self.vote.shard,
            term: self.position.term,
            voted_for: self.vote.voted_for,
            vote_committed: self.vote.committed,
            commit_index: self.position.commit_end - 1,
            appended_index: self.position.appended_end - 1,
            appended_term: self.appended_term,
            log_start_index: self.position.log_start,
            purged_term: self.purged_term,
        }
    }
}

/// What the parts of a log share.
pub(crate) struct LogState {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) config: LogConfig,
    pub(crate) cells: Vec<Mutex<ShardCell>>,
    pub(crate) tail_cache: TailCache,
    pub(crate) counters: LogCounters,
    pub(crate) repairs: Repairs,
    /// Bytes left in the segment that is being written.
    pub(crate) active_room: AtomicU64,
    /// Whether what is flushed is committed; goes from true to false once at
    /// most.
    commits_itself: AtomicBool,
    catalog: RwLock<Arc<Catalog>>,
    fatal: OnceLock<FatalLogError>,
    /// Segments with an open file, and with an index in memory, oldest first.
    pub(crate) open_files: Mutex<VecDeque<Weak<Segment>>>,
    pub(crate) open_indexes: Mutex<VecDeque<(Weak<Segment>, usize)>>,
}

impl LogState {
    pub(crate) fn new(
        disk: Arc<dyn Disk>,
        config: LogConfig,
        cells: Vec<ShardCell>,
        segments: Vec<Arc<Segment>>,
    ) -> Self {
        assert!(
            cells.len() == config.shards as usize,
            "every shard has a cell"
        );
        cells.iter().for_each(|cell| cell.position.check());
        Self {
            tail_cache: TailCache::new(config.shards, config.tail_cache_bytes),
            catalog: RwLock::new(Arc::new(Catalog::new(segments, config.shards))),
            cells: cells.into_iter().map(Mutex::new).collect(),
            counters: LogCounters::default(),
            repairs: Repairs::default(),
            active_room: AtomicU64::new(u64::MAX),
            commits_itself: AtomicBool::new(config.commit == CommitRule::Flushed),
            fatal: OnceLock::new(),
            open_files: Mutex::default(),
            open_indexes: Mutex::default(),
            disk,
            config,
        }
    }

    /// Whether the log takes batches and commits what it has flushed.
    pub(crate) fn commits_itself(&self) -> bool {
        self.commits_itself.load(Ordering::Acquire)
    }

    /// From now on the log does what Raft orders.
    pub(crate) fn hand_over(&self) {
        self.commits_itself.store(false, Ordering::Release);
    }

    pub(crate) fn has_shard(&self, shard: ShardId) -> bool {
        (shard.0 as usize) < self.cells.len()
    }

    pub(crate) fn cell(&self, shard: ShardId) -> ShardCell {
        *self.cells[shard.0 as usize].lock()
    }

    pub(crate) fn position(&self, shard: ShardId) -> ShardPosition {
        self.cell(shard).position
    }

    pub(crate) fn change_position(
        &self,
        shard: ShardId,
        change: impl FnOnce(&mut ShardPosition),
    ) -> ShardPosition {
        let mut cell = self.cells[shard.0 as usize].lock();
        cell.position.change(change);
        cell.position
    }

    pub(crate) fn catalog(&self) -> Arc<Catalog> {
        Arc::clone(&self.catalog.read())
    }

    /// Puts another list of segments in place.
    pub(crate) fn change_catalog(&self, change: impl FnOnce(&mut Vec<Arc<Segment>>)) {
        let mut catalog = self.catalog.write();
        let mut segments = catalog.segments().to_vec();
        change(&mut segments);
        *catalog = Arc::new(Catalog::new(segments, self.config.shards));
    }

    pub(crate) fn fatal(&self) -> Option<&FatalLogError> {
        self.fatal.get()
    }

    /// Sets the fatal error; true for the first one.
    pub(crate) fn set_fatal(&self, error: FatalLogError) -> bool {
        self.fatal.set(error).is_ok()
    }
}
