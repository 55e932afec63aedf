//! What is done with committed entries: readers see them, and the engine hears
//! of them, in order.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use futures_util::{Stream, TryStreamExt};
use openraft::entry::RaftEntry;
use openraft::storage::{EntryResponder, RaftSnapshotBuilder, RaftStateMachine};
use openraft::type_config::alias;
use openraft::{BasicNode, OptionalSend};
use parking_lot::Mutex;
use robustmq_log::{AppendError, CommitSink, ShardLog};
use robustmq_record::{Batch, ShardId};

use crate::appender::Appender;
use crate::membership::MembershipStore;
use crate::proposals::Proposals;
use crate::proposer::Bell;
use crate::storage::ShardStorage;
use crate::types::{LogId, Membership, StoredMembership, Types, batch_index, term_of};

/// The views of a shard as a whole, for a node that is too far behind for the
/// log.
pub trait Checkpoint: Send + Sync {
    /// Where a snapshot stands when everything before `applied_end` is applied:
    /// not later. What is behind it is taken from the log.
    fn index_end(&self, shard: ShardId, applied_end: u64) -> u64 {
        let _ = shard;
        applied_end
    }

    /// The views as they are after everything before `index_end`.
    ///
    /// # Errors
    /// When they cannot be read.
    fn save(&self, shard: ShardId, index_end: u64) -> io::Result<Bytes>;

    /// Puts views in place of those that are there.
    ///
    /// # Errors
    /// When they cannot be written.
    fn restore(&self, shard: ShardId, index_end: u64, views: Bytes) -> io::Result<()>;
}

/// What a shard's state machine works with.
pub(crate) struct StateMachineSetup {
    /// Who hears of committed batches.
    pub sink: Arc<dyn CommitSink>,
    /// Held while the engine is told of a batch and its proposer of the end.
    pub turn: Arc<Mutex<()>>,
    /// What this node has proposed.
    pub(crate) proposals: Arc<Proposals>,
    /// Noted when an entry of another term is applied, and whom to wake then.
    pub(crate) applied_term: Arc<AtomicU64>,
    pub(crate) bell: Arc<Bell>,
    /// Where memberships are kept.
    pub store: Arc<dyn MembershipStore>,
    /// Where snapshots come from.
    pub checkpoint: Arc<dyn Checkpoint>,
    /// This node and its address, if it is alone unless the log or the store
    /// says otherwise: a log from before it was a group's has no membership in
    /// it.
    pub alone: Option<(u64, String)>,
}

type Snapshot = alias::SnapshotOf<Types, Bytes>;
type SnapshotMeta = alias::SnapshotMetaOf<Types>;

/// A shard's state machine.
pub struct ShardStateMachine {
    appender: Arc<Appender>,
    setup: StateMachineSetup,
    applied: Option<LogId>,
    membership: StoredMembership,
    /// The last snapshot made or received.
    snapshot: Arc<Mutex<Option<Snapshot>>>,
}

impl ShardStateMachine {
    /// Goes on where the log says that entries were committed.
    ///
    /// # Errors
    /// When the membership or the last committed entry cannot be read.
    pub(crate) fn open(storage: &ShardStorage, setup: StateMachineSetup) -> io::Result<Self> {
        let appender = Arc::clone(storage.appender());
        let (log, shard) = (appender.log(), appender.shard());
        let position = log.position(shard);
        let applied = appender.id_before(position.commit_end)?;
        let membership = setup.store.load(shard).map_err(io::Error::other)?;
        let alone = setup.alone.clone().filter(|_| position.appended_end > 1);
        let alone = alone.and_then(|(node, address)| {
            let voters = vec![BTreeSet::from([node])];
            let nodes = BTreeMap::from([(node, BasicNode::new(address))]);
            let membership = Membership::new(voters, nodes).ok()?;
            Some(StoredMembership::new(applied, membership))
        });
        setup.applied_term.store(
            applied.as_ref().map_or(0, |id| term_of(id).0),
            Ordering::Release,
        );
        Ok(Self {
            applied,
            membership: membership.or(alone).unwrap_or_default(),
            appender,
            setup,
            snapshot: Arc::default(),
        })
    }

    /// Tells the engine, and whoever proposed the batch right after that, before
    /// the engine hears of any other batch. It may hold us back, but not those
    /// who vote.
    fn hand_over(&self, batch: &Arc<Batch>) {
        let hand_over = || {
            self.setup.sink.committed(Arc::clone(batch));
            if let Some((completion, held)) = self.setup.proposals.resolve(batch) {
                completion(Ok(Arc::clone(batch)));
                drop(held);
            }
            self.setup.sink.settled();
        };
        let turn = self.setup.turn.try_lock();
        if turn.is_some() && self.setup.sink.has_room() {
            hand_over();
            return;
        }
        drop(turn);
        self.appender.executor().block_in_place(|| {
            let _turn = self.setup.turn.lock();
            hand_over();
        });
    }

    fn snapshot_builder(&self) -> ShardSnapshot {
        ShardSnapshot {
            appender: Arc::clone(&self.appender),
            checkpoint: Arc::clone(&self.setup.checkpoint),
            applied: self.applied,
            membership: self.membership.clone(),
            last: Arc::clone(&self.snapshot),
        }
    }

