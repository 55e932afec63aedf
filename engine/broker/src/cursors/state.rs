//! The state of one named cursor: what has been given to whom, what comes
//! back, where it stands. Pure: reading and waiting are its callers'.
//!
//! Invariants
//! 1. A message is with at most one member at a time.
//! 2. The position never passes a message that is neither acknowledged nor
//!    without a match.

use std::collections::BTreeMap;
use std::sync::Arc;

use robustmq_record::{Batch, Offset, ShardId};

use crate::history::catch_up::{Found, ReadPlace};
use crate::history::{CatchUp, Step};
use crate::link::Delivery;
use crate::positions::Positions;
use crate::subscriptions::Subscriptions;

/// Number of a member, never used again.
pub(crate) type MemberId = u64;

/// Where a message lies.
pub(crate) type Place = (ShardId, Offset);

/// A message on its way to a member.
#[derive(Clone, Debug)]
pub(crate) struct Given {
    pub(crate) batch: Arc<Batch>,
    pub(crate) slot: u16,
    /// Acknowledgements of an earlier life of the cursor do not count.
    pub(crate) generation: u64,
}

impl Given {
    pub(crate) fn place(&self) -> Place {
        let offset = Offset::new(self.batch.index(), self.slot);
        (self.batch.shard(), offset)
    }
}

/// What a member finds.
#[derive(Debug)]
pub(crate) enum Taken {
    /// Messages, now with the member.
    Messages(Vec<Given>),
    /// The log must be read, by this member.
    Read(Vec<ReadPlace>),
    /// Somebody else reads, or there is nothing more at present.
    Wait,
}

struct Out {
    member: MemberId,
    batch: Arc<Batch>,
}

/// See the module.
pub(crate) struct CursorState {
    subscriptions: Subscriptions,
    reading: CatchUp,
    current: Option<Delivery>,
    /// With a member, not acknowledged.
    out: BTreeMap<Place, Out>,
    /// Came back from members that left.
    returned: BTreeMap<Place, Arc<Batch>>,
    generation: u64,
    is_read: bool,
}

impl CursorState {
    pub(crate) fn new(subscriptions: Subscriptions, from: &Positions) -> Self {
        Self {
            subscriptions,
            reading: CatchUp::new(from, None),
            current: None,
            out: BTreeMap::new(),
            returned: BTreeMap::new(),
            generation: 0,
            is_read: false,
        }
    }

    /// The filter, for reading.
    pub(crate) fn subscriptions(&self) -> &Subscriptions {
        &self.subscriptions
    }

    /// How many messages are with members.
    pub(crate) fn in_flight(&self) -> usize {
        self.out.len()
    }

    /// The member that has a message.
    pub(crate) fn holder(&self, place: Place) -> Option<MemberId> {
        self.out.get(&place).map(|out| out.member)
    }

    /// Whether a message is still to be given to somebody.
    pub(crate) fn is_ahead(&self, place: Place) -> bool {
        self.returned.contains_key(&place) || place.1 >= self.next().get(place.0)
    }

    /// Where it reads on.
    fn next(&self) -> Positions {
        let mut positions = self.reading.positions();
        if let Some(delivery) = &self.current
            && let Some(next) = delivery.next_offset()
        {
            positions.lower(delivery.batch.shard(), next);
        }
        positions
    }

    /// Gives a member at most `count_max` messages: first those that came back.
    pub(crate) fn take(
        &mut self,
        member: MemberId,
        count_max: usize,
        visible: &Positions,
    ) -> Taken {
        let mut given = Vec::new();
        while given.len() < count_max
            && let Some((place, batch)) = self.returned.pop_first()
        {
            given.push(self.give(member, &batch, place.1.slot()));
        }
        while given.len() < count_max {
            if let Some(mut delivery) = self.current.take() {
                let Some((slot, _)) = delivery.entries.get(delivery.done).copied() else {
                    continue;
                };
                delivery.done += 1;
                let batch = Arc::clone(&delivery.batch);
                self.current = Some(delivery);
                given.push(self.give(member, &batch, slot));
                continue;
            }
            if self.is_read {
                break;
            }
            self.reading.refresh(visible);
            match self.reading.step() {
                Step::Deliver(delivery) => self.current = Some(delivery),
                Step::Read if given.is_empty() => {
                    self.is_read = true;
                    return Taken::Read(self.reading.reads());
                }
                Step::Read | Step::Rejoin | Step::Live => break,
            }
        }
        if given.is_empty() {
            Taken::Wait
        } else {
            Taken::Messages(given)
        }
    }

    fn give(&mut self, member: MemberId, batch: &Arc<Batch>, slot: u16) -> Given {
        let given = Given {
            batch: Arc::clone(batch),
            slot,
            generation: self.generation,
        };
        let out = Out {
            member,
            batch: Arc::clone(batch),
        };
        self.out.insert(given.place(), out);
        given
    }

    /// What the member read; nothing, if it could not.
    pub(crate) fn found(&mut self, found: Vec<Found>, generation: u64) {
        self.is_read = false;
        if generation != self.generation {
            return;
        }
        for found in found {
            self.reading.handle_found(found, &self.subscriptions);
        }
    }

    /// The number of this life of the cursor.
    pub(crate) fn generation(&self) -> u64 {
        self.generation
    }

    /// A member is done with a message; whether that changes anything.
    pub(crate) fn done(&mut self, member: MemberId, generation: u64, place: Place) -> bool {
        let is_its = generation == self.generation
            && self.out.get(&place).is_some_and(|out| out.member == member);
        if is_its {
            self.out.remove(&place);
        }
        is_its
    }

    /// A message was given and cannot be sent now: it comes again.
    pub(crate) fn put_back(&mut self, member: MemberId, given: &Given) {
        if self.done(member, given.generation, given.place()) {
            self.returned
                .insert(given.place(), Arc::clone(&given.batch));
        }
    }

    /// A member has left: what it had goes to others; how much that is.
    pub(crate) fn leave(&mut self, member: MemberId) -> usize {
        let left = self
            .out
            .extract_if(.., |_, out| out.member == member)
            .map(|(place, out)| (place, out.batch));
        let before = self.returned.len();
        self.returned.extend(left);
        self.returned.len() - before
    }

    /// Everybody has left: lets go of what was read ahead.
    pub(crate) fn rest(&mut self) {
        let positions = self.positions();
        self.seek(&positions);
    }

    /// Goes on from elsewhere; what is with members is not waited for.
    pub(crate) fn seek(&mut self, from: &Positions) {
        self.generation += 1;
        self.reading = CatchUp::new(from, None);
        self.current = None;
        self.out.clear();
        self.returned.clear();
    }

    /// Where it stands: all before has been acknowledged or did not match.
    pub(crate) fn positions(&self) -> Positions {
        let mut positions = self.next();
        for (shard, offset) in self.out.keys().chain(self.returned.keys()) {
            positions.lower(*shard, *offset);
        }
        positions
    }
}

#[cfg(test)]
mod tests;
