//! All shards of a node as Raft groups on one disk log: started, served, asked,
//! changed and ended.
//!
//! | thread | does |
//! | --- | --- |
//! | `raft` | proposes, votes, replicates, hands over what is committed |
//! | those of [`robustmq_log::DiskLog`] | write and sync |

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use openraft::async_runtime::watch::WatchReceiver;
use openraft::{BasicNode, ChangeMembers, Raft, SnapshotPolicy};
use parking_lot::Mutex;
use robustmq_log::{AppendError, BatchSource, Clock, CommitSink, DiskLog, ShardLog};
use robustmq_record::ShardId;
use tokio::runtime::{Handle, Runtime};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::group::{self, Group, ShardRaft};
use crate::membership::MembershipStore;
use crate::network::Network;
use crate::proposals::{Accepted, Proposals};
use crate::proposer::{Bell, Proposer};
use crate::state_machine::{Checkpoint, ShardStateMachine, StateMachineSetup};
use crate::storage::ShardStorage;
use crate::transport::{Transport, kind};
use crate::types::Types;
use crate::wire;

/// How long the last batches may take when the groups are shut down.
const SHUTDOWN_PATIENCE: Duration = Duration::from_secs(4);
/// How long a node that is added may take to get what it lacks before it is
/// asked again.
const CATCH_UP_TICK: Duration = Duration::from_millis(20);
/// Entries that a node may lack and still be made a voter.
const CATCH_UP_LAG_MAX: u64 = 64;

/// How long is waited for what.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// How often a leader shows that it is there.
    pub heartbeat: Duration,
    /// After what silence others stand for election; up to twice that.
    pub election: Duration,
}

/// Who the node is and what it works with.
pub struct GroupsSetup {
    /// This node.
    pub node_id: u64,
    /// Where others reach it.
    pub address: String,
    /// A number that no other run of this node had.
    pub run: u64,
    /// Shards of records; the group behind them, of the same log, is the
    /// metadata group.
    pub shards: u32,
    /// The log, which commits what it is told.
    pub log: Arc<DiskLog>,
    /// Where memberships are kept.
    pub store: Arc<dyn MembershipStore>,
    /// Where batches come from.
    pub source: Arc<dyn BatchSource>,
    /// Who hears of committed ones.
    pub sink: Arc<dyn CommitSink>,
    /// Who hears of what the metadata group commits.
    pub metadata_sink: Arc<dyn CommitSink>,
    /// Where snapshots come from.
    pub checkpoint: Arc<dyn Checkpoint>,
    /// The way to other nodes.
    pub transport: Arc<dyn Transport>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// How long is waited.
    pub timing: Timing,
    /// Whether the node begins a cluster, with all that its log holds, unless it
    /// is part of one. Otherwise it waits until it is added.
    pub begins: bool,
}

/// What went wrong with the groups.
#[derive(Debug, thiserror::Error)]
pub enum GroupsError {
    /// A group could not be started or changed.
    #[error("shard {shard}: {reason}")]
    Group {
        /// The shard.
        shard: u32,
        /// What is wrong.
        reason: String,
    },
    /// The thread of the groups could not be started.
    #[error("a thread could not be started: {0}")]
    Thread(#[source] io::Error),
    /// Nobody leads a group at present.
    #[error("shard {0} has no leader at present: try again")]
    NoLeader(u32),
    /// Another node leads a group.
    #[error("node {node} leads shard {shard}")]
    LedBy {
        /// The shard.
        shard: u32,
        /// The leader.
        node: u64,
        /// Where it is reached.
        address: String,
    },
}

/// Where a group stands, as this node sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupStatus {
    /// The shard.
    pub shard: ShardId,
    /// The term.
    pub term: u64,
    /// Who leads.
    pub leader: Option<u64>,
    /// Who votes.
    pub voters: BTreeSet<u64>,
    /// Who takes part without a vote.
    pub learners: BTreeSet<u64>,
    /// Where all of them are reached.
    pub addresses: BTreeMap<u64, String>,
    /// The index of the last batch here; 0 if there is none.
    pub appended: u64,
    /// The index of the last batch that was applied here.
    pub applied: u64,
    /// On the leader: the last batch that each of the others has.
    pub matched: BTreeMap<u64, u64>,
}

