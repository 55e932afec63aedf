//! Several nodes, one truth: how a node becomes part of a cluster, stays part of
//! it and leaves it.
//!
//! The members of the metadata group are the nodes of the cluster: whoever joins
//! is added there, and the leaders of all other groups bring their members in
//! line with it ([`members`]). Every node has every shard, so that what a client
//! reads is read where it is connected.
//!
//! **Invariants**
//! 1. A node writes without consensus only as long as nobody else was ever part
//!    of its cluster.
//! 2. A node is known by its number and the incarnation of its data directory;
//!    another incarnation under the same number is refused.
//!
//! **Not here**: consensus ([`robustmq_replication`]), connections
//! ([`robustmq_peers`]).

mod delayed;
mod identity;
mod join;
mod members;
mod node_log;
mod owners;
mod place;
mod requests;
mod status;
mod transport;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use robustmq_log::{BatchSource, CommitSink, Disk, FatalLogError, ShardLog};
use robustmq_peers::{PeerLimits, PeerSetup, Peers, PeersError, Place as Discovered};
use robustmq_record::{Batch, Offset, ShardId};
use robustmq_replication::{
    Checkpoint, FileMembershipStore, GroupRepairer, Groups, GroupsError, GroupsSetup,
    MembershipStore, Timing,
};
use robustmq_views::{EPOCH_NODE_MAX, Views, epoch_of};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinHandle;

pub use identity::IdentityError;
pub use join::JoinError;
pub(crate) use node_log::NodeLog;
pub use robustmq_peers::TlsFiles;
pub use status::{ClusterStatus, NodeStatus, ShardStatus};

use crate::broker::Broker;
use crate::clock::Clock;
use identity::Identity;
use place::Place;
use transport::PeerTransport;

/// The highest number of a node that can be part of a cluster: connection epochs
/// hold it.
pub const NODE_ID_MAX: u64 = EPOCH_NODE_MAX;

/// What a node needs to be part of a cluster.
pub struct ClusterSetup {
    /// A directory of its own, for who it is and who takes part.
    pub directory: Arc<dyn Disk>,
    /// Where other nodes come in.
    pub bind: SocketAddr,
    /// Where they are told to come, `host:port`; the address it is bound to if
    /// not given.
    pub advertise: Option<String>,
    /// The node's certificate.
    pub tls: TlsFiles,
    /// Where other nodes may be found.
    pub discovery: Vec<Discovered>,
    /// How often a leader shows that it is there.
    pub heartbeat: Duration,
    /// After what silence others stand for election.
    pub election: Duration,
    /// After what time without a sign of life a node's sessions are closed by
    /// others, and a node that has lost the others closes its connections.
    pub node_timeout: Duration,
}

