//! What waits for the dispatch thread: batches from the log, which push back
//! when there are too many, and commands from connections, of which each
//! connection has at most one under way.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::{Condvar, Mutex};
use robustmq_log::{AppendError, FatalLogError};
use robustmq_record::{Batch, ShardId};

use super::command::Command;
use crate::mailbox::Waiters;

/// Batches that may wait before the log is made to wait: with them
/// full, mailboxes fill and publishers are no longer read from.
const BATCHES_MAX: usize = 64;

/// One thing to do for the dispatch thread.
pub(super) enum Input {
    /// A batch is committed.
    Committed(Arc<Batch>),
    /// The appends of the batch committed before this have ended.
    Ended(ShardId, Result<Arc<Batch>, AppendError>, Waiters),
    /// A connection wants something.
    Command(Command),
    /// The log has failed for good.
    Failed(FatalLogError),
    /// Do what is queued, then end.
    Stop,
}

#[derive(Default)]
struct State {
    inputs: VecDeque<Input>,
    batches: usize,
    stopping: bool,
    stopped: bool,
}

/// The queue.
#[derive(Default)]
pub(super) struct Queue {
    state: Mutex<State>,
    filled: Condvar,
    drained: Condvar,
}

impl Queue {
    /// Queues a committed batch, waiting while there are too many. Wakes nobody
    /// unless it waits: the batch's end comes next, or [`Queue::ring`], and the
    /// thread is to wake once for both.
    pub(super) fn push_batch(&self, batch: Arc<Batch>) {
        let mut state = self.state.lock();
        while state.batches >= BATCHES_MAX && !state.stopped {
            self.filled.notify_one();
            self.drained.wait(&mut state);
        }
        state.batches += 1;
        state.inputs.push_back(Input::Committed(batch));
    }

    /// Wakes the thread if there is something for it.
    pub(super) fn ring(&self) {
        if !self.state.lock().inputs.is_empty() {
            self.filled.notify_one();
        }
    }

    /// Whether a batch would be queued at once.
    pub(super) fn has_room(&self) -> bool {
        let state = self.state.lock();
        state.batches < BATCHES_MAX || state.stopped
    }

    /// Queues anything else.
    pub(super) fn push(&self, input: Input) {
        self.state.lock().inputs.push_back(input);
        self.filled.notify_one();
    }

    /// The end has been asked for: what cannot be done soon is given up.
    pub(super) fn stop(&self) {
        let mut state = self.state.lock();
        state.stopping = true;
        state.inputs.push_back(Input::Stop);
        drop(state);
        self.filled.notify_one();
    }

    /// Whether the end has been asked for.
    pub(super) fn is_stopping(&self) -> bool {
        self.state.lock().stopping
    }

    /// Waits until there is something and takes all of it.
    pub(super) fn take(&self, into: &mut VecDeque<Input>) {
        let mut state = self.state.lock();
        while state.inputs.is_empty() {
            self.filled.wait(&mut state);
        }
        std::mem::swap(&mut state.inputs, into);
        state.batches = 0;
        drop(state);
        self.drained.notify_all();
    }

    /// Nothing will be taken any more: nobody may wait for room.
    pub(super) fn close(&self) {
        self.state.lock().stopped = true;
        self.drained.notify_all();
    }
}
