//! What every topic last said, as of a moment.

use std::sync::Arc;

use robustmq_log::{LastQuery, ReadError};
use robustmq_protocol::topic::{FilterAutomaton, ReplayPosition};
use robustmq_record::{Offset, ShardId};

use super::last::PICKS_MAX;
use super::reader::check_filter;
use super::{HistoryError, HistoryMessage, RangeError, blocking, picks};
use crate::broker::Broker;

/// Messages read at a time.
const READ_AT_A_TIME: usize = 64;

/// The last message of every topic that `filter` matches, as of `at` (a moment
/// as in `at:…`; none is now), without the topics that a retained message
/// without payload has cleared. In the order of the topics' names, at most
/// `limit`, from the first name behind `after` on.
///
/// # Errors
/// When the filter or the moment is wrong, or the log cannot be read.
pub async fn state(
    broker: &Arc<Broker>,
    filter: &str,
    at: Option<&str>,
    after: Option<&str>,
    limit: usize,
) -> Result<Vec<HistoryMessage>, HistoryError> {
    check_filter(filter)?;
    let now_ms = broker.clock.wall_ms();
    let position = match at {
        Some(at) => format!("at:{at}"),
        None => format!("at:ts:{now_ms}"),
    };
    let until_ms = match ReplayPosition::parse(&position) {
        Ok(ReplayPosition::At(moment)) => moment.to_unix_ms(now_ms).saturating_add(1),
        Ok(_) => u64::MAX,
        Err(error) => return Err(HistoryError::asked(&error)),
    };
    let (inner, filter) = (Arc::clone(broker), filter.to_owned());
    let after = after.map(str::to_owned);
    blocking(broker, move || {
        let mut last = last_messages(&inner, &filter, until_ms)?;
        last.retain(|(topic, ..)| after.as_ref().is_none_or(|after| topic > after));
        last.sort_unstable();
        let mut messages = Vec::new();
        for places in last.chunks(READ_AT_A_TIME) {
            let places = places.iter().map(|(_, shard, offset)| (*shard, *offset));
            let found = picks::read(&inner.reader, places.collect())?;
            let found = found.into_iter().flatten();
            messages.extend(found.filter(|message| !message.is_expired(now_ms)));
            if messages.len() >= limit {
                break;
            }
        }
        messages.truncate(limit);
        Ok(messages)
    })
    .await
}

/// Where the last message of every topic lies, but for topics that it clears.
fn last_messages(
    broker: &Broker,
    filter: &str,
    until_ms: u64,
) -> Result<Vec<(String, ShardId, Offset)>, HistoryError> {
    let wanted = FilterAutomaton::parse(filter).map_err(|error| HistoryError::asked(&error))?;
    let visible = broker.dispatch.progress().positions();
    let mut last = Vec::new();
    for shard in broker.shard_map.shards() {
        let query = LastQuery {
            filter: &wanted,
            count: 1,
            end: visible.get(shard),
            until_ms,
            picks_max: PICKS_MAX - last.len(),
        };
        let found = broker.reader.last_of_topics(shard, query);
        let found = found.map_err(|error| match error {
            ReadError::TooMany(_) => RangeError::TooMany(PICKS_MAX).into(),
            error => HistoryError::failed(&error),
        })?;
        for topic in found.topics {
            let pick = topic.picks.last().filter(|pick| !pick.clears);
            last.extend(pick.map(|pick| (topic.topic.clone(), shard, pick.offset)));
        }
    }
    Ok(last)
}
