//! What is done with committed entries: readers see them, and the engine hears
//! of them, in order.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::{Stream, TryStreamExt};
use openraft::OptionalSend;
use openraft::entry::RaftEntry;
use openraft::storage::{ApplyResponder, EntryResponder, RaftSnapshotBuilder, RaftStateMachine};
use openraft::type_config::alias;
use parking_lot::Mutex;
use robustmq_log::{CommitSink, ShardLog};
use robustmq_record::{Batch, ShardId};

use crate::appender::Appender;
use crate::membership::MembershipStore;
use crate::proposer::Applied;
use crate::storage::ShardStorage;
use crate::types::{LogId, Membership, StoredMembership, Types, batch_index};

/// The views of a shard as a whole, for a node that is too far behind for the
/// log.
pub trait Checkpoint: Send + Sync {
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
pub struct StateMachineSetup {
    /// Who hears of committed batches.
    pub sink: Arc<dyn CommitSink>,
    /// Held while the engine is told of a batch and its proposer of the end.
    pub turn: Arc<Mutex<()>>,
    /// Where memberships are kept.
    pub store: Arc<dyn MembershipStore>,
    /// Where snapshots come from; a node that is alone needs none.
    pub checkpoint: Option<Arc<dyn Checkpoint>>,
    /// This node, if it is alone unless the log or the store says otherwise: a
    /// log from before it was a group's has no membership in it.
    pub alone: Option<u64>,
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
    pub fn open(storage: &ShardStorage, setup: StateMachineSetup) -> io::Result<Self> {
        let appender = Arc::clone(storage.appender());
        let (log, shard) = (appender.log(), appender.shard());
        let position = log.position(shard);
        let applied = appender.id_before(position.commit_end)?;
        let membership = setup.store.load(shard).map_err(io::Error::other)?;
        let alone = setup.alone.filter(|_| position.appended_end > 1);
        let alone = alone.map(|node| {
            let voters = vec![BTreeSet::from([node])];
            let membership = Membership::new_with_defaults(voters, []);
            StoredMembership::new(applied, membership)
        });
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
    fn hand_over(&self, batch: &Arc<Batch>, responder: Option<ApplyResponder<Types>>) {
        let hand_over = || {
            self.setup.sink.committed(Arc::clone(batch));
            if let Some(responder) = responder {
                responder.send(Applied(Some(Arc::clone(batch))));
            }
        };
        let turn = self.setup.turn.try_lock();
        if turn.is_some() && self.setup.sink.has_room() {
            hand_over();
            return;
        }
        drop(turn);
        tokio::task::block_in_place(|| {
            let _turn = self.setup.turn.lock();
            hand_over();
        });
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
                self.hand_over(batch, responder);
            } else if let Some(responder) = responder {
                responder.send(Applied(None));
            }
            self.applied = Some(id);
        }
        Ok(())
    }

    async fn get_snapshot_builder(&mut self) -> ShardSnapshot {
        ShardSnapshot {
            shard: self.appender.shard(),
            checkpoint: self.setup.checkpoint.clone(),
            meta: SnapshotMeta {
                last_log_id: self.applied,
                last_membership: self.membership.clone(),
            },
            last: Arc::clone(&self.snapshot),
        }
    }

    async fn install_snapshot(
        &mut self,
        meta: &SnapshotMeta,
        snapshot: Bytes,
    ) -> Result<(), io::Error> {
        let shard = self.appender.shard();
        let checkpoint = self.setup.checkpoint.clone();
        let checkpoint = checkpoint.ok_or_else(no_checkpoint)?;
        let (index_end, views) = (index_end(meta), snapshot.clone());
        let restore = move || checkpoint.restore(shard, index_end, views);
        let restored = tokio::task::spawn_blocking(restore).await;
        restored.map_err(io::Error::other)??;
        self.store_membership(meta.last_membership.clone())?;
        self.applied = meta.last_log_id;
        *self.snapshot.lock() = Some(Snapshot {
            meta: meta.clone(),
            snapshot,
        });
        Ok(())
    }

    async fn get_current_snapshot(&mut self) -> Result<Option<Snapshot>, io::Error> {
        Ok(self.snapshot.lock().clone())
    }
}

fn no_checkpoint() -> io::Error {
    io::Error::other("a node that is alone takes no snapshots")
}

fn index_end(meta: &SnapshotMeta) -> u64 {
    meta.last_log_id
        .as_ref()
        .map_or(1, |last| batch_index(last.index) + 1)
}

/// Makes a snapshot of a moment.
pub struct ShardSnapshot {
    shard: ShardId,
    checkpoint: Option<Arc<dyn Checkpoint>>,
    meta: SnapshotMeta,
    last: Arc<Mutex<Option<Snapshot>>>,
}

impl RaftSnapshotBuilder<Types> for ShardSnapshot {
    type SnapshotData = Bytes;

    async fn build_snapshot(&mut self) -> Result<Snapshot, io::Error> {
        let (checkpoint, shard) = (self.checkpoint.clone(), self.shard);
        let index_end = index_end(&self.meta);
        let save = move || match checkpoint {
            Some(checkpoint) => checkpoint.save(shard, index_end),
            // Raft wants one for what it was told is given up; nobody gets it.
            None => Ok(Bytes::new()),
        };
        let saved = tokio::task::spawn_blocking(save).await;
        let snapshot = Snapshot {
            meta: self.meta.clone(),
            snapshot: saved.map_err(io::Error::other)??,
        };
        *self.last.lock() = Some(snapshot.clone());
        Ok(snapshot)
    }
}
