//! A node: what outlives it, and what runs.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use robustmq_log::sim::{Faults, SimDisk};
use robustmq_log::{
    BatchSource, Clock, CommitRule, CommitSink, Disk, DiskLog, FatalLogError, LogConfig, LogReader,
    LogStepper, RecoveredLog, TakenBatch,
};
use robustmq_record::{Batch, NodeId, Offset, ShardId};
use robustmq_replication::{
    Checkpoint, Executor, FileMembershipStore, Groups, GroupsSetup, Timing,
};
use robustmq_views::testing::Chance;
use robustmq_views::{MemoryStore, Views};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout};

use crate::Planted;
use crate::disk::LyingDisk;
use crate::network::Network;
use crate::oracle::Oracle;
use crate::trace::Trace;

/// Shards of records; the metadata group comes on top.
pub(crate) const SHARDS: u32 = 2;

const TIMING: Timing = Timing {
    heartbeat: Duration::from_millis(50),
    election: Duration::from_millis(600),
};

/// What all nodes share.
#[derive(Clone)]
pub(crate) struct World {
    pub(crate) trace: Arc<Trace>,
    pub(crate) network: Network,
    pub(crate) oracle: Arc<Oracle>,
    pub(crate) planted: Option<Planted>,
}

/// A node's clock: virtual time, and jumps.
pub(crate) struct SimClock {
    start: Instant,
    jumped_ms: AtomicI64,
}

impl SimClock {
    fn new() -> Self {
        Self {
            start: Instant::now(),
            jumped_ms: AtomicI64::new(0),
        }
    }

    pub(crate) fn jump(&self, by_ms: i64) {
        self.jumped_ms.fetch_add(by_ms, Ordering::Relaxed);
    }
}

impl Clock for SimClock {
    fn wall_ms(&self) -> u64 {
        let wall = 1_700_000_000_000 + self.start.elapsed().as_millis() as u64;
        wall.saturating_add_signed(self.jumped_ms.load(Ordering::Relaxed))
    }

    fn monotonic(&self) -> Duration {
        self.start.elapsed()
    }
}

/// What of a node outlives its runs.
pub(crate) struct Kept {
    pub(crate) id: u64,
    pub(crate) clock: Arc<SimClock>,
    pub(crate) log_disk: SimDisk,
    pub(crate) member_disk: SimDisk,
    /// The longest that a write and its sync take.
    pub(crate) sync_ms_max: Arc<AtomicU64>,
    runs: u64,
    chance: Chance,
}

/// The longest that a write and its sync take on a disk that is well.
pub(crate) const SYNC_MS_MAX: u64 = 3;

impl Kept {
    pub(crate) fn new(id: u64, seed: u64) -> Self {
        let mut chance = Chance::new(seed);
        Self {
            id,
            clock: Arc::new(SimClock::new()),
            log_disk: SimDisk::new(chance.below(u64::MAX)),
            member_disk: SimDisk::new(chance.below(u64::MAX)),
            sync_ms_max: Arc::new(AtomicU64::new(SYNC_MS_MAX)),
            runs: 0,
            chance,
        }
    }

    /// The machine stops: what was not synced may be gone.
    fn crash(&mut self) {
        self.log_disk = self.log_disk.crash(self.chance.below(u64::MAX));
        self.member_disk = self.member_disk.crash(self.chance.below(u64::MAX));
    }

    /// All that the node had is gone.
    pub(crate) fn wipe(&mut self) {
        self.log_disk = SimDisk::new(self.chance.below(u64::MAX));
        self.member_disk = SimDisk::new(self.chance.below(u64::MAX));
    }
}

/// Batches that wait to be taken.
#[derive(Default)]
pub(crate) struct Waiting(Mutex<BTreeMap<ShardId, VecDeque<TakenBatch>>>);

impl BatchSource for Waiting {
    fn take(&self, shard: ShardId) -> Option<TakenBatch> {
        self.0.lock().get_mut(&shard)?.pop_front()
    }
}

/// What a node does with committed batches.
pub(crate) struct Sink {
    node: u64,
    world: World,
    views: Arc<Views>,
    is_up: Arc<AtomicBool>,
    failed: Arc<Notify>,
    skips: AtomicU64,
}

