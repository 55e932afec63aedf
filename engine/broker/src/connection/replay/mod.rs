//! Replays: subscriptions that begin in the past. Each is a cursor of its own
//! that reads the log, at the end too: what is live it reads from the tail
//! cache when dispatch says that there is something.
//!
//! Invariants
//! 1. A replay delivers every matching message of its range once, in the order
//!    of the log within a shard: there is no seam between history and live.
//! 2. A replay never holds more than it reads ahead; a client that does not
//!    take its messages stops the reading.
//!
//! **Not here**: reading (`catch_up`), sending (`deliver`), the spelling of
//! ranges (`robustmq_protocol::topic`).

mod pace;
mod pump;
mod request;

use std::collections::VecDeque;

use robustmq_protocol::topic;
use robustmq_record::{Offset, ShardId};

use super::dress::Dress;
use crate::history::{CatchUp, Resolved, Step, UNREACHED};
use crate::link::Delivery;
use crate::positions::Positions;
use crate::subscription::{Effective, SubscriptionOptions, TargetOptions};
use crate::subscriptions::{Subscription, Subscriptions};

pub(super) use pace::Rate;
pub(super) use request::{Asked, Wishes, spelled};
pub(crate) use request::{is_plain, spelled_name};

use pace::Pace;

/// Replays of one session at a time.
pub(super) const REPLAYS_MAX: usize = 32;

/// Messages picked one by one that are read at a time.
const PICKS_AT_A_TIME: usize = 64;

/// How far a replay is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Sending what was there when it began.
    History,
    /// At the end, waiting for more.
    Live,
    /// The range has ended.
    Done,
}

/// One replay.
pub(super) struct Replay {
    /// How the session knows it: the filter as it was subscribed.
    name: String,
    /// How it is stored: as a replay's filter, whatever it was asked for with.
    stored: String,
    filter: String,
    options: SubscriptionOptions,
    json: bool,
    pace: Pace,
    /// The filter alone, for selecting what matches.
    subscriptions: Subscriptions,
    /// Single messages that come first.
    picks: VecDeque<(ShardId, Offset)>,
    picked: VecDeque<Delivery>,
    reading: CatchUp,
    since_ms: u64,
    until_ms: u64,
    end: Option<Positions>,
    history_end: Positions,
    phase: Phase,
}

/// What a replay needs next.
enum Need {
    Deliver {
        delivery: Delivery,
        /// It was picked, not met while reading on.
        is_pick: bool,
    },
    Read,
    /// Nothing before more is published.
    Wait,
    /// It has reached the end of what there was, just now.
    CaughtUp,
}

impl Replay {
    pub(super) fn new(asked: Asked, resolved: Resolved) -> Self {
        let mut subscriptions = Subscriptions::default();
        subscriptions.insert(
            &asked.filter,
            Subscription {
                options: asked.options,
                retain_handling: 2,
                starts: Positions::default(),
            },
        );
        Self {
            reading: CatchUp::new(&resolved.from, resolved.end.clone()),
            name: asked.name,
            stored: asked.stored,
            filter: asked.filter,
            options: asked.options,
            json: asked.json,
            pace: Pace::new(asked.rate),
            subscriptions,
            picks: resolved.picks.unwrap_or_default().into(),
            picked: VecDeque::new(),
            since_ms: resolved.since_ms,
            until_ms: resolved.until_ms,
            end: resolved.end,
            history_end: resolved.history_end,
            phase: Phase::History,
        }
    }

    /// The filter as it was subscribed.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Where it stands: the first offset per shard not handed to the client.
    fn positions(&self) -> Positions {
        let mut positions = self.reading.positions();
        let picked = self.picked.iter().filter_map(|delivery| {
            let offset = delivery.next_offset()?;
            Some((delivery.batch.shard(), offset))
        });
        for (shard, offset) in picked.chain(self.picks.iter().copied()) {
            positions.lower(shard, offset);
        }
        positions
    }

    /// As it is stored with the session, to be resumed from there.
    pub(super) fn to_subscription(&self) -> (&str, Subscription) {
        let starts = self
            .positions()
            .iter()
            .filter(|(_, offset)| *offset != UNREACHED)
            .collect();
        let subscription = Subscription {
            options: self.options,
            retain_handling: 2,
            starts,
        };
        (&self.stored, subscription)
    }

    fn next(&mut self, visible: &Positions) -> Need {
        if self.phase == Phase::Done {
            return Need::Wait;
        }
        if let Some(delivery) = self.picked.pop_front() {
            let is_pick = true;
            return Need::Deliver { delivery, is_pick };
        }
        if !self.picks.is_empty() {
            return Need::Read;
        }
        if self.phase == Phase::Live {
            self.reading.refresh(visible);
        }
        match self.reading.step() {
            Step::Deliver(delivery) => {
                let is_pick = false;
                Need::Deliver { delivery, is_pick }
            }
            Step::Read => Need::Read,
            Step::Live => {
                self.phase = Phase::Done;
                Need::CaughtUp
            }
            Step::Rejoin if self.phase == Phase::History => {
                self.phase = Phase::Live;
                Need::CaughtUp
            }
            Step::Rejoin => Need::Wait,
        }
    }

    fn put_back(&mut self, delivery: Delivery, is_pick: bool) {
        if is_pick {
            self.picked.push_front(delivery);
        } else {
            self.reading.put_back(delivery);
        }
    }

    /// How one of its messages is marked.
    fn dress(&self, shard: ShardId, offset: Offset) -> Dress {
        Dress {
            replayed: true,
            history: offset < self.history_end.get(shard),
            json: self.json,
        }
    }

    /// Whether a message of a batch it reads is part of the range.
    fn holds(&self, shard: ShardId, offset: Offset, timestamp_ms: u64) -> bool {
        let before_end = self.end.as_ref().is_none_or(|end| offset < end.get(shard));
        before_end && (self.since_ms..self.until_ms).contains(&timestamp_ms)
    }
}

/// The replays of one session.
#[derive(Default)]
pub(super) struct Replays {
    all: Vec<Replay>,
    /// Whose turn it is.
    turn: usize,
    /// When the next message that is held back by its rate is due.
    due_ms: Option<u64>,
}

impl Replays {
    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    pub(super) fn contains(&self, name: &str) -> bool {
        self.all.iter().any(|replay| replay.name == name)
    }

    pub(super) fn insert(&mut self, replay: Replay) {
        self.all.retain(|known| known.name != replay.name);
        self.all.push(replay);
    }

    /// Removes a replay; gives the filter it was stored under.
    pub(super) fn remove(&mut self, name: &str) -> Option<String> {
        let place = self.all.iter().position(|replay| replay.name == name)?;
        Some(self.all.remove(place).stored)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Replay> {
        self.all.iter()
    }

    /// The filters whose messages they wait for.
    pub(super) fn watched(&self) -> Vec<String> {
        let going_on = self.all.iter().filter(|replay| replay.end.is_none());
        going_on.map(|replay| replay.filter.clone()).collect()
    }

    /// When the connection has to look again, on the monotonic clock.
    pub(super) fn due_ms(&self) -> Option<u64> {
        self.due_ms
    }

    /// How a message in flight is sent again that only a replay matches.
    pub(super) fn manner_for(&self, name: &str) -> Option<(Effective, Dress)> {
        let replay = self
            .all
            .iter()
            .find(|replay| topic::matches(&replay.filter, name))?;
        let effective = TargetOptions::from(&replay.options)
            .effective(false)
            .cloned()?;
        let dress = Dress {
            replayed: true,
            history: true,
            json: replay.json,
        };
        Some((effective, dress))
    }
}
