//! Puts a broker together: log (recovery) → views (catch up with the log) →
//! dispatch → the node's part in a cluster. Nobody is let in yet.

use std::sync::atomic::AtomicU64;
use std::sync::{Arc, OnceLock};

use robustmq_config::{Compression, Config};
use robustmq_log::{CommitRule, Disk, DiskLog, LogConfig, OpenError, ShardLog};
use robustmq_record::{BatchLimits, Codec, NodeId, RECORDS_MAX};
use robustmq_views::Views;
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
use crate::startup::CatchUp;

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
        let (node_id, shards) = (config.node.id, config.storage.shards);
        let known = known(cluster.as_ref(), node_id)?;
        let shard_map = ShardMap::new(shards);
        let (counters, cursors) = <(Arc<Counters>, Arc<Cursors>)>::default();
        let registry = Arc::<Registry>::default();
        let ledger = Arc::new(Ledger::new(node_id, shards));
        let dispatch = Dispatch::new(shards);
        let mailboxes = mailboxes(&config, &dispatch);
        let log_config = log_config(&config, known.as_ref());
        let log = open_log(setup.disk, log_config, &mailboxes, &dispatch)?;
        let views = Arc::new(Views::new(setup.store)?);
        let parts = Parts {
            node_id,
            shards,
            log: Arc::clone(&log),
            source: Arc::clone(&mailboxes) as _,
            sink: Arc::new(dispatch.clone()),
            views: Arc::clone(&views),
            clock: Arc::clone(&clock),
        };
        let part = open_cluster(parts, cluster, known).await?;
        let start = catch_up(log.disk(), &views, &shard_map, part.get()).await?;
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
                cursors: Arc::clone(&cursors),
                node_id,
                log: Arc::clone(&log),
            })
            .map_err(StartError::Thread)?;
        mailboxes.connect(Arc::clone(&log) as Arc<dyn ShardLog>);
        take_part(part.get()).await?;
        let broker = Broker {
            limits: Limits::new(&config),
            message_expiry_s: message_expiry_s(&config),
            admissions: admissions(&config),
            registry,
            cursors,
            rules,
            delayed_ending: tokio::sync::Mutex::default(),
            reads: Semaphore::new(reads_max()),
            epoch: AtomicU64::new(0),
            shard_map,
            mailboxes,
            dispatch,
            views,
            reader: log.reader(),
            counters,
            ledger,
            clock,
            config,
            log: Arc::clone(&log),
            cluster: part,
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

fn mailboxes(config: &Config, dispatch: &Dispatch) -> Arc<Mailboxes> {
    let outcomes = Arc::new(dispatch.clone());
    let limits = mailbox_limits(config);
    Arc::new(Mailboxes::new(config.storage.shards, limits, outcomes))
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
async fn catch_up(
    log: &Arc<DiskLog>,
    views: &Arc<Views>,
    shard_map: &ShardMap,
    cluster: Option<&Arc<Cluster>>,
) -> Result<Positions, StartError> {
    let others = cluster.filter(|cluster| cluster.has_others()).is_some();
    let catch_up = CatchUp {
        log: Arc::clone(log),
        views: Arc::clone(views),
        waits_for_repair: others,
    };
    let shards: Vec<_> = shard_map.shards().collect();
    // Others may be asked, and waited for, for what is damaged.
    let caught_up = tokio::task::spawn_blocking(move || catch_up.run(shards));
    let positions = caught_up.await.map_err(|_| StartError::CatchUp)??;
    Ok(positions)
}

async fn open_cluster(
    parts: Parts,
    setup: Option<ClusterSetup>,
    known: Option<Known>,
) -> Result<OnceLock<Arc<Cluster>>, ClusterError> {
    match (setup, known) {
        (Some(setup), Some(known)) => {
            let cluster = Cluster::open(parts, setup, known).await?;
            Ok(OnceLock::from(cluster))
        }
        _ => Ok(OnceLock::new()),
    }
}

async fn take_part(cluster: Option<&Arc<Cluster>>) -> Result<(), ClusterError> {
    match cluster {
        Some(cluster) => Ok(cluster.take_part().await?),
        None => Ok(()),
    }
}

fn open_log(
    disk: Arc<dyn Disk>,
    config: LogConfig,
    mailboxes: &Arc<Mailboxes>,
    dispatch: &Dispatch,
) -> Result<Arc<NodeLog>, OpenError> {
    let source = Arc::clone(mailboxes) as _;
    let (log, report) = DiskLog::open(disk, config, source, Arc::new(dispatch.clone()))?;
    tracing::info!(
        segments = report.segments,
        batches = report.batches,
        torn_bytes = report.torn_bytes,
        damaged = report.damaged.len(),
        "log opened"
    );
    Ok(Arc::new(NodeLog::new(Arc::new(log))))
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
