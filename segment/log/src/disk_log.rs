//! An open log: its parts put together, its threads, its front.
//!
//! | thread | does |
//! | --- | --- |
//! | `log-writer` | takes batches, writes, syncs, completes |
//! | `log-files` | makes segment files ready, builds indexes |
//!
//! Retention runs on the thread of whoever calls [`DiskLog::retire`].

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::Mutex;
use robustmq_record::{Batch, Lsn, Purge, SegmentId, ShardId, Term, Truncate, Vote};

use crate::config::LogConfig;
use crate::disk::Disk;
use crate::error::{AppendError, OpenError};
use crate::inbox::{Command, Inbox, Order};
use crate::indexes;
use crate::position::ShardPosition;
use crate::reader::LogReader;
use crate::recovery::{self, RecoveryReport, Resume};
use crate::repairs::{Repairer, Repairs};
use crate::segment::Segment;
use crate::shard_log::{BatchSource, CommandCompletion, CommitSink, ShardLog};
use crate::state::{LogCounters, LogState};
use crate::supply::{Supply, SupplyLimits};
use crate::writer::{Active, Chore, Sealed, Writer, WriterSetup, begin};

/// How often a full disk is looked at again.
const RESTOCK_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// The most bytes of the last segment that are kept for state.
const STATE_RESERVE_MAX: u64 = 4 << 20;
/// Bytes of the last segment kept for what Raft writes, and for headers.
const CONTROL_RESERVE: u64 = 64 << 10;

/// A log that was recovered and can be read, but is not written to yet.
///
/// For those who need what the log holds before they can take part as source
/// or sink.
pub struct RecoveredLog {
    state: Arc<LogState>,
    supply: Arc<Supply>,
    sealed: Arc<Sealed>,
    resume: Option<Resume>,
    lsn_next: Lsn,
    report: RecoveryReport,
}

impl RecoveredLog {
    /// Recovers the log in a directory, which may be empty.
    ///
    /// # Errors
    /// See [`OpenError`]. Damage is no error; it is in the report.
    pub fn open(disk: Arc<dyn Disk>, config: LogConfig) -> Result<Self, OpenError> {
        config.check()?;
        let recovered = recovery::recover(&*disk, &config)?;
        let limits = SupplyLimits {
            segment_bytes: config.segment_bytes,
            ready_max: config.spare_files,
            spares_max: config.recycled_files_max,
            free_bytes_min: config.free_bytes_min,
        };
        let supply = Supply::new(
            Arc::clone(&disk),
            limits,
            recovered.spares,
            recovered.ready,
            recovered.next_id,
        );
        let mut state = LogState::new(disk, config, recovered.cells, recovered.segments);
        state.repairs = Repairs::new(recovered.repaired);
        for batch in recovered.recent {
            state.tail_cache.push(batch);
        }
        let damages = recovered.report.damaged.len() as u64;
        LogCounters::add(&state.counters.damages, damages);
        let sealed = Sealed::default();
        for segment in recovered.unindexed {
            sealed.push(segment);
        }
        Ok(Self {
            state: Arc::new(state),
            supply: Arc::new(supply),
            sealed: Arc::new(sealed),
            resume: recovered.resume,
            lsn_next: recovered.lsn_next,
            report: recovered.report,
        })
    }

    /// What was found.
    #[must_use]
    pub fn report(&self) -> &RecoveryReport {
        &self.report
    }

    /// A reader, which goes on working when the log is started.
    #[must_use]
    pub fn reader(&self) -> LogReader {
        LogReader::new(Arc::clone(&self.state))
    }

    /// Where a shard stands.
    ///
    /// # Panics
    /// When there is no such shard.
    #[must_use]
    pub fn position(&self, shard: ShardId) -> ShardPosition {
        self.state.position(shard)
    }

    /// Begins to write.
    ///
    /// # Errors
    /// When the first segment cannot be made or a thread cannot be started.
    pub fn start(
        self,
        source: Arc<dyn BatchSource>,
        sink: Arc<dyn CommitSink>,
    ) -> Result<DiskLog, OpenError> {
        DiskLog::start(self.assemble(source, sink)?)
    }

