//! The broker as a whole: what its parts share, how they start and stop.
//!
//! Start: log (recovery) → views (catch up with the log) → dispatch → sessions
//! that were connected when the last run ended → listeners. Stop: the same
//! backwards, in two phases: first nobody new is let in and connections are
//! told, then what is queued is finished and flushed.

use std::net::SocketAddr;
use std::num::NonZero;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use robustmq_config::{Anonymous, ByteSize, Config};
use robustmq_log::{AppendError, Disk, LogReader, OpenError};
use robustmq_protocol::ReasonCode;
use robustmq_record::{RecordInput, ShardId};
use robustmq_views::{KvStore, SessionState, StateBody, ViewError, Views, epoch_of, owner_of};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::clock::Clock;
use crate::cluster::{Cluster, ClusterError, ClusterSetup, NodeLog};
use crate::counters::Counters;
use crate::cursors::Cursors;
use crate::dispatch::{Dispatch, OnFatal};
use crate::ledger::{Ledger, LedgerEntry};
use crate::link::{LinkLimits, Order};
use crate::mailbox::Mailboxes;
use crate::net::TlsError;
use crate::registry::Registry;
use crate::rules::Rules;
use crate::shard_map::{DEFAULT_NAMESPACE, ShardMap};

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
    /// What it takes to be part of a cluster; without it the node stays alone.
    pub cluster: Option<ClusterSetup>,
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
    /// The views' catching up with the log failed; the log says how.
    #[error("the views could not catch up with the log: see the message above")]
    CatchUp,
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
    /// The node could not take part in its cluster.
    #[error("the cluster: {0}")]
    Cluster(#[from] ClusterError),
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
    pub(crate) cursors: Arc<Cursors>,
    pub(crate) rules: Arc<Rules>,
    /// Held by whoever ends the waiting of delayed messages.
    pub(crate) delayed_ending: tokio::sync::Mutex<()>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) reads: Semaphore,
    /// Message Expiry Interval of messages whose publisher names none, seconds.
    pub(crate) message_expiry_s: Option<u32>,
    pub(crate) admissions: Arc<Semaphore>,
    pub(crate) epoch: AtomicU64,
    pub(crate) log: Arc<NodeLog>,
    pub(crate) cluster: OnceLock<Arc<Cluster>>,
}

impl Broker {
    /// Lets a connection in, if there is room.
    pub(crate) fn admit(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.admissions).try_acquire_owned().ok()
    }

    /// A connection epoch, higher than any before, also across restarts as
    /// long as the clock does not go back by more than the broker was up. No
    /// other node has the same.
    pub(crate) fn next_epoch(&self) -> u64 {
        self.epoch_after(0)
    }

    /// As [`Broker::next_epoch`], and higher than `before`.
    pub(crate) fn epoch_after(&self, before: u64) -> u64 {
        let now_ms = self.clock.wall_ms();
        let node = self.config.node.id;
        let next = |last: u64| epoch_of(node, now_ms, last.max(before));
        let last = self
            .epoch
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |last| {
                Some(next(last))
            });
        next(last.unwrap_or_else(|last| last))
    }

    /// Whether other nodes may have connections and decide.
    pub(crate) fn is_member(&self) -> bool {
        self.log.groups().is_some()
    }

    /// Whether this node decides what has to be decided once for a shard.
    pub(crate) fn leads(&self, shard: ShardId) -> bool {
        self.log.leads(shard)
    }

    /// The term in which this node decides for a shard, if it does.
    pub(crate) fn term_led(&self, shard: ShardId) -> Option<u64> {
        self.log.term_led(shard)
    }

    /// Whether a connected session's connection was one of this node's.
    pub(crate) fn owned_here(&self, state: &SessionState) -> bool {
        !self.is_member() || owner_of(state.epoch) == self.config.node.id
    }

    /// The node's part in a cluster, where the configuration has one.
    pub fn cluster(&self) -> Option<&Arc<Cluster>> {
        self.cluster.get()
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

    /// What the log has counted so far, by name.
    pub fn log_counters(&self) -> [(&'static str, u64); 11] {
        self.log.disk().counters().all()
    }

    /// Groups of shared subscriptions with connected members.
    pub fn shared_groups_count(&self) -> usize {
        self.cursors.groups.served_count()
    }

    /// How many messages wait for their time.
    pub fn delayed_count(&self) -> u64 {
        self.views.delayed_count()
    }

    /// What has been counted so far.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }
}

impl Limits {
    pub(crate) fn new(config: &Config) -> Self {
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

pub(crate) fn message_expiry_s(config: &Config) -> Option<u32> {
    let span = config.mqtt.message_expiry?;
    Some(u32::try_from(span.duration().as_secs()).unwrap_or(u32::MAX))
}

fn bytes_u32(size: ByteSize) -> u32 {
    u32::try_from(size.bytes()).unwrap_or(u32::MAX)
}

pub(crate) fn reads_max() -> usize {
    let processors = std::thread::available_parallelism().map_or(1, NonZero::get);
    (processors * READS_PER_PROCESSOR).max(2)
}
