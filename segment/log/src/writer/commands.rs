//! Raft's orders: entries that have their place, votes, truncations, purges.

use std::sync::Arc;

use robustmq_record::{Batch, Control, HEADER_LEN, Purge, ShardId, Term, Truncate, Vote};

use super::Writer;
use super::part::Placed;
use crate::error::AppendError;
use crate::inbox::{Command, Order};
use crate::reader::LogReader;
use crate::state::LogCounters;

/// Bytes of a vote's frame, the longest of those placed here.
const CONTROL_LEN: u64 = HEADER_LEN as u64 + 16;

impl Writer {
    pub(super) fn command(&mut self, command: Command) {
        let Command { order, completion } = command;
        let done = match self.state.fatal() {
            Some(fatal) => Err(AppendError::Poisoned(fatal.clone())),
            None => match order {
                Order::Entries(entries) => self.entries(entries),
                Order::Vote(vote) => self.store_vote(vote),
                Order::Truncate(truncate) => self.truncate(truncate),
                Order::Purge(purge) => self.purge(purge),
                Order::HandOver => {
                    self.state.hand_over();
                    Ok(())
                }
                Order::Seal { before_ms } => self.seal(before_ms),
            },
        };
        match done {
            Ok(()) => self.part.placed.push_back(Placed::Command(completion)),
            Err(error) => completion(Err(error)),
        }
    }

    /// Goes on to the next segment if this one has a batch from before; with the
    /// end of time as the moment also if it has none.
    fn seal(&mut self, before_ms: u64) -> Result<(), AppendError> {
        let oldest_ms = {
            let tables = self.active.segment.tables.read();
            let shards = (0..self.state.config.shards).map(ShardId);
            let first = |shard| tables.as_ref()?.shard(shard).first();
            shards
                .filter_map(|shard| first(shard).map(|entry| entry.timestamp_ms_min))
                .min()
        };
        let is_due = oldest_ms.map_or(before_ms == u64::MAX, |oldest| oldest < before_ms);
        if is_due {
            self.begin_segment();
            self.roll(HEADER_LEN as u64)?;
        }
        Ok(())
    }

    fn entries(&mut self, entries: Vec<Arc<Batch>>) -> Result<(), AppendError> {
        for batch in entries {
            self.known(batch.shard())?;
            let cell = self.state.cell(batch.shard());
            if batch.index() != cell.position.appended_end {
                return Err(AppendError::Conflict("the entry does not follow the log"));
            }
            if batch.term() < cell.appended_term {
                return Err(AppendError::Conflict(
                    "the entry's term is older than the log's",
                ));
            }
            // Where entries of older segments were cut off, the start of a new one
            // says that it has those which take their place.
            let starts = &self.active.segment.info.starts;
            let is_before = batch.index() < starts[batch.shard().0 as usize];
            let placed = match is_before.then(|| self.roll(0)) {
                Some(Err(error)) => Err(error),
                _ => self.place_batch(batch, &mut None),
            };
            if let Err(error) = placed {
                LogCounters::add(&self.state.counters.batches_refused, 1);
                return Err(error);
            }
        }
        Ok(())
    }

    fn known(&self, shard: ShardId) -> Result<(), AppendError> {
        if self.state.has_shard(shard) {
            return Ok(());
        }
        Err(AppendError::Conflict("there is no such shard"))
    }

    fn store_vote(&mut self, vote: Vote) -> Result<(), AppendError> {
        self.known(vote.shard)?;
        if vote.term < self.state.position(vote.shard).term {
            return Err(AppendError::Conflict("the vote's term is over"));
        }
        self.make_room(CONTROL_LEN, false)?;
        self.begin_segment();
        self.place_control(&Control::Vote(vote), Some(vote.shard));
        self.change_cell(vote.shard, |cell| {
            cell.vote = vote;
            cell.position.change(|position| position.term = vote.term);
        });
        Ok(())
    }

    /// Cuts off entries. What was placed before is flushed first, so that all
    /// that is cut off is in tables and caches.
    fn truncate(&mut self, truncate: Truncate) -> Result<(), AppendError> {
        let Truncate {
            shard, index_start, ..
        } = truncate;
        self.known(shard)?;
        self.flush()?;
        let position = self.state.position(shard);
        if index_start < position.commit_end {
            return Err(AppendError::Conflict("committed entries cannot be cut off"));
        }
        if index_start >= position.appended_end {
            return Ok(());
        }
        let term = self.term_before(shard, index_start)?;
        self.make_room(CONTROL_LEN, false)?;
        self.begin_segment();
        self.place_control(
            &Control::Truncate(Truncate { term, ..truncate }),
            Some(shard),
        );
        self.part.must_sync = true;
        self.flush()?;
        {
            let mut cell = self.state.cells[shard.0 as usize].lock();
            cell.position.change(|position| {
                position.appended_end = index_start;
                position.flushed_end = position.flushed_end.min(index_start);
            });
            cell.appended_term = term;
        }
        self.state.tail_cache.truncate(shard, index_start);
        if let Some(tables) = &mut *self.active.segment.tables.write() {
            tables.truncate(shard, index_start);
        }
        Ok(())
    }

    /// The term of the entry before an index.
    fn term_before(&self, shard: ShardId, index: u64) -> Result<Term, AppendError> {
        let position = self.state.position(shard);
        if index == position.local_start {
            return Ok(self.state.cell(shard).purged_term);
        }
        let entry = LogReader::new(Arc::clone(&self.state)).entry(shard, index - 1);
        match entry {
            Ok(Some(batch)) => Ok(batch.term()),
            _ => Err(AppendError::Conflict(
                "the entry before those to be cut off cannot be read",
            )),
        }
    }

    fn purge(&mut self, purge: Purge) -> Result<(), AppendError> {
        self.known(purge.shard)?;
        // Entries that were ordered before count as they stand afterwards.
        self.flush()?;
        let position = self.state.position(purge.shard);
        let is_beyond = purge.index_end > position.appended_end;
        if !is_beyond && purge.index_end > position.visible_end() {
            return Err(AppendError::Conflict(
                "only committed entries can be given up",
            ));
        }
        if purge.index_end <= position.log_start {
            return Ok(());
        }
        self.make_room(CONTROL_LEN, false)?;
        self.begin_segment();
        self.place_control(&Control::Purge(purge), Some(purge.shard));
        // Readers lose the entries only when that is written.
        self.flush()?;
        let mut cell = self.state.cells[purge.shard.0 as usize].lock();
        cell.position.change(|position| {
            let end = purge.index_end;
            // A snapshot took the place of entries that were never here.
            position.appended_end = position.appended_end.max(end);
            position.flushed_end = position.flushed_end.max(end);
            position.commit_end = position.commit_end.max(end);
            position.log_start = position.log_start.max(end);
            position.local_start = position.local_start.max(end);
        });
        if is_beyond {
            cell.appended_term = purge.term;
        }
        cell.purged_term = purge.term;
        Ok(())
    }
}

const _: () = assert!(CONTROL_LEN.is_multiple_of(8), "frames are aligned");
