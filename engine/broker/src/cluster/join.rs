//! How a node joins: asked to by a person, or because others are found where the
//! configuration says.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use robustmq_log::ShardLog;
use robustmq_peers::Request;
use robustmq_record::ShardId;
use robustmq_replication::{GroupStatus, Groups, GroupsError};
use tokio::sync::{oneshot, watch};

use super::place::Place;
use super::requests::{self, Join, Joined, Leave, Left, TIMEOUT};
use super::{Cluster, NODE_ID_MAX};

/// How often others are looked for until one is found.
const DISCOVER_EVERY: Duration = Duration::from_secs(1);

/// How long a change of members may take before the caller is told to look again.
const CHANGE_TIMEOUT: Duration = Duration::from_secs(30);

/// How often a change is tried again while nobody leads.
const CHANGE_TICK: Duration = Duration::from_millis(50);

/// Why a node could not join or leave.
#[derive(Clone, Debug, thiserror::Error)]
pub enum JoinError {
    /// It is not possible as things are; the text says why and what to do.
    #[error("{0}")]
    Conflict(String),
    /// The other node cannot be reached, or nobody leads: try again.
    #[error("{0}")]
    Unavailable(String),
}

fn conflict(reason: impl Into<String>) -> JoinError {
    JoinError::Conflict(reason.into())
}

impl Cluster {
    /// Joins the cluster of the node at an address.
    ///
    /// # Errors
    /// [`JoinError`]; nothing has changed then unless the text says so.
    pub async fn join(&self, address: &str) -> Result<(), JoinError> {
        let _changing = self.changing.lock().await;
        if self.identity.lock().is_member {
            return Err(conflict(
                "this node is part of a cluster already: robust-ctl cluster status",
            ));
        }
        let shards = (0..self.parts.shards).map(ShardId);
        let mut positions = shards.map(|shard| self.parts.log.position(shard));
        if positions.any(|position| position.appended_end > 1) {
            return Err(conflict(
                "this node's log holds records of its own, which the cluster does not have: stop it, start it with an empty node.data_dir, and join then",
            ));
        }
        let join = self.request_to_join();
        let request = Request::new(requests::JOIN, requests::write(&join));
        let asked = self
            .peers
            .call_address(address, request, CHANGE_TIMEOUT)
            .await;
        let (_, answer) = asked.map_err(|error| match error {
            robustmq_peers::CallError::Refused(reason) => JoinError::Conflict(reason),
            other => JoinError::Unavailable(format!("{address}: {other}")),
        })?;
        let joined: Joined = requests::read(&answer).map_err(JoinError::Conflict)?;
        self.hand_over().await?;
        self.change_identity(|identity| {
            identity.cluster_id = joined.cluster_id;
            identity.is_member = true;
        })
        .map_err(|error| JoinError::Unavailable(error.to_string()))?;
        self.start_groups()
            .await
            .map_err(|error| JoinError::Unavailable(error.to_string()))?;
        tracing::info!(address, "joined the cluster");
        Ok(())
    }

    pub(super) fn request_to_join(&self) -> Join {
        Join {
            node_id: self.parts.node_id,
            address: self.place.address.clone(),
            incarnation: format!("{:032x}", self.place.incarnation),
            shards: self.parts.shards,
        }
    }

    /// Another node wants to join, or this one or another one is reached elsewhere
    /// than before.
    pub(super) async fn handle_join(&self, join: Join) -> Result<Joined, String> {
        if join.node_id == 0 || join.node_id > NODE_ID_MAX {
            return Err(format!(
                "node.id must be from 1 to {NODE_ID_MAX} in a cluster"
            ));
        }
        let incarnation =
            u128::from_str_radix(&join.incarnation, 16).map_err(|_| "no incarnation")?;
        if join.node_id == self.parts.node_id && incarnation != self.place.incarnation {
            return Err(format!(
                "node.id = {} is taken by the node that was asked: give every node its own",
                join.node_id
            ));
        }
        if join.shards != self.parts.shards {
            return Err(format!(
                "the cluster has storage.shards = {}, the joining node {}: set the same there",
                self.parts.shards, join.shards
            ));
        }
        let place = Place {
            address: join.address.clone(),
            incarnation,
        };
        self.found().await.map_err(|error| error.to_string())?;
        let groups = self.groups().ok_or("this node is part of no cluster")?;
        let known = groups.status().pop().ok_or("there is no metadata group")?;
        if let Some(known) = known.addresses.get(&join.node_id)
            && Place::decode(known).is_none_or(|known| known.incarnation != place.incarnation)
        {
            return Err(format!(
                "node {} is known with another data directory: give the joining node a new node.id, and take the old one out with: robust-ctl cluster leave {}",
                join.node_id, join.node_id
            ));
        }
        if known.addresses.get(&join.node_id) != Some(&place.encode()) {
            match groups.leader(self.metadata()) {
                Some(leader) if leader != self.parts.node_id => {
                    let leader_place = known.addresses.get(&leader).cloned().unwrap_or_default();
                    let body = requests::write(&join);
                    let request = Request::new(requests::JOIN, body);
                    let address = Place::address_of(&leader_place);
                    let asked = self.peers.call(leader, address, request, CHANGE_TIMEOUT);
                    let answer = asked.await.map_err(|error| error.to_string())?;
                    return requests::read(&answer);
                }
                _ => self.enter(join.node_id, &place).await?,
            }
        }
        let cluster_id = self.identity.lock().cluster_id.clone();
        tracing::info!(node = join.node_id, address = place.address, "a node joins");
        Ok(Joined { cluster_id })
    }

