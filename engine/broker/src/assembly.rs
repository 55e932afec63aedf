//! Puts a broker together: log (recovery) → views (catch up with the log) →
//! dispatch → the node's part in a cluster. Nobody is let in yet.

use std::sync::atomic::AtomicU64;
use std::sync::{Arc, OnceLock};

use robustmq_config::{Compression, Config};
use robustmq_log::{CommitRule, Disk, DiskLog, LogConfig, OpenError, ShardLog};
use robustmq_record::{BatchLimits, Codec, NodeId, RECORDS_MAX};
use robustmq_views::{ViewError, Views};
use tokio::sync::Semaphore;

use crate::broker::{Broker, Limits, Setup, StartError, message_expiry_s, reads_max};
use crate::cluster::{Cluster, ClusterError, ClusterSetup, Known, NodeLog, Parts};
use crate::counters::Counters;
use crate::cursors::Cursors;
use crate::dispatch::{Dispatch, DispatchSetup, DispatchThread};
use crate::ledger::Ledger;
use crate::mailbox::Mailboxes;
use crate::positions::Positions;
use crate::registry::Registry;
use crate::rules::Rules;
use crate::shard_map::ShardMap;
use crate::startup;

/// A broker with the parts that only its end touches.
pub(crate) struct Assembled {
    pub(crate) broker: Arc<Broker>,
    pub(crate) log: Arc<NodeLog>,
    dispatch: DispatchThread,
}

impl Assembled {
    /// Opens log and views and starts dispatch; nobody is let in yet.
    pub(crate) async fn new(setup: Setup) -> Result<Self, StartError> {
        let (config, clock, cluster) = (setup.config, setup.clock, setup.cluster);
        let node_id = config.node.id;
        let known = known(cluster.as_ref(), node_id)?;
        let shard_map = ShardMap::new(config.storage.shards);
        let counters = Arc::<Counters>::default();
        let ledger = Arc::new(Ledger::new(node_id, config.storage.shards));
        let registry = Arc::<Registry>::default();
        let dispatch = Dispatch::new(config.storage.shards);
        let sink = Arc::new(dispatch.clone());
        let outcomes = Arc::clone(&sink) as _;
        let (shards, limits) = (config.storage.shards, mailbox_limits(&config));
        let mailboxes = Arc::new(Mailboxes::new(shards, limits, outcomes));
        let log_config = log_config(&config, known.as_ref());
        let disk_log = open_log(setup.disk, log_config, &mailboxes, &dispatch)?;
        let log = Arc::new(NodeLog::new(Arc::clone(&disk_log)));
        let views = Arc::new(Views::new(setup.store)?);
        let start = catch_up(&disk_log, &views, &shard_map)?;
        let rules = Arc::new(Rules::loaded(&config, &views));
        let thread = dispatch
            .start(DispatchSetup {
                start,
                views: Arc::clone(&views),
                rules: Arc::clone(&rules),
                hold_bytes_max: config.storage.tail_cache_size.bytes() as usize,
                on_fatal: setup.on_fatal,
                counters: Arc::clone(&counters),
                ledger: Arc::clone(&ledger),
                registry: Arc::clone(&registry),
                node_id,
                log: Arc::clone(&log),
            })
            .map_err(StartError::Thread)?;
        mailboxes.connect(Arc::clone(&log) as Arc<dyn ShardLog>);
        let parts = Parts {
            node_id,
            shards,
            log: Arc::clone(&log),
            source: Arc::clone(&mailboxes) as _,
            sink,
            views: Arc::clone(&views),
            clock: Arc::clone(&clock),
        };
        let broker = Broker {
            limits: Limits::new(&config),
            message_expiry_s: message_expiry_s(&config),
            admissions: admissions(&config),
            registry,
            cursors: Cursors::default(),
            rules,
            reads: Semaphore::new(reads_max()),
            epoch: AtomicU64::new(0),
            shard_map,
            mailboxes,
            dispatch,
            views,
            reader: disk_log.reader(),
            counters,
            ledger,
            clock,
            config,
            log: Arc::clone(&log),
            cluster: take_part(parts, cluster, known).await?,
        };
        Ok(Self {
            broker: Arc::new(broker),
            log,
            dispatch: thread,
        })
    }

    /// Writes and syncs what is queued, then flushes the views. Blocks.
    pub(crate) fn finish(self) {
        self.log.shutdown();
        self.dispatch.stop();
        if let Err(error) = self.broker.views.flush() {
            // The next start applies more of the log again.
            tracing::warn!(%error, "the views could not be flushed");
        }
        for (name, count) in self.broker.counters.all() {
            tracing::debug!(name, count, "counter");
        }
    }
}

fn known(setup: Option<&ClusterSetup>, node_id: u64) -> Result<Option<Known>, ClusterError> {
    let load = |setup| Known::load(setup, node_id);
    let known = setup.map(load).transpose()?;
    Ok(known)
}

fn admissions(config: &Config) -> Arc<Semaphore> {
    Arc::new(Semaphore::new(config.limits.connections_max as usize))
}

/// Applies what the views lack.
fn catch_up(log: &DiskLog, views: &Views, shard_map: &ShardMap) -> Result<Positions, ViewError> {
    for shard in shard_map.shards() {
        // What was applied was committed, though the log may not say so yet.
        log.commit(shard, views.applied(shard).index());
    }
    startup::catch_up(views, &log.reader(), log, shard_map.shards())
}

async fn take_part(
    parts: Parts,
    setup: Option<ClusterSetup>,
    known: Option<Known>,
) -> Result<OnceLock<Arc<Cluster>>, ClusterError> {
    match (setup, known) {
        (Some(setup), Some(known)) => {
            let cluster = Cluster::start(parts, setup, known).await?;
            Ok(OnceLock::from(cluster))
        }
        _ => Ok(OnceLock::new()),
    }
}

fn open_log(
    disk: Arc<dyn Disk>,
    config: LogConfig,
    mailboxes: &Arc<Mailboxes>,
    dispatch: &Dispatch,
) -> Result<Arc<DiskLog>, OpenError> {
    let source = Arc::clone(mailboxes) as _;
    let (log, report) = DiskLog::open(disk, config, source, Arc::new(dispatch.clone()))?;
    tracing::info!(
        segments = report.segments,
        batches = report.batches,
        torn_bytes = report.torn_bytes,
        damaged = report.damaged.len(),
        "log opened"
    );
    Ok(Arc::new(log))
}

fn mailbox_limits(config: &Config) -> BatchLimits {
    BatchLimits {
        bytes_max: config.limits.mailbox_bytes_max.bytes() as usize,
        // One place is left for the mark of a cluster's node.
        records_max: RECORDS_MAX - 1,
    }
}

fn log_config(config: &Config, known: Option<&Known>) -> LogConfig {
    let defaults = LogConfig::default();
    let codec = match config.storage.compression {
        Compression::None => Codec::None,
        Compression::Lz4 => Codec::Lz4,
        Compression::Zstd => Codec::Zstd,
    };
    LogConfig {
        // One more for the metadata of a cluster, which a node may become part of.
        shards: config.storage.shards + 1,
        node_id: NodeId(config.node.id),
        commit: if known.is_some_and(Known::is_member) {
            CommitRule::Told
        } else {
            CommitRule::Flushed
        },
        segment_bytes: config.storage.segment_size.bytes(),
        tail_cache_bytes: config.storage.tail_cache_size.bytes() as usize,
        compression: robustmq_record::Compression {
            codec,
            ..defaults.compression
        },
        ..defaults
    }
}
