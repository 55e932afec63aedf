//! Who of a group gets the next message. Pure.
//!
//! Invariants
//! 1. A message is given to one seat.
//! 2. No seat holds more than [`QUEUE_MAX`] messages that it has not taken:
//!    beyond that the next one with room has its turn.

use std::collections::VecDeque;
use std::sync::Arc;

use robustmq_record::Batch;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::state::{MemberId, Place};

/// Messages that one member has been chosen for and has not taken.
const QUEUE_MAX: usize = 128;

/// How a group shares its messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Strategy {
    /// One after the other.
    #[default]
    RoundRobin,
    /// Anybody.
    Random,
    /// The same member as long as it is there.
    Sticky,
    /// By the publisher's Client Identifier.
    HashClientid,
    /// By the Topic Name.
    HashTopic,
    /// Anybody on the node that the message came to; all members of a group are
    /// on one node.
    Local,
    /// Whoever has the fewest messages not acknowledged.
    LeastInflight,
}

/// A member's place in a group.
struct Seat {
    member: MemberId,
    in_flight: usize,
    queue: VecDeque<(Place, Arc<Batch>)>,
}

/// The members of a group, in the order in which they came.
pub(super) struct Sharing {
    seats: Vec<Seat>,
    turn: usize,
    sticky: Option<MemberId>,
    chance: u64,
    /// Members that have something to take now and had nothing before.
    filled: Vec<MemberId>,
}

impl Sharing {
    /// A group without members; `seed` is for its chances.
    pub(super) fn new(seed: u64) -> Self {
        Self {
            seats: Vec::new(),
            turn: 0,
            sticky: None,
            chance: seed | 1,
            filled: Vec::new(),
        }
    }

    pub(super) fn sit_down(&mut self, member: MemberId) {
        self.seats.push(Seat {
            member,
            in_flight: 0,
            queue: VecDeque::new(),
        });
    }

    /// A member leaves; what it was chosen for and has not taken.
    pub(super) fn get_up(&mut self, member: MemberId) -> VecDeque<(Place, Arc<Batch>)> {
        let Some(place) = self.seats.iter().position(|seat| seat.member == member) else {
            return VecDeque::new();
        };
        if self.sticky == Some(member) {
            self.sticky = None;
        }
        self.seats.remove(place).queue
    }

    fn seat(&mut self, member: MemberId) -> Option<&mut Seat> {
        self.seats.iter_mut().find(|seat| seat.member == member)
    }

    /// Chooses a member for a message and keeps it for that member.
    pub(super) fn assign(&mut self, strategy: Strategy, place: Place, batch: Arc<Batch>) {
        let count = self.seats.len();
        assert!(count > 0, "somebody asked");
        let first = self.choose(strategy, place, &batch);
        let ring = (0..count).map(|step| (first + step) % count);
        let with_room = ring
            .clone()
            .find(|at| self.seats[*at].queue.len() < QUEUE_MAX);
        // Whoever asks has taken all of its own: there is always room.
        let at = with_room.unwrap_or(first);
        let seat = &mut self.seats[at];
        if strategy == Strategy::Sticky {
            self.sticky = Some(seat.member);
        }
        if seat.queue.is_empty() && !self.filled.contains(&seat.member) {
            self.filled.push(seat.member);
        }
        seat.queue.push_back((place, batch));
    }

    fn choose(&mut self, strategy: Strategy, place: Place, batch: &Batch) -> usize {
        let count = self.seats.len();
        let record = batch.record(place.1.slot());
        let of = |hash: u64| (hash % count as u64) as usize;
        match strategy {
            Strategy::RoundRobin => {
                self.turn = (self.turn + 1) % count;
                self.turn
            }
            Strategy::Random | Strategy::Local => of(self.next_chance()),
            Strategy::Sticky => {
                let kept = self.sticky;
                let kept = self.seats.iter().position(|seat| Some(seat.member) == kept);
                kept.unwrap_or_else(|| of(self.next_chance()))
            }
            Strategy::HashClientid => of(record.map_or(0, |record| hash(record.client_id()))),
            Strategy::HashTopic => of(record.map_or(0, |record| hash(record.topic()))),
            Strategy::LeastInflight => {
                let seats = self.seats.iter().enumerate();
                let least = seats.min_by_key(|(_, seat)| seat.in_flight + seat.queue.len());
                least.map_or(0, |(at, _)| at)
            }
        }
    }

    /// The next message of a member.
    pub(super) fn pop(&mut self, member: MemberId) -> Option<(Place, Arc<Batch>)> {
        let seat = self.seat(member)?;
        let popped = seat.queue.pop_front()?;
        seat.in_flight += 1;
        Some(popped)
    }

    /// A member is done with a message, or gives it back to be taken again.
    pub(super) fn done(&mut self, member: MemberId) {
        if let Some(seat) = self.seat(member) {
            seat.in_flight = seat.in_flight.saturating_sub(1);
        }
    }

    /// A member cannot take a message now: it is its next one. False if the
    /// member is gone.
    pub(super) fn put_back(&mut self, member: MemberId, place: Place, batch: &Arc<Batch>) -> bool {
        let Some(seat) = self.seat(member) else {
            return false;
        };
        seat.queue.push_front((place, Arc::clone(batch)));
        true
    }

    /// Everything that was chosen for somebody and not taken is forgotten.
    pub(super) fn clear(&mut self) {
        for seat in &mut self.seats {
            seat.queue.clear();
            seat.in_flight = 0;
        }
        self.filled.clear();
    }

    /// Where the messages lie that members have not taken.
    pub(super) fn places(&self) -> impl Iterator<Item = Place> {
        let queues = self.seats.iter().flat_map(|seat| &seat.queue);
        queues.map(|(place, _)| *place)
    }

    /// Who has something to take now and had nothing before.
    pub(super) fn take_filled(&mut self) -> Vec<MemberId> {
        std::mem::take(&mut self.filled)
    }

    /// xorshift64: chances, not secrets.
    fn next_chance(&mut self) -> u64 {
        self.chance ^= self.chance << 13;
        self.chance ^= self.chance >> 7;
        self.chance ^= self.chance << 17;
        self.chance >> 16
    }
}

/// FNV-1a, mixed: the same on every node and in every version.
fn hash(text: &str) -> u64 {
    let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    hash ^ (hash >> 32)
}
