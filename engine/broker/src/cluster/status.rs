//! Where a cluster stands, for people and programs.

use std::collections::BTreeMap;

use robustmq_peers::Request;
use robustmq_record::{Offset, ShardId};
use robustmq_replication::GroupStatus;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use robustmq_log::ShardLog;

use super::Cluster;
use super::place::Place;
use super::requests::{self, TIMEOUT};

/// Where a cluster stands, as one node sees it.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ClusterStatus {
    /// The cluster.
    pub cluster_id: String,
    /// The node that was asked.
    pub node_id: u64,
    /// Whether it is part of a cluster, or alone.
    pub is_member: bool,
    /// All nodes.
    pub nodes: Vec<NodeStatus>,
    /// All groups; the metadata group comes last.
    pub shards: Vec<ShardStatus>,
}

/// One node.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct NodeStatus {
    /// Its number.
    pub id: u64,
    /// Where other nodes reach it.
    pub address: String,
    /// `up` or `down`, as the node that was asked sees it.
    pub state: String,
    /// `voter` or `learner`.
    pub role: String,
    /// Groups that it leads.
    pub leads: usize,
    /// Batches that it lacks, over all groups; unknown while a leader cannot be
    /// asked.
    pub lag_batches: Option<u64>,
}

/// One group.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ShardStatus {
    /// The shard, or `metadata`.
    pub name: String,
    /// Its term.
    pub term: u64,
    /// Who leads it.
    pub leader: Option<u64>,
    /// Who votes.
    pub voters: Vec<u64>,
    /// Who takes part without a vote.
    pub learners: Vec<u64>,
    /// The last batch on the node that was asked.
    pub appended: u64,
    /// The last batch that it has applied.
    pub applied: u64,
}

/// What a node says of its groups to another.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Here {
    /// Per group that the node leads: its end, and what each other node has.
    led: BTreeMap<u32, (u64, BTreeMap<u64, u64>)>,
}

impl Here {
    /// After the last batch of a shard that the node leads.
    pub(super) fn end(&self, shard: ShardId) -> Option<Offset> {
        let (appended, _) = self.led.get(&shard.0)?;
        Some(Offset::new(appended + 1, 0))
    }
}

impl Cluster {
    /// The groups as this node sees them, without asking anybody.
    pub fn groups_here(&self) -> Vec<GroupStatus> {
        self.groups()
            .map(|groups| groups.status())
            .unwrap_or_default()
    }

    pub(super) fn status_here(&self) -> Here {
        let groups = self.groups().map(|groups| groups.status());
        let led = groups.unwrap_or_default().into_iter();
        let led = led.filter(|group| group.leader == Some(self.parts.node_id));
        Here {
            led: led
                .map(|group| {
                    let stored = self.parts.log.position(group.shard).appended_end - 1;
                    (group.shard.0, (group.appended.max(stored), group.matched))
                })
                .collect(),
        }
    }

    /// Where the cluster stands.
    pub async fn status(&self) -> ClusterStatus {
        let identity = self.identity.lock().clone();
        let groups = self.groups().map(|groups| groups.status());
        let groups = groups.unwrap_or_default();
        let mut nodes = BTreeMap::new();
        if let Some(metadata) = groups.last() {
            for (id, text) in &metadata.addresses {
                let is_up = *id == self.parts.node_id || self.peers.is_connected(*id);
                let is_voter = metadata.voters.contains(id);
                let node = NodeStatus {
                    id: *id,
                    address: Place::address_of(text).to_owned(),
                    state: if is_up { "up" } else { "down" }.to_owned(),
                    role: if is_voter { "voter" } else { "learner" }.to_owned(),
                    leads: groups
                        .iter()
                        .filter(|group| group.leader == Some(*id))
                        .count(),
                    lag_batches: None,
                };
                nodes.insert(*id, node);
            }
        }
        if nodes.is_empty() {
            let node = NodeStatus {
                id: self.parts.node_id,
                address: self.place.address.clone(),
                state: "up".to_owned(),
                role: "alone".to_owned(),
                leads: 0,
                lag_batches: Some(0),
            };
            nodes.insert(node.id, node);
        }
        self.measure_lag(&mut nodes).await;
        let metadata = self.metadata();
        let shards = groups.into_iter().map(|group| ShardStatus {
            name: if group.shard == metadata {
                "metadata".to_owned()
            } else {
                group.shard.0.to_string()
            },
            term: group.term,
            leader: group.leader,
            voters: group.voters.into_iter().collect(),
            learners: group.learners.into_iter().collect(),
            appended: group.appended,
            applied: group.applied,
        });
        ClusterStatus {
            cluster_id: identity.cluster_id,
            node_id: self.parts.node_id,
            is_member: identity.is_member,
            shards: shards.collect(),
            nodes: nodes.into_values().collect(),
        }
    }

    /// Asks whoever leads what each node lacks.
    async fn measure_lag(&self, nodes: &mut BTreeMap<u64, NodeStatus>) {
        let mut all = vec![self.status_here()];
        for node in nodes.values().filter(|node| node.state == "up") {
            if node.id == self.parts.node_id {
                continue;
            }
            let request = Request::new(requests::STATUS, bytes::Bytes::new());
            let asked = self.peers.call(node.id, &node.address, request, TIMEOUT);
            if let Ok(answer) = asked.await
                && let Ok(here) = requests::read::<Here>(&answer)
            {
                all.push(here);
            }
        }
        let led: usize = all.iter().map(|here| here.led.len()).sum();
        if led <= self.parts.shards as usize {
            return;
        }
        for node in nodes.values_mut() {
            let lag = all.iter().flat_map(|here| here.led.values());
            let lag = lag.filter_map(|(end, matched)| {
                matched.get(&node.id).map(|has| end.saturating_sub(*has))
            });
            node.lag_batches = Some(lag.sum());
        }
    }
}
