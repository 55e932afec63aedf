//! openraft's log storage on a shard.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use openraft::OptionalSend;
use openraft::storage::{IOFlushed, LogState, RaftLogStorage};
use openraft::type_config::alias;
use robustmq_log::{AppendError, Clock, CommandCompletion, DiskLog, ShardLog, SystemClock};
use robustmq_record::{Purge, ShardId, Truncate};
use tokio::sync::oneshot;

use crate::appender::Appender;
use crate::entry::Entry;
use crate::reader::ShardReader;
use crate::runtime::Executor;
use crate::types::{LogId, RaftVote, Types, batch_index, log_id, term_of, to_log_vote};

/// How long to wait before an order that found no room is given again.
const AGAIN_AFTER: Duration = Duration::from_millis(200);

/// A shard of the log as Raft's log.
pub struct ShardStorage {
    appender: Arc<Appender>,
    was_alone: bool,
    clock: Arc<dyn Clock>,
}

impl ShardStorage {
    /// The storage of one shard of a log that commits what it is told.
    ///
    /// # Panics
    /// When there is no such shard.
    #[must_use]
    pub fn new(log: Arc<DiskLog>, shard: ShardId, runtime: Executor) -> Self {
        Self {
            appender: Appender::new(log, shard, runtime),
            was_alone: false,
            clock: Arc::new(SystemClock::default()),
        }
    }

    /// For a log that may have been written without a group: it has a term then
    /// in which nobody stood for election.
    #[must_use]
    pub(crate) fn was_alone(self, was_alone: bool) -> Self {
        Self { was_alone, ..self }
    }

    #[must_use]
    pub(crate) fn with_clock(self, clock: Arc<dyn Clock>) -> Self {
        Self { clock, ..self }
    }

    pub(crate) fn appender(&self) -> &Arc<Appender> {
        &self.appender
    }

    /// Gives the log an order, again and again while there is no room, and
    /// waits for it.
    async fn order(&self, give: impl Fn(&DiskLog, CommandCompletion)) -> io::Result<()> {
        loop {
            let (done, outcome) = oneshot::channel();
            let completion = Box::new(move |result| {
                // Who asked may have gone: then nobody needs to know.
                let _ = done.send(result);
            });
            give(self.appender.log(), completion);
            let outcome = outcome.await.unwrap_or(Err(AppendError::Shutdown));
            match outcome {
                Ok(()) => return Ok(()),
                Err(AppendError::DiskFull | AppendError::Busy) => {
                    tokio::time::sleep(AGAIN_AFTER).await;
                }
                Err(error) => return Err(io::Error::other(error.to_string())),
            }
        }
    }
}

impl RaftLogStorage<Types> for ShardStorage {
    type LogReader = ShardReader;

    async fn get_log_state(&mut self) -> Result<LogState<Types>, io::Error> {
        let (log, shard) = (self.appender.log(), self.appender.shard());
        let position = log.position(shard);
        let unflushed = self.appender.last_unflushed();
        let last = unflushed.map(|batch| log_id(batch.term(), batch.index()));
        let purged = self.appender.id_before(position.log_start)?;
        let stored = self.appender.id_before(position.appended_end)?;
        Ok(LogState {
            last_purged_log_id: purged,
            last_log_id: last.max(stored),
        })
    }

    async fn get_log_reader(&mut self) -> ShardReader {
        ShardReader::new(Arc::clone(&self.appender), self.was_alone)
    }

    async fn save_vote(&mut self, vote: &alias::VoteOf<Types>) -> Result<(), io::Error> {
        let vote: &RaftVote = vote;
        let vote = to_log_vote(self.appender.shard(), vote);
        self.order(|log, done| log.store_vote(vote, done)).await
    }

    async fn save_committed(&mut self, committed: Option<LogId>) -> Result<(), io::Error> {
        if let Some(committed) = committed {
            self.appender.commit(batch_index(committed.index) + 1);
        }
        Ok(())
    }

    async fn read_committed(&mut self) -> Result<Option<LogId>, io::Error> {
        let (log, shard) = (self.appender.log(), self.appender.shard());
        self.appender.id_before(log.position(shard).commit_end)
    }

    async fn append<I>(&mut self, entries: I, callback: IOFlushed<Types>) -> Result<(), io::Error>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let shard = self.appender.shard();
        let now_ms = self.clock.wall_ms();
        let entries = entries.into_iter();
        let batches = entries.map(|entry| entry.into_batch(shard, now_ms));
        self.appender.append(batches.collect(), callback);
        Ok(())
    }

    async fn truncate_after(&mut self, last: Option<LogId>) -> Result<(), io::Error> {
        self.appender.wait_idle().await;
        let truncate = Truncate {
            shard: self.appender.shard(),
            term: last.as_ref().map(term_of).unwrap_or_default(),
            index_start: last.map_or(1, |last| batch_index(last.index) + 1),
        };
        self.order(|log, done| log.truncate(truncate, done)).await?;
        self.appender.cut_off(truncate.index_start);
        Ok(())
    }

    async fn purge(&mut self, upto: LogId) -> Result<(), io::Error> {
        self.appender.wait_idle().await;
        let index_end = batch_index(upto.index) + 1;
        // Raft gives up only what a snapshot covers.
        self.appender.commit(index_end);
        let purge = Purge {
            shard: self.appender.shard(),
            term: term_of(&upto),
            index_end,
        };
        self.order(|log, done| log.purge(purge, done)).await
    }
}
