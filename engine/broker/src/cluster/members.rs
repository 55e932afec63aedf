//! Who takes part in the groups: the leader of each brings its members in line
//! with those of the metadata group.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use robustmq_record::ShardId;
use robustmq_replication::{GroupStatus, Groups};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::Cluster;
use super::requests::{self, TIMEOUT};

/// How often members are looked at.
const TICK: Duration = Duration::from_millis(200);

/// Nodes that vote; more are learners. A majority of more would be waited for
/// longer and would not be safer.
const VOTERS_MAX: usize = 5;

/// Brings groups in line until told to stop.
pub(super) async fn run(cluster: Arc<Cluster>, mut stop: watch::Receiver<bool>) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(TICK) => {}
            _ = stop.changed() => return,
        }
        if let Some(groups) = cluster.groups() {
            cluster.announce(groups).await;
            cluster.align(groups).await;
        }
    }
}

impl Cluster {
    /// Tells the others where this node is reached, if that has changed.
    async fn announce(&self, groups: &Arc<Groups>) {
        let id = self.parts.node_id;
        let metadata = groups.status().pop();
        let known = metadata.and_then(|metadata| metadata.addresses.get(&id).cloned());
        if known.is_none_or(|known| known == self.place.encode()) {
            return;
        }
        match self.handle_join(self.request_to_join()).await {
            Ok(_) => tracing::info!(
                address = self.place.address,
                "the others know this node's new address"
            ),
            Err(error) => {
                tracing::debug!(error, "this node's new address could not be told yet");
            }
        }
    }

    async fn align(&self, groups: &Arc<Groups>) {
        let mut all = groups.status();
        let Some(metadata) = all.pop() else {
            return;
        };
        let mut changes = JoinSet::new();
        if groups.leads(self.metadata()) {
            let leaving = self.leaving.lock().clone();
            let waiting = metadata.learners.iter().copied();
            let waiting = waiting.filter(|node| !leaving.contains(node));
            let room = VOTERS_MAX.saturating_sub(metadata.voters.len());
            let shard = self.metadata();
            for node in waiting.take(room) {
                let address = metadata.addresses.get(&node).cloned().unwrap_or_default();
                let groups = Arc::clone(groups);
                changes.spawn(async move { add(&groups, shard, node, &address, true).await });
            }
        }
        let nodes: BTreeSet<u64> = metadata.addresses.keys().copied().collect();
        if nodes.is_empty() || !nodes.contains(&self.parts.node_id) {
            // Not added yet, or taken out: others decide.
            return;
        }
        let is_voter = metadata.voters.contains(&self.parts.node_id);
        for group in all {
            if !groups.leads(group.shard) {
                continue;
            }
            let (groups, metadata) = (Arc::clone(groups), metadata.clone());
            if is_voter {
                changes.spawn(async move { align_group(&groups, &metadata, &group).await });
            } else if let Some(heir) = self.heir(&metadata, &group) {
                changes.spawn(async move { hand_on(&groups, group.shard, heir).await });
            }
        }
        changes.join_all().await;
    }

    /// Who leads a group in the place of this node, which is leaving.
    fn heir(&self, metadata: &GroupStatus, group: &GroupStatus) -> Option<u64> {
        let mut voters = metadata.voters.intersection(&group.voters).copied();
        voters.find(|node| self.peers.is_connected(*node))
    }

    /// Hands on what others should lead, all at once; a person asked for it.
    pub(super) async fn rebalance_here(&self) {
        let Some(groups) = self.groups() else {
            return;
        };
        let all = groups.status();
        for group in all {
            let wanted = self.wanted_leader(&group);
            if let Some(wanted) = wanted
                && wanted != self.parts.node_id
                && groups.leads(group.shard)
            {
                hand_on(groups, group.shard, wanted).await;
            }
        }
    }

    /// Who should lead a group so that every node leads as many as the others.
    fn wanted_leader(&self, group: &GroupStatus) -> Option<u64> {
        let is_up = |id: &u64| *id == self.parts.node_id || self.peers.is_connected(*id);
        let up: Vec<u64> = group.voters.iter().copied().filter(is_up).collect();
        up.get(group.shard.0 as usize % up.len().max(1)).copied()
    }

    /// Has every node hand on what others should lead.
    pub async fn rebalance(&self) {
        self.rebalance_here().await;
        let Some(metadata) = self.groups().and_then(|groups| groups.status().pop()) else {
            return;
        };
        for (node, text) in &metadata.addresses {
            if *node == self.parts.node_id {
                continue;
            }
            let address = super::Place::address_of(text);
            let request = robustmq_peers::Request::new(requests::REBALANCE, bytes::Bytes::new());
            if let Err(error) = self.peers.call(*node, address, request, TIMEOUT).await {
                tracing::warn!(node, %error, "a node could not be asked to hand on what it leads");
            }
        }
    }
}

async fn align_group(groups: &Groups, metadata: &GroupStatus, group: &GroupStatus) {
    for (node, address) in &metadata.addresses {
        let votes = metadata.voters.contains(node);
        let is_in_line =
            group.addresses.get(node) == Some(address) && (group.voters.contains(node) || !votes);
        if !is_in_line {
            add(groups, group.shard, *node, address, votes).await;
        }
    }
    for node in group.addresses.keys() {
        let taken_out = if !metadata.addresses.contains_key(node) {
            groups.remove(group.shard, *node).await
        } else if group.voters.contains(node) && !metadata.voters.contains(node) {
            groups.demote(group.shard, *node).await
        } else {
            Ok(())
        };
        if let Err(error) = taken_out {
            tracing::debug!(shard = group.shard.0, node, %error, "a node could not be taken out yet");
        }
    }
}

async fn hand_on(groups: &Groups, shard: ShardId, heir: u64) {
    if let Err(error) = groups.transfer(shard, heir).await {
        tracing::warn!(shard = shard.0, heir, %error, "the lead could not be handed on");
    }
}

async fn add(groups: &Groups, shard: ShardId, node: u64, address: &str, votes: bool) {
    if let Err(error) = groups.add(shard, node, address, votes).await {
        tracing::debug!(shard = shard.0, node, %error, "a node could not be added yet");
    }
}