    /// Puts a node on the list, as one without a vote until it has what the
    /// others have.
    async fn enter(&self, node: u64, place: &Place) -> Result<(), String> {
        let groups = self.groups().ok_or("this node is part of no cluster")?;
        let deadline = tokio::time::Instant::now() + CHANGE_TIMEOUT;
        loop {
            let added = groups
                .add(self.metadata(), node, &place.encode(), false)
                .await;
            match added {
                Ok(()) => return Ok(()),
                Err(error) if tokio::time::Instant::now() > deadline => {
                    return Err(error.to_string());
                }
                Err(_) => tokio::time::sleep(CHANGE_TICK).await,
            }
        }
    }

    /// A node that was alone founds a cluster with all that it has.
    async fn found(&self) -> Result<(), JoinError> {
        let _changing = self.changing.lock().await;
        if self.identity.lock().is_member {
            return Ok(());
        }
        if self.parts.node_id > NODE_ID_MAX {
            return Err(conflict(format!(
                "node.id must be from 1 to {NODE_ID_MAX} in a cluster"
            )));
        }
        self.hand_over().await?;
        let unavailable = |error: String| JoinError::Unavailable(error);
        self.change_identity(|identity| {
            identity.is_member = true;
            identity.is_founder = true;
        })
        .map_err(|error| unavailable(error.to_string()))?;
        self.start_groups()
            .await
            .map_err(|error| unavailable(error.to_string()))?;
        tracing::info!("this node founds a cluster");
        Ok(())
    }

