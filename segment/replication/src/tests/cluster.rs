//! Three nodes of one shard, each with its own log, in one process: what is
//! acknowledged is on a majority, and stays.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use openraft::errors::{RPCError, ReplicationClosed, StreamingError, Unreachable};
use openraft::network::{RPCOption, RaftNetworkFactory, RaftNetworkV2};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, VoteRequest, VoteResponse,
};
use openraft::type_config::alias;
use openraft::{BasicNode, OptionalSend, Raft, SnapshotPolicy};
use parking_lot::Mutex;
use robustmq_log::{DiskLog, ShardLog};
use robustmq_record::{Batch, BatchBuilder, BatchLimits, KIND_MESSAGE, RecordInput, Term};

use super::{Node, SHARD};
use crate::{Proposal, ShardStateMachine, Types};

type TestRaft = Raft<Types, ShardStateMachine>;

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Carries requests within the process, but not to or from nodes cut off.
#[derive(Clone, Default)]
struct Network {
    nodes: Arc<Mutex<HashMap<u64, TestRaft>>>,
    cut_off: Arc<Mutex<HashSet<u64>>>,
}

/// From one node to another.
struct Link {
    network: Network,
    from: u64,
    to: u64,
}

fn unreachable_node(reason: impl ToString) -> Unreachable<Types> {
    Unreachable::from_string(reason)
}

impl Link {
    fn target(&self) -> Result<TestRaft, Unreachable<Types>> {
        let cut_off = self.network.cut_off.lock();
        if cut_off.contains(&self.from) || cut_off.contains(&self.to) {
            return Err(unreachable_node("cut off"));
        }
        let node = self.network.nodes.lock().get(&self.to).cloned();
        node.ok_or_else(|| unreachable_node("down"))
    }
}

#[derive(Clone)]
struct From {
    network: Network,
    node: u64,
}

impl RaftNetworkFactory<Types> for From {
    type Network = Link;

    async fn new_client(&mut self, target: u64, _node: &BasicNode) -> Link {
        Link {
            network: self.network.clone(),
            from: self.node,
            to: target,
        }
    }
}

impl RaftNetworkV2<Types> for Link {
    type SnapshotData = Bytes;

    async fn append_entries(
        &mut self,
        request: AppendEntriesRequest<Types>,
        _option: RPCOption,
    ) -> Result<AppendEntriesResponse<Types>, RPCError<Types>> {
        let answer = self.target()?.append_entries(request).await;
        Ok(answer.map_err(unreachable_node)?)
    }

    async fn vote(
        &mut self,
        request: VoteRequest<Types>,
        _option: RPCOption,
    ) -> Result<VoteResponse<Types>, RPCError<Types>> {
        let answer = self.target()?.vote(request).await;
        Ok(answer.map_err(unreachable_node)?)
    }

    async fn pre_vote(
        &mut self,
        request: VoteRequest<Types>,
        _option: RPCOption,
    ) -> Result<VoteResponse<Types>, RPCError<Types>> {
        let answer = self.target()?.pre_vote(request).await;
        Ok(answer.map_err(unreachable_node)?)
    }

    async fn full_snapshot(
        &mut self,
        vote: alias::VoteOf<Types>,
        snapshot: alias::SnapshotOf<Types, Bytes>,
        _cancel: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        _option: RPCOption,
    ) -> Result<SnapshotResponse<Types>, StreamingError<Types>> {
        let answer = self.target()?.install_full_snapshot(vote, snapshot).await;
        Ok(answer.map_err(unreachable_node)?)
    }
}

/// Three nodes; some of them run.
struct Cluster {
    network: Network,
    nodes: BTreeMap<u64, Node>,
    running: BTreeMap<u64, (Arc<DiskLog>, TestRaft)>,
}

impl Cluster {
    async fn start() -> Self {
        let mut cluster = Self {
            network: Network::default(),
            nodes: (1..=3).map(|id| (id, Node::new())).collect(),
            running: BTreeMap::new(),
        };
        for id in 1..=3 {
            cluster.run(id).await;
        }
        let members = (1..=3).map(|id| (id, BasicNode::new(format!("node-{id}"))));
        let members: BTreeMap<u64, BasicNode> = members.collect();
        let begun = cluster.running[&1].1.initialize(members).await;
        begun.expect("it is new");
        cluster
    }

    async fn run(&mut self, id: u64) {
        let (log, storage, machine) = self.nodes[&id].open();
        let config = openraft::Config {
            heartbeat_interval: 50,
            election_timeout_min: 200,
            election_timeout_max: 400,
            snapshot_policy: SnapshotPolicy::Never,
            ..openraft::Config::default()
        };
        let config = Arc::new(config.validate().expect("it is sound"));
        let network = From {
            network: self.network.clone(),
            node: id,
        };
        let raft = Raft::new(id, config, network, storage, machine).await;
        let raft = raft.expect("it starts");
        self.network.nodes.lock().insert(id, raft.clone());
        self.running.insert(id, (log, raft));
    }

