//! Places for handshakes, for whoever is at the other end.
//!
//! **Invariants**
//! 1. There are never more handshakes than places.
//! 2. When all are taken, the oldest gives way once it has had its grace: as
//!    many silent strangers as there are places keep nobody out for long.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::oneshot;
use tokio::time::Instant;

#[derive(Debug)]
struct Taken {
    since: Instant,
    /// Going away, it tells the one who holds the place.
    _displace: oneshot::Sender<()>,
}

#[derive(Debug, Default)]
struct Inner {
    next: u64,
    /// In the order of their coming.
    taken: BTreeMap<u64, Taken>,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Places {
    max: usize,
    grace: Duration,
    inner: Mutex<Inner>,
}

/// What became of one who came.
#[derive(Debug)]
pub(crate) struct Admitted {
    pub(crate) place: Place,
    /// Ends when the place is taken away.
    pub(crate) displaced: oneshot::Receiver<()>,
    /// Another one has lost its place for this one.
    pub(crate) has_displaced: bool,
}

/// A place, given back when it goes.
#[derive(Debug)]
pub(crate) struct Place {
    places: Arc<Places>,
    number: u64,
}

impl Places {
    pub(crate) fn new(max: usize, grace: Duration) -> Self {
        Self {
            max: max.max(1),
            grace,
            inner: Mutex::default(),
        }
    }

    /// A place; `None` when all are taken by those who came a moment ago.
    pub(crate) fn admit(self: &Arc<Self>) -> Option<Admitted> {
        let now = Instant::now();
        let mut inner = self.inner.lock();
        let is_full = inner.taken.len() >= self.max;
        if is_full {
            let oldest = inner.taken.first_entry()?;
            if now.duration_since(oldest.get().since) < self.grace {
                return None;
            }
            oldest.remove();
        }
        let number = inner.next;
        inner.next += 1;
        let (displace, displaced) = oneshot::channel();
        let taken = Taken {
            since: now,
            _displace: displace,
        };
        inner.taken.insert(number, taken);
        assert!(inner.taken.len() <= self.max);
        Some(Admitted {
            place: Place {
                places: Arc::clone(self),
                number,
            },
            displaced,
            has_displaced: is_full,
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.inner.lock().taken.remove(&self.number);
    }
}
