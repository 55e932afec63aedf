//! Messages that a range picks one by one: the last of every topic.

use std::collections::VecDeque;

use robustmq_log::LogReader;
use robustmq_record::{Offset, ShardId};

use super::bookmark::Place;
use super::{HistoryError, HistoryMessage, Query};
use crate::positions::Positions;

/// Picked messages read at a time.
const AT_A_TIME: usize = 64;

/// A message's place in the order of time over all shards.
pub(super) type Order = (u64, ShardId, Offset);

/// How picked messages were asked for.
pub(super) struct Picking {
    range: (String, Option<String>),
    now_ms: u64,
    visible: Positions,
    left: VecDeque<(ShardId, Offset)>,
    /// The last one given.
    pub(super) given: Option<Order>,
}

impl Picking {
    pub(super) fn new(
        query: &Query,
        now_ms: u64,
        visible: Positions,
        picks: Vec<(ShardId, Offset)>,
    ) -> Self {
        Self {
            range: (query.from.clone(), query.to.clone()),
            now_ms,
            visible,
            left: picks.into(),
            given: None,
        }
    }

    pub(super) fn has_more(&self) -> bool {
        !self.left.is_empty()
    }

    /// The next ones to read.
    pub(super) fn take(&mut self, count_max: usize) -> Vec<(ShardId, Offset)> {
        let count = self.left.len().min(count_max).min(AT_A_TIME);
        self.left.drain(..count).collect()
    }

    /// Passes all up to the one that was given last.
    pub(super) fn skip(&mut self, given: Order) -> Result<(), HistoryError> {
        let (_, shard, offset) = given;
        let place = self.left.iter().position(|pick| *pick == (shard, offset));
        let Some(place) = place else {
            return Err(HistoryError::Asked(
                "what the cursor stood at has been removed since: begin again".to_owned(),
            ));
        };
        self.left.drain(..=place);
        self.given = Some(given);
        Ok(())
    }

    pub(super) fn behind(&self, after: Order) -> Place {
        Place::Picks {
            from: self.range.0.clone(),
            to: self.range.1.clone(),
            now_ms: self.now_ms,
            visible: self.visible.clone(),
            after,
        }
    }
}

/// Reads picked messages; none in the place of one that is gone.
pub(super) fn read(
    reader: &LogReader,
    wanted: Vec<(ShardId, Offset)>,
) -> Result<Vec<Option<HistoryMessage>>, HistoryError> {
    let read = |(shard, offset): (ShardId, Offset)| {
        let batch = reader.batch(shard, offset.index());
        let batch = batch.map_err(|error| HistoryError::failed(&error))?;
        Ok(batch.and_then(|batch| HistoryMessage::new(&batch, offset.slot(), None)))
    };
    wanted.into_iter().map(read).collect()
}