    /// Puts the parts together, without threads.
    pub(crate) fn assemble(
        self,
        source: Arc<dyn BatchSource>,
        sink: Arc<dyn CommitSink>,
    ) -> Result<Parts, OpenError> {
        let active = match self.resume {
            Some(resume) => Active {
                segment: resume.segment,
                file: resume.file,
                position: resume.position,
                zeroed_end: resume.position,
            },
            None => {
                let first = self.supply.take_first();
                let next = first.map_err(OpenError::io("making a segment file"))?;
                begin(&self.state, next, self.lsn_next)
            }
        };
        let config = &self.state.config;
        let inbox = Arc::new(Inbox::new(config.shards, config.commands_max));
        let writer = Writer::new(WriterSetup {
            state: Arc::clone(&self.state),
            inbox: Arc::clone(&inbox),
            supply: Arc::clone(&self.supply),
            sealed: Arc::clone(&self.sealed),
            source: Arc::clone(&source),
            sink,
            active,
            lsn_next: self.lsn_next,
        });
        Ok(Parts {
            state: self.state,
            supply: self.supply,
            sealed: self.sealed,
            inbox,
            source,
            writer,
        })
    }
}

/// The parts of a log; tests run them without threads.
pub(crate) struct Parts {
    pub(crate) state: Arc<LogState>,
    pub(crate) supply: Arc<Supply>,
    pub(crate) sealed: Arc<Sealed>,
    pub(crate) inbox: Arc<Inbox>,
    pub(crate) source: Arc<dyn BatchSource>,
    pub(crate) writer: Writer,
}

/// The log of one disk. On a node alone it is all there is; committed is what
/// is durable. Shuts down when dropped.
pub struct DiskLog {
    pub(crate) state: Arc<LogState>,
    pub(crate) supply: Arc<Supply>,
    pub(crate) sealed: Arc<Sealed>,
    pub(crate) inbox: Arc<Inbox>,
    source: Arc<dyn BatchSource>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    /// Held while retention runs, so that it runs once at a time.
    pub(crate) retiring: Mutex<()>,
}

impl DiskLog {
    /// Opens the log in a directory, which may be empty, and begins to write.
    ///
    /// # Errors
    /// See [`OpenError`]. Damage is no error; it is in the report.
    pub fn open(
        disk: Arc<dyn Disk>,
        config: LogConfig,
        source: Arc<dyn BatchSource>,
        sink: Arc<dyn CommitSink>,
    ) -> Result<(Self, RecoveryReport), OpenError> {
        let recovered = RecoveredLog::open(disk, config)?;
        let report = recovered.report().clone();
        Ok((recovered.start(source, sink)?, report))
    }

    pub(crate) fn put_together(parts: Parts) -> (Self, Writer) {
        let log = Self {
            state: parts.state,
            supply: parts.supply,
            sealed: parts.sealed,
            inbox: parts.inbox,
            source: parts.source,
            threads: Mutex::default(),
            retiring: Mutex::default(),
        };
        (log, parts.writer)
    }

    fn start(parts: Parts) -> Result<Self, OpenError> {
        let (log, writer) = Self::put_together(parts);
        let (inbox, sealed) = (Arc::clone(&log.inbox), Arc::clone(&log.sealed));
        let (state, supply) = (Arc::clone(&log.state), Arc::clone(&log.supply));
        log.spawn("log-writer", move || run_writer(writer, &inbox))?;
        sealed.ring();
        log.spawn("log-files", move || run_files(&state, &supply, &sealed))?;
        Ok(log)
    }

    fn spawn(&self, name: &str, run: impl FnOnce() + Send + 'static) -> Result<(), OpenError> {
        let thread = std::thread::Builder::new().name(name.to_owned());
        let thread = thread.spawn(run).map_err(OpenError::Thread)?;
        self.threads.lock().push(thread);
        Ok(())
    }

    /// What has happened since the log was opened.
    #[must_use]
    pub fn counters(&self) -> &LogCounters {
        &self.state.counters
    }

