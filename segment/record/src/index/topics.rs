//! Topics of a shard: an FST from names to posting lists.

use std::ops::ControlFlow;

use fst::{Automaton, IntoStreamer, Map, Streamer};
use robustmq_protocol::topic::{self, FilterAutomaton};

use crate::error::FormatError;
use crate::wire::{Input, put_varint};

/// What a visitor of topics says: go on, no more, or what is wrong.
pub(super) type Visited = Result<ControlFlow<()>, FormatError>;

/// The messages of one topic in a segment. State records do not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TopicEntry<'a> {
    /// The tenant.
    pub namespace: &'a str,
    /// The Topic Name.
    pub topic: &'a str,
    /// Messages on the topic.
    pub records: u64,
    /// Bytes of their properties and payloads.
    pub bytes: u64,
    /// The latest of their timestamps.
    pub timestamp_ms_max: u64,
}

/// Which batches hold the messages of a topic, decoded when it is asked for:
/// whoever looks through many topics needs it of few.
#[derive(Clone, Debug)]
pub struct Posting<'a> {
    input: Input<'a>,
    batch_count: u32,
}

impl Posting<'_> {
    /// The ordinals of the batches, rising.
    ///
    /// # Errors
    /// When the writer of the index broke its rules.
    pub fn ordinals(&self) -> Result<Vec<u32>, FormatError> {
        let mut ordinals = Vec::new();
        self.visit(|ordinal| ordinals.push(ordinal))?;
        Ok(ordinals)
    }

    fn visit(&self, mut visit: impl FnMut(u32)) -> Result<(), FormatError> {
        let mut input = self.input.clone();
        let mut next = 0u64;
        for _ in 0..input.count(1)? {
            let ordinal = next.saturating_add(input.varint()?);
            if ordinal >= u64::from(self.batch_count) {
                return Err(input.error("batch is not in the table"));
            }
            visit(ordinal as u32);
            next = ordinal + 1;
        }
        Ok(())
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct TopicTotals {
    pub(super) records: u64,
    pub(super) bytes: u64,
    pub(super) timestamp_ms_max: u64,
}

impl TopicTotals {
    pub(super) fn add(&mut self, other: &Self) {
        self.records += other.records;
        self.bytes += other.bytes;
        self.timestamp_ms_max = self.timestamp_ms_max.max(other.timestamp_ms_max);
    }
}

/// Makes `key` a topic's key in the FST: namespaces hold no U+0000.
pub(super) fn write_key(key: &mut Vec<u8>, namespace: &str, topic: &str) {
    key.clear();
    key.extend_from_slice(namespace.as_bytes());
    key.push(0);
    key.extend_from_slice(topic.as_bytes());
}

/// Appends a posting: totals, then the ordinals of the batches, each as the
/// difference to the one before (the first to −1), less one.
pub(super) fn write_posting(
    out: &mut Vec<u8>,
    totals: &TopicTotals,
    shard_timestamp_ms_max: u64,
    ordinals: &[u32],
) {
    put_varint(out, totals.records);
    put_varint(out, totals.bytes);
    put_varint(out, shard_timestamp_ms_max - totals.timestamp_ms_max);
    put_varint(out, ordinals.len() as u64);
    let mut next = 0;
    for ordinal in ordinals {
        put_varint(out, u64::from(ordinal - next));
        next = ordinal + 1;
    }
}

/// A filter as the FST wants it: over keys, namespace included.
struct KeyFilter(FilterAutomaton);

impl Automaton for KeyFilter {
    type State = topic::State;

    fn start(&self) -> Self::State {
        self.0.start()
    }

    fn is_match(&self, state: &Self::State) -> bool {
        self.0.is_match(state)
    }

    fn can_match(&self, state: &Self::State) -> bool {
        self.0.can_match(state)
    }

    fn will_always_match(&self, state: &Self::State) -> bool {
        self.0.will_always_match(state)
    }

    fn accept(&self, state: &Self::State, byte: u8) -> Self::State {
        self.0.accept(state, byte)
    }
}

/// The topics of one shard.
pub(super) struct Topics<'a> {
    pub(super) fst: &'a [u8],
    pub(super) postings: &'a [u8],
    pub(super) batch_count: u32,
    pub(super) timestamp_ms_max: u64,
}

