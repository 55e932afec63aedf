//! Appends of one shard on their way to the disk.
//!
//! While one order is at the log, what Raft appends meanwhile is gathered and
//! becomes the next one: the batching is the sync in flight.

use std::collections::VecDeque;
use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use openraft::storage::IOFlushed;
use parking_lot::Mutex;
use robustmq_log::{AppendError, DiskLog, ShardLog};
use robustmq_record::{Batch, Mark, ShardId};
use tokio::sync::Notify;

use crate::runtime::Executor;
use crate::types::{LogId, Types, log_id};

/// How long to wait for room on the disk, or in the log's queue.
const AGAIN_AFTER: Duration = Duration::from_millis(200);

struct Submission {
    batches: Vec<Arc<Batch>>,
    flushed: IOFlushed<Types>,
}

#[derive(Default)]
struct State {
    /// Appended, and not known to be readable from the log; in index order.
    unflushed: VecDeque<Arc<Batch>>,
    waiting: Vec<Submission>,
    /// An order is at the log, or waits to be given again.
    is_ordered: bool,
    /// Up to here (exclusive) Raft said that entries are committed.
    commit_end: u64,
    told_full: bool,
    /// The mark of the last batch that has one.
    last_mark: Option<Mark>,
}

pub(crate) struct Appender {
    log: Arc<DiskLog>,
    shard: ShardId,
    state: Mutex<State>,
    changed: Notify,
    appended: Notify,
    runtime: Executor,
}

impl Appender {
    pub(crate) fn new(log: Arc<DiskLog>, shard: ShardId, runtime: Executor) -> Arc<Self> {
        let commit_end = log.position(shard).commit_end;
        Arc::new(Self {
            log,
            shard,
            state: Mutex::new(State {
                commit_end,
                ..State::default()
            }),
            changed: Notify::new(),
            appended: Notify::new(),
            runtime,
        })
    }

    pub(crate) fn shard(&self) -> ShardId {
        self.shard
    }

    pub(crate) fn executor(&self) -> &Executor {
        &self.runtime
    }

    pub(crate) fn log(&self) -> &Arc<DiskLog> {
        &self.log
    }

    /// What stands before an index that the log has, or had.
    pub(crate) fn id_before(&self, index_end: u64) -> io::Result<Option<LogId>> {
        if index_end <= 1 {
            return Ok(None);
        }
        let position = self.log.position(self.shard);
        let (appended, purged) = self.log.terms(self.shard);
        let term = if index_end == position.appended_end {
            appended
        } else {
            let found = self.log.reader().term_before(self.shard, index_end);
            found.map_err(io::Error::other)?.unwrap_or(purged)
        };
        Ok(Some(log_id(term, index_end - 1)))
    }

    /// Orders an append. The batches can be read at once.
    pub(crate) fn append(self: &Arc<Self>, batches: Vec<Arc<Batch>>, flushed: IOFlushed<Types>) {
        let mark = batches.iter().rev().find_map(|batch| batch.mark());
        let is_ordered = {
            let mut state = self.state.lock();
            state.last_mark = mark.or(state.last_mark);
            state.unflushed.extend(batches.iter().cloned());
            state.waiting.push(Submission { batches, flushed });
            std::mem::replace(&mut state.is_ordered, true)
        };
        self.appended.notify_waiters();
        if !is_ordered {
            self.order();
        }
    }

    /// Waits until the batch with this mark was the last one that Raft appended.
    pub(crate) async fn wait_appended(&self, mark: Mark) {
        loop {
            let appended = self.appended.notified();
            if self.state.lock().last_mark == Some(mark) {
                return;
            }
            appended.await;
        }
    }

    /// Gives the log all that waits.
    fn order(self: &Arc<Self>) {
        let submissions = std::mem::take(&mut self.state.lock().waiting);
        // Where there was no room for all of an order, the first ones may be there.
        let flushed_end = self.log.position(self.shard).flushed_end;
        let batches = submissions.iter().flat_map(|one| one.batches.iter());
        let batches = batches.filter(|batch| batch.index() >= flushed_end);
        let batches: Vec<Arc<Batch>> = batches.cloned().collect();
        let appender = Arc::clone(self);
        let completion = move |result| appender.handle_outcome(submissions, result);
        self.log.append_entries(batches, Box::new(completion));
    }

