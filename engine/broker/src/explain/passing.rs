//! When a reader passed a message, from the positions it stored in the log.

use robustmq_log::{ReadError, ReadLimits};
use robustmq_record::{Offset, OffsetToken, RecordRef, ShardId};
use robustmq_views::{InflightState, StateBody};

use crate::broker::Broker;
use crate::history::HistoryError;
use crate::shard_map::DEFAULT_NAMESPACE;

/// What the stored positions say about when the reader passed a message.
#[derive(Default)]
pub(super) struct Passing {
    /// When it was last known not to have passed it.
    pub(super) before_ms: Option<u64>,
    /// When it was first known to have passed it since then.
    pub(super) by_ms: Option<u64>,
    /// Somebody moved it over the message.
    pub(super) was_moved: bool,
}

/// Looks through the positions a reader stored since a moment. Blocks.
pub(super) fn passing(
    broker: &Broker,
    reader: &str,
    token: OffsetToken,
    since_ms: u64,
) -> Result<Passing, HistoryError> {
    let failed = |error: ReadError| HistoryError::failed(&error);
    let shard = broker.shard_map.session(DEFAULT_NAMESPACE, reader);
    let mut from = broker.reader.find_time(shard, since_ms).map_err(failed)?;
    let mut passing = Passing::default();
    loop {
        let chunk = broker
            .reader
            .read_state(shard, from, ReadLimits::default())
            .map_err(failed)?;
        for batch in &chunk.batches {
            let records = batch.records();
            for record in records.filter(|record| record.client_id() == reader) {
                passing.see(&record, token);
            }
        }
        if chunk.at_end || chunk.next <= from {
            return Ok(passing);
        }
        from = chunk.next;
    }
}

impl Passing {
    fn see(&mut self, record: &RecordRef<'_>, token: OffsetToken) {
        let Some((place, moved)) = stored_place(record, token.shard) else {
            return;
        };
        if place <= token.offset {
            self.before_ms = Some(record.timestamp_ms());
            self.by_ms = None;
            self.was_moved = false;
        } else if self.by_ms.is_none() {
            self.by_ms = Some(record.timestamp_ms());
            self.was_moved = moved;
        }
    }
}

/// Where a record says that its reader stands in a shard, what is in flight
/// included, and whether it was moved there.
fn stored_place(record: &RecordRef<'_>, shard: ShardId) -> Option<(Offset, bool)> {
    let in_shard = |places: &[(ShardId, Offset)]| {
        let own = places.iter().find(|(known, _)| *known == shard);
        own.map(|(_, offset)| *offset)
    };
    let lowest = |place: Offset, inflight: Vec<InflightState>| {
        let held = inflight.into_iter().filter(|entry| entry.shard == shard);
        held.map(|entry| entry.offset).fold(place, Ord::min)
    };
    match StateBody::decode(record).ok()? {
        StateBody::CursorStored {
            cursors, inflight, ..
        } => Some((lowest(in_shard(&cursors)?, inflight), false)),
        StateBody::SessionRewound { cursors } => Some((in_shard(&cursors)?, true)),
        StateBody::SessionCarried(carried) => {
            let session = carried.session;
            let place = *session.cursors.get(&shard)?;
            Some((lowest(place, session.inflight), false))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests;
