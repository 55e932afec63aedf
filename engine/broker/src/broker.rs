//! The broker as a whole: what its parts share, how they start and stop.
//!
//! Start: log (recovery) → views (catch up with the log) → dispatch → sessions
//! that were connected when the last run ended → listeners. Stop: the same
//! backwards, in two phases: first nobody new is let in and connections are
//! told, then what is queued is finished and flushed.

use std::net::SocketAddr;
use std::num::NonZero;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use robustmq_config::{Anonymous, ByteSize, Compression, Config};
use robustmq_log::{AppendError, Disk, DiskLog, LogConfig, LogReader, OpenError, ShardLog};
use robustmq_protocol::ReasonCode;
use robustmq_record::{BatchLimits, Codec, NodeId, RECORDS_MAX, RecordInput};
use robustmq_views::{KvStore, StateBody, ViewError, Views};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::clock::Clock;
use crate::counters::Counters;
use crate::cursors::Cursors;
use crate::dispatch::{Dispatch, DispatchSetup, DispatchThread, OnFatal};
use crate::ledger::{Ledger, LedgerEntry};
use crate::link::{LinkLimits, Order};
use crate::mailbox::Mailboxes;
use crate::net::TlsError;
use crate::registry::Registry;
use crate::rules::Rules;
use crate::shard_map::{DEFAULT_NAMESPACE, ShardMap};
use crate::startup;

/// Readers that may read from disk at a time, per processor: reading ahead for
/// many keeps those waiting that publish.
const READS_PER_PROCESSOR: usize = 1;

/// How long connections are given to end when the broker stops.
const CLOSE_PATIENCE: Duration = Duration::from_secs(3);

/// Pause between two looks whether all connections have ended.
const CLOSE_TICK: Duration = Duration::from_millis(10);

/// What a broker needs from its process.
pub struct Setup {
    /// The configuration.
    pub config: Config,
    /// The directory of the log.
    pub disk: Arc<dyn Disk>,
    /// The store of the views.
    pub store: Arc<dyn KvStore>,
    /// The clocks.
    pub clock: Arc<dyn Clock>,
    /// Called once when the broker cannot go on.
    pub on_fatal: OnFatal,
}

/// Why a broker did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The log could not be opened.
    #[error("the log cannot be opened: {0}")]
    Log(#[from] OpenError),
    /// The views could not be read or rebuilt.
    #[error("the views cannot be rebuilt: {0}")]
    Views(#[from] ViewError),
    /// A listener could not be bound.
    #[error(
        "listener {kind}:{name} cannot listen on {address}: {source}. Another process may use the port: stop it, or set listeners.{kind}.{name}.bind to another address (listeners.{kind}.{name}.enabled = false goes without)"
    )]
    Bind {
        /// The listener's kind.
        kind: &'static str,
        /// The listener's name.
        name: String,
        /// What it was to listen on.
        address: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// A listener cannot offer TLS.
    #[error("listener {kind}:{name} cannot offer TLS: listeners.{kind}.{name}: {source}")]
    Tls {
        /// The listener's kind.
        kind: &'static str,
        /// The listener's name.
        name: String,
        /// What is wrong.
        source: TlsError,
    },
    /// A thread could not be started.
    #[error("a thread could not be started: {0}")]
    Thread(std::io::Error),
}

/// Limits derived from the configuration, in the units the code uses.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) link: LinkLimits,
    pub(crate) write_buffer_bytes_max: usize,
    pub(crate) packet_size_max: u32,
    pub(crate) connect_size_max: u32,
}

/// What all parts share.
pub struct Broker {
    pub(crate) config: Config,
    pub(crate) limits: Limits,
    pub(crate) shard_map: ShardMap,
    pub(crate) mailboxes: Arc<Mailboxes>,
    pub(crate) dispatch: Dispatch,
    pub(crate) views: Arc<Views>,
    pub(crate) reader: LogReader,
    pub(crate) registry: Arc<Registry>,
    pub(crate) cursors: Cursors,
    pub(crate) rules: Arc<Rules>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) reads: Semaphore,
    /// Message Expiry Interval of messages whose publisher names none, seconds.
    pub(crate) message_expiry_s: Option<u32>,
    admissions: Arc<Semaphore>,
    epoch: AtomicU64,
}

impl Broker {
    /// Lets a connection in, if there is room.
    pub(crate) fn admit(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.admissions).try_acquire_owned().ok()
    }

    /// A connection epoch, higher than any before, also across restarts as
    /// long as the clock does not go back by more than the broker was up.
    pub(crate) fn next_epoch(&self) -> u64 {
        let now = self.clock.wall_ms() << 16;
        let before = self
            .epoch
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |last| {
                Some(now.max(last + 1))
            });
        let last = before.unwrap_or_else(|last| last);
        now.max(last + 1)
    }

    /// Appends a state record of a session and waits until it is durable and
    /// the views show it.
    pub(crate) async fn append_state(
        &self,
        client_id: &str,
        body: &StateBody,
    ) -> Result<(), AppendError> {
        let shard = self.shard_map.session(DEFAULT_NAMESPACE, client_id);
        let payload = body.encode();
        let record = RecordInput {
            kind: body.kind(),
            namespace: DEFAULT_NAMESPACE,
            client_id,
            timestamp_ms: self.clock.wall_ms(),
            payload: &payload,
            ..RecordInput::default()
        };
        self.mailboxes.append_and_wait(shard, &record).await
    }

    /// Whether a connection from `peer` may come without credentials.
    pub(crate) fn admits_anonymous(&self, peer: SocketAddr) -> bool {
        match self.config.auth.anonymous {
            Anonymous::Everywhere => true,
            Anonymous::Loopback => peer.ip().to_canonical().is_loopback(),
        }
    }

    /// Tells every connection that the broker stops and waits for them to end.
    pub(crate) async fn close_connections(&self) {
        let deadline = tokio::time::Instant::now() + CLOSE_PATIENCE;
        while !self.registry.is_empty() && tokio::time::Instant::now() < deadline {
            // Again and again: a connection may have been opening just then.
            self.registry
                .order_all(Order::Disconnect(ReasonCode::ServerShuttingDown));
            tokio::time::sleep(CLOSE_TICK).await;
        }
        let left = self.registry.len();
        if left > 0 {
            tracing::warn!(left, "connections did not end in time");
        }
    }

    /// What became of the messages of every shard so far.
    pub fn ledger(&self) -> Vec<LedgerEntry> {
        self.ledger.entries(&self.mailboxes)
    }

    /// What has been counted so far.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }
}

