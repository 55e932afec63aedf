//! Takes a shard's batches from the engine and proposes them.
//!
//! At most [`ROUNDS_MAX`] rounds are under way: one that is synced and one that
//! waits for it. What comes meanwhile gathers in the engine's hands, so that a
//! batch grows exactly as long as the syncs before it take.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use openraft::raft::ClientWriteResult;
use openraft::raft::responder::Responder;
use robustmq_log::{AppendError, BatchCompletion, BatchSource, DiskLog, TakenBatch};
use robustmq_record::{Batch, ShardId, Term};
use tokio::sync::Notify;

use crate::entry::Proposal;
use crate::replicated_log::ShardRaft;
use crate::types::Types;

/// Rounds under way at a time.
const ROUNDS_MAX: usize = 2;
/// Bytes proposed in one round.
const ROUND_BYTES_MAX: usize = 4 << 20;

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
    pub(crate) raft: ShardRaft,
    pub(crate) log: Arc<DiskLog>,
    pub(crate) source: Arc<dyn BatchSource>,
    pub(crate) bell: Arc<Bell>,
    /// Bytes of all shards that were proposed and may not have been written.
    pub(crate) proposed_bytes: Arc<AtomicUsize>,
}

impl Proposer {
    pub(crate) async fn run(self) {
        loop {
            self.bell.woken.notified().await;
            while self.bell.rounds.load(Ordering::SeqCst) < ROUNDS_MAX {
                if !self.propose().await {
                    break;
                }
            }
            if self.bell.is_stopping() && self.bell.rounds.load(Ordering::SeqCst) == 0 {
                return;
            }
        }
    }

    /// Proposes what there is as one round; false if that is nothing.
    async fn propose(&self) -> bool {
        let (mut round, mut bytes) = (None, 0);
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
            let round = round.get_or_insert_with(|| Arc::new(Round::new(&self.bell)));
            let waiting = Waiting {
                completion: Some(completion),
                size_bytes,
                proposed_bytes: Arc::clone(&self.proposed_bytes),
                _round: Arc::clone(round),
            };
            // The leader gives it its place.
            let proposal = Proposal(Arc::new(builder.finish(self.shard, 1, Term(0))));
            let outcome = Outcome::new(move |outcome| waiting.complete(outcome));
            // When Raft has ended, whoever waits is told by letting go of it.
            let _ = self.raft.client_write_ff(proposal, Some(outcome)).await;
        }
        round.is_some()
    }
}

/// Batches that were proposed together; when all have ended there is room for
/// others.
struct Round(Arc<Bell>);

impl Round {
    fn new(bell: &Arc<Bell>) -> Self {
        bell.rounds.fetch_add(1, Ordering::SeqCst);
        Self(Arc::clone(bell))
    }
}

impl Drop for Round {
    fn drop(&mut self) {
        self.0.rounds.fetch_sub(1, Ordering::SeqCst);
        self.0.wake();
    }
}

/// Who waits for a proposed batch; told exactly once.
struct Waiting {
    completion: Option<BatchCompletion>,
    size_bytes: usize,
    proposed_bytes: Arc<AtomicUsize>,
    _round: Arc<Round>,
}

impl Waiting {
    fn complete(mut self, outcome: ClientWriteResult<Types>) {
        let result = match outcome {
            Ok(written) => written.data.0.ok_or(AppendError::NotLeader),
            Err(_) => Err(AppendError::NotLeader),
        };
        self.tell(result);
    }

    fn tell(&mut self, result: Result<Arc<Batch>, AppendError>) {
        if let Some(completion) = self.completion.take() {
            self.proposed_bytes
                .fetch_sub(self.size_bytes, Ordering::Relaxed);
            completion(result);
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.tell(Err(AppendError::Shutdown));
    }
}

/// What an entry came to, for who proposed it: the batch as it was stored.
#[derive(Clone, Debug, Default)]
pub struct Applied(pub(crate) Option<Arc<Batch>>);

/// Called with what something that was asked of Raft came to, on the thread
/// that found out.
pub struct Outcome<T>(Box<dyn FnOnce(T) + Send>);

impl<T> Outcome<T> {
    fn new(call: impl FnOnce(T) + Send + 'static) -> Self {
        Self(Box::new(call))
    }
}

impl<T: Send + 'static> Responder<Types, T> for Outcome<T> {
    fn on_complete(self, result: T) {
        (self.0)(result);
    }
}
