//! Reading what dispatch did not hand over: the backlog of a session that was
//! offline or fell behind, straight from the log through its own filters.
//!
//! Invariants
//! 1. A shard's cursor passes a batch only when its matches have been handed
//!    over as a delivery.
//! 2. Between the last batch read here and the first one dispatched there is
//!    neither gap nor twin: `end` is where dispatch took over.
//!
//! **Not here**: sending (`deliver`), and how the log finds the batches.

use std::collections::VecDeque;
use std::sync::Arc;

use robustmq_log::{LogReader, ReadLimits};
use robustmq_protocol::topic;
use robustmq_record::{Batch, Offset, ShardId};

use crate::dispatch::KIND_MESSAGE;
use crate::link::Delivery;
use crate::positions::Positions;
use crate::subscription::TargetOptions;
use crate::subscriptions::Subscriptions;

/// Bytes of batches that a reader reads ahead, in all shards together.
const READ_AHEAD_BYTES: usize = 1 << 20;

/// Batches read ahead per shard.
const READ_AHEAD_BATCHES: usize = 64;

struct ShardBacklog {
    shard: ShardId,
    /// Next offset to read.
    next: Offset,
    /// Nothing more at present.
    at_end: bool,
    ready: VecDeque<Delivery>,
}

/// A session's reading of its backlog.
pub(crate) struct CatchUp {
    shards: Vec<ShardBacklog>,
    /// Where dispatch delivers from; none while it does not deliver.
    end: Option<Positions>,
}

/// What there is to do next.
pub(crate) enum Step {
    /// Deliveries, oldest first.
    Deliver(Delivery),
    /// Read more.
    Read,
    /// Everything at hand has been read: rejoin dispatch.
    Rejoin,
    /// The gap up to dispatch is closed: the session is live.
    Live,
}

/// A read to be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ReadPlace {
    shard: ShardId,
    pub(crate) from: Offset,
    bytes_max: usize,
}

/// What one read found.
pub(crate) struct Found {
    shard: ShardId,
    batches: Vec<Arc<Batch>>,
    next: Offset,
    at_end: bool,
    /// Offsets no longer there, because of retention or damage.
    pub(crate) missing: u64,
    /// The disk refused; nothing was found out.
    pub(crate) failed: bool,
}

impl Found {
    /// What a read without gaps found.
    #[cfg(test)]
    pub(crate) fn new(
        shard: ShardId,
        batches: Vec<Arc<Batch>>,
        next: Offset,
        at_end: bool,
    ) -> Self {
        Self {
            shard,
            batches,
            next,
            at_end,
            missing: 0,
            failed: false,
        }
    }
}

impl CatchUp {
    /// Reads from `from`; with `end`, dispatch already delivers from there.
    pub(crate) fn new(from: &Positions, end: Option<Positions>) -> Self {
        let shards = from
            .iter()
            .map(|(shard, next)| ShardBacklog {
                shard,
                next,
                at_end: false,
                ready: VecDeque::new(),
            })
            .collect();
        let mut catch_up = Self { shards, end };
        catch_up.apply_end();
        catch_up
    }

    /// Dispatch delivers from `end` on.
    pub(crate) fn rejoined(&mut self, end: Positions) {
        for backlog in &mut self.shards {
            backlog.at_end = false;
        }
        self.end = Some(end);
        self.apply_end();
    }

    /// More may have come: reads on in every shard that stands before `visible`.
    pub(crate) fn refresh(&mut self, visible: &Positions) {
        for backlog in &mut self.shards {
            if backlog.next < visible.get(backlog.shard) {
                backlog.at_end = false;
            }
        }
        self.apply_end();
    }

    /// Dispatch has stopped delivering: go on without an end.
    pub(crate) fn lost_end(&mut self) {
        if self.end.take().is_some() {
            for backlog in &mut self.shards {
                backlog.at_end = false;
            }
        }
    }

    /// Where the session stands: the first offset per shard not handed over.
    pub(crate) fn positions(&self) -> Positions {
        self.shards
            .iter()
            .map(|backlog| {
                let held = backlog.ready.front().and_then(Delivery::next_offset);
                (backlog.shard, held.unwrap_or(backlog.next))
            })
            .collect()
    }

    /// Gives back a delivery that could not be finished.
    pub(crate) fn put_back(&mut self, delivery: Delivery) {
        let shard = delivery.batch.shard();
        if let Some(backlog) = self
            .shards
            .iter_mut()
            .find(|backlog| backlog.shard == shard)
        {
            backlog.ready.push_front(delivery);
        }
    }

