//! Takes a shard's batches from the engine and proposes them to whoever leads
//! the group, here or on another node.
//!
//! At most [`ROUNDS_MAX`] rounds are under way: one that is synced and one that
//! waits for it. What comes meanwhile gathers in the engine's hands, so that a
//! batch grows exactly as long as the syncs before it take.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use openraft::async_runtime::watch::WatchReceiver;
use robustmq_log::{AppendError, BatchSource, TakenBatch};
use robustmq_record::{Mark, ShardId, Term};
use tokio::sync::Notify;

use crate::group::Group;
use crate::transport::{Transport, kind};
use crate::wire;

/// Rounds under way at a time.
const ROUNDS_MAX: usize = 2;
/// Bytes proposed in one round.
const ROUND_BYTES_MAX: usize = 4 << 20;
/// How long the leader may take to say that it has a batch.
const PROPOSE_TIMEOUT: Duration = Duration::from_secs(5);
/// After how long what may not have arrived is proposed again.
const AGAIN_AFTER: Duration = Duration::from_millis(50);

/// How a shard's proposer is told that there is something to do.
#[derive(Default)]
pub(crate) struct Bell {
    woken: Notify,
    stopping: AtomicBool,
    /// Rounds under way.
    rounds: AtomicUsize,
}

impl Bell {
    pub(crate) fn wake(&self) {
        self.woken.notify_one();
    }

    /// Asks the proposer to propose what there is and then to end.
    pub(crate) fn stop(&self) {
        self.stopping.store(true, Ordering::SeqCst);
        self.woken.notify_one();
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::SeqCst)
    }
}

pub(crate) struct Proposer {
    pub(crate) shard: ShardId,
    pub(crate) group: Arc<Group>,
    pub(crate) source: Arc<dyn BatchSource>,
    pub(crate) transport: Arc<dyn Transport>,
}

impl Proposer {
    pub(crate) async fn run(self) {
        let bell = &self.group.bell;
        let mut leadership = self.group.raft.server_metrics();
        loop {
            // In this order: chance has no part in it.
            tokio::select! {
                biased;
                () = bell.woken.notified() => {}
                changed = leadership.changed() => if changed.is_err() {
                    // The group has ended.
                    self.group.proposals.give_up(&AppendError::Shutdown);
                    return;
                }
            }
            while bell.rounds.load(Ordering::SeqCst) < ROUNDS_MAX && self.take_round() {}
            self.send();
            if bell.is_stopping() && bell.rounds.load(Ordering::SeqCst) == 0 {
                return;
            }
        }
    }

    /// Takes what there is as one round; false if that is nothing.
    fn take_round(&self) -> bool {
        let (mut round, mut bytes) = (None, 0);
        while bytes < ROUND_BYTES_MAX
            && let Some(taken) = self.source.take(self.shard)
        {
            let TakenBatch {
                mut builder,
                term,
                completion,
            } = taken;
            bytes += builder.size_bytes();
            let round = round.get_or_insert_with(|| Arc::new(Round::new(&self.group)));
            let mark = self.group.proposals.next_mark().encode();
            let mark = Mark::record(&mark, self.group.now_ms());
            builder.lift_limits();
            if builder.try_push(&mark).is_err() {
                completion(Err(AppendError::Conflict(
                    "the batch has no room for its mark",
                )));
                continue;
            }
            // The leader gives it its place.
            let batch = Arc::new(builder.finish(self.shard, 1, Term(0)));
            let held = Box::new(Arc::clone(round));
            self.group.proposals.push(batch, term, completion, held);
        }
        round.is_some()
    }

    /// Proposes what was not proposed to the leader of this term, once all of
    /// earlier terms is applied here.
    fn send(&self) {
        let group = &self.group;
        let Some(leader) = group.leadership() else {
            return;
        };
        if group.applied_term() < leader.term || !group.proposals.has_unsent(leader.term) {
            return;
        }
        let (attempt, unsent) = group.proposals.take_unsent(leader.term);
        for proposed in unsent {
            if leader.is_here {
                if let Err(reason) = group.accept(proposed) {
                    tracing::debug!(shard = self.shard.0, reason, "a batch was not accepted");
                    tokio::spawn(again(Arc::clone(group), attempt));
                    return;
                }
                continue;
            }
            let body = wire::write_proposed(self.shard, &proposed);
            let answer = self.transport.call(
                leader.node,
                &leader.address,
                kind::PROPOSE,
                body,
                PROPOSE_TIMEOUT,
            );
            let (group, node) = (Arc::clone(group), leader.node);
            tokio::spawn(async move {
                if let Err(error) = answer.await {
                    tracing::debug!(shard = group.shard.0, node, %error, "a batch may not have reached the leader");
                    again(group, attempt).await;
                }
            });
        }
    }
}

/// The leader may not have what was proposed to it: again, a little later.
async fn again(group: Arc<Group>, attempt: u64) {
    tokio::time::sleep(AGAIN_AFTER).await;
    group.proposals.send_again(attempt);
    group.bell.wake();
}

/// Batches that were proposed together; when all have ended there is room for
/// others.
struct Round(Arc<Group>);

impl Round {
    fn new(group: &Arc<Group>) -> Self {
        group.bell.rounds.fetch_add(1, Ordering::SeqCst);
        Self(Arc::clone(group))
    }
}

impl Drop for Round {
    fn drop(&mut self) {
        self.0.bell.rounds.fetch_sub(1, Ordering::SeqCst);
        self.0.bell.wake();
    }
}
