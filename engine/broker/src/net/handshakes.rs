//! How many connections may be between their acceptance and their CONNECT.
//!
//! Whoever connects slowly, or only half, holds a place here. When all places
//! are taken a newcomer waits until one is free or the oldest holder has had
//! its grace; then that one gives way. So those who are quick get in however
//! many slow ones there are.
//!
//! Invariants
//! 1. At most `max` places are held.
//! 2. A place is not lost before it was held for the grace.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;

use crate::counters::Counters;

/// The part of the time for a handshake that every place is held for.
const GRACE_PART: u32 = 4;

/// The places of one listener.
pub(crate) struct Handshakes {
    going: Mutex<Going>,
    freed: Notify,
    max: usize,
    grace: Duration,
    counters: Arc<Counters>,
}

#[derive(Default)]
struct Going {
    next: u64,
    /// In the order in which they came.
    holders: BTreeMap<u64, Holder>,
}

struct Holder {
    since: Instant,
    /// Dropped when the place is lost.
    _kept: oneshot::Sender<Infallible>,
}

/// A place, given back when dropped.
pub(crate) struct Place {
    handshakes: Arc<Handshakes>,
    id: u64,
    lost: oneshot::Receiver<Infallible>,
}

impl Handshakes {
    pub(crate) fn new(max: usize, patience: Duration, counters: Arc<Counters>) -> Arc<Self> {
        Arc::new(Self {
            going: Mutex::default(),
            freed: Notify::new(),
            max,
            grace: patience / GRACE_PART,
            counters,
        })
    }

    /// Whether half of the places are taken.
    pub(crate) fn is_busy(&self) -> bool {
        self.going.lock().holders.len() * 2 >= self.max
    }

    /// A place, as soon as there is one.
    pub(crate) async fn enter(self: &Arc<Self>) -> Place {
        loop {
            let freed = self.freed.notified();
            let wait = match self.try_enter(Instant::now()) {
                Ok(place) => return place,
                Err(wait) => wait,
            };
            tokio::select! {
                () = freed => {}
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    /// A place, or the time until the oldest gives way.
    fn try_enter(self: &Arc<Self>, now: Instant) -> Result<Place, Duration> {
        let mut going = self.going.lock();
        if going.holders.len() >= self.max
            && let Some(oldest) = going.holders.first_entry()
        {
            let held = now.saturating_duration_since(oldest.get().since);
            if held < self.grace {
                return Err(self.grace - held);
            }
            oldest.remove();
            self.counters.handshakes_displaced.add(1);
        }
        let id = going.next;
        going.next += 1;
        let (kept, lost) = oneshot::channel();
        let holder = Holder {
            since: now,
            _kept: kept,
        };
        going.holders.insert(id, holder);
        assert!(going.holders.len() <= self.max.max(1), "more than allowed");
        Ok(Place {
            handshakes: Arc::clone(self),
            id,
            lost,
        })
    }
}

impl Place {
    /// Does some work while the place is held; `None` where it was lost before
    /// the work was done.
    pub(crate) async fn hold<T>(&mut self, work: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            done = work => Some(done),
            _ = &mut self.lost => None,
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.handshakes.going.lock().holders.remove(&self.id);
        self.handshakes.freed.notify_one();
    }
}

#[cfg(test)]
mod tests;
