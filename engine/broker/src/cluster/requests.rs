//! What nodes ask each other besides consensus, and who may come.

use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use robustmq_peers::{Handler, Hello, Purpose, Request, Roster};
use robustmq_replication::kind as groups;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::delayed::Cancel;
use super::join::JoinError;
use super::place::Place;
use super::{Cluster, Door};

/// A node wants to join.
pub(super) const JOIN: u16 = 64;
/// A node is to leave.
pub(super) const LEAVE: u16 = 65;
/// The asked node is to let go of a session that it owns.
pub(super) const RELEASE: u16 = 66;
/// Where the asked node's groups stand.
pub(super) const STATUS: u16 = 67;
/// The asked node is to hand on groups that others should lead.
pub(super) const REBALANCE: u16 = 68;
/// The asked node, which leads its shard, is to cancel a delayed message.
pub(super) const CANCEL_DELAYED: u16 = 69;

/// How long an answer may take.
pub(super) const TIMEOUT: Duration = Duration::from_secs(5);

/// A node that wants to join.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Join {
    pub(super) node_id: u64,
    pub(super) address: String,
    pub(super) incarnation: String,
    pub(super) shards: u32,
}

/// It may, and is added from now on.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Joined {
    pub(super) cluster_id: String,
}

/// A node that is to leave.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Leave {
    pub(super) node_id: u64,
}

/// What came of it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum Left {
    Done,
    Conflict(String),
    Unavailable(String),
}

impl From<Result<(), JoinError>> for Left {
    fn from(left: Result<(), JoinError>) -> Self {
        match left {
            Ok(()) => Self::Done,
            Err(JoinError::Conflict(reason)) => Self::Conflict(reason),
            Err(JoinError::Unavailable(reason)) => Self::Unavailable(reason),
        }
    }
}

impl From<Left> for Result<(), JoinError> {
    fn from(left: Left) -> Self {
        match left {
            Left::Done => Ok(()),
            Left::Conflict(reason) => Err(JoinError::Conflict(reason)),
            Left::Unavailable(reason) => Err(JoinError::Unavailable(reason)),
        }
    }
}

/// A session that another node takes over.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Release {
    pub(super) client_id: String,
}

/// Let go: what it left is before these batches, by shard.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Released {
    pub(super) index_ends: Vec<u64>,
}

pub(super) fn write(body: &impl Serialize) -> Bytes {
    Bytes::from(serde_json::to_vec(body).expect("numbers and text can be written"))
}

pub(super) fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, String> {
    serde_json::from_slice(body).map_err(|error| format!("the request cannot be read: {error}"))
}

impl Roster for Door {
    fn admit(&self, hello: &Hello) -> Result<(), String> {
        let Some(cluster) = self.cluster() else {
            return Err("this node is starting: try again".to_owned());
        };
        if hello.purpose == Purpose::Visit {
            return Ok(());
        }
        cluster.admit(hello)
    }

    fn own_cluster_id(&self) -> Option<String> {
        let cluster = self.cluster()?;
        let identity = cluster.identity.lock();
        identity.is_member.then(|| identity.cluster_id.clone())
    }
}

impl Cluster {
    /// Whether a node may keep a connection with this one.
    fn admit(&self, hello: &Hello) -> Result<(), String> {
        if !self.identity.lock().is_member {
            return Err(format!(
                "node {} is part of no cluster: join it first (robust-ctl cluster join)",
                self.parts.node_id
            ));
        }
        let nodes = self.known_nodes();
        if nodes.is_empty() {
            // About to be added; whoever comes knows more than this node does.
            return Ok(());
        }
        let known = nodes
            .get(&hello.node_id)
            .and_then(|text| Place::decode(text));
        match known {
            Some(place) if place.incarnation == hello.incarnation => Ok(()),
            Some(_) => Err(format!(
                "node {} is known with another data directory: a node that has lost its data comes back under a new node.id, and the old one is taken out with: robust-ctl cluster leave {}",
                hello.node_id, hello.node_id
            )),
            None => Err(format!(
                "node {} is not part of the cluster: robust-ctl cluster join",
                hello.node_id
            )),
        }
    }
}

impl Cluster {
    /// Whether a node is part of the cluster.
    fn is_known(&self, node: u64) -> bool {
        let metadata = self.groups().and_then(|groups| groups.status().pop());
        metadata.is_some_and(|metadata| metadata.addresses.contains_key(&node))
    }
}

impl Handler for Door {
    fn handle(&self, from: u64, request: Request) -> BoxFuture<'static, Result<Bytes, String>> {
        let Request { kind, body, .. } = request;
        let Some(cluster) = self.cluster() else {
            return futures_util::future::ready(Err("this node is starting: try again".to_owned()))
                .boxed();
        };
        if kind < groups::GROUPS_END {
            return match cluster.groups() {
                Some(groups) => groups.handle(kind, body),
                None => {
                    let reason = "this node is part of no cluster".to_owned();
                    futures_util::future::ready(Err(reason)).boxed()
                }
            };
        }
        async move {
            match kind {
                JOIN => {
                    let join: Join = read(&body)?;
                    if join.node_id != from && !cluster.is_known(from) {
                        return Err("a node joins for itself".to_owned());
                    }
                    let joined = cluster.handle_join(join).await;
                    joined.map(|joined| write(&joined))
                }
                LEAVE => {
                    let leave: Leave = read(&body)?;
                    let left = cluster.leave_here(leave.node_id).await;
                    Ok(write(&Left::from(left)))
                }
                RELEASE => {
                    let release: Release = read(&body)?;
                    let released = cluster.release_here(&release.client_id).await;
                    released.map(|released| write(&released))
                }
                CANCEL_DELAYED => {
                    let cancel: Cancel = read(&body)?;
                    let cancelled = cluster.cancel_delayed_here(&cancel.id).await;
                    cancelled.map(|cancelled| write(&cancelled))
                }
                STATUS => Ok(write(&cluster.status_here())),
                REBALANCE => {
                    cluster.rebalance_here().await;
                    Ok(Bytes::new())
                }
                _ => Err("this version knows no such request".to_owned()),
            }
        }
        .boxed()
    }
}
