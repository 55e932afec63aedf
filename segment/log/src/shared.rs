//! What writer, readers and retention share.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::RwLock;
use robustmq_record::{ShardId, Term};

use crate::cache::TailCache;
use crate::config::LogConfig;
use crate::disk::Disk;
use crate::segment::Segment;

/// Where a shard's log begins and ends; indexes, ends exclusive.
#[derive(Debug)]
pub(crate) struct ShardCell {
    log_start: AtomicU64,
    flushed_end: AtomicU64,
    appended_end: AtomicU64,
    term: AtomicU64,
}

impl ShardCell {
    pub(crate) fn new(log_start: u64, end: u64, term: Term) -> Self {
        assert!(log_start <= end, "a log begins before it ends");
        Self {
            log_start: AtomicU64::new(log_start),
            flushed_end: AtomicU64::new(end),
            appended_end: AtomicU64::new(end),
            term: AtomicU64::new(term.0),
        }
    }

    pub(crate) fn log_start(&self) -> u64 {
        self.log_start.load(Ordering::Acquire)
    }

    pub(crate) fn flushed_end(&self) -> u64 {
        self.flushed_end.load(Ordering::Acquire)
    }

    pub(crate) fn appended_end(&self) -> u64 {
        self.appended_end.load(Ordering::Acquire)
    }

    pub(crate) fn term(&self) -> Term {
        Term(self.term.load(Ordering::Acquire))
    }

    pub(crate) fn set_appended_end(&self, end: u64) {
        assert!(end >= self.flushed_end(), "what is flushed stays");
        self.appended_end.store(end, Ordering::Release);
    }

    pub(crate) fn set_flushed_end(&self, end: u64) {
        assert!(
            end >= self.flushed_end(),
            "the flushed end does not go back"
        );
        assert!(
            end <= self.appended_end(),
            "only what was appended is flushed"
        );
        self.flushed_end.store(end, Ordering::Release);
    }

    pub(crate) fn set_log_start(&self, start: u64) {
        assert!(
            start >= self.log_start(),
            "the log's start does not go back"
        );
        assert!(start <= self.flushed_end(), "the log's start is within it");
        self.log_start.store(start, Ordering::Release);
    }
}

/// The parts of an open log.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) config: LogConfig,
    /// Oldest first; the last one is appended to.
    pub(crate) segments: RwLock<Vec<Arc<Segment>>>,
    pub(crate) shards: Vec<ShardCell>,
    pub(crate) cache: TailCache,
}

impl Shared {
    pub(crate) fn shard(&self, shard: ShardId) -> &ShardCell {
        &self.shards[shard.0 as usize]
    }

    pub(crate) fn snapshot(&self) -> Vec<Arc<Segment>> {
        self.segments.read().clone()
    }
}
