//! What is kept, and the removal of what nothing needs any more.
//!
//! Policies give topics bounds of time, bytes and records. The oldest segments
//! go when everything in them is beyond its bounds. One that few records keep
//! alive, or that is in the way of others, is rewritten with only what is live
//! ([`compact`]); behind it the looking goes on.
//!
//! **Invariants**
//! 1. Before anything goes, what is live of it has been carried forward
//!    ([`CarryForward`]): retained messages, sessions, whatever views need.
//! 2. Segments go oldest first, each durably before the next, so that a crash
//!    leaves no hole but those behind rewritten segments.
//! 3. State records are removed only from the front of the log: never a later
//!    one while an earlier one stays. Rewritten segments hold none.
//! 4. Before a hole there is a rewritten segment, so that readers can tell it
//!    from damage.
//!
//! **Not here**: Message Expiry Intervals of single messages (whoever sends).

mod compact;
mod shares;

use std::io;
use std::sync::Arc;

use robustmq_protocol::topic;
use robustmq_record::{Offset, ShardId};

use crate::disk_log::DiskLog;
use crate::error::ReadError;
use crate::file_names;
use crate::inbox::Order;
use crate::indexes;
use crate::repairs;
use crate::segment::Segment;
use crate::state::{LogCounters, LogState};
use crate::supply::Supply;
use shares::Share;
pub(crate) use shares::Shares;

/// How much is kept; none is no bound. A record goes when it is beyond any of
/// them, as far as segments allow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct RetentionBounds {
    /// Milliseconds since the record's timestamp.
    pub time_ms: Option<u64>,
    /// Bytes of payloads and properties, over all topics of the policy.
    pub bytes: Option<u64>,
    /// Records, over all topics of the policy.
    pub records: Option<u64>,
}

/// Bounds by topic filter: the first filter that matches a topic decides.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct RetentionPolicies {
    /// Filters with their bounds, in order.
    pub by_filter: Vec<(String, RetentionBounds)>,
    /// For all other topics.
    pub default: RetentionBounds,
}

/// Into how many segments the shortest retention time is cut: what a segment
/// holds goes when the last of it is beyond.
const SEALED_PER_TIME: u64 = 4;

/// How much of a segment's room may be given up by sealing it early: so many
/// bytes for every millisecond of its age.
const EARLY_BYTES_PER_MS: u64 = 1 << 10;

impl RetentionPolicies {
    /// The shortest time that any policy keeps records.
    fn shortest_ms(&self) -> Option<u64> {
        let by_filter = self.by_filter.iter().map(|(_, bounds)| bounds);
        by_filter
            .chain([&self.default])
            .filter_map(|bounds| bounds.time_ms)
            .min()
    }

    fn number(&self, topic: &str) -> usize {
        let mut filters = self.by_filter.iter();
        let place = filters.position(|(filter, _)| topic::matches(filter, topic));
        place.unwrap_or(self.by_filter.len())
    }

    fn bounds(&self, number: usize) -> &RetentionBounds {
        let by_filter = self.by_filter.get(number);
        by_filter.map_or(&self.default, |(_, bounds)| bounds)
    }

    fn count(&self) -> usize {
        self.by_filter.len() + 1
    }

    /// Whether it matters how much newer segments hold.
    fn counts_newer(&self) -> bool {
        let all = (0..self.count()).map(|number| self.bounds(number));
        all.into_iter()
            .any(|bounds| bounds.bytes.is_some() || bounds.records.is_some())
    }
}

/// Makes live state independent of what is about to be removed.
pub trait CarryForward: Send + Sync {
    /// Appends again everything live of `shard` that rests on records before
    /// `end`, and returns true when that is durable; false keeps the segment.
    /// Called on the thread of [`DiskLog::retire`]; may wait for appends.
    fn carry_forward(&self, shard: ShardId, end: Offset) -> bool;
}

/// What one look at the segments did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RetentionReport {
    /// Segments removed.
    pub segments: u64,
    /// Segments rewritten with only what is live.
    pub segments_compacted: u64,
    /// Messages removed.
    pub records: u64,
    /// Bytes given back.
    pub bytes: u64,
}

