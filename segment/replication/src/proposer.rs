//! Takes a shard's batches from the engine and proposes them.
//!
//! At most [`ROUNDS_MAX`] rounds are under way: one that is synced and one that
//! waits for it. What comes meanwhile gathers in the engine's hands, so that a
//! batch grows exactly as long as the syncs before it take.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use futures_util::StreamExt;
use futures_util::stream::FuturesOrdered;
use openraft::impls::ProgressResponder;
use openraft::raft::ClientWriteResult;
use robustmq_log::{AppendError, BatchCompletion, BatchSource, DiskLog, ShardLog, TakenBatch};
use robustmq_record::{Batch, ShardId, Term};
use tokio::sync::{Notify, oneshot};

use crate::entry::Proposal;
use crate::replicated_log::ShardRaft;
use crate::types::{Types, batch_index};

/// Rounds under way at a time.
const ROUNDS_MAX: usize = 2;
/// Bytes proposed in one round.
const ROUND_BYTES_MAX: usize = 4 << 20;

/// How a shard's proposer is told that there is something to do.
#[derive(Default)]
pub(crate) struct Bell {
    woken: Notify,
    stopping: AtomicBool,
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
    pub(crate) raft: ShardRaft,
    pub(crate) log: Arc<DiskLog>,
    pub(crate) source: Arc<dyn BatchSource>,
    pub(crate) bell: Arc<Bell>,
    /// Bytes of all shards that were proposed and may not have been written.
    pub(crate) proposed_bytes: Arc<AtomicUsize>,
}

/// Batches that were proposed together.
struct Round(Vec<Proposed>);

struct Proposed {
    outcome: oneshot::Receiver<ClientWriteResult<Types>>,
    completion: BatchCompletion,
    size_bytes: usize,
}

impl Proposer {
    pub(crate) async fn run(self) {
        let mut rounds = FuturesOrdered::new();
        loop {
            tokio::select! {
                biased;
                Some(()) = rounds.next(), if !rounds.is_empty() => {
                    // There may be more than the round before had room for.
                    if rounds.len() < ROUNDS_MAX && let Some(round) = self.propose().await {
                        rounds.push_back(self.complete(round));
                    }
                }
                () = self.bell.woken.notified(), if rounds.len() < ROUNDS_MAX => {
                    if let Some(round) = self.propose().await {
                        rounds.push_back(self.complete(round));
                    }
                }
            }
            if rounds.is_empty() && self.bell.is_stopping() {
                return;
            }
        }
    }

    /// Proposes what is there; none if that is nothing.
    async fn propose(&self) -> Option<Round> {
        let (mut round, mut bytes) = (Vec::new(), 0);
        while bytes < ROUND_BYTES_MAX
            && let Some(taken) = self.source.take(self.shard)
        {
            let TakenBatch {
                builder,
                completion,
            } = taken;
            let size_bytes = builder.size_bytes();
            let before = self.proposed_bytes.load(Ordering::Relaxed);
            if !self.log.has_room_for(before + size_bytes) {
                completion(Err(AppendError::DiskFull));
                continue;
            }
            bytes += size_bytes;
            self.proposed_bytes.fetch_add(size_bytes, Ordering::Relaxed);
            // The leader gives it its place.
            let batch = Arc::new(builder.finish(self.shard, 1, Term(0)));
            let (responder, outcome) = ProgressResponder::complete_only();
            let proposal = Proposal(batch);
            // That Raft has ended is heard of through the responder.
            let _ = self.raft.client_write_ff(proposal, Some(responder)).await;
            round.push(Proposed {
                outcome,
                completion,
                size_bytes,
            });
        }
        (!round.is_empty()).then_some(Round(round))
    }

    async fn complete(&self, round: Round) {
        for proposed in round.0 {
            let outcome = proposed.outcome.await;
            self.proposed_bytes
                .fetch_sub(proposed.size_bytes, Ordering::Relaxed);
            (proposed.completion)(self.result(outcome.ok()));
        }
    }

    fn result(&self, outcome: Option<ClientWriteResult<Types>>) -> Result<Arc<Batch>, AppendError> {
        match outcome {
            Some(Ok(written)) => {
                let index = batch_index(written.log_id.index);
                let batch = self.log.reader().entry(self.shard, index);
                match batch {
                    Ok(Some(batch)) => Ok(batch),
                    _ => Err(AppendError::Conflict("a stored batch cannot be read")),
                }
            }
            Some(Err(_)) => Err(AppendError::NotLeader),
            None => Err(AppendError::Shutdown),
        }
    }
}
