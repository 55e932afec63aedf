//! Which node owns a session: the one whose connection opened it last, as the
//! session's shard has it. The connection epoch says which node that is.
//!
//! **Invariants**
//! 1. A node that takes over a session first has the one before let go, as far
//!    as that can be reached; what it left is read before anything is sent.
//! 2. Before a session is opened, its shard is read to where its leader stands:
//!    nobody is given an older session than another node has confirmed.
//! 3. An opening by another node ends the connection that a node has for the
//!    same client identifier.
//! 4. A node that has lost the others closes its connections before others
//!    close the sessions it owned.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use robustmq_peers::{CallError, Request};
use robustmq_protocol::ReasonCode;
use robustmq_record::{Offset, ShardId};
use robustmq_views::{SessionState, owner_of};
use tokio::sync::watch;
use tokio::time::Instant;

use super::Cluster;
use super::place::Place;
use super::requests::{self, Release, Released};
use super::status::Here;
use crate::broker::Broker;
use crate::cursors;
use crate::link::{Link, LinkLimits, Order};
use crate::shard_map::DEFAULT_NAMESPACE;
use crate::startup;

/// How long the owner of a session may take to let go.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(3);

/// Pause before leaders are asked again.
const ASK_AGAIN_AFTER: Duration = Duration::from_millis(20);

/// How often is looked which nodes are there.
const TICK: Duration = Duration::from_millis(250);

impl Cluster {
    /// Whether anybody else may own sessions.
    pub(crate) fn is_member(&self) -> bool {
        self.groups().is_some()
    }

    /// Whether this node decides what has to be decided once for a shard.
    pub(crate) fn leads(&self, shard: ShardId) -> bool {
        self.parts.log.leads(shard)
    }

    /// Whether another node owns a session.
    pub(crate) fn is_owned_elsewhere(&self, state: &SessionState) -> bool {
        state.connected && self.is_member() && owner_of(state.epoch) != self.parts.node_id
    }

    /// Has the node that owns a session let go of it, and waits until what it
    /// left is applied here. A node that cannot be reached has lost it anyway.
    pub(crate) async fn release(&self, broker: &Broker, state: &SessionState) {
        let owner = owner_of(state.epoch);
        let nodes = self.known_nodes();
        let Some(address) = nodes.get(&owner) else {
            return;
        };
        let body = requests::write(&Release {
            client_id: state.client_id.clone(),
        });
        let request = Request::new(requests::RELEASE, body);
        let address = Place::address_of(address);
        let asked = self.peers.call(owner, address, request, RELEASE_TIMEOUT);
        let released = match asked.await {
            Ok(answer) => requests::read::<Released>(&answer),
            Err(error) => Err(error.to_string()),
        };
        let is_here = match released {
            Ok(Released { index_ends }) => {
                let ends = (0..).map(ShardId).zip(index_ends);
                let ends = ends.map(|(shard, end)| (shard, Offset::new(end, 0)));
                self.wait_for(broker, ends.collect()).await
            }
            Err(reason) => {
                tracing::info!(
                    client_id = state.client_id,
                    owner,
                    reason,
                    "the owner of a session could not be asked to let go of it"
                );
                // It may have handed something to the leaders that is on its way.
                self.catch_up(broker, broker.shard_map.shards().collect())
                    .await
            }
        };
        if !is_here {
            tracing::warn!(
                client_id = state.client_id,
                owner,
                "what the owner of a session left has not come here yet"
            );
        }
    }