    /// Whom to ask for what is damaged here, from now on.
    pub fn repair_with(&self, repairer: Arc<dyn Repairer>) {
        self.state.repairs.connect(repairer);
    }

    /// The terms of a shard's last entry, and of the last one before its start;
    /// 0 where there is none.
    ///
    /// # Panics
    /// When there is no such shard.
    #[must_use]
    pub fn terms(&self, shard: ShardId) -> (Term, Term) {
        let cell = self.state.cell(shard);
        (cell.appended_term, cell.purged_term)
    }

    /// Whether the disk has room for so many bytes of batches.
    #[must_use]
    pub fn has_room_for(&self, bytes: usize) -> bool {
        let room = self.state.active_room.load(Ordering::Relaxed);
        !self.supply.is_starved() || room >= bytes as u64 + CONTROL_RESERVE
    }

    /// Bytes of batches in the tail cache.
    #[must_use]
    pub fn tail_cache_bytes(&self) -> usize {
        self.state.tail_cache.bytes()
    }

    /// Ids of the segments, oldest first; the last one is written to.
    #[must_use]
    pub fn segments(&self) -> Vec<SegmentId> {
        let catalog = self.state.catalog();
        catalog
            .segments()
            .iter()
            .map(|segment| segment.id())
            .collect()
    }

    /// As [`ShardLog::shutdown`].
    pub fn shutdown(&self) {
        let threads = std::mem::take(&mut *self.threads.lock());
        self.inbox.stop();
        self.sealed.stop();
        for thread in threads {
            // It may be one of these threads that lets go of the log.
            if thread.thread().id() != std::thread::current().id() && thread.join().is_err() {
                tracing::error!("a thread of the log panicked");
            }
        }
    }
}

/// What Raft orders.
impl DiskLog {
    /// The shard's term and vote.
    ///
    /// # Panics
    /// When there is no such shard.
    #[must_use]
    pub fn vote(&self, shard: ShardId) -> Vote {
        self.state.cell(shard).vote
    }

    /// Appends entries that have their place already. They must follow the log
    /// without a hole. The completion is called when all are durable.
    pub fn append_entries(&self, entries: Vec<Arc<Batch>>, completion: CommandCompletion) {
        self.order(Order::Entries(entries), completion);
    }

    /// Stores a vote. The completion is called when it is durable.
    pub fn store_vote(&self, vote: Vote, completion: CommandCompletion) {
        self.order(Order::Vote(vote), completion);
    }

    /// Makes entries void; none of them may be committed.
    pub fn truncate(&self, truncate: Truncate, completion: CommandCompletion) {
        self.order(Order::Truncate(truncate), completion);
    }

    /// Gives up entries at the front of the shard, all of them committed. Where
    /// a snapshot took the place of entries that were never here, the log goes
    /// on behind them.
    pub fn purge(&self, purge: Purge, completion: CommandCompletion) {
        self.order(Order::Purge(purge), completion);
    }

    /// From now on the log takes no batches by itself and commits what it is
    /// told: its shards become groups of several nodes. The completion is called
    /// when everything that was taken before is durable and has been told.
    pub fn hand_over(&self, completion: CommandCompletion) {
        self.order(Order::HandOver, completion);
    }

    /// Whether the log commits what it has flushed.
    #[must_use]
    pub fn commits_itself(&self) -> bool {
        self.state.commits_itself()
    }

    /// Says up to where (exclusive) the shard is committed, where
    /// [`crate::CommitRule::Told`] holds. Never goes back.
    pub fn commit(&self, shard: ShardId, commit_end: u64) {
        self.state.change_position(shard, |position| {
            let end = commit_end.min(position.appended_end);
            position.commit_end = position.commit_end.max(end);
        });
    }

    /// Gives the writer an order.
    pub(crate) fn order(&self, order: Order, completion: CommandCompletion) {
        self.inbox.push(Command { order, completion });
    }
}

impl Drop for DiskLog {
    fn drop(&mut self) {
        self.shutdown();
    }
}

