//! Which node owns a session: the one whose connection opened it last, as the
//! session's shard has it. The connection epoch says which node that is.
//!
//! **Invariants**
//! 1. A node that takes over a session first has the one before let go, as far
//!    as that can be reached; what it left is read before anything is sent.
//! 2. An opening by another node ends the connection that a node has for the
//!    same client identifier.
//! 3. A node that has lost the others closes its connections before others
//!    close the sessions it owned.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use robustmq_peers::Request;
use robustmq_protocol::ReasonCode;
use robustmq_record::{Offset, ShardId};
use robustmq_views::{SessionState, owner_of};
use tokio::sync::watch;
use tokio::time::Instant;

use super::Cluster;
use super::place::Place;
use super::requests::{self, Release, Released};
use crate::broker::Broker;
use crate::cursors;
use crate::link::{Link, LinkLimits, Order};
use crate::shard_map::DEFAULT_NAMESPACE;
use crate::startup;

/// How long the owner of a session may take to let go.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(3);

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
        let groups = self.groups().and_then(|groups| groups.status().pop());
        let address = groups.and_then(|metadata| metadata.addresses.get(&owner).cloned());
        let Some(address) = address else {
            return;
        };
        let body = requests::write(&Release {
            client_id: state.client_id.clone(),
        });
        let request = Request::new(requests::RELEASE, body);
        let address = Place::address_of(&address);
        let asked = self.peers.call(owner, address, request, RELEASE_TIMEOUT);
        let released = match asked.await {
            Ok(answer) => requests::read::<Released>(&answer),
            Err(error) => Err(error.to_string()),
        };
        match released {
            Ok(Released { index_end }) => {
                let shard = broker
                    .shard_map
                    .session(DEFAULT_NAMESPACE, &state.client_id);
                let progress = broker.dispatch.progress();
                let reached = progress.wait_for(shard, Offset::new(index_end, 0));
                if tokio::time::timeout(RELEASE_TIMEOUT, reached)
                    .await
                    .is_err()
                {
                    tracing::warn!(
                        client_id = state.client_id,
                        owner,
                        "what the owner of a session left has not come here yet"
                    );
                }
            }
            Err(reason) => {
                tracing::info!(
                    client_id = state.client_id,
                    owner,
                    reason,
                    "the owner of a session could not be asked to let go of it"
                );
            }
        }
    }

    /// Another node takes a session over: its connection here ends.
    pub(super) async fn release_here(&self, client_id: &str) -> Result<Released, String> {
        let broker = self.broker().ok_or("this node is starting or stopping")?;
        let limits = LinkLimits {
            queue_messages_max: 0,
            queue_bytes_max: 0,
        };
        let link = Arc::new(Link::new(client_id, limits));
        let claimed = broker.registry.claim(&link, ReasonCode::SessionTakenOver);
        let _ownership = tokio::time::timeout(RELEASE_TIMEOUT, claimed)
            .await
            .map_err(|_| "its connection does not end")?;
        let shard = broker.shard_map.session(DEFAULT_NAMESPACE, client_id);
        let end = broker.dispatch.progress().get(shard);
        Ok(Released {
            index_end: end.index(),
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
