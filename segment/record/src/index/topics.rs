//! Topics of a shard: an FST from names to posting lists.

use fst::{Automaton, IntoStreamer, Map, Streamer};
use robustmq_protocol::topic::{self, FilterAutomaton};

use crate::error::FormatError;
use crate::wire::{Input, put_varint};

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
    /// the namespace that the filter matches.
    fn search(
        &self,
        namespace: &str,
        filter: &FilterAutomaton,
        mut visit: impl FnMut(&[u8], u64) -> Result<(), FormatError>,
    ) -> Result<(), FormatError> {
        let map = self.map()?;
        let mut prefix = Vec::new();
        write_key(&mut prefix, namespace, "");
        let filter = filter.clone().with_prefix(&prefix);
        if let Some(key) = filter.exact() {
            return map.get(key).map_or(Ok(()), |place| visit(key, place));
        }
        let mut stream = map.search(KeyFilter(filter)).into_stream();
        while let Some((key, place)) = stream.next() {
            visit(key, place)?;
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
        self.search(namespace, filter, |_, place| {
            self.mark_posting(place, marks)
        })
    }

    fn posting(&self, place: u64) -> Result<(TopicTotals, Input<'a>), FormatError> {
        let place = usize::try_from(place).unwrap_or(usize::MAX);
        let mut input = Input::at("posting", self.postings, place);
        let (records, bytes, age) = (input.varint()?, input.varint()?, input.varint()?);
        let Some(timestamp_ms_max) = self.timestamp_ms_max.checked_sub(age) else {
            return Err(input.error("timestamp is above the shard's"));
        };
        Ok((
            TopicTotals {
                records,
                bytes,
                timestamp_ms_max,
            },
            input,
        ))
    }

    fn mark_posting(&self, place: u64, marks: &mut [bool]) -> Result<(), FormatError> {
        let (_, mut input) = self.posting(place)?;
        let mut next = 0u64;
        for _ in 0..input.count(1)? {
            let ordinal = next.saturating_add(input.varint()?);
            if ordinal >= u64::from(self.batch_count) {
                return Err(input.error("batch is not in the table"));
            }
            marks[ordinal as usize] = true;
            next = ordinal + 1;
        }
        Ok(())
    }

    /// Calls `visit` for the topics of the namespace that the filter matches.
    pub(super) fn visit(
        &self,
        namespace: &str,
        filter: &FilterAutomaton,
        visit: &mut dyn FnMut(TopicEntry<'_>),
    ) -> Result<(), FormatError> {
        self.search(namespace, filter, |key, place| {
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
            self.visit_one(key, place, visit)?;
        }
        Ok(())
    }

    fn visit_one(
        &self,
        key: &[u8],
        place: u64,
        visit: &mut dyn FnMut(TopicEntry<'_>),
    ) -> Result<(), FormatError> {
        let (totals, input) = self.posting(place)?;
        let names = std::str::from_utf8(key)
            .ok()
            .and_then(|key| key.split_once('\0'));
        let (namespace, topic) = names.ok_or_else(|| input.error("key is not a topic's"))?;
        visit(TopicEntry {
            namespace,
            topic,
            records: totals.records,
            bytes: totals.bytes,
            timestamp_ms_max: totals.timestamp_ms_max,
        });
        Ok(())
    }
}
