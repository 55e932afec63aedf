//! What every topic last said, as of a moment.

use std::sync::Arc;

use robustmq_protocol::topic::ReplayRange;

use super::reader::{check_filter, resolve};
use super::{HistoryError, HistoryMessage, blocking, picks};
use crate::broker::Broker;

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
    let range =
        ReplayRange::from_parts(&position, None).map_err(|error| HistoryError::asked(&error))?;
    let visible = broker.dispatch.progress().positions();
    let (inner, filter) = (Arc::clone(broker), filter.to_owned());
    let found = blocking(broker, move || {
        let resolved = resolve(&inner, &filter, &range, now_ms, visible)?;
        picks::read(&inner.reader, resolved.picks.unwrap_or_default())
    })
    .await?;
    let mut messages: Vec<HistoryMessage> = found
        .into_iter()
        .flatten()
        .filter(|message| !message.is_expired(now_ms))
        .filter(|message| after.is_none_or(|after| message.topic() > after))
        .collect();
    messages.sort_unstable_by(|one, other| one.topic().cmp(other.topic()));
    messages.truncate(limit);
    Ok(messages)
}