impl std::fmt::Debug for DiskLog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DiskLog").finish_non_exhaustive()
    }
}

impl ShardLog for DiskLog {
    fn wake(&self, shard: ShardId) {
        assert!(self.state.has_shard(shard), "there is no such shard");
        self.inbox.wake(shard);
        if self.inbox.is_closed()
            && let Some(taken) = self.source.take(shard)
        {
            (taken.completion)(Err(AppendError::Shutdown));
        }
    }

    fn position(&self, shard: ShardId) -> ShardPosition {
        self.state.position(shard)
    }

    fn reader(&self) -> LogReader {
        LogReader::new(Arc::clone(&self.state))
    }

    fn has_room(&self) -> bool {
        let room = self.state.active_room.load(Ordering::Relaxed);
        !self.supply.is_starved() || room >= state_reserve(self.state.config.segment_bytes)
    }

    fn shutdown(&self) {
        Self::shutdown(self);
    }
}

/// Bytes of the last segment that are kept for state when the disk is full.
fn state_reserve(segment_bytes: u64) -> u64 {
    (segment_bytes / 4).min(STATE_RESERVE_MAX)
}

/// The writer's thread: works while there is work, sleeps until woken.
fn run_writer(mut writer: Writer, inbox: &Inbox) {
    loop {
        let round = catch_unwind(AssertUnwindSafe(|| writer.round()));
        match round {
            Ok(true) => continue,
            Ok(false) => (),
            Err(_) => fail(&mut writer),
        }
        if inbox.is_stopping() {
            break;
        }
        inbox.rest(writer.idle_after());
        if catch_unwind(AssertUnwindSafe(|| writer.idle())).is_err() {
            fail(&mut writer);
        }
    }
    if catch_unwind(AssertUnwindSafe(|| writer.finish())).is_err() {
        fail(&mut writer);
    }
    // Whatever is left has to be told, by whoever comes last.
    drop(inbox.close());
}

/// Something that the writer called has panicked: nobody may wait for ever.
fn fail(writer: &mut Writer) {
    let told = catch_unwind(AssertUnwindSafe(|| {
        writer.poison(
            "a call of the log's writer",
            std::io::Error::other("it panicked"),
        )
    }));
    if told.is_err() {
        tracing::error!("the log's failure could not be told to everybody");
    }
}

fn run_files(state: &LogState, supply: &Supply, sealed: &Sealed) {
    let mut postponed: Vec<Arc<Segment>> = Vec::new();
    loop {
        let patience = supply.is_starved().then_some(RESTOCK_AGAIN_AFTER);
        match sealed.wait(patience) {
            Chore::Stop => return,
            Chore::Restock => restock(supply),
            Chore::Index(segment) => {
                postponed.push(segment);
                postponed.retain(|segment| !index(state, segment));
            }
        }
    }
}

/// Makes files ready; says so once when the disk is full, and once when it is
/// not any more.
pub(crate) fn restock(supply: &Supply) {
    let was_starved = supply.is_starved();
    let stocked = supply.restock();
    match (was_starved, supply.is_starved()) {
        (false, true) => tracing::error!(
            "the disk is full: when the last segment is, publishes are refused; free room on it, or shorten the retention"
        ),
        (true, false) => tracing::info!("there is room on the disk again"),
        // The writer tries itself when it needs a file.
        (false, false) => {
            if let Err(error) = stocked {
                tracing::warn!(%error, "a segment file could not be made ready");
            }
        }
        (true, true) => {}
    }
}

/// Builds the index of a sealed segment; false to try again later.
pub(crate) fn index(state: &LogState, segment: &Arc<Segment>) -> bool {
    if segment.is_retired() {
        return true;
    }
    let in_memory = segment.tables.read().is_some();
    let done = if in_memory {
        indexes::seal(state, segment)
    } else {
        indexes::load(state, segment).map(drop)
    };
    match done {
        Ok(()) => true,
        Err(_) if segment.is_retired() => true,
        Err(error) => {
            tracing::warn!(segment = segment.id().0, %error, "the index of a segment could not be built; it is tried again with the next one");
            false
        }
    }
}
