//! Which topics there are in the history.

use std::sync::Arc;

use robustmq_log::TopicsQuery;
use robustmq_protocol::topic::FilterAutomaton;
use serde::Serialize;
use utoipa::ToSchema;

use super::reader::check_filter;
use super::{HistoryError, blocking};
use crate::broker::Broker;

/// A topic of the history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct TopicInfo {
    /// Its name.
    pub topic: String,
    /// Messages that the log holds.
    pub messages: u64,
    /// Bytes of their properties and payloads.
    pub bytes: u64,
    /// When the last one was stored, milliseconds since the Unix epoch.
    pub last_timestamp: u64,
}

/// The topics that `filter` matches, by name: at most `limit`, from the first
/// name behind `after` on.
///
/// # Errors
/// When the filter is wrong, or the log cannot be read.
pub async fn topics(
    broker: &Arc<Broker>,
    filter: &str,
    after: Option<&str>,
    limit: usize,
) -> Result<Vec<TopicInfo>, HistoryError> {
    check_filter(filter)?;
    let wanted = FilterAutomaton::parse(filter).map_err(|error| HistoryError::asked(&error))?;
    let (inner, after) = (Arc::clone(broker), after.map(str::to_owned));
    blocking(broker, move || {
        let mut infos: Vec<TopicInfo> = Vec::new();
        // A topic lies in one shard.
        for shard in inner.shard_map.shards() {
            let query = TopicsQuery {
                filter: &wanted,
                after: after.as_deref(),
                topics_max: limit,
            };
            let found = inner.reader.topics(shard, query);
            let found = found.map_err(|error| HistoryError::failed(&error))?;
            infos.extend(found.topics.into_iter().map(|figures| TopicInfo {
                topic: figures.topic,
                messages: figures.messages,
                bytes: figures.bytes,
                last_timestamp: figures.timestamp_ms_max,
            }));
        }
        infos.sort_unstable_by(|one, other| one.topic.cmp(&other.topic));
        infos.truncate(limit);
        Ok(infos)
    })
    .await
}
