//! An open log and the boundary behind which it can be replaced.

use std::sync::Arc;
use std::thread::JoinHandle;

use parking_lot::Mutex;
use robustmq_record::{ShardId, Term};

use crate::cache::TailCache;
use crate::config::LogConfig;
use crate::disk::Disk;
use crate::error::OpenError;
use crate::reader::LogReader;
use crate::recovery::{RecoveryReport, recover};
use crate::retention::{CarryForward, RetentionPolicies, RetentionReport, Retirement};
use crate::shared::{ShardCell, Shared};
use crate::source::{BatchSource, CommitSink};
use crate::spare::Spares;
use crate::writer::{Bell, Writer};

/// Where a shard's log stands; indexes of batches, ends exclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShardPosition {
    /// The first batch that can be read.
    pub log_start: u64,
    /// The first batch on this node's disk.
    pub local_start: u64,
    /// After the last committed batch.
    pub commit_end: u64,
    /// After the last synced batch.
    pub flushed_end: u64,
    /// After the last written batch.
    pub appended_end: u64,
    /// The current term.
    pub term: Term,
}

impl ShardPosition {
    /// The chain that always holds.
    fn validate(self) -> Self {
        assert!(
            self.log_start <= self.local_start
                && self.local_start <= self.flushed_end
                && self.commit_end <= self.flushed_end
                && self.flushed_end <= self.appended_end,
            "positions out of order: {self:?}"
        );
        self
    }
}

/// The shards' logs as the engine uses them: a local log on one node, a
/// replicated one in a cluster.
pub trait ShardLog: Send + Sync + 'static {
    /// Something has gathered at the source for this shard. Cheap, never waits.
    fn wake(&self, shard: ShardId);
    /// Where the shard stands.
    fn position(&self, shard: ShardId) -> ShardPosition;
    /// A way to read what is committed.
    fn reader(&self) -> LogReader;
}

/// The log of one disk, without replication: committed is what is synced.
pub struct DiskLog {
    shared: Arc<Shared>,
    bell: Arc<Bell>,
    spares: Arc<Mutex<Spares>>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

impl DiskLog {
    /// Opens the log in a directory, which is made if it is empty.
    ///
    /// # Errors
    /// See [`OpenError`]. Damage is no error: it is in the report.
    pub fn open(
        disk: Arc<dyn Disk>,
        config: LogConfig,
        source: Arc<dyn BatchSource>,
        sink: Arc<dyn CommitSink>,
    ) -> Result<(Self, RecoveryReport), OpenError> {
        assert!(config.shards > 0 && config.shards <= 64, "1 to 64 shards");
        let recovered = recover(&*disk, &config)?;
        let spares = Spares::start(
            Arc::clone(&disk),
            recovered.spares,
            config.segment_bytes,
            config.spare_files,
            config.free_bytes_min,
        )
        .map_err(|error| OpenError::io("preparing segment files", error))?;
        let spares = Arc::new(Mutex::new(spares));
        let cells = recovered.resume.shards.iter().zip(&recovered.log_starts);
        let shared = Arc::new(Shared {
            cache: TailCache::new(config.tail_cache_bytes),
            shards: cells
                .map(|(state, start)| ShardCell::new(*start, state.appended_index + 1, state.term))
                .collect(),
            segments: parking_lot::RwLock::new(recovered.segments),
            disk,
            config,
        });
        let bell = Arc::new(Bell::default());
        let writer = Writer::new(
            Arc::clone(&shared),
            source,
            sink,
            Arc::clone(&spares),
            recovered.resume,
        );
        let rung = Arc::clone(&bell);
        let thread = std::thread::Builder::new()
            .name("log-writer".to_owned())
            .spawn(move || writer.run(&rung))
            .map_err(|error| OpenError::io("starting the writer", error))?;
        let log = Self {
            shared,
            bell,
            spares,
            writer: Mutex::new(Some(thread)),
        };
        Ok((log, recovered.report))
    }

    /// Writes what has gathered, then ends. Later wakes do nothing.
    pub fn shutdown(&self) {
        self.bell.stop();
        if let Some(writer) = self.writer.lock().take()
            && writer.join().is_err()
        {
            tracing::error!("the log's writer panicked");
        }
        self.spares.lock().stop();
    }

    /// Removes the oldest segments that nothing needs any more.
    ///
    /// # Errors
    /// When a segment cannot be read or removed; what was removed before stays
    /// removed.
    pub fn retire(
        &self,
        policies: &RetentionPolicies,
        now_ms: u64,
        carry: &dyn CarryForward,
    ) -> Result<RetentionReport, crate::error::ReadError> {
        Retirement::new(&self.shared, &self.spares, policies, now_ms).run(carry)
    }
}

impl ShardLog for DiskLog {
    fn wake(&self, shard: ShardId) {
        self.bell.ring(shard);
    }

    fn position(&self, shard: ShardId) -> ShardPosition {
        let cell = self.shared.shard(shard);
        // Read from the slowest to the fastest, so that they are in order.
        let log_start = cell.log_start();
        let flushed_end = cell.flushed_end();
        ShardPosition {
            log_start,
            local_start: log_start,
            commit_end: flushed_end,
            flushed_end,
            appended_end: cell.appended_end(),
            term: cell.term(),
        }
        .validate()
    }

    fn reader(&self) -> LogReader {
        LogReader::new(Arc::clone(&self.shared))
    }
}
