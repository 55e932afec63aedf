//! Changes of who takes part in a group, and of who leads it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use openraft::async_runtime::watch::WatchReceiver;
use openraft::{BasicNode, ChangeMembers};
use robustmq_record::ShardId;

use crate::group::{Group, ShardRaft};
use crate::groups::{Groups, GroupsError, status};

/// How long a node that is added may take to get what it lacks before it is
/// asked again.
const CATCH_UP_TICK: Duration = Duration::from_millis(20);
/// Entries that a node may lack and still be made a voter.
const CATCH_UP_LAG_MAX: u64 = 64;

impl Groups {
    /// Adds a node to a group, as a learner, and when it has what the others
    /// have, as a voter if so wanted; notes where a node is reached now. Only the group's leader can.
    ///
    /// # Errors
    /// When another node leads, or none; nothing is undone then: ask again.
    pub async fn add(
        &self,
        shard: ShardId,
        node: u64,
        address: &str,
        votes: bool,
    ) -> Result<(), GroupsError> {
        let group = self.led_here(shard)?;
        let raft = group.raft.clone();
        let known = status(&group);
        let address = address.to_owned();
        let change = async move {
            match known.addresses.get(&node) {
                Some(known) if *known == address => {}
                Some(_) => {
                    let moved = BTreeMap::from([(node, BasicNode::new(address))]);
                    let moved = raft.change_membership(ChangeMembers::SetNodes(moved), true);
                    moved.await.map_err(|error| error.to_string())?;
                }
                None => {
                    let added = raft.add_learner(node, BasicNode::new(address), false).await;
                    added.map_err(|error| error.to_string())?;
                }
            }
            if !votes || votes_for_good(&raft, node) {
                return Ok(());
            }
            wait_for(&raft, node).await?;
            let voters = ChangeMembers::AddVoterIds(BTreeSet::from([node]));
            let changed = raft.change_membership(voters, true).await;
            changed.map(|_| ()).map_err(|error| error.to_string())
        };
        self.run(shard, change).await
    }

    /// Takes a node's vote; it goes on getting what there is. Only the group's
    /// leader can, and not itself.
    ///
    /// # Errors
    /// As [`Groups::add`].
    pub async fn demote(&self, shard: ShardId, node: u64) -> Result<(), GroupsError> {
        let raft = self.led_here(shard)?.raft.clone();
        let change = async move {
            let voters = ChangeMembers::RemoveVoters(BTreeSet::from([node]));
            let changed = raft.change_membership(voters, true).await;
            changed.map(|_| ()).map_err(|error| error.to_string())
        };
        self.run(shard, change).await
    }

    /// Takes a node out of a group. Only the group's leader can, and not itself.
    ///
    /// # Errors
    /// As [`Groups::add`].
    pub async fn remove(&self, shard: ShardId, node: u64) -> Result<(), GroupsError> {
        let group = self.led_here(shard)?;
        let raft = group.raft.clone();
        let known = status(&group);
        let change = async move {
            let node = BTreeSet::from([node]);
            if !known.voters.is_disjoint(&node) {
                let voters = ChangeMembers::RemoveVoters(node.clone());
                let changed = raft.change_membership(voters, true).await;
                changed.map_err(|error| error.to_string())?;
            }
            if node.iter().any(|node| known.addresses.contains_key(node)) {
                let learners = ChangeMembers::RemoveNodes(node);
                let changed = raft.change_membership(learners, false).await;
                changed.map_err(|error| error.to_string())?;
            }
            Ok(())
        };
        self.run(shard, change).await
    }

    /// Asks another node to lead a group that this node leads.
    ///
    /// # Errors
    /// As [`Groups::add`].
    pub async fn transfer(&self, shard: ShardId, node: u64) -> Result<(), GroupsError> {
        let raft = self.led_here(shard)?.raft.clone();
        let transfer = async move {
            let asked = raft.trigger().transfer_leader(node).await;
            asked.map_err(|error| error.to_string())
        };
        self.run(shard, transfer).await
    }

    /// Runs a change on the threads of the groups.
    pub(crate) async fn run(
        &self,
        shard: ShardId,
        change: impl Future<Output = Result<(), String>> + Send + 'static,
    ) -> Result<(), GroupsError> {
        let changed = self.executor.spawn(change).await;
        let changed = changed.map_err(|error| error.to_string());
        changed
            .and_then(|changed| changed)
            .map_err(|reason| GroupsError::Group {
                shard: shard.0,
                reason,
            })
    }

    fn led_here(&self, shard: ShardId) -> Result<Arc<Group>, GroupsError> {
        let group = &self.groups[shard.0 as usize];
        match group.leadership() {
            Some(leader) if leader.is_here => Ok(Arc::clone(group)),
            Some(leader) => Err(GroupsError::LedBy {
                shard: shard.0,
                node: leader.node,
                address: leader.address,
            }),
            None => Err(GroupsError::NoLeader(shard.0)),
        }
    }
}

/// Whether a node has a vote, and no change of that is under way.
fn votes_for_good(raft: &ShardRaft, node: u64) -> bool {
    let metrics = raft.metrics().borrow_watched().clone();
    let stored = &metrics.membership_config;
    let votes = |voters: &BTreeSet<u64>| voters.contains(&node);
    stored.membership().get_joint_config().iter().all(votes)
        && metrics.last_applied.as_ref() >= stored.log_id().as_ref()
}

/// Waits until a learner has nearly all that the leader has.
async fn wait_for(raft: &ShardRaft, node: u64) -> Result<(), String> {
    loop {
        let metrics = raft.metrics().borrow_watched().clone();
        metrics.running_state.map_err(|error| error.to_string())?;
        let Some(replication) = metrics.replication else {
            return Err("the lead went to another node meanwhile: ask again".to_owned());
        };
        let matched = replication.get(&node).and_then(Option::as_ref);
        let matched = matched.map_or(0, |id| id.index + 1);
        let end = metrics.last_log_index.map_or(0, |index| index + 1);
        if matched + CATCH_UP_LAG_MAX >= end && (matched > 0 || end == 0) {
            return Ok(());
        }
        tokio::time::sleep(CATCH_UP_TICK).await;
    }
}