/// All groups of a node.
pub struct Groups {
    log: Arc<DiskLog>,
    groups: Vec<Arc<Group>>,
    proposers: Mutex<Vec<JoinHandle<()>>>,
    source: Arc<dyn BatchSource>,
    shards: u32,
    handle: Handle,
    runtime: Mutex<Option<Runtime>>,
}

impl Groups {
    /// Starts all groups. Everything that the log says is committed must have
    /// been applied by the sink.
    ///
    /// # Errors
    /// See [`GroupsError`].
    pub async fn start(setup: GroupsSetup) -> Result<Self, GroupsError> {
        let mut threads = tokio::runtime::Builder::new_multi_thread();
        let threads = threads.worker_threads(1).thread_name("raft").enable_time();
        let runtime = threads.build().map_err(GroupsError::Thread)?;
        let handle = runtime.handle().clone();
        let setup = Arc::new(setup);
        let turn = Arc::new(Mutex::new(()));
        let (mut groups, mut proposers) = (Vec::new(), Vec::new());
        for shard in (0..=setup.shards).map(ShardId) {
            let begun = begin(Arc::clone(&setup), shard, Arc::clone(&turn), handle.clone());
            let begun = handle.spawn(begun).await;
            let failed = |reason: String| GroupsError::Group {
                shard: shard.0,
                reason,
            };
            let group = begun
                .map_err(|error| failed(error.to_string()))?
                .map_err(failed)?;
            if shard.0 < setup.shards {
                let proposer = Proposer {
                    shard,
                    group: Arc::clone(&group),
                    source: Arc::clone(&setup.source),
                    transport: Arc::clone(&setup.transport),
                };
                proposers.push(handle.spawn(proposer.run()));
                group.bell.wake();
            }
            groups.push(group);
        }
        Ok(Self {
            log: Arc::clone(&setup.log),
            groups,
            proposers: Mutex::new(proposers),
            source: Arc::clone(&setup.source),
            shards: setup.shards,
            handle,
            runtime: Mutex::new(Some(runtime)),
        })
    }

    /// The metadata group.
    #[must_use]
    pub fn metadata(&self) -> ShardId {
        ShardId(self.shards)
    }

    /// Says that the source has something for the shard.
    ///
    /// # Panics
    /// When there is no such shard.
    pub fn wake(&self, shard: ShardId) {
        let bell = &self.groups[shard.0 as usize].bell;
        bell.wake();
        if bell.is_stopping()
            && let Some(taken) = self.source.take(shard)
        {
            (taken.completion)(Err(AppendError::Shutdown));
        }
    }

    /// Who leads a shard, as far as this node knows.
    ///
    /// # Panics
    /// When there is no such shard.
    #[must_use]
    pub fn leader(&self, shard: ShardId) -> Option<u64> {
        let leadership = self.groups[shard.0 as usize].leadership();
        leadership.map(|leader| leader.node)
    }

    /// Whether this node leads a shard and has applied all that was before.
    ///
    /// # Panics
    /// When there is no such shard.
    #[must_use]
    pub fn leads(&self, shard: ShardId) -> bool {
        let group = &self.groups[shard.0 as usize];
        let leadership = group.leadership();
        leadership.is_some_and(|leader| leader.is_here && group.applied_term() >= leader.term)
    }