    /// Has the node that owns a named cursor let go of it.
    ///
    /// # Errors
    /// Why it does not: it is in use there.
    pub(crate) async fn release_cursor(
        &self,
        broker: &Broker,
        state: &SessionState,
    ) -> Result<(), String> {
        let owner = owner_of(state.epoch);
        let nodes = self.known_nodes();
        let Some(address) = nodes.get(&owner) else {
            // It has left.
            return Ok(());
        };
        let body = requests::write(&Release {
            client_id: state.client_id.clone(),
        });
        let request = Request::new(requests::RELEASE, body);
        let address = Place::address_of(address);
        let asked = self.peers.call(owner, address, request, RELEASE_TIMEOUT);
        let ends = match asked.await {
            Ok(answer) => requests::read::<Released>(&answer)?.index_ends,
            Err(CallError::Refused(reason)) => return Err(format!("node {owner}: {reason}")),
            // It is lost, and its members with it; should it live, it hears of
            // the opening.
            Err(_) => return Ok(()),
        };
        let ends = (0..).map(ShardId).zip(ends);
        let ends = ends.map(|(shard, end)| (shard, Offset::new(end, 0)));
        if self.wait_for(broker, ends.collect()).await {
            Ok(())
        } else {
            Err(format!(
                "what node {owner} has stored of it is not here yet"
            ))
        }
    }

    /// Waits until everything is applied here that the leaders of these shards
    /// have by now; false if that takes too long. What another node has told a
    /// client is known here then.
    pub(crate) async fn catch_up(&self, broker: &Broker, shards: Vec<ShardId>) -> bool {
        let deadline = Instant::now() + RELEASE_TIMEOUT;
        let (mut left, mut ends) = (shards, Vec::new());
        loop {
            left = self.ask_for_ends(left, &mut ends).await;
            if left.is_empty() {
                return self.wait_for(broker, ends).await;
            }
            if Instant::now() > deadline {
                return false;
            }
            tokio::time::sleep(ASK_AGAIN_AFTER).await;
        }
    }

    /// Asks leaders where their shards end; returns the shards of which none said.
    async fn ask_for_ends(
        &self,
        shards: Vec<ShardId>,
        ends: &mut Vec<(ShardId, Offset)>,
    ) -> Vec<ShardId> {
        let Some(groups) = self.groups() else {
            return Vec::new();
        };
        let mut by_leader: BTreeMap<u64, Vec<ShardId>> = BTreeMap::new();
        let mut left = Vec::new();
        for shard in shards {
            match groups.leader(shard) {
                Some(leader) => by_leader.entry(leader).or_default().push(shard),
                None => left.push(shard),
            }
        }
        let nodes = self.known_nodes();
        for (leader, shards) in by_leader {
            let here = if leader == self.parts.node_id {
                Some(self.status_here())
            } else {
                let address = nodes
                    .get(&leader)
                    .map_or("", |text| Place::address_of(text));
                let request = Request::new(requests::STATUS, bytes::Bytes::new());
                let asked = self.peers.call(leader, address, request, RELEASE_TIMEOUT);
                let answer = asked.await.ok();
                answer.and_then(|answer| requests::read::<Here>(&answer).ok())
            };
            for shard in shards {
                match here.as_ref().and_then(|here| here.end(shard)) {
                    Some(end) => ends.push((shard, end)),
                    None => left.push(shard),
                }
            }
        }
        left
    }

    /// Waits until dispatch stands at these places.
    async fn wait_for(&self, broker: &Broker, ends: Vec<(ShardId, Offset)>) -> bool {
        let progress = broker.dispatch.progress();
        let all = async {
            for (shard, end) in ends {
                progress.wait_for(shard, end).await;
            }
        };
        tokio::time::timeout(RELEASE_TIMEOUT, all).await.is_ok()
    }

    /// Another node takes a session over: its connection here ends.
    pub(super) async fn release_here(&self, client_id: &str) -> Result<Released, String> {
        let broker = self.broker().ok_or("this node is starting or stopping")?;
        let progress = broker.dispatch.progress();
        let index_ends = || {
            let shards = broker.shard_map.shards();
            shards.map(|shard| progress.get(shard).index()).collect()
        };
        if let Some(name) = cursors::cursor_name(client_id) {
            broker.cursors.give_up(&broker, name).await?;
            return Ok(Released {
                index_ends: index_ends(),
            });
        }
        let limits = LinkLimits {
            queue_messages_max: 0,
            queue_bytes_max: 0,
        };
        let link = Arc::new(Link::new(client_id, limits));
        let claimed = broker.registry.claim(&link, ReasonCode::SessionTakenOver);
        let _ownership = tokio::time::timeout(RELEASE_TIMEOUT, claimed)
            .await
            .map_err(|_| "its connection does not end")?;
        Ok(Released {
            index_ends: index_ends(),
        })
    }
}

