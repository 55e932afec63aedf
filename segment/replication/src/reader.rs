//! Raft reads its entries: from memory as long as they are there.

use std::fmt::Debug;
use std::io;
use std::ops::{Bound, RangeBounds};
use std::sync::Arc;
use std::time::Duration;

use openraft::OptionalSend;
use openraft::storage::RaftLogReader;
use openraft::type_config::alias;
use robustmq_log::{LogReader, ShardLog};
use robustmq_record::{Batch, NodeId};

use crate::appender::Appender;
use crate::entry::Entry;
use crate::types::{Types, batch_index, to_raft_vote};

/// Bytes of entries read at once, beyond the first, where Raft leaves it to us.
const READ_BYTES: usize = 1 << 20;

/// How often other nodes are asked for what is damaged.
const REPAIR_TICK: Duration = Duration::from_secs(1);

/// Reads a shard's entries and vote.
#[derive(Clone)]
pub struct ShardReader {
    appender: Arc<Appender>,
    log: LogReader,
    was_alone: bool,
}

impl ShardReader {
    pub(crate) fn new(appender: Arc<Appender>, was_alone: bool) -> Self {
        let log = appender.log().reader();
        Self {
            appender,
            log,
            was_alone,
        }
    }

    /// Batches from `start` on, up to `end` (exclusive) or until they are
    /// `bytes_max` long, at least one. What was given up is left out.
    async fn batches(&self, start: u64, end: u64, bytes_max: usize) -> io::Result<Vec<Arc<Batch>>> {
        let shard = self.appender.shard();
        let unflushed = self.appender.unflushed(start..end);
        let stored_end = unflushed.first().map_or(end, |first| first.index());
        let position = self.log.position(shard);
        let stored_end = stored_end.min(position.flushed_end);
        let mut index = start.max(position.local_start);
        let (mut found, mut bytes) = (Vec::new(), 0);
        while index < stored_end && bytes < bytes_max {
            let batch = match self.log.cached(shard, index) {
                Some(batch) => batch,
                None => self.stored(index).await?,
            };
            bytes += batch.size_bytes();
            index += 1;
            found.push(batch);
        }
        if index >= stored_end {
            for batch in unflushed {
                if bytes >= bytes_max {
                    break;
                }
                bytes += batch.size_bytes();
                found.push(batch);
            }
        }
        Ok(found)
    }

    /// A batch from the disk. What is damaged is waited for until another node
    /// can help out: passing it would make this node another one than the others.
    async fn stored(&self, index: u64) -> io::Result<Arc<Batch>> {
        let shard = self.appender.shard();
        loop {
            let log = self.log.clone();
            let read = move || log.entry_repaired(shard, index);
            let read = self.appender.executor().run_blocking(read).await?;
            if let Some(batch) = read.map_err(io::Error::other)? {
                return Ok(batch);
            }
            if index < self.log.position(shard).local_start {
                return Err(io::Error::other(format!("entry {index} was given up")));
            }
            tracing::error!(
                shard = shard.0,
                index,
                "an entry of the log is damaged, and no other node that is there has it: this shard waits"
            );
            tokio::time::sleep(REPAIR_TICK).await;
        }
    }
}

fn entries(batches: Vec<Arc<Batch>>) -> io::Result<Vec<Entry>> {
    let entries = batches.into_iter().map(Entry::of_batch);
    entries
        .map(|entry| entry.map_err(io::Error::other))
        .collect()
}

impl RaftLogReader<Types> for ShardReader {
    async fn try_get_log_entries<RB: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: RB,
    ) -> Result<Vec<Entry>, io::Error> {
        let start = match range.start_bound() {
            Bound::Included(start) => batch_index(*start),
            Bound::Excluded(start) => batch_index(*start) + 1,
            Bound::Unbounded => 1,
        };
        let end = match range.end_bound() {
            Bound::Included(end) => batch_index(*end) + 1,
            Bound::Excluded(end) => batch_index(*end),
            Bound::Unbounded => u64::MAX,
        };
        entries(self.batches(start, end, usize::MAX).await?)
    }

    async fn limited_get_log_entries(
        &mut self,
        start: u64,
        end: u64,
    ) -> Result<Vec<Entry>, io::Error> {
        let (start, end) = (batch_index(start), batch_index(end));
        entries(self.batches(start, end, READ_BYTES).await?)
    }

    async fn read_vote(&mut self) -> Result<Option<alias::VoteOf<Types>>, io::Error> {
        let vote = self.appender.log().vote(self.appender.shard());
        let nobody_stood = vote.voted_for == NodeId(0) && !vote.committed;
        if self.was_alone && nobody_stood {
            return Ok(None);
        }
        Ok(to_raft_vote(&vote))
    }
}
