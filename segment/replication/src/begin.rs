//! How the group of a shard begins, and what it answers other nodes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use bytes::Bytes;
use openraft::{BasicNode, Raft, SnapshotPolicy};
use parking_lot::Mutex;
use robustmq_record::ShardId;
use tokio::sync::mpsc;

use crate::group::{self, Group, ShardRaft};
use crate::groups::{GroupsSetup, Timing};
use crate::network::Network;
use crate::proposals::{Accepted, Proposals};
use crate::proposer::Bell;
use crate::runtime::Executor;
use crate::state_machine::{ShardStateMachine, StateMachineSetup};
use crate::storage::ShardStorage;
use crate::transport::kind;
use crate::wire;

/// Starts the group of a shard.
pub(crate) async fn begin(
    setup: Arc<GroupsSetup>,
    shard: ShardId,
    turn: Arc<Mutex<()>>,
    executor: Executor,
) -> Result<Arc<Group>, String> {
    let failed = |error: &dyn std::fmt::Display| error.to_string();
    let storage = ShardStorage::new(Arc::clone(&setup.log), shard, executor);
    let storage = storage
        .was_alone(setup.begins)
        .with_clock(Arc::clone(&setup.clock));
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
    let config = config(shard, setup.timing)
        .validate()
        .map_err(|error| failed(&error))?;
    let network = Network {
        group: shard,
        transport: Arc::clone(&setup.transport),
    };
    let appender = Arc::clone(storage.appender());
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
    tokio::spawn(group::feed(raft.clone(), setup.node_id, appender, fed));
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

fn config(shard: ShardId, timing: Timing) -> openraft::Config {
    let milliseconds = |duration: Duration| duration.as_millis() as u64;
    openraft::Config {
        cluster_name: format!("shard-{}", shard.0),
        heartbeat_interval: milliseconds(timing.heartbeat),
        // A vote is refused for as long as the longest of these after the last sign
        // of a leader, and asked for one of these later: after one and a half to
        // two times what was asked for.
        election_timeout_min: milliseconds(timing.election) / 2,
        election_timeout_max: milliseconds(timing.election),
        snapshot_policy: SnapshotPolicy::Never,
        max_in_snapshot_log_to_keep: 0,
        enable_pre_vote: Some(true),
        // Others may hold, in this term, what this node had not synced when it
        // stopped: in the same term it would put something else in its place.
        enable_leader_restore: Some(false),
        ..openraft::Config::default()
    }
}

/// Answers what another node's group asks.
pub(crate) async fn serve(raft: &ShardRaft, kind: u16, body: Bytes) -> Result<Bytes, String> {
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