/// Why a node could not take part in a cluster.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// Who it is could not be read.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// Connections.
    #[error(transparent)]
    Peers(#[from] PeersError),
    /// The groups.
    #[error(transparent)]
    Groups(#[from] GroupsError),
}

/// What the cluster needs of the broker.
pub(crate) struct Parts {
    pub(crate) node_id: u64,
    pub(crate) shards: u32,
    pub(crate) log: Arc<NodeLog>,
    pub(crate) source: Arc<dyn BatchSource>,
    pub(crate) sink: Arc<dyn CommitSink>,
    pub(crate) views: Arc<Views>,
    pub(crate) clock: Arc<dyn Clock>,
}

/// This node's part in a cluster.
pub struct Cluster {
    parts: Parts,
    setup: ClusterSetup,
    /// Where others reach this node, and which one it is.
    place: Place,
    identity: Mutex<Identity>,
    memberships: Arc<dyn MembershipStore>,
    peers: Peers,
    broker: OnceLock<Weak<Broker>>,
    /// Held while the node goes from alone to groups.
    changing: tokio::sync::Mutex<()>,
    /// Nodes that are being taken out: they get no vote again meanwhile.
    leaving: Mutex<BTreeSet<u64>>,
}

/// Who a node is, before it takes part.
pub(crate) struct Known(Identity);

impl Known {
    /// Reads who the node is.
    pub(crate) fn load(setup: &ClusterSetup, node_id: u64) -> Result<Self, IdentityError> {
        Identity::load(&setup.directory, node_id).map(Self)
    }

    /// Whether the node's log is that of a cluster.
    pub(crate) fn is_member(&self) -> bool {
        self.0.is_member
    }
}

/// What comes from other nodes before the cluster is put together finds nobody.
#[derive(Default)]
struct Door(OnceLock<Weak<Cluster>>);

impl Door {
    fn cluster(&self) -> Option<Arc<Cluster>> {
        self.0.get().and_then(Weak::upgrade)
    }
}

impl Cluster {
    /// Opens the way to other nodes, who are asked for what is damaged here.
    pub(crate) async fn open(
        parts: Parts,
        setup: ClusterSetup,
        known: Known,
    ) -> Result<Arc<Self>, ClusterError> {
        let door = Arc::new(Door::default());
        let identity = known.0;
        let peers = Peers::start(PeerSetup {
            node_id: parts.node_id,
            incarnation: identity.incarnation(),
            bind: setup.bind,
            advertise: setup.advertise.clone(),
            tls: setup.tls.clone(),
            roster: Arc::clone(&door) as _,
            handler: Arc::clone(&door) as _,
            limits: PeerLimits::default(),
        })
        .await?;
        let place = Place {
            address: setup
                .advertise
                .clone()
                .unwrap_or_else(|| peers.local_addr().to_string()),
            incarnation: identity.incarnation(),
        };
        let memberships: Arc<dyn MembershipStore> =
            Arc::new(FileMembershipStore::new(Arc::clone(&setup.directory)));
        parts.log.disk().repair_with(Arc::new(GroupRepairer {
            node_id: parts.node_id,
            store: Arc::clone(&memberships),
            transport: Arc::new(PeerTransport {
                peers: peers.clone(),
            }),
            handle: Handle::current(),
        }));
        let cluster = Arc::new(Self {
            parts,
            setup,
            place,
            identity: Mutex::new(identity),
            memberships,
            peers,
            broker: OnceLock::new(),
            changing: tokio::sync::Mutex::default(),
            leaving: Mutex::default(),
        });
        let is_first = door.0.set(Arc::downgrade(&cluster)).is_ok();
        assert!(is_first, "the door is opened once");
        Ok(cluster)
    }

    /// With a log that is a cluster's, begins to take part. The views have caught
    /// up with what the log knows to be committed.
    pub(crate) async fn take_part(&self) -> Result<(), GroupsError> {
        let is_member = self.identity.lock().is_member;
        if is_member {
            self.start_groups().await?;
        }
        Ok(())
    }

    /// The nodes of the cluster and where they are reached, as far as this node
    /// knows; also before its groups have begun.
    fn known_nodes(&self) -> BTreeMap<u64, String> {
        if let Some(groups) = self.groups() {
            let metadata = groups.status().pop();
            return metadata.map(|group| group.addresses).unwrap_or_default();
        }
        match self.memberships.load(self.metadata()) {
            Ok(Some(stored)) => {
                let nodes = stored.membership().nodes();
                nodes.map(|(id, node)| (*id, node.addr.clone())).collect()
            }
            Ok(None) => BTreeMap::new(),
            Err(error) => {
                tracing::warn!(%error, "nobody knows who takes part");
                BTreeMap::new()
            }
        }
    }

    /// Whether there are others who may have what is damaged here.
    pub(crate) fn has_others(&self) -> bool {
        self.known_nodes().len() > 1
    }

    /// Begins what a cluster does by itself.
    pub(crate) fn run(
        self: &Arc<Self>,
        broker: &Arc<Broker>,
        stop: &watch::Receiver<bool>,
    ) -> Vec<JoinHandle<()>> {
        let is_first = self.broker.set(Arc::downgrade(broker)).is_ok();
        assert!(is_first, "a cluster belongs to one broker");
        vec![
            tokio::spawn(members::run(Arc::clone(self), stop.clone())),
            tokio::spawn(join::discover(Arc::clone(self), stop.clone())),
            tokio::spawn(owners::run(Arc::clone(self), stop.clone())),
        ]
    }

    /// Says farewell to the other nodes.
    pub(crate) async fn stop(&self) {
        self.peers.shutdown().await;
    }

    /// Where others reach this node.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.place.address
    }

    fn broker(&self) -> Option<Arc<Broker>> {
        self.broker.get().and_then(Weak::upgrade)
    }

    fn groups(&self) -> Option<&Arc<Groups>> {
        self.parts.log.groups()
    }

    fn metadata(&self) -> ShardId {
        ShardId(self.parts.shards)
    }

    /// Starts the groups on the log, which does what it is told already.
    async fn start_groups(&self) -> Result<(), GroupsError> {
        let is_founder = self.identity.lock().is_founder;
        let groups = Groups::start(GroupsSetup {
            node_id: self.parts.node_id,
            address: self.place.encode(),
            // The clock alone would do for runs in sequence; nothing else can
            // have this number.
            run: epoch_of(self.parts.node_id, self.parts.clock.wall_ms(), 0),
            shards: self.parts.shards,
            log: Arc::clone(self.parts.log.disk()),
            store: Arc::clone(&self.memberships),
            source: Arc::clone(&self.parts.source),
            sink: Arc::clone(&self.parts.sink),
            metadata_sink: Arc::new(Metadata(Arc::clone(&self.parts.sink))),
            checkpoint: Arc::new(FromTheLog {
                log: Arc::clone(&self.parts.log),
                views: Arc::clone(&self.parts.views),
            }),
            transport: Arc::new(PeerTransport {
                peers: self.peers.clone(),
            }),
            clock: Arc::new(robustmq_log::SystemClock::default()),
            timing: Timing {
                heartbeat: self.setup.heartbeat,
                election: self.setup.election,
            },
            begins: is_founder,
            executor: None,
        });
        self.parts.log.set_groups(Arc::new(groups.await?));
        Ok(())
    }

    /// Changes who this node is, durably.
    fn change_identity(&self, change: impl FnOnce(&mut Identity)) -> Result<(), IdentityError> {
        let mut identity = self.identity.lock();
        let mut changed = identity.clone();
        change(&mut changed);
        changed.store(&self.setup.directory)?;
        *identity = changed;
        Ok(())
    }
}

/// The metadata group has no records: who takes part is all it says.
struct Metadata(Arc<dyn CommitSink>);

impl CommitSink for Metadata {
    fn committed(&self, _batch: Arc<Batch>) {}

    fn failed(&self, error: FatalLogError) {
        self.0.failed(error);
    }
}

/// Views are rebuilt from where the log begins: what is live is carried forward
/// before anything is given up, so a snapshot needs to say only where that is.
struct FromTheLog {
    log: Arc<NodeLog>,
    views: Arc<Views>,
}

impl Checkpoint for FromTheLog {
    fn index_end(&self, shard: ShardId, applied_end: u64) -> u64 {
        self.log.position(shard).log_start.min(applied_end)
    }

    fn save(&self, _shard: ShardId, _index_end: u64) -> io::Result<Bytes> {
        Ok(Bytes::new())
    }

    fn restore(&self, shard: ShardId, index_end: u64, _views: Bytes) -> io::Result<()> {
        let begun = self.views.begin(shard, Offset::new(index_end, 0));
        begun.map(|_| ()).map_err(io::Error::other)
    }
}