impl CommitSink for Sink {
    fn committed(&self, batch: Arc<Batch>) {
        if !self.is_up.load(Ordering::Relaxed) {
            return;
        }
        self.world.oracle.applied(self.node, &batch);
        if batch.shard().0 >= SHARDS {
            return;
        }
        let skips = self.world.planted == Some(Planted::ViewsSkip)
            && batch.has_state()
            && batch.records().any(|record| record.retain())
            && self.node == 2
            && self.skips.fetch_add(1, Ordering::Relaxed).is_multiple_of(4);
        if !skips && let Err(error) = self.views.apply(&batch) {
            let trace = &self.world.trace;
            trace.fail(format_args!(
                "node {}: views cannot be applied: {error}",
                self.node
            ));
        }
    }

    fn failed(&self, error: FatalLogError) {
        if self.is_up.load(Ordering::Relaxed) {
            let trace = &self.world.trace;
            trace.note(format_args!("node {} must end: {error}", self.node));
            self.failed.notify_one();
        }
    }
}

/// There are no snapshots: nothing of a log is given up.
struct NoCheckpoint;

impl Checkpoint for NoCheckpoint {
    fn save(&self, _shard: ShardId, _index_end: u64) -> io::Result<Bytes> {
        Err(io::Error::other("nothing of the log is given up"))
    }

    fn restore(&self, _shard: ShardId, _index_end: u64, _views: Bytes) -> io::Result<()> {
        Err(io::Error::other("nothing of the log is given up"))
    }
}

/// A node that runs.
pub(crate) struct Running {
    pub(crate) id: u64,
    pub(crate) run: u64,
    pub(crate) log: Arc<DiskLog>,
    pub(crate) groups: Arc<Groups>,
    pub(crate) views: Arc<Views>,
    pub(crate) waiting: Arc<Waiting>,
    pub(crate) is_up: Arc<AtomicBool>,
    /// Rings when the log has failed for good.
    pub(crate) failed: Arc<Notify>,
}

impl Running {
    /// Gives the node a batch.
    pub(crate) fn push(&self, shard: ShardId, taken: TakenBatch) {
        let mut waiting = self.waiting.0.lock();
        waiting.entry(shard).or_default().push_back(taken);
        drop(waiting);
        self.groups.wake(shard);
    }
}

/// Where others reach a node.
pub(crate) fn address(id: u64) -> String {
    format!("node-{id}")
}

fn config(kept: &Kept) -> LogConfig {
    LogConfig {
        node_id: NodeId(kept.id),
        shards: SHARDS + 1,
        segment_bytes: 32 << 10,
        // Small, so that entries are read from the disk too.
        tail_cache_bytes: 4 << 10,
        free_bytes_min: 0,
        commit: CommitRule::Told,
        clock: Arc::clone(&kept.clock) as Arc<dyn Clock>,
        ..LogConfig::default()
    }
}

/// What was synced is as it was written.
fn assert_undamaged(world: &World, id: u64, recovered: &RecoveredLog) {
    let damaged = &recovered.report().damaged;
    if !damaged.is_empty() && world.planted.is_none() {
        let trace = &world.trace;
        trace.fail(format_args!(
            "node {id}: synced data is damaged: {damaged:?}"
        ));
    }
}