impl DiskLog {
    /// Removes the oldest segments that nothing needs any more, and rewrites
    /// those of which little is needed. Blocks on the disk; one call at a time,
    /// further ones wait.
    ///
    /// # Errors
    /// When a segment cannot be read or removed; what was removed before stays
    /// removed.
    pub fn retire(
        &self,
        policies: &RetentionPolicies,
        now_ms: u64,
        carry: &dyn CarryForward,
    ) -> Result<RetentionReport, ReadError> {
        let _retiring = self.retiring.lock();
        if let Some(time_ms) = policies.shortest_ms() {
            let patience_ms = self.state.config.segment_bytes / EARLY_BYTES_PER_MS;
            let age_ms = (time_ms / SEALED_PER_TIME).max(patience_ms);
            self.seal(now_ms.saturating_sub(age_ms));
        }
        let retirement = Retirement {
            state: &self.state,
            supply: &self.supply,
            policies,
            now_ms,
            carry,
        };
        if retirement.last_sealed_is_in_the_way()? {
            self.seal(u64::MAX);
        }
        let report = retirement.run()?;
        // What is left of it lies around until the next time.
        if let Err(error) = repairs::retire(&self.state) {
            tracing::warn!(%error, "batches that nothing needs any more could not be removed");
        }
        Ok(report)
    }

    /// Has the active segment sealed if it holds something from before a moment,
    /// and waits for it. Without room for another segment nothing happens.
    fn seal(&self, before_ms: u64) {
        let (sender, receiver) = std::sync::mpsc::channel();
        let completion = Box::new(move |done| {
            // Nobody waits for a sender that is gone.
            let _ = sender.send(done);
        });
        self.order(Order::Seal { before_ms }, completion);
        if let Ok(Err(error)) = receiver.recv() {
            tracing::debug!(%error, "the segment could not be sealed");
        }
    }
}

/// One look at the segments.
pub(crate) struct Retirement<'a> {
    pub(crate) state: &'a LogState,
    pub(crate) supply: &'a Supply,
    pub(crate) policies: &'a RetentionPolicies,
    pub(crate) now_ms: u64,
    pub(crate) carry: &'a dyn CarryForward,
}

/// What is to become of a segment.
enum Verdict {
    Remove,
    Compact,
    Keep,
}