    fn handle_outcome(
        self: &Arc<Self>,
        submissions: Vec<Submission>,
        result: Result<(), AppendError>,
    ) {
        if let Err(error @ (AppendError::DiskFull | AppendError::Busy)) = &result {
            return self.order_again(submissions, error);
        }
        let result = result.map_err(|error| io::Error::other(error.to_string()));
        let more = {
            let mut state = self.state.lock();
            state.told_full = false;
            let flushed_end = self.log.position(self.shard).flushed_end;
            let is_flushed = |batch: &Arc<Batch>| batch.index() < flushed_end;
            while state.unflushed.front().is_some_and(is_flushed) {
                state.unflushed.pop_front();
            }
            self.log.commit(self.shard, state.commit_end);
            state.is_ordered = !state.waiting.is_empty();
            state.is_ordered
        };
        for submission in submissions {
            let told = result.as_ref().map(|&()| ());
            let told = told.map_err(|error| io::Error::other(error.to_string()));
            submission.flushed.io_completed(told);
        }
        self.changed.notify_waiters();
        if more {
            self.order();
        }
    }

    /// There is no room now: the same order again, before what came after it.
    fn order_again(self: &Arc<Self>, submissions: Vec<Submission>, error: &AppendError) {
        {
            let mut state = self.state.lock();
            if !std::mem::replace(&mut state.told_full, true) {
                tracing::warn!(shard = self.shard.0, %error, "what is to be appended waits");
            }
            let later = std::mem::replace(&mut state.waiting, submissions);
            state.waiting.extend(later);
        }
        let appender = Arc::clone(self);
        self.runtime.spawn(async move {
            tokio::time::sleep(AGAIN_AFTER).await;
            // When an order of nothing ends, what the log took of the one before is
            // flushed or was taken back.
            let log = Arc::clone(&appender.log);
            log.append_entries(Vec::new(), Box::new(move |_| appender.order()));
        });
    }

    /// Batches of the range that the log may not have yet.
    pub(crate) fn unflushed(&self, indexes: Range<u64>) -> Vec<Arc<Batch>> {
        let state = self.state.lock();
        let batches = state.unflushed.iter();
        let wanted = batches.filter(|batch| indexes.contains(&batch.index()));
        wanted.cloned().collect()
    }

    /// The last batch that was appended, if the log may not have it yet.
    pub(crate) fn last_unflushed(&self) -> Option<Arc<Batch>> {
        self.state.lock().unflushed.back().cloned()
    }

    /// Up to `commit_end` (exclusive) entries are committed. Readers see them
    /// as soon as they are stored here as well.
    pub(crate) fn commit(&self, commit_end: u64) {
        let mut state = self.state.lock();
        state.commit_end = state.commit_end.max(commit_end);
        self.log.commit(self.shard, state.commit_end);
    }

    /// Returns when everything before `index_end` is stored.
    pub(crate) async fn wait_flushed(&self, index_end: u64) {
        self.wait(|| self.log.position(self.shard).flushed_end >= index_end)
            .await;
    }

    /// Returns when no append is under way.
    pub(crate) async fn wait_idle(&self) {
        self.wait(|| !self.state.lock().is_ordered).await;
    }

    async fn wait(&self, is_so: impl Fn() -> bool) {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if is_so() {
                return;
            }
            changed.await;
        }
    }

    /// Forgets batches that were cut off.
    pub(crate) fn cut_off(&self, index_start: u64) {
        let mut state = self.state.lock();
        let keep = state
            .unflushed
            .partition_point(|batch| batch.index() < index_start);
        state.unflushed.truncate(keep);
        // What was cut off may be proposed again, and is then to be waited for again.
        state.last_mark = None;
    }
}