    /// Ends a node without any farewell.
    async fn kill(&mut self, id: u64) {
        self.network.nodes.lock().remove(&id);
        let (log, raft) = self.running.remove(&id).expect("it runs");
        raft.shutdown().await.expect("it ends");
        log.shutdown();
    }

    /// Who leads among nodes that are not cut off.
    async fn leader(&self) -> u64 {
        let look = async {
            loop {
                for (id, (_, raft)) in &self.running {
                    let is_cut_off = self.network.cut_off.lock().contains(id);
                    if !is_cut_off && raft.current_leader().await == Some(*id) {
                        return *id;
                    }
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let found = tokio::time::timeout(PATIENCE, look).await;
        found.expect("somebody leads")
    }

    /// Proposes a message to whoever leads until it is acknowledged.
    async fn publish(&self, payload: &str) {
        let publish = async {
            loop {
                let leader = self.leader().await;
                let written = self.running[&leader].1.client_write(proposal(payload));
                let patience = Duration::from_secs(2);
                if let Ok(Ok(_)) = tokio::time::timeout(patience, written).await {
                    return;
                }
            }
        };
        let published = tokio::time::timeout(PATIENCE, publish).await;
        published.expect("a majority is there");
    }

    /// Waits until a node's readers see what another one's do.
    async fn wait_for_the_same(&self, one: u64, other: u64) -> Vec<String> {
        let wait = async {
            loop {
                let (ours, theirs) = (self.messages(one), self.messages(other));
                if ours == theirs {
                    return ours;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let same = tokio::time::timeout(PATIENCE, wait).await;
        same.expect("they come to agree")
    }

    fn messages(&self, id: u64) -> Vec<String> {
        let reader = self.running[&id].0.reader();
        let position = reader.position(SHARD);
        let indexes = position.local_start..position.visible_end();
        let batches = indexes.filter_map(|index| reader.batch(SHARD, index).expect("it is there"));
        let mut found = Vec::new();
        for batch in batches {
            let messages = batch.records().filter(|one| one.kind() == KIND_MESSAGE);
            found.extend(messages.map(|one| String::from_utf8_lossy(one.payload()).into_owned()));
        }
        found
    }
}

fn proposal(payload: &str) -> Proposal {
    let mut builder = BatchBuilder::new(BatchLimits::default());
    let record = RecordInput {
        namespace: "default",
        topic: "t",
        payload: payload.as_bytes(),
        ..RecordInput::default()
    };
    builder.try_push(&record).expect("it is small");
    let batch: Batch = builder.finish(SHARD, 1, Term(0));
    Proposal(Arc::new(batch))
}

/// That every acknowledged message is there, in order; one that was proposed
/// again because its answer was lost may be there twice.
fn assert_holds(found: &[String], acknowledged: &[String]) {
    let mut rest = found.iter();
    for payload in acknowledged {
        assert!(
            rest.any(|one| one == payload),
            "{payload} is missing or out of order in {found:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_loss_of_any_one_node_loses_nothing_acknowledged() {
    let mut cluster = Cluster::start().await;
    let mut acknowledged = Vec::new();
    for round in 0..6 {
        for number in 0..20 {
            let payload = format!("{round}/{number}");
            cluster.publish(&payload).await;
            acknowledged.push(payload);
        }
        let leader = cluster.leader().await;
        // The leader, and then one of those that follow.
        let victim = if round % 2 == 0 {
            leader
        } else {
            leader % 3 + 1
        };
        cluster.kill(victim).await;
        for number in 20..40 {
            let payload = format!("{round}/{number}");
            cluster.publish(&payload).await;
            acknowledged.push(payload);
        }
        cluster.run(victim).await;
        let leader = cluster.leader().await;
        let found = cluster.wait_for_the_same(leader, victim).await;
        assert_holds(&found, &acknowledged);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_is_cut_off_acknowledges_nothing_and_gives_way() {
    let cluster = Cluster::start().await;
    cluster.publish("before").await;
    let old = cluster.leader().await;
    cluster.network.cut_off.lock().insert(old);
    let raft = cluster.running[&old].1.clone();
    let lost = tokio::spawn(async move { raft.client_write(proposal("lost")).await.is_ok() });
    cluster.publish("after").await;
    let new = cluster.leader().await;
    assert_ne!(new, old);
    cluster.network.cut_off.lock().clear();
    let found = cluster.wait_for_the_same(new, old).await;
    let was_acknowledged = lost.await.expect("it ends");
    assert!(!was_acknowledged, "on a minority");
    assert!(!found.contains(&"lost".to_owned()), "{found:?}");
    assert_holds(&found, &["before".to_owned(), "after".to_owned()]);
}
