//! The nodes of a run: started, killed, replaced, waited for.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use robustmq_log::sim::Faults;
use robustmq_log::{Clock, ShardLog};
use robustmq_record::ShardId;
use robustmq_replication::{Groups, GroupsError};
use robustmq_views::testing::Chance;
use tokio::time::{sleep, timeout};

use super::Shared;
use crate::Planted;
use crate::node::{self, Kept, Running, SHARDS, SYNC_MS_MAX, World, address};
use crate::workload::Publisher;

/// How long a cluster that is whole may take to agree.
const CONVERGENCE_S_MAX: u64 = 120;
/// How long a change of who takes part may take before it is asked for again.
const CHANGE_PATIENCE: Duration = Duration::from_secs(5);
const TICK: Duration = Duration::from_millis(50);

/// All nodes.
pub(crate) struct Nodes {
    pub(crate) kept: BTreeMap<u64, Kept>,
    pub(crate) running: BTreeMap<u64, Running>,
    /// Who is meant to take part.
    pub(crate) members: BTreeSet<u64>,
    /// Changes of who takes part that are under way.
    pub(crate) changing: u64,
    /// Nothing goes wrong any more.
    pub(crate) is_healed: bool,
    /// Publishers are to stop.
    pub(crate) is_over: bool,
    next_id: u64,
    pub(super) chance: Chance,
}

#[derive(Clone)]
pub(super) struct Cluster {
    pub(super) world: World,
    pub(super) nodes: Shared,
}

impl Cluster {
    pub(super) fn new(world: World, seed: u64) -> Self {
        let nodes = Nodes {
            kept: BTreeMap::new(),
            running: BTreeMap::new(),
            members: BTreeSet::new(),
            changing: 0,
            is_healed: false,
            is_over: false,
            next_id: 1,
            chance: Chance::new(seed),
        };
        Self {
            world,
            nodes: Arc::new(parking_lot::Mutex::new(nodes)),
        }
    }

    /// One node begins, the others join; false if that fails.
    pub(super) async fn form(&self, nodes: u64) -> bool {
        for place in 0..nodes {
            let id = self.new_node();
            self.start(id, place == 0).await;
            self.nodes.lock().members.insert(id);
            if place > 0 {
                self.change(id, None).await;
            }
        }
        self.converges().await
    }

    /// A machine with nothing on it.
    fn new_node(&self) -> u64 {
        let mut nodes = self.nodes.lock();
        let id = nodes.next_id;
        nodes.next_id += 1;
        let seed = nodes.chance.below(u64::MAX);
        nodes.kept.insert(id, Kept::new(id, seed));
        id
    }

    /// Starts a node that does not run.
    pub(super) async fn start(&self, id: u64, begins: bool) {
        let kept = self.nodes.lock().kept.remove(&id);
        let Some(mut kept) = kept else { return };
        let started = node::start(&self.world, &mut kept, begins).await;
        let mut nodes = self.nodes.lock();
        nodes.kept.insert(id, kept);
        match started {
            Ok(running) => {
                self.world.trace.note(format_args!("node {id} is up"));
                let (failed, run) = (Arc::clone(&running.failed), running.run);
                nodes.running.insert(id, running);
                tokio::spawn(self.clone().watch(id, run, failed));
            }
            Err(reason) => {
                let trace = &self.world.trace;
                trace.fail(format_args!("node {id} does not start: {reason}"));
            }
        }
    }

    /// Ends a node whose log has failed, and starts it again.
    async fn watch(self, id: u64, run: u64, failed: Arc<tokio::sync::Notify>) {
        failed.notified().await;
        let still = self.nodes.lock().running.get(&id).map(|node| node.run);
        if still == Some(run) {
            let down_ms = 100 + self.nodes.lock().chance.below(2_000);
            self.kill(id, down_ms);
        }
    }

    /// Stops a node's machine; it starts again after a while.
    pub(super) fn kill(&self, id: u64, down_ms: u64) {
        {
            let mut nodes = self.nodes.lock();
            let Some(running) = nodes.running.remove(&id) else {
                return;
            };
            let kept = nodes.kept.get_mut(&id).expect("what runs is kept");
            self.world
                .trace
                .note(format_args!("node {id} stops for {down_ms} ms"));
            node::kill(&self.world, kept, running);
            if self.world.planted == Some(Planted::WipedComesBack) {
                kept.wipe();
            }
        }
        let cluster = self.clone();
        tokio::spawn(async move {
            sleep(Duration::from_millis(down_ms)).await;
            if cluster.nodes.lock().members.contains(&id) {
                cluster.start(id, false).await;
            }
        });
    }

