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

use super::sharing::{Sharing, Strategy};
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
    /// Where messages are given out by a strategy, and not to whoever asks.
    sharing: Option<Sharing>,
}

/// The next message there is.
enum Next {
    Message(Place, Arc<Batch>),
    Read,
    Nothing,
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
            sharing: None,
        }
    }

    /// The state of a group whose members are chosen by a strategy.
    pub(crate) fn shared(subscriptions: Subscriptions, from: &Positions, seed: u64) -> Self {
        Self {
            sharing: Some(Sharing::new(seed)),
            ..Self::new(subscriptions, from)
        }
    }

    /// A member comes.
    pub(crate) fn enter(&mut self, member: MemberId) {
        if let Some(sharing) = &mut self.sharing {
            sharing.sit_down(member);
        }
    }

    /// Members that have something to take now and had nothing before.
    pub(crate) fn take_filled(&mut self) -> Vec<MemberId> {
        self.sharing
            .as_mut()
            .map(Sharing::take_filled)
            .unwrap_or_default()
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
        let is_kept = |sharing: &Sharing| sharing.places().any(|kept| kept == place);
        self.returned.contains_key(&place)
            || place.1 >= self.next().get(place.0)
            || self.sharing.as_ref().is_some_and(is_kept)
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
        strategy: Strategy,
    ) -> Taken {
        let mut given = Vec::new();
        while given.len() < count_max {
            if let Some(sharing) = &mut self.sharing
                && let Some((place, batch)) = sharing.pop(member)
            {
                given.push(self.give(member, &batch, place.1.slot()));
                continue;
            }
            match self.next_message(visible) {
                Next::Message(place, batch) => match &mut self.sharing {
                    Some(sharing) => sharing.assign(strategy, place, batch),
                    None => given.push(self.give(member, &batch, place.1.slot())),
                },
                Next::Read if given.is_empty() => {
                    self.is_read = true;
                    return Taken::Read(self.reading.reads());
                }
                Next::Read | Next::Nothing => break,
            }
        }
        if given.is_empty() {
            Taken::Wait
        } else {
            Taken::Messages(given)
        }
    }

    fn next_message(&mut self, visible: &Positions) -> Next {
        if let Some((place, batch)) = self.returned.pop_first() {
            return Next::Message(place, batch);
        }
        loop {
            if let Some(mut delivery) = self.current.take() {
                let Some((slot, _)) = delivery.entries.get(delivery.done).copied() else {
                    continue;
                };
                delivery.done += 1;
                let batch = Arc::clone(&delivery.batch);
                self.current = Some(delivery);
                let place = (batch.shard(), Offset::new(batch.index(), slot));
                return Next::Message(place, batch);
            }
            if self.is_read {
                return Next::Nothing;
            }
            self.reading.refresh(visible);
            match self.reading.step() {
                Step::Deliver(delivery) => self.current = Some(delivery),
                Step::Read => return Next::Read,
                Step::Rejoin | Step::Live => return Next::Nothing,
            }
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
            if let Some(sharing) = &mut self.sharing {
                sharing.done(member);
            }
        }
        is_its
    }

    /// A message was given and cannot be sent now: it comes again.
    pub(crate) fn put_back(&mut self, member: MemberId, given: &Given) {
        if self.done(member, given.generation, given.place()) {
            let place = given.place();
            let is_kept = self
                .sharing
                .as_mut()
                .is_some_and(|sharing| sharing.put_back(member, place, &given.batch));
            if !is_kept {
                self.returned.insert(place, Arc::clone(&given.batch));
            }
        }
    }

    /// A member has left: what it had goes to others; how much it was sent of that.
    pub(crate) fn leave(&mut self, member: MemberId) -> usize {
        let left = self
            .out
            .extract_if(.., |_, out| out.member == member)
            .map(|(place, out)| (place, out.batch));
        let before = self.returned.len();
        self.returned.extend(left);
        let sent = self.returned.len() - before;
        if let Some(sharing) = &mut self.sharing {
            self.returned.extend(sharing.get_up(member));
        }
        sent
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
        if let Some(sharing) = &mut self.sharing {
            sharing.clear();
        }
    }

    /// Where it stands: all before has been acknowledged or did not match.
    pub(crate) fn positions(&self) -> Positions {
        let mut positions = self.next();
        for (shard, offset) in self.out.keys().chain(self.returned.keys()) {
            positions.lower(*shard, *offset);
        }
        for (shard, offset) in self.sharing.iter().flat_map(Sharing::places) {
            positions.lower(shard, offset);
        }
        positions
    }
}

#[cfg(test)]
mod tests;
