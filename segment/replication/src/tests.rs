//! Raft on real logs: openraft's own suite of its storage, and restarts.

mod cluster;
mod nodes;
mod restart;
mod stream;
mod suite;

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use robustmq_log::{
    BatchSource, CommitRule, CommitSink, Disk, DiskLog, FatalLogError, LogConfig, MemoryDisk,
    TakenBatch,
};
use robustmq_record::{Batch, ShardId};

use crate::proposals::Proposals;
use crate::state_machine::StateMachineSetup;
use crate::{
    Checkpoint, Executor, MembershipStore, MemoryMembershipStore, ShardStateMachine, ShardStorage,
};

/// The shard under test; others stay empty.
const SHARD: ShardId = ShardId(1);

/// Nothing comes from the engine's side.
struct Nobody;

impl BatchSource for Nobody {
    fn take(&self, _shard: ShardId) -> Option<TakenBatch> {
        None
    }
}

/// Notes what is committed.
#[derive(Default)]
struct Committed(Mutex<Vec<Arc<Batch>>>);

impl CommitSink for Committed {
    fn committed(&self, batch: Arc<Batch>) {
        self.0.lock().push(batch);
    }

    fn failed(&self, _error: FatalLogError) {}
}

/// Views that are the number of the last entry in them.
#[derive(Default)]
struct Numbers(Mutex<u64>);

impl Checkpoint for Numbers {
    fn save(&self, _shard: ShardId, index_end: u64) -> io::Result<Bytes> {
        Ok(Bytes::copy_from_slice(&index_end.to_le_bytes()))
    }

    fn restore(&self, _shard: ShardId, index_end: u64, views: Bytes) -> io::Result<()> {
        assert_eq!(
            views,
            index_end.to_le_bytes()[..],
            "the views that were saved"
        );
        *self.0.lock() = index_end;
        Ok(())
    }
}

/// A node's disk, and what it notes.
struct Node {
    disk: Arc<MemoryDisk>,
    store: Arc<MemoryMembershipStore>,
    committed: Arc<Committed>,
    numbers: Arc<Numbers>,
}

impl Node {
    fn new() -> Self {
        Self {
            disk: Arc::new(MemoryDisk::default()),
            store: Arc::default(),
            committed: Arc::default(),
            numbers: Arc::default(),
        }
    }

    fn open(&self) -> (Arc<DiskLog>, ShardStorage, ShardStateMachine) {
        let config = LogConfig {
            shards: 2,
            segment_bytes: 64 << 10,
            commit: CommitRule::Told,
            ..LogConfig::default()
        };
        let disk = Arc::clone(&self.disk) as Arc<dyn Disk>;
        let sink = Arc::new(Committed::default());
        let (log, _) = DiskLog::open(disk, config, Arc::new(Nobody), sink).expect("it opens");
        let log = Arc::new(log);
        let runtime = Executor::on(tokio::runtime::Handle::current());
        let storage = ShardStorage::new(Arc::clone(&log), SHARD, runtime);
        let setup = StateMachineSetup {
            sink: Arc::clone(&self.committed) as Arc<dyn CommitSink>,
            turn: Arc::default(),
            proposals: Arc::new(Proposals::new(1, 1)),
            applied_term: Arc::default(),
            bell: Arc::default(),
            store: Arc::clone(&self.store) as Arc<dyn MembershipStore>,
            checkpoint: Arc::clone(&self.numbers) as Arc<dyn Checkpoint>,
            alone: None,
        };
        let machine = ShardStateMachine::open(&storage, setup).expect("it opens");
        (log, storage, machine)
    }
}
