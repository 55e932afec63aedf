//! What is placed for one write: frames of one segment, and who waits for them.

use std::collections::VecDeque;
use std::sync::Arc;

use robustmq_record::{Batch, BatchEntry, Lsn, ShardId};

use crate::shard_log::{BatchCompletion, CommandCompletion};
use crate::state::ShardCell;

pub(super) enum Placed {
    Batch {
        batch: Arc<Batch>,
        entry: BatchEntry,
        completion: Option<BatchCompletion>,
    },
    /// Completed when everything before it is.
    Command(CommandCompletion),
}

pub(super) struct Part {
    /// The frames, one after the other.
    pub(super) buffer: Vec<u8>,
    pub(super) placed: VecDeque<Placed>,
    /// What cells were before, to take the part back.
    pub(super) undo: Vec<(ShardId, ShardCell)>,
    /// The number of the first frame.
    pub(super) lsn_start: Lsn,
    /// To be synced whatever the policy says.
    pub(super) must_sync: bool,
}

impl Part {
    pub(super) fn new(lsn_start: Lsn) -> Self {
        Self {
            buffer: Vec::new(),
            placed: VecDeque::new(),
            undo: Vec::new(),
            lsn_start,
            must_sync: false,
        }
    }

    /// The frames are written; new ones begin with this number.
    pub(super) fn begin(&mut self, lsn_start: Lsn) {
        self.buffer.clear();
        self.undo.clear();
        self.lsn_start = lsn_start;
        self.must_sync = false;
    }
}