/// A broker with the parts that only its end touches.
pub(crate) struct Assembled {
    pub(crate) broker: Arc<Broker>,
    pub(crate) log: Arc<DiskLog>,
    dispatch: DispatchThread,
}

impl Assembled {
    /// Opens log and views and starts dispatch; nobody is let in yet.
    pub(crate) fn new(setup: Setup) -> Result<Self, StartError> {
        let Setup {
            config,
            disk,
            store,
            clock,
            on_fatal,
        } = setup;
        let shard_map = ShardMap::new(config.storage.shards);
        let counters = Arc::new(Counters::default());
        let ledger = Arc::new(Ledger::new(config.storage.shards));
        let dispatch = Dispatch::new(config.storage.shards);
        let limits = mailbox_limits(&config);
        let sink = Arc::new(dispatch.clone());
        let mailboxes = Arc::new(Mailboxes::new(config.storage.shards, limits, sink));
        let (log, report) = DiskLog::open(
            disk,
            log_config(&config),
            Arc::clone(&mailboxes) as _,
            Arc::new(dispatch.clone()),
        )?;
        let log = Arc::new(log);
        tracing::info!(
            segments = report.segments,
            batches = report.batches,
            torn_bytes = report.torn_bytes,
            damaged = report.damaged.len(),
            "log opened"
        );
        let views = Arc::new(Views::new(store)?);
        let reader = log.reader();
        let start = startup::catch_up(&views, &reader, &*log, shard_map.shards())?;
        let rules = Arc::new(Rules::loaded(&config, &views));
        let thread = dispatch
            .start(DispatchSetup {
                start,
                views: Arc::clone(&views),
                rules: Arc::clone(&rules),
                hold_bytes_max: config.storage.tail_cache_size.bytes() as usize,
                on_fatal,
                counters: Arc::clone(&counters),
                ledger: Arc::clone(&ledger),
            })
            .map_err(StartError::Thread)?;
        mailboxes.connect(Arc::clone(&log) as Arc<dyn ShardLog>);
        let broker = Broker {
            limits: Limits::new(&config),
            message_expiry_s: message_expiry_s(&config),
            admissions: Arc::new(Semaphore::new(config.limits.connections_max as usize)),
            registry: Arc::new(Registry::default()),
            cursors: Cursors::default(),
            rules,
            reads: Semaphore::new(reads_max()),
            epoch: AtomicU64::new(0),
            shard_map,
            mailboxes,
            dispatch,
            views,
            reader,
            counters,
            ledger,
            clock,
            config,
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

impl Limits {
    fn new(config: &Config) -> Self {
        Self {
            link: LinkLimits {
                queue_messages_max: config.limits.session_queue_messages_max as usize,
                queue_bytes_max: config.limits.session_queue_bytes_max.bytes() as usize,
            },
            write_buffer_bytes_max: config.limits.write_buffer_bytes_max.bytes() as usize,
            packet_size_max: bytes_u32(config.mqtt.max_packet_size),
            connect_size_max: bytes_u32(
                config
                    .limits
                    .connect_bytes_max
                    .min(config.mqtt.max_packet_size),
            ),
        }
    }
}

fn message_expiry_s(config: &Config) -> Option<u32> {
    let span = config.mqtt.message_expiry?;
    Some(u32::try_from(span.duration().as_secs()).unwrap_or(u32::MAX))
}

fn bytes_u32(size: ByteSize) -> u32 {
    u32::try_from(size.bytes()).unwrap_or(u32::MAX)
}

fn reads_max() -> usize {
    let processors = std::thread::available_parallelism().map_or(1, NonZero::get);
    (processors * READS_PER_PROCESSOR).max(2)
}

fn mailbox_limits(config: &Config) -> BatchLimits {
    BatchLimits {
        bytes_max: config.limits.mailbox_bytes_max.bytes() as usize,
        records_max: RECORDS_MAX,
    }
}

fn log_config(config: &Config) -> LogConfig {
    let defaults = LogConfig::default();
    let codec = match config.storage.compression {
        Compression::None => Codec::None,
        Compression::Lz4 => Codec::Lz4,
        Compression::Zstd => Codec::Zstd,
    };
    LogConfig {
        shards: config.storage.shards,
        node_id: NodeId(config.node.id),
        segment_bytes: config.storage.segment_size.bytes(),
        tail_cache_bytes: config.storage.tail_cache_size.bytes() as usize,
        compression: robustmq_record::Compression {
            codec,
            ..defaults.compression
        },
        ..defaults
    }
}