    /// What to do next. Batches of different shards come in the order of their
    /// time, batches of one shard in the order of its log.
    pub(crate) fn step(&mut self) -> Step {
        if self
            .shards
            .iter()
            .any(|backlog| backlog.ready.is_empty() && !backlog.at_end)
        {
            return Step::Read;
        }
        let oldest = self
            .shards
            .iter_mut()
            .filter(|backlog| !backlog.ready.is_empty())
            .min_by_key(|backlog| {
                let head = backlog
                    .ready
                    .front()
                    .map(|delivery| delivery.batch.timestamp_ms_min());
                (head, backlog.shard.0)
            });
        if let Some(delivery) = oldest.and_then(|backlog| backlog.ready.pop_front()) {
            return Step::Deliver(delivery);
        }
        if self.end.is_some() {
            Step::Live
        } else {
            Step::Rejoin
        }
    }

    /// The reads to make, to be run where blocking is allowed.
    pub(crate) fn reads(&self) -> Vec<ReadPlace> {
        // A filter that reaches one shard reads as far ahead there as another
        // one does in all.
        let reached = self.shards.iter().filter(|one| one.next != Offset::MAX);
        let bytes_max = READ_AHEAD_BYTES / reached.count().max(1);
        self.shards
            .iter()
            .filter(|backlog| backlog.ready.is_empty() && !backlog.at_end)
            .map(|backlog| ReadPlace {
                shard: backlog.shard,
                from: backlog.next,
                bytes_max,
            })
            .collect()
    }

    /// Takes in what a read found.
    pub(crate) fn handle_found(&mut self, found: Found, subscriptions: &Subscriptions) {
        let end = self.end.as_ref().map(|end| end.get(found.shard));
        let Some(backlog) = self
            .shards
            .iter_mut()
            .find(|backlog| backlog.shard == found.shard)
        else {
            return;
        };
        for batch in found.batches {
            if end.is_some_and(|end| batch.first_offset() >= end) {
                break;
            }
            let from = backlog.next;
            if let Some(delivery) = select(&batch, from, subscriptions) {
                backlog.ready.push_back(delivery);
            }
        }
        backlog.next = backlog.next.max(found.next);
        backlog.at_end = found.at_end;
        self.apply_end();
    }

    fn apply_end(&mut self) {
        let Some(end) = &self.end else { return };
        for backlog in &mut self.shards {
            let end = end.get(backlog.shard);
            if backlog.next >= end {
                backlog.next = end;
                backlog.at_end = true;
            }
        }
    }
}

/// Makes one read; blocks on the disk.
///
/// After a read error the session must not go on: it would pass over what it
/// could not read.
pub(crate) fn read(
    reader: &LogReader,
    place: ReadPlace,
    filters: &[topic::FilterAutomaton],
) -> Found {
    let ReadPlace {
        shard,
        from,
        bytes_max,
    } = place;
    let limits = ReadLimits {
        bytes_max,
        batches_max: READ_AHEAD_BATCHES,
    };
    match reader.read(shard, from, Some(filters), limits) {
        Ok(chunk) => Found {
            shard,
            missing: chunk.gaps.len() as u64,
            failed: false,
            batches: chunk.batches,
            next: chunk.next,
            at_end: chunk.at_end,
        },
        Err(error) => {
            tracing::warn!(shard = shard.0, offset = from.0, %error, "a session's backlog could not be read");
            Found {
                shard,
                batches: Vec::new(),
                next: from,
                at_end: true,
                missing: 0,
                failed: true,
            }
        }
    }
}

/// The messages of a batch from `from` on that the session gets.
fn select(batch: &Arc<Batch>, from: Offset, subscriptions: &Subscriptions) -> Option<Delivery> {
    let mut options: Vec<Arc<TargetOptions>> = Vec::new();
    let by_topic: Vec<Option<u16>> = batch
        .topics()
        .map(|(_, _, topic)| {
            let found = subscriptions.matching(topic, batch.shard(), batch.first_offset())?;
            options.push(Arc::new(found));
            Some((options.len() - 1) as u16)
        })
        .collect();
    if options.is_empty() {
        return None;
    }
    let entries: Vec<(u16, u16)> = batch
        .records()
        .filter(|record| record.kind() == KIND_MESSAGE && record.offset() >= from)
        .filter_map(|record| {
            let option = by_topic[record.topic_id() as usize]?;
            Some((record.offset().slot(), option))
        })
        .collect();
    if entries.is_empty() {
        return None;
    }
    Some(Delivery {
        batch: Arc::clone(batch),
        entries,
        options,
        done: 0,
    })
}