    /// From now on the log does what the groups tell it.
    async fn hand_over(&self) -> Result<(), JoinError> {
        let (done, handed_over) = oneshot::channel();
        // Who asked waits; should it have gone, nobody needs to know.
        let completion = Box::new(move |result| drop(done.send(result)));
        self.parts.log.disk().hand_over(completion);
        match handed_over.await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(JoinError::Unavailable(error.to_string())),
            Err(_) => Err(JoinError::Unavailable("the log is shut down".to_owned())),
        }
    }

    /// Takes a node out of the cluster, wherever the metadata is led.
    ///
    /// # Errors
    /// [`JoinError`]
    pub async fn leave(&self, node: u64) -> Result<(), JoinError> {
        let deadline = tokio::time::Instant::now() + CHANGE_TIMEOUT;
        loop {
            let groups = self
                .groups()
                .ok_or_else(|| conflict("this node is part of no cluster"))?;
            let status = groups.status().pop();
            let leader = status.as_ref().and_then(|status| status.leader);
            let left = match (leader, status) {
                (Some(leader), _) if leader == self.parts.node_id => self.leave_here(node).await,
                (Some(leader), Some(status)) => {
                    let address = status.addresses.get(&leader);
                    let address = address.map_or("", |text| Place::address_of(text));
                    let body = requests::write(&Leave { node_id: node });
                    let request = Request::new(requests::LEAVE, body);
                    let patience = CHANGE_TIMEOUT + TIMEOUT;
                    let asked = self.peers.call(leader, address, request, patience);
                    match asked.await {
                        Ok(answer) => requests::read::<Left>(&answer)
                            .map_err(JoinError::Unavailable)
                            .and_then(Result::from),
                        Err(error) => Err(JoinError::Unavailable(error.to_string())),
                    }
                }
                _ => Err(JoinError::Unavailable(
                    "nobody leads the metadata at present: are most nodes there? robust-ctl cluster status".to_owned(),
                )),
            };
            match left {
                Err(JoinError::Unavailable(_)) if tokio::time::Instant::now() < deadline => {
                    tokio::time::sleep(CHANGE_TICK).await;
                }
                left => return left,
            }
        }
    }

    /// As the leader of the metadata, takes a node off the list; the leaders of
    /// all groups follow.
    pub(super) async fn leave_here(&self, node: u64) -> Result<(), JoinError> {
        let groups = self
            .groups()
            .ok_or_else(|| conflict("this node is part of no cluster"))?;
        let metadata = self.metadata();
        let Some(status) = groups.status().pop() else {
            return Err(conflict("there is no metadata group"));
        };
        if !status.addresses.contains_key(&node) {
            return Err(conflict(format!("there is no node {node} in the cluster")));
        }
        if status.voters.len() == 1 && status.voters.contains(&node) {
            return Err(conflict(
                "it is the last node: to end the cluster, stop it and remove its data",
            ));
        }
        let others: BTreeSet<u64> = status
            .voters
            .iter()
            .copied()
            .filter(|id| *id != node)
            .collect();
        let is_up = |id: &u64| *id == self.parts.node_id || self.peers.is_connected(*id);
        let up = others.iter().filter(|id| is_up(id)).count();
        if up * 2 <= others.len() {
            return Err(conflict(format!(
                "without node {node} only {up} of {} nodes are there: no majority could acknowledge anything",
                others.len()
            )));
        }
        let unavailable = |error: GroupsError| JoinError::Unavailable(error.to_string());
        if node == self.parts.node_id {
            // Who leads cannot take itself out.
            let heir = others.iter().copied().find(|id| is_up(id));
            if let Some(heir) = heir {
                groups.transfer(metadata, heir).await.map_err(unavailable)?;
            }
            return Err(JoinError::Unavailable("the lead is handed on".to_owned()));
        }
        self.leaving.lock().insert(node);
        let left = self.take_out(groups, node).await;
        self.leaving.lock().remove(&node);
        left.map_err(unavailable)?;
        tracing::info!(node, "a node leaves");
        Ok(())
    }

    /// Takes a node's vote, and the node itself once it leads nothing: a node that
    /// is off the list hears no more that it is.
    async fn take_out(&self, groups: &Groups, node: u64) -> Result<(), GroupsError> {
        let metadata = self.metadata();
        if groups
            .status()
            .pop()
            .is_some_and(|status| status.voters.contains(&node))
        {
            groups.demote(metadata, node).await?;
        }
        let deadline = tokio::time::Instant::now() + CHANGE_TIMEOUT;
        let counts =
            |status: &GroupStatus| status.leader == Some(node) || status.voters.contains(&node);
        while self.peers.is_connected(node)
            && groups.status().iter().any(counts)
            && tokio::time::Instant::now() < deadline
        {
            tokio::time::sleep(CHANGE_TICK).await;
        }
        groups.remove(metadata, node).await
    }
}

/// Looks for others until the node is part of a cluster.
pub(super) async fn discover(cluster: Arc<Cluster>, mut stop: watch::Receiver<bool>) {
    let mut told = String::new();
    while !cluster.setup.discovery.is_empty() && !cluster.identity.lock().is_member {
        for place in &cluster.setup.discovery {
            let addresses = match place.addresses().await {
                Ok(addresses) => addresses,
                Err(error) => {
                    note(&mut told, error.to_string());
                    continue;
                }
            };
            for address in addresses {
                if address == cluster.place.address {
                    continue;
                }
                match cluster.ask_to_join(&address).await {
                    Ok(()) => return,
                    Err(error) => note(&mut told, format!("{address}: {error}")),
                }
            }
        }
        tokio::select! {
            () = tokio::time::sleep(DISCOVER_EVERY) => {}
            _ = stop.changed() => return,
        }
    }
}

/// Says a thing once, not every second.
fn note(told: &mut String, reason: String) {
    if *told != reason {
        tracing::info!(reason, "no cluster joined yet");
        *told = reason;
    }
}

impl Cluster {
    /// Of two nodes that are alone, the one with the lower number founds.
    async fn ask_to_join(&self, address: &str) -> Result<(), JoinError> {
        let request = Request::new(requests::STATUS, bytes::Bytes::new());
        let asked = self.peers.call_address(address, request, TIMEOUT).await;
        let (hello, _) = asked.map_err(|error| JoinError::Unavailable(error.to_string()))?;
        if hello.node_id == self.parts.node_id {
            return Err(conflict("it is this node"));
        }
        if hello.cluster_id.is_none() && hello.node_id > self.parts.node_id {
            return Err(conflict(
                "it is alone too, and this node founds: its number is lower",
            ));
        }
        self.join(address).await
    }
}