/// Looks which nodes are there until told to stop.
pub(super) async fn run(cluster: Arc<Cluster>, mut stop: watch::Receiver<bool>) {
    // Since when nothing was heard of a node; closed or not.
    let mut silent: BTreeMap<u64, (Instant, bool)> = BTreeMap::new();
    let mut leaderless: Option<Instant> = None;
    loop {
        tokio::select! {
            () = tokio::time::sleep(TICK) => {}
            _ = stop.changed() => return,
        }
        let (Some(broker), Some(groups)) = (cluster.broker(), cluster.groups()) else {
            continue;
        };
        let Some(metadata) = groups.status().pop() else {
            continue;
        };
        let now = Instant::now();
        let timeout = cluster.setup.node_timeout;
        let is_cut_off = groups.leader(cluster.metadata()).is_none()
            || groups.leads(cluster.metadata()) && !cluster.hears_a_majority(&metadata.voters);
        let since = leaderless.get_or_insert(now);
        if !is_cut_off {
            leaderless = None;
        } else if now.duration_since(*since) > timeout / 2 && !broker.registry.is_empty() {
            tracing::warn!(
                "the other nodes cannot be reached: connections are closed, so that clients go where they are served"
            );
            broker
                .registry
                .order_all(Order::Disconnect(ReasonCode::ServerUnavailable));
        }
        silent.retain(|node, _| metadata.addresses.contains_key(node));
        for (node, text) in &metadata.addresses {
            if *node == cluster.parts.node_id {
                continue;
            }
            if cluster.peers.is_connected(*node) {
                silent.remove(node);
                continue;
            }
            // Whoever is not asked anything is asked whether it is there.
            cluster.knock(*node, Place::address_of(text));
            let (since, is_closed) = silent.entry(*node).or_insert((now, false));
            if !*is_closed && now.duration_since(*since) > timeout && !is_cut_off {
                *is_closed = true;
                tracing::warn!(node, "nothing is heard of a node: its sessions are closed");
                close_sessions_of(&cluster, &broker, *node).await;
            }
        }
    }
}

impl Cluster {
    fn hears_a_majority(&self, voters: &std::collections::BTreeSet<u64>) -> bool {
        let is_up = |id: &&u64| **id == self.parts.node_id || self.peers.is_connected(**id);
        voters.iter().filter(is_up).count() * 2 > voters.len()
    }

    fn knock(&self, node: u64, address: &str) {
        let request = Request::new(requests::STATUS, bytes::Bytes::new());
        // The answer says nothing that is not known; a refusal is no news.
        drop(self.peers.send(node, address, request));
    }
}

/// Closes the sessions that a node owned, in the shards that this node leads.
async fn close_sessions_of(cluster: &Cluster, broker: &Arc<Broker>, node: u64) {
    let mut owned = Vec::new();
    let visited = broker.views.for_each_session(&mut |state: SessionState| {
        let shard = broker
            .shard_map
            .session(DEFAULT_NAMESPACE, &state.client_id);
        let is_lost = state.connected && owner_of(state.epoch) == node && cluster.leads(shard);
        if is_lost && cursors::cursor_name(&state.client_id).is_none() {
            owned.push(state);
        }
        true
    });
    if let Err(error) = visited {
        tracing::error!(%error, "the sessions of a lost node cannot be read");
        return;
    }
    startup::close_all(broker, owned).await;
}
