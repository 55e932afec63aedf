//! Places to go to: what a position is in the log, what lies between two, and
//! where one comes to by going so many messages on or back.

use std::sync::Arc;

use robustmq_log::ReadLimits;
use robustmq_protocol::topic::{ReplayPosition, ReplayRange};
use robustmq_record::{Offset, ShardId};

use super::reader::resolve;
use super::{HistoryError, HistoryReader, blocking};
use crate::broker::Broker;
use crate::dispatch::KIND_MESSAGE;
use crate::positions::Positions;
use crate::subscriptions::Subscriptions;

/// How far a shift may go, messages.
pub const SHIFT_MAX: u64 = 100_000;

/// Messages looked at in one step.
const PAGE: usize = 4096;

/// Messages between two places, by what going from one to the other does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Between {
    /// Delivered again.
    pub(crate) again: u64,
    /// Passed over.
    pub(crate) skipped: u64,
}

/// Where a position lies, to the record.
pub(crate) async fn place(
    broker: &Arc<Broker>,
    filter: &str,
    position: ReplayPosition,
) -> Result<Positions, HistoryError> {
    if matches!(position, ReplayPosition::Last(_) | ReplayPosition::At(_)) {
        let text = "last: and at: pick messages and are no place to go to: give a time, an offset, earliest or latest";
        return Err(HistoryError::Asked(text.to_owned()));
    }
    let (inner, filter) = (Arc::clone(broker), filter.to_owned());
    blocking(broker, move || {
        let range = ReplayRange {
            start: position,
            end: None,
        };
        let visible = inner.dispatch.progress().positions();
        let now_ms = inner.clock.wall_ms();
        let resolved = resolve(&inner, &filter, &range, now_ms, visible)?;
        let exact = |(shard, offset)| {
            let exact = first_since(&inner, shard, offset, resolved.since_ms)?;
            Ok((shard, exact))
        };
        resolved.from.iter().map(exact).collect()
    })
    .await
}

/// The first record of the batch at `offset` that is not older than a moment.
fn first_since(
    broker: &Broker,
    shard: ShardId,
    offset: Offset,
    since_ms: u64,
) -> Result<Offset, HistoryError> {
    if since_ms == 0 || offset >= broker.dispatch.progress().positions().get(shard) {
        return Ok(offset);
    }
    let limits = ReadLimits {
        bytes_max: 1,
        batches_max: 1,
    };
    let chunk = broker
        .reader
        .read(shard, offset, None, limits)
        .map_err(|error| HistoryError::failed(&error))?;
    let Some(batch) = chunk.batches.first() else {
        return Ok(offset);
    };
    let first = batch
        .records_from(offset)
        .find(|record| record.timestamp_ms() >= since_ms);
    Ok(first.map_or(batch.offset_end(), |record| record.offset()))
}

/// Counts the messages between two places, each shard by itself; stops at
/// `count_max`.
pub(crate) async fn between(
    broker: &Arc<Broker>,
    subscriptions: &Subscriptions,
    from: &Positions,
    to: &Positions,
    count_max: u64,
) -> Result<Between, HistoryError> {
    let shards: Vec<ShardId> = broker.shard_map.shards().collect();
    let at = |positions: &Positions, shard| clamp(broker, positions.get(shard), shard);
    let (mut back, mut on) = (Positions::default(), Positions::default());
    for shard in shards {
        let (from, to) = (at(from, shard), at(to, shard));
        back.set(shard, from);
        on.set(shard, to);
    }
    Ok(Between {
        again: count(broker, subscriptions, &on, &back, count_max).await?,
        skipped: count(broker, subscriptions, &back, &on, count_max).await?,
    })
}

/// Shards that a filter does not reach stand behind everything.
fn clamp(broker: &Broker, offset: Offset, shard: ShardId) -> Offset {
    offset.min(broker.dispatch.progress().positions().get(shard))
}

async fn count(
    broker: &Arc<Broker>,
    subscriptions: &Subscriptions,
    from: &Positions,
    end: &Positions,
    count_max: u64,
) -> Result<u64, HistoryError> {
    let end: Positions = from
        .iter()
        .map(|(shard, from)| (shard, end.get(shard).max(from)))
        .collect();
    let mut reader = HistoryReader::over(broker, subscriptions.clone(), from.clone(), Some(end));
    let mut count = 0;
    while count < count_max {
        let page = reader.next(PAGE).await?;
        count += page.messages.len() as u64;
        if page.at_end {
            break;
        }
    }
    Ok(count.min(count_max))
}

/// So many messages on (or back, if negative) in the order of time; as far as
/// there are messages.
pub(crate) async fn shifted(
    broker: &Arc<Broker>,
    subscriptions: &Subscriptions,
    from: &Positions,
    by: i64,
) -> Result<Positions, HistoryError> {
    if by.unsigned_abs() > SHIFT_MAX {
        return Err(HistoryError::Asked(format!(
            "a shift goes over at most {SHIFT_MAX} messages: give a time or an offset instead"
        )));
    }
    if by >= 0 {
        on(broker, subscriptions, from, by.unsigned_abs() as usize).await
    } else {
        back(broker, subscriptions, from, by.unsigned_abs() as usize).await
    }
}

async fn on(
    broker: &Arc<Broker>,
    subscriptions: &Subscriptions,
    from: &Positions,
    count: usize,
) -> Result<Positions, HistoryError> {
    let mut reader = HistoryReader::over(broker, subscriptions.clone(), from.clone(), None);
    let mut left = count;
    while left > 0 {
        let page = reader.next(left.min(PAGE)).await?;
        left -= page.messages.len();
        if page.at_end {
            break;
        }
    }
    Ok(reader.positions())
}

async fn back(
    broker: &Arc<Broker>,
    subscriptions: &Subscriptions,
    from: &Positions,
    count: usize,
) -> Result<Positions, HistoryError> {
    let (inner, subscriptions, from) = (Arc::clone(broker), subscriptions.clone(), from.clone());
    blocking(broker, move || {
        let mut last = Vec::new();
        for shard in inner.shard_map.shards() {
            last.extend(last_before(
                &inner,
                &subscriptions,
                shard,
                from.get(shard),
                count,
            )?);
        }
        // The latest of all shards together.
        last.sort_unstable_by(|one, other| other.cmp(one));
        let mut places = from;
        for (_, shard, offset) in last.into_iter().take(count) {
            places.lower(shard, offset);
        }
        Ok(places)
    })
    .await
}

/// The last messages of one shard before an offset, newest first.
fn last_before(
    broker: &Broker,
    subscriptions: &Subscriptions,
    shard: ShardId,
    before: Offset,
    count: usize,
) -> Result<Vec<(u64, ShardId, Offset)>, HistoryError> {
    let filters = subscriptions.automata();
    let mut end = clamp(broker, before, shard);
    let mut found = Vec::new();
    while found.len() < count {
        let chunk = broker
            .reader
            .read_back(shard, end, Some(&filters), ReadLimits::default())
            .map_err(|error| HistoryError::failed(&error))?;
        for batch in &chunk.batches {
            let messages = batch.records().rev().filter(|record| {
                record.kind() == KIND_MESSAGE
                    && record.offset() < before
                    && subscriptions
                        .matching(record.topic(), shard, record.offset())
                        .is_some()
            });
            let place = messages.map(|record| (record.timestamp_ms(), shard, record.offset()));
            found.extend(place.take(count - found.len()));
        }
        if chunk.at_start || chunk.next_end >= end {
            break;
        }
        end = chunk.next_end;
    }
    Ok(found)
}