impl Retirement<'_> {
    /// Whether the last sealed segment holds messages and none that is to be
    /// kept: it could go if there were another sealed one behind it.
    fn last_sealed_is_in_the_way(&self) -> Result<bool, ReadError> {
        let catalog = self.state.catalog();
        let [.., last, _active] = catalog.segments() else {
            return Ok(false);
        };
        let shares = self.shares(last)?;
        let Some((_state, messages)) = shares.split_last() else {
            return Ok(false);
        };
        let none = Share::default();
        let is_gone = |(number, share): (usize, &Share)| {
            share.records == 0 || self.is_beyond(number, share, &none)
        };
        let has_messages = messages.iter().any(|share| share.records > 0);
        Ok(has_messages && messages.iter().enumerate().all(is_gone))
    }

    pub(crate) fn run(&self) -> Result<RetentionReport, ReadError> {
        let mut report = RetentionReport::default();
        let catalog = self.state.catalog();
        let segments = catalog.segments();
        let looks = self.looks(segments)?;
        let last_dead = looks
            .iter()
            .rposition(|look| matches!(look.verdict, Verdict::Remove));
        // Everything before belongs to the log no more.
        let mut is_front = true;
        for (place, look) in looks.iter().enumerate() {
            let (segment, next) = (&segments[place], &segments[place + 1]);
            let in_the_way = last_dead.is_some_and(|dead| place < dead);
            match look.verdict {
                Verdict::Keep if segment.info.compacted => {
                    is_front = false;
                    continue;
                }
                Verdict::Keep if !in_the_way => break,
                _ => (),
            }
            if !self.may_go(segment, next) {
                break;
            }
            let failed = |source| ReadError::Io {
                file: file_names::segment(segment.id()),
                source,
            };
            let removed = if let Verdict::Remove = look.verdict {
                self.remove(segment, is_front.then_some(&**next))
                    .map_err(failed)?;
                report.segments += 1;
                Removed {
                    records: look.records,
                    bytes: segment.info.len,
                }
            } else {
                is_front = false;
                report.segments_compacted += 1;
                self.compact(segment, &look.live).map_err(failed)?
            };
            for (shard, &end) in (0..).map(ShardId).zip(&next.info.starts) {
                self.state.tail_cache.forget(shard, end);
            }
            report.records += removed.records;
            report.bytes += removed.bytes;
        }
        Ok(report)
    }

    /// What is to become of the segments that can go, oldest first. The last
    /// sealed one stays: what its frames say is needed should the first frame
    /// of the newest one be damaged.
    fn looks(&self, segments: &[Arc<Segment>]) -> Result<Vec<Look>, ReadError> {
        let count = segments.len().saturating_sub(2);
        // What newer segments hold of each policy, per segment.
        let mut newer = vec![vec![Share::default(); self.policies.count() + 1]; segments.len()];
        if self.policies.counts_newer() {
            for place in (1..segments.len().saturating_sub(1)).rev() {
                let shares = self.shares(&segments[place])?;
                newer[place - 1] = newer[place].clone();
                let totals = newer[place - 1].iter_mut().zip(&shares);
                totals.for_each(|(total, share)| total.add(share));
            }
        }
        let looks = segments[..count].iter().zip(&newer);
        let looks = looks.map(|(segment, newer)| {
            let shares = self.shares(segment)?;
            let alive = |number: usize| !self.is_beyond(number, &shares[number], &newer[number]);
            let live: Vec<bool> = (0..shares.len()).map(alive).collect();
            Ok(Look {
                verdict: verdict(&shares, &live),
                live,
                records: shares.iter().map(|share| share.records).sum(),
            })
        });
        looks.collect()
    }

    fn is_beyond(&self, number: usize, share: &Share, newer: &Share) -> bool {
        let bounds = self.policies.bounds(number);
        let age_ms = self.now_ms.saturating_sub(share.timestamp_ms_max);
        bounds.time_ms.is_some_and(|time_ms| age_ms > time_ms)
            || bounds.bytes.is_some_and(|bytes| newer.bytes >= bytes)
            || bounds
                .records
                .is_some_and(|records| newer.records >= records)
    }

    /// Everything in the segment is committed, and what is live of it has been
    /// carried forward.
    fn may_go(&self, segment: &Segment, next: &Segment) -> bool {
        let shards = (0..self.state.config.shards).map(ShardId);
        let ends = shards.map(|shard| (shard, next.info.starts[shard.0 as usize]));
        let starts = |shard: ShardId| segment.info.starts[shard.0 as usize];
        let touched: Vec<(ShardId, u64)> =
            ends.filter(|(shard, end)| starts(*shard) < *end).collect();
        touched
            .iter()
            .all(|(shard, end)| *end <= self.state.position(*shard).visible_end())
            && touched
                .iter()
                .all(|(shard, end)| self.carry.carry_forward(*shard, Offset::new(*end, 0)))
    }

    /// Removes a segment. At the front of the log the next one becomes its
    /// start; behind a rewritten segment it only leaves a hole.
    fn remove(&self, segment: &Arc<Segment>, start: Option<&Segment>) -> io::Result<()> {
        let starts = start.map_or(&[][..], |start| &start.info.starts);
        for (shard, &start) in (0..).map(ShardId).zip(starts) {
            self.state.change_position(shard, |position| {
                position.log_start = position.log_start.max(start);
                position.local_start = position.local_start.max(start);
            });
        }
        let id = segment.id();
        self.state
            .change_catalog(|segments| segments.retain(|kept| kept.id() != id));
        segment.retire();
        // Whoever is building the index is let finish first.
        let _loading = segment.loading.lock();
        indexes::remove(&*self.state.disk, id)?;
        self.supply.recycle(id, segment.info.len)?;
        LogCounters::add(&self.state.counters.segments_removed, 1);
        Ok(())
    }
}

/// A segment as retention sees it.
struct Look {
    verdict: Verdict,
    /// By policy, whether its records are within its bounds.
    live: Vec<bool>,
    records: u64,
}

/// What was taken out of the log.
pub(crate) struct Removed {
    records: u64,
    bytes: u64,
}

/// A segment of which nothing is live goes; one of which at most half is live
/// is rewritten. The last share is that of state records, which never keep a
/// segment alive.
fn verdict(shares: &[Share], alive: &[bool]) -> Verdict {
    let (mut live, mut total) = (0, 0);
    for (number, share) in shares.iter().enumerate() {
        total += share.records;
        let is_state = number + 1 == shares.len();
        if !is_state && alive[number] {
            live += share.records;
        }
    }
    match live {
        0 => Verdict::Remove,
        live if live * 2 <= total => Verdict::Compact,
        _ => Verdict::Keep,
    }
}

#[cfg(test)]
mod tests;
