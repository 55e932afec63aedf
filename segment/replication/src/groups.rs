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
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use openraft::async_runtime::watch::WatchReceiver;
use parking_lot::Mutex;
use robustmq_log::{AppendError, BatchSource, Clock, CommitSink, DiskLog, ShardLog};
use robustmq_record::ShardId;
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

use crate::begin::{begin, serve};
use crate::group::Group;
use crate::membership::MembershipStore;
use crate::proposer::Proposer;
use crate::repair;
use crate::runtime::Executor;
use crate::state_machine::Checkpoint;
use crate::transport::{Transport, kind};
use crate::types::Types;
use crate::wire;

/// How long the last batches may take when the groups are shut down.
const SHUTDOWN_PATIENCE: Duration = Duration::from_secs(4);

/// How long is waited for what.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// How often a leader shows that it is there.
    pub heartbeat: Duration,
    /// After what silence others stand for election: one and a half to two times
    /// this, drawn anew each time.
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
    /// Where the groups run; on a thread of their own if this is none.
    pub executor: Option<Executor>,
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
    pub(crate) groups: Vec<Arc<Group>>,
    proposers: Mutex<Vec<JoinHandle<()>>>,
    source: Arc<dyn BatchSource>,
    shards: u32,
    pub(crate) executor: Executor,
    runtime: Mutex<Option<Runtime>>,
}

impl Groups {
    /// Starts all groups. Everything that the log says is committed must have
    /// been applied by the sink.
    ///
    /// # Errors
    /// See [`GroupsError`].
    pub async fn start(setup: GroupsSetup) -> Result<Self, GroupsError> {
        let (executor, runtime) = match setup.executor.clone() {
            Some(executor) => (executor, None),
            None => {
                let mut threads = tokio::runtime::Builder::new_multi_thread();
                let threads = threads.worker_threads(1).thread_name("raft").enable_time();
                let runtime = threads.build().map_err(GroupsError::Thread)?;
                (Executor::on(runtime.handle().clone()), Some(runtime))
            }
        };
        let setup = Arc::new(setup);
        let turn = Arc::new(Mutex::new(()));
        let (mut groups, mut proposers) = (Vec::new(), Vec::new());
        for shard in (0..=setup.shards).map(ShardId) {
            let begun = begin(
                Arc::clone(&setup),
                shard,
                Arc::clone(&turn),
                executor.clone(),
            );
            let begun = executor.spawn(begun).await;
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
                proposers.push(executor.spawn(proposer.run()));
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
            executor,
            runtime: Mutex::new(runtime),
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
        self.term_led(shard).is_some()
    }

    /// The term in which this node leads a shard, once it has applied all that
    /// was before. What it decides then from what it has applied, and appends in
    /// that term only ([`robustmq_log::TakenBatch::term`]), nobody else decides.
    ///
    /// # Panics
    /// When there is no such shard.
    #[must_use]
    pub fn term_led(&self, shard: ShardId) -> Option<u64> {
        let group = &self.groups[shard.0 as usize];
        let leader = group.leadership().filter(|leader| leader.is_here)?;
        (group.applied_term() >= leader.term).then_some(leader.term)
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
        if kind == kind::FETCH {
            let log = self.log.reader();
            let answer = move || repair::answer(&log, group.shard, body);
            let answer = self.executor.run_blocking(answer);
            return async move { answer.await.map_err(|error| error.to_string())? }.boxed();
        }
        if kind == kind::PROPOSE {
            let accepted = wire::read_proposed(body)
                .map_err(|error| error.to_string())
                .and_then(|proposed| group.accept(proposed).map_err(str::to_owned));
            return futures_util::future::ready(accepted.map(|()| Bytes::new())).boxed();
        }
        let mut answer = async move { serve(&group.raft, kind, body).await }.boxed();
        // Its first step gives it to Raft: in the order in which they come, since
        // appends that overtake each other do not follow.
        let mut nobody = Context::from_waker(Waker::noop());
        match answer.as_mut().poll(&mut nobody) {
            Poll::Ready(answer) => futures_util::future::ready(answer).boxed(),
            Poll::Pending => answer,
        }
    }

    /// Where all groups stand, the metadata group last.
    #[must_use]
    pub fn status(&self) -> Vec<GroupStatus> {
        self.groups.iter().map(|group| status(group)).collect()
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

    /// Proposes what there is, waits for it, gives the lead away and ends the
    /// groups; the log goes on. Blocks; not to be called on the groups' threads.
    pub fn shutdown(&self) {
        let Some(runtime) = self.runtime.lock().take() else {
            return;
        };
        let ended = self.end();
        // A thread that belongs to another runtime must not wait itself.
        std::thread::scope(|scope| {
            let waited = scope.spawn(|| runtime.block_on(ended)).join();
            if waited.is_err() {
                tracing::error!("the groups did not end in order; see the message above");
            }
        });
        runtime.shutdown_background();
    }

    /// As [`Groups::shutdown`], for groups that run where they were told to.
    pub fn end(&self) -> impl Future<Output = ()> + Send + use<> {
        for group in &self.groups {
            group.bell.stop();
        }
        let proposers = std::mem::take(&mut *self.proposers.lock());
        let groups = self.groups.clone();
        async move {
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
        }
    }

    /// Ends the groups as they are, without a word to anybody: what waits is
    /// given up.
    pub fn abandon(&self) -> impl Future<Output = ()> + Send + use<> {
        for proposer in std::mem::take(&mut *self.proposers.lock()) {
            proposer.abort();
        }
        let groups = self.groups.clone();
        async move {
            for group in &groups {
                group.bell.stop();
                group.proposals.give_up(&AppendError::Shutdown);
                // It may have failed before: then it has ended already.
                let _ = group.raft.shutdown().await;
            }
        }
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

pub(crate) fn status(group: &Group) -> GroupStatus {
    // Not while the metrics are borrowed below: whoever changes them may wait for
    // that, and keeps further borrowers out until then.
    let leader = group.leadership().map(|leader| leader.node);
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
        leader,
        voters: membership.voter_ids().collect(),
        learners: membership.learner_ids().collect(),
        addresses: nodes.map(|(id, node)| (*id, node.addr.clone())).collect(),
        appended: metrics.last_log_index.map_or(0, index),
        applied: metrics.last_applied.map_or(0, |id| index(id.index)),
        matched: matched.collect(),
    }
}
