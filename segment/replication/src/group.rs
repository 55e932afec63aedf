//! One shard's Raft group on this node.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use openraft::Raft;
use openraft::async_runtime::watch::WatchReceiver;
use openraft::vote::leader_id_std::{CommittedLeaderId, LeaderId};
use parking_lot::Mutex;
use robustmq_log::Clock;
use robustmq_record::{Batch, ShardId};
use tokio::sync::mpsc;

use crate::appender::Appender;
use crate::entry::Proposal;
use crate::proposals::{Accepted, Proposals, Verdict};
use crate::proposer::Bell;
use crate::state_machine::ShardStateMachine;
use crate::types::{Told, Types};
use crate::wire::Proposed;

/// After how long a batch that Raft does not take now is given to it again.
const AGAIN_AFTER: Duration = Duration::from_millis(10);

/// A shard's Raft group on this node.
pub(crate) type ShardRaft = Raft<Types, ShardStateMachine>;

/// Who leads a group, as far as this node knows.
#[derive(Clone, Debug)]
pub(crate) struct Leadership {
    pub(crate) term: u64,
    pub(crate) node: u64,
    /// Where that node is reached.
    pub(crate) address: String,
    /// Whether it is this node.
    pub(crate) is_here: bool,
}

pub(crate) struct Group {
    pub(crate) shard: ShardId,
    pub(crate) raft: ShardRaft,
    pub(crate) bell: Arc<Bell>,
    pub(crate) proposals: Arc<Proposals>,
    /// The term of the last entry that was applied here.
    pub(crate) applied_term: Arc<AtomicU64>,
    pub(crate) accepted: Mutex<Accepted>,
    /// What was accepted, on its way to Raft, with its term.
    pub(crate) feed: mpsc::UnboundedSender<(u64, Arc<Batch>)>,
    pub(crate) clock: Arc<dyn Clock>,
}

impl Group {
    pub(crate) fn now_ms(&self) -> u64 {
        self.clock.wall_ms()
    }

    pub(crate) fn applied_term(&self) -> u64 {
        self.applied_term.load(Ordering::Acquire)
    }

    /// Who leads. Read from what the proposer waits for a change of: Raft tells the
    /// rest of its metrics a moment later.
    pub(crate) fn leadership(&self) -> Option<Leadership> {
        let metrics = self.raft.server_metrics();
        let metrics = metrics.borrow_watched();
        let vote = &metrics.vote;
        if !vote.committed {
            return None;
        }
        let node = vote.leader_id.voted_for;
        let membership = metrics.membership_config.membership();
        let address = membership.get_node(&node).map(|node| node.addr.clone());
        Some(Leadership {
            term: vote.leader_id.term,
            node,
            address: address?,
            is_here: node == metrics.id,
        })
    }

    /// A batch that this node is to append as the leader of its term.
    ///
    /// # Errors
    /// When this node does not lead in that term, or something is missing before
    /// the batch.
    pub(crate) fn accept(&self, proposed: Proposed) -> Result<(), &'static str> {
        let mut accepted = self.accepted.lock();
        if accepted.term != proposed.term {
            let leads = self
                .leadership()
                .is_some_and(|leader| leader.is_here && leader.term == proposed.term);
            if !leads || accepted.term > proposed.term {
                return Err("this node does not lead in that term");
            }
            accepted.begin(proposed.term);
        }
        match accepted.judge(&proposed) {
            Verdict::Known => Ok(()),
            Verdict::Gap => Err("something is missing before the batch"),
            Verdict::Append => {
                let fed = self.feed.send((proposed.term, proposed.batch));
                fed.map_err(|_| "the group has ended")
            }
        }
    }
}

/// Gives Raft what was accepted, in order. Raft appends it in the term it is
/// for, or not at all.
///
/// A leader whose lease has run out, or that hands its lead on, refuses a batch
/// and may take the next one a moment later, in the same term. So each batch is
/// seen to be appended before the next one is given, and one that was refused is
/// given again for as long as this node leads in its term.
pub(crate) async fn feed(
    raft: ShardRaft,
    own: u64,
    appender: Arc<Appender>,
    mut fed: mpsc::UnboundedReceiver<(u64, Arc<Batch>)>,
) {
    let mut told_in = 0;
    while let Some((term, batch)) = fed.recv().await {
        let leader = CommittedLeaderId::new(term);
        while let Some(mark) = batch.mark() {
            let (told, outcome) = Told::new();
            let write = raft.write(Proposal(Arc::clone(&batch))).with_leader(leader);
            if write.responder(told).await.is_err() {
                return;
            }
            let refusal = tokio::select! {
                biased;
                () = appender.wait_appended(mark) => break,
                outcome = outcome => match outcome {
                    Ok(Ok(_)) => break,
                    Ok(Err(refusal)) => refusal,
                    // The group has ended.
                    Err(_) => return,
                },
            };
            if std::mem::replace(&mut told_in, term) != term {
                tracing::debug!(shard = appender.shard().0, term, %refusal, "Raft does not take a batch now");
            }
            let vote = raft.server_metrics().borrow_watched().vote;
            if vote.leader_id
                != (LeaderId {
                    term,
                    voted_for: own,
                })
                || !vote.committed
            {
                // Whoever proposed it proposes it again in the next term.
                break;
            }
            tokio::time::sleep(AGAIN_AFTER).await;
        }
    }
}