/// Starts a node on what it has.
pub(crate) async fn start(world: &World, kept: &mut Kept, begins: bool) -> Result<Running, String> {
    kept.runs += 1;
    let run = kept.id << 32 | kept.runs;
    kept.log_disk.plan(Faults::default());
    let disk: Arc<dyn Disk> = match world.planted {
        Some(Planted::AckBeforeSync) => Arc::new(LyingDisk(kept.log_disk.clone())),
        _ => Arc::new(kept.log_disk.clone()),
    };
    let said = |error: &dyn std::fmt::Display| error.to_string();
    let recovered = RecoveredLog::open(disk, config(kept)).map_err(|error| said(&error))?;
    assert_undamaged(world, kept.id, &recovered);
    let views = Views::new(Arc::new(MemoryStore::default())).map_err(|error| said(&error))?;
    fold(&recovered.reader(), &views)?;
    let views = Arc::new(views);
    for shard in (0..=SHARDS).map(ShardId) {
        let end = recovered.position(shard).commit_end;
        world.oracle.starts(kept.id, shard, end);
    }
    let is_up = Arc::new(AtomicBool::new(true));
    let failed = Arc::new(Notify::new());
    let sink: Arc<dyn CommitSink> = Arc::new(Sink {
        node: kept.id,
        world: world.clone(),
        views: Arc::clone(&views),
        is_up: Arc::clone(&is_up),
        failed: Arc::clone(&failed),
        skips: AtomicU64::new(0),
    });
    let waiting = Arc::new(Waiting::default());
    let source = Arc::clone(&waiting) as Arc<dyn BatchSource>;
    let started = recovered.start_stepped(Arc::clone(&source), Arc::clone(&sink));
    let (log, stepper) = started.map_err(|error| said(&error))?;
    let log = Arc::new(log);
    let steps = Steps {
        is_up: Arc::clone(&is_up),
        sync_ms_max: Arc::clone(&kept.sync_ms_max),
        chance: Chance::new(kept.chance.below(u64::MAX)),
    };
    tokio::spawn(steps.run(stepper));
    world.network.announce(kept.id, run);
    let groups = Groups::start(GroupsSetup {
        node_id: kept.id,
        address: address(kept.id),
        run,
        shards: SHARDS,
        log: Arc::clone(&log),
        store: Arc::new(FileMembershipStore::new(Arc::new(kept.member_disk.clone()))),
        source,
        sink: Arc::clone(&sink),
        metadata_sink: sink,
        checkpoint: Arc::new(NoCheckpoint),
        transport: world.network.transport_of(kept.id, run),
        clock: Arc::clone(&kept.clock) as Arc<dyn Clock>,
        timing: TIMING,
        begins,
        executor: Some(Executor::on_one_thread(tokio::runtime::Handle::current())),
    });
    let groups = Arc::new(groups.await.map_err(|error| said(&error))?);
    world.network.attach(kept.id, Arc::clone(&groups));
    Ok(Running {
        id: kept.id,
        run,
        log,
        groups,
        views,
        waiting,
        is_up,
        failed,
    })
}

/// The node's machine stops.
pub(crate) fn kill(world: &World, kept: &mut Kept, running: Running) {
    running.is_up.store(false, Ordering::Relaxed);
    world.network.detach(kept.id);
    kept.crash();
    tokio::spawn(running.groups.abandon());
}

/// Brings empty views up to what the log says is committed.
pub(crate) fn fold(reader: &LogReader, views: &Views) -> Result<(), String> {
    for shard in (0..SHARDS).map(ShardId) {
        let position = reader.position(shard);
        let start = Offset::new(position.local_start, 0);
        views
            .begin(shard, start)
            .map_err(|error| error.to_string())?;
        for index in position.local_start..position.visible_end() {
            let batch = reader
                .batch(shard, index)
                .map_err(|error| error.to_string())?
                .ok_or_else(|| format!("{shard:?}: batch {index} is not there"))?;
            views.apply(&batch).map_err(|error| error.to_string())?;
        }
        views.caught_up(shard).map_err(|error| error.to_string())?;
    }
    Ok(())
}

/// Takes the place of the log's threads.
struct Steps {
    is_up: Arc<AtomicBool>,
    sync_ms_max: Arc<AtomicU64>,
    chance: Chance,
}

impl Steps {
    async fn run(mut self, mut stepper: LogStepper) {
        let woken = Arc::new(Notify::new());
        let ring = Arc::clone(&woken);
        stepper.on_wake(move || ring.notify_one());
        stepper.background();
        loop {
            match stepper.idle_after() {
                Some(idle) => drop(timeout(idle, woken.notified()).await),
                None => woken.notified().await,
            }
            let took = self.chance.below(self.sync_ms_max.load(Ordering::Relaxed));
            sleep(Duration::from_millis(took)).await;
            if !self.is_up.load(Ordering::Relaxed) {
                return;
            }
            while stepper.round() {}
            stepper.idle();
            stepper.background();
        }
    }
}