    fn store_membership(&mut self, membership: StoredMembership) -> io::Result<()> {
        let shard = self.appender.shard();
        let stored = self.setup.store.store(shard, &membership);
        stored.map_err(io::Error::other)?;
        self.membership = membership;
        Ok(())
    }
}

impl RaftStateMachine<Types> for ShardStateMachine {
    type SnapshotData = Bytes;
    type SnapshotBuilder = ShardSnapshot;

    async fn applied_state(&mut self) -> Result<(Option<LogId>, StoredMembership), io::Error> {
        Ok((self.applied, self.membership.clone()))
    }

    async fn apply<Strm>(&mut self, mut entries: Strm) -> Result<(), io::Error>
    where
        Strm: Stream<Item = Result<EntryResponder<Types>, io::Error>> + Unpin + OptionalSend,
    {
        while let Some((entry, responder)) = entries.try_next().await? {
            let id = entry.id();
            if let Some(membership) = entry.get_membership() {
                self.store_membership(StoredMembership::new(Some(id), membership))?;
            }
            if let Some(batch) = entry.stored() {
                // Whoever hears of a batch can read it.
                self.appender.wait_flushed(batch.index() + 1).await;
                self.appender.commit(batch.index() + 1);
                self.hand_over(batch);
            }
            if let Some(responder) = responder {
                responder.send(());
            }
            self.applied = Some(id);
            let term = term_of(&id).0;
            if self.setup.applied_term.swap(term, Ordering::AcqRel) != term {
                self.setup.bell.wake();
            }
        }
        Ok(())
    }

    async fn get_snapshot_builder(&mut self) -> ShardSnapshot {
        self.snapshot_builder()
    }

    async fn install_snapshot(
        &mut self,
        meta: &SnapshotMeta,
        snapshot: Bytes,
    ) -> Result<(), io::Error> {
        let shard = self.appender.shard();
        let checkpoint = Arc::clone(&self.setup.checkpoint);
        let (index_end, views) = (index_end(meta), snapshot.clone());
        let restore = move || checkpoint.restore(shard, index_end, views);
        let executor = self.appender.executor();
        executor.run_blocking(restore).await??;
        // What it took the place of may hold what this node has proposed.
        self.setup.proposals.give_up(&AppendError::NotLeader);
        self.store_membership(meta.last_membership.clone())?;
        self.applied = meta.last_log_id;
        *self.snapshot.lock() = Some(Snapshot {
            meta: meta.clone(),
            snapshot,
        });
        Ok(())
    }

    async fn get_current_snapshot(&mut self) -> Result<Option<Snapshot>, io::Error> {
        let start = self
            .appender
            .log()
            .position(self.appender.shard())
            .log_start;
        let last = self.snapshot.lock().clone();
        match last {
            Some(last) if index_end(&last.meta) >= start => Ok(Some(last)),
            None if start <= 1 => Ok(None),
            // The log begins later than the last one says.
            _ => self.snapshot_builder().build_snapshot().await.map(Some),
        }
    }
}

fn index_end(meta: &SnapshotMeta) -> u64 {
    meta.last_log_id
        .as_ref()
        .map_or(1, |last| batch_index(last.index) + 1)
}

/// Makes a snapshot of a moment.
pub struct ShardSnapshot {
    appender: Arc<Appender>,
    checkpoint: Arc<dyn Checkpoint>,
    applied: Option<LogId>,
    membership: StoredMembership,
    last: Arc<Mutex<Option<Snapshot>>>,
}

impl ShardSnapshot {
    /// Where the snapshot stands, and who takes part then: a membership that is
    /// newer is as good.
    fn meta(&self) -> io::Result<SnapshotMeta> {
        let applied_end = self
            .applied
            .as_ref()
            .map_or(1, |last| batch_index(last.index) + 1);
        let shard = self.appender.shard();
        let index_end = self.checkpoint.index_end(shard, applied_end);
        if index_end >= applied_end {
            return Ok(SnapshotMeta {
                last_log_id: self.applied,
                last_membership: self.membership.clone(),
            });
        }
        let last = self.appender.id_before(index_end)?;
        let entry = (*self.membership.log_id()).min(last);
        let membership = self.membership.membership().clone();
        Ok(SnapshotMeta {
            last_log_id: last,
            last_membership: StoredMembership::new(entry, membership),
        })
    }
}

impl RaftSnapshotBuilder<Types> for ShardSnapshot {
    type SnapshotData = Bytes;

    async fn build_snapshot(&mut self) -> Result<Snapshot, io::Error> {
        let meta = self.meta()?;
        let (checkpoint, shard) = (Arc::clone(&self.checkpoint), self.appender.shard());
        let index_end = index_end(&meta);
        let save = move || checkpoint.save(shard, index_end);
        let snapshot = Snapshot {
            meta,
            snapshot: self.appender.executor().run_blocking(save).await??,
        };
        *self.last.lock() = Some(snapshot.clone());
        Ok(snapshot)
    }
}