    /// Answers another node. What has to keep its order is done before this
    /// returns.
    pub fn handle(&self, kind: u16, body: Bytes) -> BoxFuture<'static, Result<Bytes, String>> {
        let group = match wire::group_of(&body) {
            Ok(shard) => self.groups.get(shard.0 as usize).cloned(),
            Err(error) => return refuse(error.to_string()),
        };
        let Some(group) = group else {
            return refuse("there is no such group: do both nodes have the same number of shards?");
        };
        if kind == kind::PROPOSE {
            let accepted = wire::read_proposed(body)
                .map_err(|error| error.to_string())
                .and_then(|proposed| group.accept(proposed).map_err(str::to_owned));
            return futures_util::future::ready(accepted.map(|()| Bytes::new())).boxed();
        }
        async move { serve(&group.raft, kind, body).await }.boxed()
    }

    /// Where all groups stand, the metadata group last.
    #[must_use]
    pub fn status(&self) -> Vec<GroupStatus> {
        self.groups.iter().map(|group| status(group)).collect()
    }

    /// Adds a node to a group, as a learner, and when it has what the others
    /// have, as a voter if so wanted. Only the group's leader can.
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
            if known.addresses.get(&node) != Some(&address) {
                let added = raft.add_learner(node, BasicNode::new(address), false).await;
                added.map_err(|error| error.to_string())?;
            }
            if !votes || known.voters.contains(&node) {
                return Ok(());
            }
            wait_for(&raft, node).await?;
            let voters = ChangeMembers::AddVoterIds(BTreeSet::from([node]));
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

    /// Old entries of a shard were given up: from now on, whoever lacks them
    /// gets a snapshot.
    ///
    /// # Errors
    /// When the group has ended.
    pub async fn retired(&self, shard: ShardId) -> Result<(), GroupsError> {
        let raft = self.groups[shard.0 as usize].raft.clone();
        let start = self.log.position(shard).log_start;
        if start <= 1 {
            return Ok(());
        }
        let note = async move {
            let failed = |error: openraft::errors::Fatal<Types>| error.to_string();
            raft.trigger().snapshot().await.map_err(failed)?;
            // Raft counts from 0, and names the last one that goes.
            raft.trigger().purge_log(start - 2).await.map_err(failed)
        };
        self.run(shard, note).await
    }

    /// Runs a change on the threads of the groups.
    async fn run(
        &self,
        shard: ShardId,
        change: impl Future<Output = Result<(), String>> + Send + 'static,
    ) -> Result<(), GroupsError> {
        let changed = self.handle.spawn(change).await;
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

    /// Proposes what there is, waits for it, gives the lead away and ends the
    /// groups; the log goes on. Blocks; not to be called on the groups' threads.
    pub fn shutdown(&self) {
        let Some(runtime) = self.runtime.lock().take() else {
            return;
        };
        for group in &self.groups {
            group.bell.stop();
        }
        let proposers = std::mem::take(&mut *self.proposers.lock());
        let groups = self.groups.clone();
        let ended = async move {
            let all = futures_util::future::join_all(proposers);
            if tokio::time::timeout(SHUTDOWN_PATIENCE, all).await.is_err() {
                tracing::warn!("batches that could not be stored in time are given up");
            }
            for group in &groups {
                group.proposals.give_up(&AppendError::Shutdown);
                hand_on(group).await;
            }
            for group in &groups {
                if let Err(error) = group.raft.shutdown().await {
                    tracing::error!(%error, "a shard's group failed");
                }
            }
        };
        // A thread that belongs to another runtime must not wait itself.
        std::thread::scope(|scope| {
            let waited = scope.spawn(|| runtime.block_on(ended)).join();
            if waited.is_err() {
                tracing::error!("the groups did not end in order; see the message above");
            }
        });
        runtime.shutdown_background();
    }
}

impl Drop for Groups {
    fn drop(&mut self) {
        self.shutdown();
    }
}

/// Asks the voter that has most to lead in our place, without waiting for it.
async fn hand_on(group: &Group) {
    let status = status(group);
    let others = status.matched.iter();
    let others = others.filter(|(node, _)| status.voters.contains(node));
    let Some((&heir, _)) = others.max_by_key(|(_, matched)| **matched) else {
        return;
    };
    if status.leader.is_some_and(|leader| leader != heir) {
        // Without an heir the others elect one.
        let _ = group.raft.trigger().transfer_leader(heir).await;
    }
}

fn refuse(reason: impl ToString) -> BoxFuture<'static, Result<Bytes, String>> {
    futures_util::future::ready(Err(reason.to_string())).boxed()
}

