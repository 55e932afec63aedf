//! What is kept, and the removal of what nothing needs any more.
//!
//! A segment goes when every record in it is beyond its topic's bounds. Before
//! it goes, live state is carried forward ([`CarryForward`]), so that nothing
//! depends on it. Segments are removed oldest first.
//!
//! **Not here**: expiry of single messages (the sender's).

use std::sync::Arc;

use hashbrown::HashMap;
use parking_lot::Mutex;
use robustmq_protocol::topic;
use robustmq_record::{KIND_MESSAGE, Offset, ShardId};

use crate::error::ReadError;
use crate::segment::{Segment, segment_name};
use crate::shared::Shared;
use crate::spare::Spares;

/// How much is kept; none is no bound. A record is kept while it is within all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RetentionBounds {
    /// Milliseconds.
    pub time_ms: Option<u64>,
    /// Bytes of payloads and names, over all topics of the policy.
    pub bytes: Option<u64>,
    /// Records, over all topics of the policy.
    pub records: Option<u64>,
}

/// Bounds by topic filter: the first filter that matches a topic decides.
#[derive(Clone, Debug, Default)]
pub struct RetentionPolicies {
    /// Filters with their bounds, in order.
    pub by_filter: Vec<(String, RetentionBounds)>,
    /// For all other topics.
    pub default: RetentionBounds,
}

impl RetentionPolicies {
    fn number(&self, topic: &str) -> usize {
        self.by_filter
            .iter()
            .position(|(filter, _)| topic::matches(filter, topic))
            .unwrap_or(self.by_filter.len())
    }

    fn bounds(&self, number: usize) -> &RetentionBounds {
        self.by_filter
            .get(number)
            .map_or(&self.default, |(_, bounds)| bounds)
    }

    fn count(&self) -> usize {
        self.by_filter.len() + 1
    }
}

/// Makes live state independent of what is about to be removed.
pub trait CarryForward: Send + Sync {
    /// Everything live that depends on offsets of `shard` before `end` has been
    /// appended again when this returns true; false keeps the segment.
    fn carry_forward(&self, shard: ShardId, end: Offset) -> bool;
}

/// What one look at the segments did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RetentionReport {
    /// Segments removed.
    pub segments: u64,
    /// Records in them.
    pub records: u64,
    /// Bytes of their files' frames.
    pub bytes: u64,
}

/// What one policy's topics hold in one segment.
#[derive(Clone, Copy, Debug, Default)]
struct Share {
    records: u64,
    bytes: u64,
    timestamp_ms_max: u64,
}

/// One look.
pub(crate) struct Retirement<'a> {
    shared: &'a Arc<Shared>,
    spares: &'a Mutex<Spares>,
    policies: &'a RetentionPolicies,
    now_ms: u64,
}

impl<'a> Retirement<'a> {
    pub(crate) fn new(
        shared: &'a Arc<Shared>,
        spares: &'a Mutex<Spares>,
        policies: &'a RetentionPolicies,
        now_ms: u64,
    ) -> Self {
        Self {
            shared,
            spares,
            policies,
            now_ms,
        }
    }

    pub(crate) fn run(&self, carry: &dyn CarryForward) -> Result<RetentionReport, ReadError> {
        let mut report = RetentionReport::default();
        let segments = self.shared.snapshot();
        let Some((_, sealed)) = segments.split_last() else {
            return Ok(report);
        };
        if sealed.is_empty() || !self.may_remove(&sealed[0]) {
            return Ok(report);
        }
        // Newest first: what later segments hold counts against the bounds.
        let mut shares: Vec<Vec<Share>> = Vec::with_capacity(sealed.len());
        for segment in sealed {
            shares.push(self.shares(segment)?);
        }
        let mut after = vec![Share::default(); self.policies.count()];
        let mut removable = vec![false; sealed.len()];
        for (place, held) in shares.iter().enumerate().rev() {
            removable[place] = held.iter().enumerate().all(|(number, share)| {
                share.records == 0 || self.is_beyond(number, share, &after[number])
            });
            for (total, share) in after.iter_mut().zip(held) {
                total.records += share.records;
                total.bytes += share.bytes;
            }
        }
        for (segment, _) in sealed
            .iter()
            .zip(removable)
            .take_while(|(_, removable)| *removable)
        {
            if !self.remove(segment, carry)? {
                break;
            }
            let summary = segment.summary();
            report.segments += 1;
            report.records += summary.records;
            report.bytes += summary.bytes;
        }
        Ok(report)
    }

    /// A cheap look that spares reading segments while nothing can go.
    fn may_remove(&self, oldest: &Segment) -> bool {
        let bounded = |bounds: &RetentionBounds| bounds.bytes.is_some() || bounds.records.is_some();
        let all = (0..self.policies.count()).map(|number| self.policies.bounds(number));
        let age_ms = self
            .now_ms
            .saturating_sub(oldest.summary().timestamp_ms_max);
        all.into_iter()
            .any(|bounds| bounded(bounds) || bounds.time_ms.is_some_and(|time_ms| age_ms > time_ms))
    }

    fn is_beyond(&self, number: usize, share: &Share, after: &Share) -> bool {
        let bounds = self.policies.bounds(number);
        let age_ms = self.now_ms.saturating_sub(share.timestamp_ms_max);
        bounds.time_ms.is_some_and(|time_ms| age_ms > time_ms)
            || bounds.bytes.is_some_and(|bytes| after.bytes >= bytes)
            || bounds
                .records
                .is_some_and(|records| after.records >= records)
    }

    fn shares(&self, segment: &Segment) -> Result<Vec<Share>, ReadError> {
        let mut shares = vec![Share::default(); self.policies.count()];
        let mut numbers: HashMap<String, usize> = HashMap::new();
        for (_, entry) in segment.entries() {
            let batch = match segment.read(&entry) {
                Ok(batch) => batch,
                // Nobody can read it any more: it keeps nothing alive.
                Err(ReadError::Damaged { .. }) => continue,
                Err(error) => return Err(error),
            };
            for record in batch
                .records()
                .filter(|record| record.kind() == KIND_MESSAGE)
            {
                let topic = record.topic();
                let number = match numbers.get(topic) {
                    Some(number) => *number,
                    None => {
                        let number = self.policies.number(topic);
                        numbers.insert(topic.to_owned(), number);
                        number
                    }
                };
                let share = &mut shares[number];
                share.records += 1;
                share.bytes += (topic.len() + record.payload().len()) as u64;
                share.timestamp_ms_max = share.timestamp_ms_max.max(record.timestamp_ms());
            }
        }
        Ok(shares)
    }

    fn remove(&self, segment: &Arc<Segment>, carry: &dyn CarryForward) -> Result<bool, ReadError> {
        let shards = (0..self.shared.config.shards).map(ShardId);
        let ranges: Vec<(ShardId, u64)> = shards
            .filter_map(|shard| segment.range(shard).map(|(_, last)| (shard, last + 1)))
            .collect();
        for (shard, end) in &ranges {
            if !carry.carry_forward(*shard, Offset::new(*end, 0)) {
                return Ok(false);
            }
        }
        for (shard, end) in ranges {
            self.shared.shard(shard).set_log_start(end);
        }
        self.shared
            .segments
            .write()
            .retain(|held| held.id != segment.id);
        let failed = |source| ReadError::Io {
            segment: segment.id,
            source,
        };
        self.spares
            .lock()
            .recycle(&segment_name(segment.id))
            .map_err(failed)?;
        Ok(true)
    }
}
