//! Which segments there are, and which of them holds an index of a shard.
//!
//! **Invariants**
//! 1. Segments are in the order of their ids, which is the order of the log.
//! 2. An index is looked up in the newest segment that can hold it: where Raft
//!    made entries void and wrote others in their place, the later ones count.
//!
//! **Not here**: what is inside a segment (`segment`).

use std::sync::Arc;

use robustmq_record::ShardId;

use crate::segment::Segment;

/// A snapshot of the list of segments.
#[derive(Debug, Default)]
pub(crate) struct Catalog {
    segments: Vec<Arc<Segment>>,
    /// Per shard and segment the lowest start of this and all later segments;
    /// rising, so it can be searched by halving.
    starts: Vec<Vec<u64>>,
}

/// A segment and the part of a shard's indexes for which it is responsible.
#[derive(Clone, Debug)]
pub(crate) struct Span {
    pub(crate) segment: Arc<Segment>,
    pub(crate) index_start: u64,
    /// `None` for the newest segment, which has no end yet.
    pub(crate) index_end: Option<u64>,
}

impl Catalog {
    pub(crate) fn new(segments: Vec<Arc<Segment>>, shards: u32) -> Self {
        assert!(
            segments.is_sorted_by(|a, b| a.id() < b.id()),
            "segments are in order"
        );
        let starts = (0..shards as usize).map(|shard| {
            let mut lowest = u64::MAX;
            let mut starts: Vec<u64> = segments
                .iter()
                .rev()
                .map(|segment| {
                    lowest = lowest.min(segment.info.starts[shard]);
                    lowest
                })
                .collect();
            starts.reverse();
            starts
        });
        Self {
            starts: starts.collect(),
            segments,
        }
    }

    pub(crate) fn segments(&self) -> &[Arc<Segment>] {
        &self.segments
    }

    /// The segment that holds the index if any does; `None` when the index is
    /// before all segments.
    pub(crate) fn find(&self, shard: ShardId, index: u64) -> Option<Span> {
        let starts = &self.starts[shard.0 as usize];
        let place = starts.partition_point(|&start| start <= index);
        Some(self.span(shard, place.checked_sub(1)?))
    }

    /// All segments, oldest first, with the part of the shard's indexes for
    /// which each is responsible; some of them are empty.
    pub(crate) fn spans(&self, shard: ShardId) -> impl Iterator<Item = Span> {
        (0..self.segments.len()).map(move |place| self.span(shard, place))
    }

    fn span(&self, shard: ShardId, place: usize) -> Span {
        let starts = &self.starts[shard.0 as usize];
        Span {
            segment: Arc::clone(&self.segments[place]),
            index_start: starts[place],
            index_end: starts.get(place + 1).copied(),
        }
    }

    /// The lowest index of the shard that a segment can hold.
    pub(crate) fn start(&self, shard: ShardId) -> u64 {
        let starts = &self.starts[shard.0 as usize];
        starts.first().copied().unwrap_or(1)
    }
}