    /// A node loses all it has; a new one takes its place.
    pub(super) async fn replace(self, old: u64) {
        {
            let mut nodes = self.nodes.lock();
            nodes.members.remove(&old);
            if let Some(running) = nodes.running.remove(&old) {
                let kept = nodes.kept.get_mut(&old).expect("what runs is kept");
                node::kill(&self.world, kept, running);
            }
            nodes.kept.remove(&old);
            nodes.changing += 1;
        }
        let new = self.new_node();
        let trace = &self.world.trace;
        trace.note(format_args!(
            "node {old} is wiped, node {new} takes its place"
        ));
        self.nodes.lock().members.insert(new);
        self.start(new, false).await;
        self.change(new, Some(old)).await;
        self.nodes.lock().changing -= 1;
        trace.note(format_args!("node {new} takes part"));
    }

    /// Makes one node a voter of all groups, after another has left.
    pub(super) async fn change(&self, new: u64, old: Option<u64>) {
        for shard in (0..=SHARDS).map(ShardId) {
            if let Some(old) = old {
                self.ask(|groups| async move { groups.remove(shard, old).await })
                    .await;
            }
            self.ask(|groups| async move { groups.add(shard, new, &address(new), true).await })
                .await;
        }
    }

    /// Asks all nodes, again and again, until one has done it.
    async fn ask<Done>(&self, ask: impl Fn(Arc<Groups>) -> Done)
    where
        Done: Future<Output = Result<(), GroupsError>>,
    {
        while self.world.trace.failure().is_none() {
            let all: Vec<Arc<Groups>> = {
                let nodes = self.nodes.lock();
                let all = nodes.running.values();
                all.map(|node| Arc::clone(&node.groups)).collect()
            };
            for groups in all {
                if let Ok(Ok(())) = timeout(CHANGE_PATIENCE, ask(groups)).await {
                    return;
                }
            }
            sleep(TICK).await;
            if self.world.trace.now_ms() > 3_600_000 {
                let trace = &self.world.trace;
                trace.fail(format_args!("a change of who takes part never ends"));
            }
        }
    }

    /// Ends all faults and starts what is down.
    pub(super) fn heal(&self) {
        self.world.trace.note(format_args!("everything heals"));
        self.world.network.heal();
        let mut nodes = self.nodes.lock();
        nodes.is_healed = true;
        for kept in nodes.kept.values() {
            if !kept.log_disk.has_crashed() {
                kept.log_disk.plan(Faults::default());
            }
            kept.sync_ms_max.store(SYNC_MS_MAX, Ordering::Relaxed);
        }
    }

    /// Waits until all nodes have the same; false if they never do.
    pub(super) async fn converges(&self) -> bool {
        let agree = async {
            loop {
                if self.world.trace.failure().is_some() {
                    return false;
                }
                if self.agree() {
                    return true;
                }
                sleep(TICK).await;
            }
        };
        if let Ok(agreed) = timeout(Duration::from_secs(CONVERGENCE_S_MAX), agree).await {
            return agreed;
        }
        let nodes = self.nodes.lock();
        let trace = &self.world.trace;
        for node in nodes.running.values() {
            for status in node.groups.status() {
                let position = node.log.position(status.shard);
                trace.note(format_args!("node {}: {status:?} {position:?}", node.id));
            }
        }
        trace.fail(format_args!(
            "{CONVERGENCE_S_MAX} s after everything healed the nodes {:?} (running: {:?}, changes under way: {}) do not agree",
            nodes.members,
            nodes.running.keys().collect::<Vec<_>>(),
            nodes.changing
        ));
        false
    }

    fn agree(&self) -> bool {
        let nodes = self.nodes.lock();
        if nodes.changing > 0 || !nodes.members.iter().eq(nodes.running.keys()) {
            return false;
        }
        (0..=SHARDS).map(ShardId).all(|shard| {
            let mut all = nodes.running.values().map(|node| {
                let position = node.log.position(shard);
                let status = node.groups.status().swap_remove(shard.0 as usize);
                let is_done = position.appended_end == position.visible_end()
                    && status.applied + 1 == position.appended_end;
                let leader = status.leader.filter(|_| is_done);
                leader.map(|leader| (leader, status.term, position.appended_end))
            });
            let first = all.next().flatten();
            first.is_some() && all.all(|other| other == first)
        })
    }

    /// Every node takes a message and sees it acknowledged.
    pub(super) async fn serves(&self, publisher: &mut Publisher) -> bool {
        let ids: Vec<u64> = self.nodes.lock().running.keys().copied().collect();
        for id in ids {
            let outcome = {
                let nodes = self.nodes.lock();
                let Some(node) = nodes.running.get(&id) else {
                    continue;
                };
                let wall_ms = nodes.kept[&id].clock.wall_ms();
                publisher.publish(&self.world, node, wall_ms)
            };
            let outcome = timeout(Duration::from_secs(30), outcome).await;
            if !matches!(outcome, Ok(Ok(true))) {
                let trace = &self.world.trace;
                trace.fail(format_args!(
                    "node {id} does not get a message stored although all is well: {outcome:?}"
                ));
                return false;
            }
        }
        true
    }

    /// Lets go of everything.
    pub(super) fn end(&self) {
        let running = std::mem::take(&mut self.nodes.lock().running);
        for node in running.into_values() {
            node.is_up.store(false, Ordering::Relaxed);
        }
    }
}