fn status(group: &Group) -> GroupStatus {
    let metrics = group.raft.metrics();
    let metrics = metrics.borrow_watched();
    let membership = metrics.membership_config.membership();
    let nodes = membership.nodes();
    let index = |raft: u64| raft + 1;
    let others = metrics.replication.iter().flatten();
    let matched = others
        .filter(|(node, _)| **node != metrics.id)
        .map(|(node, id)| (*node, id.as_ref().map_or(0, |id| index(id.index))));
    GroupStatus {
        shard: group.shard,
        term: metrics.current_term,
        leader: group.leadership().map(|leader| leader.node),
        voters: membership.voter_ids().collect(),
        learners: membership.learner_ids().collect(),
        addresses: nodes.map(|(id, node)| (*id, node.addr.clone())).collect(),
        appended: metrics.last_log_index.map_or(0, index),
        applied: metrics.last_applied.map_or(0, |id| index(id.index)),
        matched: matched.collect(),
    }
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

/// Starts the group of a shard.
async fn begin(
    setup: Arc<GroupsSetup>,
    shard: ShardId,
    turn: Arc<Mutex<()>>,
    handle: Handle,
) -> Result<Arc<Group>, String> {
    let failed = |error: &dyn std::fmt::Display| error.to_string();
    let storage = ShardStorage::new(Arc::clone(&setup.log), shard, handle);
    let storage = storage.was_alone(setup.begins);
    let proposals = Arc::new(Proposals::new(setup.node_id, setup.run));
    let bell = Arc::new(Bell::default());
    let applied_term = Arc::new(AtomicU64::new(0));
    let sink = if shard.0 < setup.shards {
        &setup.sink
    } else {
        &setup.metadata_sink
    };
    let machine = StateMachineSetup {
        sink: Arc::clone(sink),
        turn,
        proposals: Arc::clone(&proposals),
        applied_term: Arc::clone(&applied_term),
        bell: Arc::clone(&bell),
        store: Arc::clone(&setup.store),
        checkpoint: Arc::clone(&setup.checkpoint),
        alone: setup.begins.then(|| (setup.node_id, setup.address.clone())),
    };
    let machine = ShardStateMachine::open(&storage, machine).map_err(|error| failed(&error))?;
    let milliseconds = |duration: Duration| duration.as_millis() as u64;
    let config = openraft::Config {
        cluster_name: format!("shard-{}", shard.0),
        heartbeat_interval: milliseconds(setup.timing.heartbeat),
        election_timeout_min: milliseconds(setup.timing.election),
        election_timeout_max: milliseconds(setup.timing.election) * 2,
        snapshot_policy: SnapshotPolicy::Never,
        max_in_snapshot_log_to_keep: 0,
        enable_pre_vote: Some(true),
        ..openraft::Config::default()
    };
    let config = config.validate().map_err(|error| failed(&error))?;
    let network = Network {
        group: shard,
        transport: Arc::clone(&setup.transport),
    };
    let raft = Raft::new(setup.node_id, Arc::new(config), network, storage, machine).await;
    let raft: ShardRaft = raft.map_err(|error| failed(&error))?;
    if setup.begins {
        let initialized = raft.is_initialized().await;
        if initialized.map_err(|error| failed(&error))? {
            let elected = raft.trigger().elect(false).await;
            elected.map_err(|error| failed(&error))?;
        } else {
            let node = BasicNode::new(setup.address.clone());
            let begun = raft
                .initialize(BTreeMap::from([(setup.node_id, node)]))
                .await;
            begun.map_err(|error| failed(&error))?;
        }
    }
    let (feed, fed) = mpsc::unbounded_channel();
    tokio::spawn(group::feed(raft.clone(), fed));
    Ok(Arc::new(Group {
        shard,
        raft,
        bell,
        proposals,
        applied_term,
        accepted: Mutex::new(Accepted::default()),
        feed,
        clock: Arc::clone(&setup.clock),
    }))
}

/// Answers what another node's group asks.
async fn serve(raft: &ShardRaft, kind: u16, body: Bytes) -> Result<Bytes, String> {
    let failed = |error: &dyn std::fmt::Display| error.to_string();
    match kind {
        kind::APPEND => {
            let request = wire::read_append(body).map_err(|error| failed(&error))?;
            let answer = raft.append_entries(request).await;
            let answer = answer.map_err(|error| failed(&error))?;
            Ok(wire::write_append_answer(&answer))
        }
        kind::VOTE | kind::PRE_VOTE => {
            let request = wire::read_vote(body).map_err(|error| failed(&error))?;
            let answer = match kind {
                kind::VOTE => raft.vote(request).await,
                _ => raft.pre_vote(request).await,
            };
            let answer = answer.map_err(|error| failed(&error))?;
            Ok(wire::write_vote_answer(&answer))
        }
        kind::SNAPSHOT => {
            let message = wire::read_snapshot(body).map_err(|error| failed(&error))?;
            let (vote, snapshot) = message.into_parts();
            let answer = raft.install_full_snapshot(vote, snapshot).await;
            let answer = answer.map_err(|error| failed(&error))?;
            Ok(wire::write_snapshot_answer(&answer))
        }
        kind::TRANSFER => {
            let request = wire::read_transfer(body).map_err(|error| failed(&error))?;
            let answer = raft.handle_transfer_leader(request).await;
            let answer = answer.map_err(|error| failed(&error))?;
            answer.map_err(|error| failed(&error))?;
            Ok(Bytes::new())
        }
        _ => Err("this version knows no such request".to_owned()),
    }
}
