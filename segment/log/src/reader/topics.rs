//! The topics of a shard with what they hold, merged from the indexes of its
//! segments and the batches that no index covers yet.

use std::collections::BTreeMap;
use std::io;
use std::ops::ControlFlow;

use robustmq_protocol::topic::FilterAutomaton;
use robustmq_record::{Batch, BatchEntry, KIND_MESSAGE, ShardId};

use super::entries::{Item, Range, select};
use super::run::{self, Fetched, Outcome, RUN_BYTES_MAX, Retries, Run};
use super::{NAMESPACE, Wanted};
use crate::catalog::Span;
use crate::error::ReadError;
use crate::state::LogState;
use crate::{files, indexes};

/// Which topics are looked for.
#[derive(Clone, Copy, Debug)]
pub struct TopicsQuery<'a> {
    /// Topics that this matches; without a prefix.
    pub filter: &'a FilterAutomaton,
    /// Only topics whose name comes behind this one.
    pub after: Option<&'a str>,
    /// At most so many; at least one.
    pub topics_max: usize,
}

/// What a topic holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicFigures {
    /// The Topic Name.
    pub topic: String,
    /// Messages.
    pub messages: u64,
    /// Bytes of their properties and payloads.
    pub bytes: u64,
    /// When the latest of them was stored.
    pub timestamp_ms_max: u64,
}

/// Topics in the order of their names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TopicsPage {
    /// The topics.
    pub topics: Vec<TopicFigures>,
    /// There are more: ask for those after the last one.
    pub more: bool,
}

#[derive(Clone, Copy, Default)]
struct Totals {
    messages: u64,
    bytes: u64,
    timestamp_ms_max: u64,
}

/// Batches without an index that are selected at a time.
const SCANNED_BATCHES: usize = 1024;

/// The first topics by name. Its last name only ever comes earlier, so a topic
/// that was left out once is left out for good, and one that is in was counted
/// in every segment.
struct Page<'a> {
    query: TopicsQuery<'a>,
    topics: BTreeMap<String, Totals>,
    more: bool,
}

impl Page<'_> {
    /// Whether this topic and all behind it are left out.
    fn leaves_out(&mut self, topic: &str) -> bool {
        let is_full = self.topics.len() >= self.query.topics_max.max(1);
        let out = is_full
            && self
                .topics
                .last_key_value()
                .is_some_and(|(last, _)| last.as_str() < topic);
        self.more |= out;
        out
    }

    /// Adds messages of a topic that is not left out.
    fn add(&mut self, topic: &str, more: Totals) {
        match self.topics.get_mut(topic) {
            Some(totals) => {
                totals.messages += more.messages;
                totals.bytes += more.bytes;
                totals.timestamp_ms_max = totals.timestamp_ms_max.max(more.timestamp_ms_max);
            }
            None => {
                self.topics.insert(topic.to_owned(), more);
                if self.topics.len() > self.query.topics_max.max(1) {
                    self.topics.pop_last();
                    self.more = true;
                }
            }
        }
    }

    fn add_batch(&mut self, batch: &Batch) {
        let query = self.query;
        let wanted: Vec<bool> = batch
            .topics()
            .map(|(_, namespace, topic)| {
                namespace == NAMESPACE
                    && query.after.is_none_or(|after| after < topic)
                    && query.filter.matches(topic.as_bytes())
            })
            .collect();
        let records = batch
            .records()
            .filter(|record| record.kind() == KIND_MESSAGE && wanted[record.topic_id() as usize]);
        for record in records {
            if !self.leaves_out(record.topic()) {
                let totals = Totals {
                    messages: 1,
                    bytes: (record.properties().len() + record.payload().len()) as u64,
                    timestamp_ms_max: record.timestamp_ms(),
                };
                self.add(record.topic(), totals);
            }
        }
    }

    fn finish(self) -> TopicsPage {
        let figures = |(topic, totals): (String, Totals)| TopicFigures {
            topic,
            messages: totals.messages,
            bytes: totals.bytes,
            timestamp_ms_max: totals.timestamp_ms_max,
        };
        TopicsPage {
            topics: self.topics.into_iter().map(figures).collect(),
            more: self.more,
        }
    }
}

/// See [`super::LogReader::topics`].
pub(super) fn topics(
    state: &LogState,
    shard: ShardId,
    query: TopicsQuery<'_>,
) -> Result<TopicsPage, ReadError> {
    let mut retries = Retries::default();
    'again: loop {
        let mut page = Page {
            query,
            topics: BTreeMap::new(),
            more: false,
        };
        let position = state.position(shard);
        for span in state.catalog().spans(shard) {
            let visible_end = position.visible_end();
            let range = Range {
                start: span.index_start.max(position.local_start),
                end: span.index_end.unwrap_or(visible_end).min(visible_end),
            };
            if range.start >= range.end {
                continue;
            }
            // Part of the segment may be counted already: begin anew.
            let outcome = add_segment(state, shard, &span, range, &mut page);
            if let Outcome::Retired = retries.settle(&span, outcome)? {
                continue 'again;
            }
        }
        return Ok(page.finish());
    }
}

fn add_segment(
    state: &LogState,
    shard: ShardId,
    span: &Span,
    range: Range,
    page: &mut Page<'_>,
) -> io::Result<Outcome> {
    if span.segment.tables.read().is_some() {
        return add_batches(state, shard, span, range, page);
    }
    let index = indexes::load(state, &span.segment)?;
    let Some(table) = index.shard(shard) else {
        return Ok(Outcome::Done);
    };
    if table.index_end() <= range.start || range.end <= table.index_start() {
        return Ok(Outcome::Done);
    }
    let query = page.query;
    let added = table.topics(NAMESPACE, query.filter, query.after, |entry, _| {
        if page.leaves_out(entry.topic) {
            return Ok(ControlFlow::Break(()));
        }
        let totals = Totals {
            messages: entry.records,
            bytes: entry.bytes,
            timestamp_ms_max: entry.timestamp_ms_max,
        };
        page.add(entry.topic, totals);
        Ok(ControlFlow::Continue(()))
    });
    added.map_err(io::Error::other)?;
    Ok(Outcome::Done)
}

/// Adds what a segment without an index holds.
fn add_batches(
    state: &LogState,
    shard: ShardId,
    span: &Span,
    mut range: Range,
    page: &mut Page<'_>,
) -> io::Result<Outcome> {
    let file = files::open(state, &span.segment)?;
    while range.start < range.end {
        let selection = select(state, span, shard, range, Wanted::All, SCANNED_BATCHES)?;
        let entries: Vec<BatchEntry> = selection.items.iter().filter_map(Item::batch).collect();
        let mut entries = &entries[..];
        while let Some((first, rest)) = entries.split_first() {
            if let Some(batch) = state.tail_cache.get(shard, first.index) {
                page.add_batch(&batch);
                entries = rest;
                continue;
            }
            let count = run::length(entries.iter().copied(), RUN_BYTES_MAX);
            let (near, rest) = entries.split_at(count);
            let run = Run::read(state, span, shard, &*file, near)?;
            for entry in near {
                match run.batch(entry) {
                    Fetched::Batch(batch) => page.add_batch(&batch),
                    // It was counted and logged; its topics are not known.
                    Fetched::Damaged => (),
                    Fetched::Retired => return Ok(Outcome::Retired),
                }
            }
            entries = rest;
        }
        range.start = selection.index_end;
    }
    Ok(Outcome::Done)
}
