//! Which topics a shard holds, and how much of each: from the indexes of sealed
//! segments, and from the batches of those that have none yet.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use robustmq_protocol::topic::FilterAutomaton;
use robustmq_record::{BatchEntry, KIND_MESSAGE, ShardId};

use super::entries::io_error;
use super::{NAMESPACE, read_entry};
use crate::error::ReadError;
use crate::segment::Segment;
use crate::state::LogState;
use crate::{files, indexes};

/// How much of a topic there is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TopicTotals {
    /// Messages.
    pub messages: u64,
    /// Bytes of their properties and payloads.
    pub bytes: u64,
    /// The latest of their timestamps, milliseconds since the Unix epoch.
    pub timestamp_ms_max: u64,
}

impl TopicTotals {
    fn add(&mut self, messages: u64, bytes: u64, timestamp_ms: u64) {
        self.messages += messages;
        self.bytes += bytes;
        self.timestamp_ms_max = self.timestamp_ms_max.max(timestamp_ms);
    }
}

/// The topics found so far: those that come first, as many as are wanted.
struct First<'a> {
    filter: &'a FilterAutomaton,
    after: Option<&'a str>,
    limit: usize,
    totals: BTreeMap<String, TopicTotals>,
}

impl First<'_> {
    fn add(&mut self, topic: &str, messages: u64, bytes: u64, timestamp_ms: u64) {
        if self.after.is_some_and(|after| topic <= after) {
            return;
        }
        if let Some(totals) = self.totals.get_mut(topic) {
            totals.add(messages, bytes, timestamp_ms);
            return;
        }
        // Whatever comes behind enough others now will do so in the end.
        let is_full = self.totals.len() >= self.limit;
        let last = self.totals.last_key_value().map(|(last, _)| last.as_str());
        if is_full && last.is_none_or(|last| topic > last) {
            return;
        }
        let mut totals = TopicTotals::default();
        totals.add(messages, bytes, timestamp_ms);
        self.totals.insert(topic.to_owned(), totals);
        if self.totals.len() > self.limit {
            self.totals.pop_last();
        }
    }
}

pub(super) fn topics(
    state: &LogState,
    shard: ShardId,
    filter: &FilterAutomaton,
    after: Option<&str>,
    limit: usize,
) -> Result<BTreeMap<String, TopicTotals>, ReadError> {
    let mut first = First {
        filter,
        after,
        limit,
        totals: BTreeMap::new(),
    };
    for segment in state.catalog().segments() {
        match in_segment(state, segment, shard, &mut first) {
            Ok(()) => {}
            Err(_) if segment.is_retired() => {}
            Err(source) => return Err(io_error(segment, source)),
        }
    }
    Ok(first.totals)
}

fn in_segment(
    state: &LogState,
    segment: &Arc<Segment>,
    shard: ShardId,
    first: &mut First<'_>,
) -> io::Result<()> {
    let tables = segment.tables.read();
    let entries = tables.as_ref().map(|tables| tables.shard(shard).to_vec());
    drop(tables);
    if let Some(entries) = entries {
        return in_batches(state, segment, shard, &entries, first);
    }
    let index = indexes::load(state, segment)?;
    let Some(table) = index.shard(shard) else {
        return Ok(());
    };
    let filter = first.filter;
    table
        .topics(NAMESPACE, filter, |entry| {
            first.add(
                entry.topic,
                entry.records,
                entry.bytes,
                entry.timestamp_ms_max,
            );
        })
        .map_err(io::Error::other)
}

fn in_batches(
    state: &LogState,
    segment: &Arc<Segment>,
    shard: ShardId,
    entries: &[BatchEntry],
    first: &mut First<'_>,
) -> io::Result<()> {
    let file = files::open(state, segment)?;
    let position = state.position(shard);
    let visible = position.local_start..position.visible_end();
    for entry in entries
        .iter()
        .filter(|entry| visible.contains(&entry.index))
    {
        let batch = match state.tail_cache.get(shard, entry.index) {
            Some(batch) => batch,
            None => match read_entry(&*file, segment.id(), shard, entry)? {
                Ok(batch) => Arc::new(batch),
                // Readers report it as a gap.
                Err(_) => continue,
            },
        };
        let wanted: Vec<bool> = batch
            .topics()
            .map(|(_, namespace, topic)| {
                namespace == NAMESPACE && first.filter.matches(topic.as_bytes())
            })
            .collect();
        if !wanted.contains(&true) {
            continue;
        }
        for record in batch.records() {
            if record.kind() == KIND_MESSAGE && wanted[record.topic_id() as usize] {
                let bytes = record.properties().len() + record.payload().len();
                first.add(record.topic(), 1, bytes as u64, record.timestamp_ms());
            }
        }
    }
    Ok(())
}
