//! Hands the messages of a batch to the sessions that match.

use std::collections::VecDeque;
use std::sync::Arc;

use robustmq_record::{Batch, Offset, RecordRef, ShardId};

use super::interest::{Interest, MatchTarget, Matches, SubscriberId};
use crate::counters::Counters;
use crate::link::Delivery;
use crate::positions::Positions;

/// Kind of a record that is a message; all others are state.
pub(crate) const KIND_MESSAGE: u8 = 0;

struct Staged {
    subscriber: SubscriberId,
    delivery: Delivery,
}

/// The working state of fanning out, reused from batch to batch.
pub(super) struct FanOut {
    /// Matches of the current batch's topics, by topic id.
    matches: Vec<Matches>,
    /// By topic id: whether somebody gets the topic, replays that follow it
    /// included.
    wanted: Vec<bool>,
    staged: Vec<Staged>,
    /// Per subscriber: batch number and index in `staged`.
    marks: Vec<(u64, u32)>,
    batch_number: u64,
    held: VecDeque<(ShardId, Offset, usize)>,
    held_bytes: usize,
    hold_bytes_max: usize,
    horizon: Positions,
    swept_bytes: usize,
}

impl FanOut {
    pub(super) fn new(hold_bytes_max: usize) -> Self {
        Self {
            matches: Vec::new(),
            wanted: Vec::new(),
            staged: Vec::new(),
            marks: Vec::new(),
            batch_number: 0,
            held: VecDeque::new(),
            held_bytes: 0,
            hold_bytes_max,
            horizon: Positions::default(),
            swept_bytes: 0,
        }
    }

    /// Whether a topic of the batch dispatched last has a subscriber.
    pub(super) fn matched(&self, topic_id: usize) -> bool {
        self.wanted.get(topic_id).copied().unwrap_or(false)
    }

    /// The one answer for all topics of the batch dispatched last, if it is one.
    pub(super) fn matched_uniformly(&self) -> Option<bool> {
        let mut answers = self.wanted.iter().copied();
        let first = answers.next()?;
        answers.all(|answer| answer == first).then_some(first)
    }

    /// Queues the batch's messages with everybody who gets them.
    pub(super) fn dispatch(
        &mut self,
        batch: &Arc<Batch>,
        interest: &mut Interest,
        dispatched: &Positions,
        counters: &Counters,
    ) {
        self.batch_number += 1;
        self.marks
            .resize(self.marks.len().max(interest.ids_end()), (0, 0));
        self.matches.clear();
        self.wanted.clear();
        for (_, _, topic) in batch.topics() {
            let matches = interest.matches(topic);
            // State records have no topic: nobody missing is to be told of.
            let wanted = topic.is_empty() || !matches.is_empty() || interest.is_watched(topic);
            self.wanted.push(wanted);
            self.matches.push(matches);
        }
        if self.matches.iter().any(|matches| !matches.is_empty()) {
            for record in batch
                .records()
                .filter(|record| record.kind() == KIND_MESSAGE)
            {
                self.stage(batch, &record, interest);
            }
            self.flush(interest, dispatched, counters);
        }
        self.hold(batch, interest, dispatched, counters);
    }

    fn stage(&mut self, batch: &Arc<Batch>, record: &RecordRef<'_>, interest: &Interest) {
        let slot = record.offset().slot();
        let matches = Arc::clone(&self.matches[record.topic_id() as usize]);
        for target in matches.iter() {
            if !interest.is_live(target.subscriber) {
                continue;
            }
            if target.options.depends_on_publisher()
                && let Some(link) = interest.link(target.subscriber)
            {
                let own = link.client_id() == record.client_id();
                if target.options.effective(own).is_none() {
                    continue;
                }
            }
            let delivery = self.staged_for(batch, target);
            let known = delivery
                .options
                .iter()
                .rposition(|options| Arc::ptr_eq(options, &target.options));
            let option = known.unwrap_or_else(|| {
                delivery.options.push(Arc::clone(&target.options));
                delivery.options.len() - 1
            });
            delivery.entries.push((slot, option as u16));
        }
    }

    fn staged_for(&mut self, batch: &Arc<Batch>, target: &MatchTarget) -> &mut Delivery {
        let mark = &mut self.marks[target.subscriber as usize];
        if mark.0 != self.batch_number {
            *mark = (self.batch_number, self.staged.len() as u32);
            self.staged.push(Staged {
                subscriber: target.subscriber,
                delivery: Delivery {
                    batch: Arc::clone(batch),
                    entries: Vec::new(),
                    options: Vec::new(),
                    done: 0,
                },
            });
        }
        let index = mark.1 as usize;
        &mut self.staged[index].delivery
    }

    fn flush(&mut self, interest: &mut Interest, dispatched: &Positions, counters: &Counters) {
        for Staged {
            subscriber,
            delivery,
        } in self.staged.drain(..)
        {
            if let Some(link) = interest.live_link(subscriber)
                && !link.push(delivery, dispatched)
            {
                interest.set_lagging(subscriber);
                counters.lagged.add(1);
            }
        }
    }

    /// Remembers that the batch is now held by whoever it was queued with, and
    /// from time to time makes those let go who hold what is long past.
    fn hold(
        &mut self,
        batch: &Arc<Batch>,
        interest: &mut Interest,
        dispatched: &Positions,
        counters: &Counters,
    ) {
        let bytes = batch.size_bytes();
        let next = Offset::new(batch.index() + 1, 0);
        self.held.push_back((batch.shard(), next, bytes));
        self.held_bytes += bytes;
        while self.held_bytes > self.hold_bytes_max
            && let Some((shard, end, bytes)) = self.held.pop_front()
        {
            self.held_bytes -= bytes;
            self.horizon.raise(shard, end);
        }
        self.swept_bytes += bytes;
        if self.swept_bytes > self.hold_bytes_max / 4 {
            self.swept_bytes = 0;
            // The batch at hand is queued already: a session that lets go now
            // resumes at the earliest thing it held, so `dispatched` may still
            // stand before this batch only if the session did not get it.
            let mut reached = dispatched.clone();
            reached.raise(batch.shard(), next);
            for subscriber in interest.live_ids() {
                if let Some(link) = interest.link(subscriber)
                    && link.release_older_than(&self.horizon, &reached)
                {
                    interest.set_lagging(subscriber);
                    counters.lagged.add(1);
                }
            }
        }
    }
}