impl<'a> Topics<'a> {
    fn map(&self) -> Result<Map<&'a [u8]>, FormatError> {
        let error = FormatError {
            part: "topic index",
            what: "is not an FST",
            position: 0,
        };
        Map::new(self.fst).map_err(|_| error)
    }

    /// Calls `visit` with the key and the posting's place of every topic of
    /// the namespace that the filter matches and that comes after `after`, in
    /// the order of their names, until it says no more.
    fn search(
        &self,
        namespace: &str,
        filter: &FilterAutomaton,
        after: Option<&str>,
        mut visit: impl FnMut(&[u8], u64) -> Visited,
    ) -> Result<(), FormatError> {
        let map = self.map()?;
        let mut start = Vec::new();
        write_key(&mut start, namespace, "");
        let filter = filter.clone().with_prefix(&start);
        start.extend_from_slice(after.unwrap_or_default().as_bytes());
        if let Some(key) = filter.exact() {
            let is_after = after.is_none() || key > &start[..];
            if let Some(place) = map.get(key).filter(|_| is_after) {
                // There is no other one to go on with.
                let _ = visit(key, place)?;
            }
            return Ok(());
        }
        let found = map.search(KeyFilter(filter));
        let mut stream = match after {
            Some(_) => found.gt(&start).into_stream(),
            None => found.into_stream(),
        };
        while let Some((key, place)) = stream.next() {
            if visit(key, place)?.is_break() {
                break;
            }
        }
        Ok(())
    }

    /// Marks the batches that hold a topic the filter matches.
    pub(super) fn mark(
        &self,
        namespace: &str,
        filter: &FilterAutomaton,
        marks: &mut [bool],
    ) -> Result<(), FormatError> {
        self.search(namespace, filter, None, |_, place| {
            let (_, posting) = self.posting(place)?;
            posting.visit(|ordinal| marks[ordinal as usize] = true)?;
            Ok(ControlFlow::Continue(()))
        })
    }

    fn posting(&self, place: u64) -> Result<(TopicTotals, Posting<'a>), FormatError> {
        let place = usize::try_from(place).unwrap_or(usize::MAX);
        let mut input = Input::at("posting", self.postings, place);
        let (records, bytes, age) = (input.varint()?, input.varint()?, input.varint()?);
        let Some(timestamp_ms_max) = self.timestamp_ms_max.checked_sub(age) else {
            return Err(input.error("timestamp is above the shard's"));
        };
        let totals = TopicTotals {
            records,
            bytes,
            timestamp_ms_max,
        };
        let batch_count = self.batch_count;
        Ok((totals, Posting { input, batch_count }))
    }

    /// Calls `visit` for the topics of the namespace that the filter matches
    /// and that come after `after`, until it says no more.
    pub(super) fn visit(
        &self,
        namespace: &str,
        filter: &FilterAutomaton,
        after: Option<&str>,
        visit: &mut dyn FnMut(TopicEntry<'_>, Posting<'a>) -> Visited,
    ) -> Result<(), FormatError> {
        self.search(namespace, filter, after, |key, place| {
            self.visit_one(key, place, visit)
        })
    }

    /// Calls `visit` for all topics of all namespaces.
    pub(super) fn visit_all(
        &self,
        visit: &mut dyn FnMut(TopicEntry<'_>),
    ) -> Result<(), FormatError> {
        let map = self.map()?;
        let mut stream = map.stream();
        while let Some((key, place)) = stream.next() {
            let _ = self.visit_one(key, place, &mut |entry, _| {
                visit(entry);
                Ok(ControlFlow::Continue(()))
            })?;
        }
        Ok(())
    }

    fn visit_one(
        &self,
        key: &[u8],
        place: u64,
        visit: &mut dyn FnMut(TopicEntry<'_>, Posting<'a>) -> Visited,
    ) -> Visited {
        let (totals, posting) = self.posting(place)?;
        let names = std::str::from_utf8(key)
            .ok()
            .and_then(|key| key.split_once('\0'));
        let (namespace, topic) =
            names.ok_or_else(|| posting.input.error("key is not a topic's"))?;
        let entry = TopicEntry {
            namespace,
            topic,
            records: totals.records,
            bytes: totals.bytes,
            timestamp_ms_max: totals.timestamp_ms_max,
        };
        visit(entry, posting)
    }
}
