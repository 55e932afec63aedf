//! Who owns which session: at most one connection per client identifier.
//!
//! Invariants
//! 1. A claim returns only when the owner before has let go, so that its last
//!    state is stored and applied before the new owner reads it.
//! 2. Claims of one client identifier are served in the order they came.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use hashbrown::HashMap;
use parking_lot::Mutex;
use robustmq_protocol::ReasonCode;
use tokio::sync::Notify;

use crate::exclusive::Exclusive;
use crate::link::{Link, Order};

/// Locks the registry is split over, so that connects do not queue for one.
const PARTS: usize = 16;

struct Owner {
    link: Arc<Link>,
    gate: Arc<Gate>,
}

/// Opens once, when an owner lets go.
#[derive(Default)]
struct Gate {
    open: AtomicBool,
    opened: Notify,
}

impl Gate {
    fn open(&self) {
        self.open.store(true, Ordering::Release);
        self.opened.notify_waiters();
    }

    async fn wait(&self) {
        loop {
            let opened = self.opened.notified();
            tokio::pin!(opened);
            opened.as_mut().enable();
            if self.open.load(Ordering::Acquire) {
                return;
            }
            opened.await;
        }
    }
}

/// All sessions that have an owner at present.
pub(crate) struct Registry {
    /// Who has which exclusive subscription.
    pub(crate) exclusive: Exclusive,
    parts: Vec<Mutex<HashMap<Box<str>, Owner>>>,
}

impl Default for Registry {
    fn default() -> Self {
        Self {
            exclusive: Exclusive::default(),
            parts: (0..PARTS).map(|_| Mutex::default()).collect(),
        }
    }
}

impl Registry {
    /// Becomes the owner of a session, taking it over from whoever has it and is
    /// told `reason`.
    pub(crate) async fn claim(self: &Arc<Self>, link: &Arc<Link>, reason: ReasonCode) -> Ownership {
        let gate = Arc::new(Gate::default());
        let owner = Owner {
            link: Arc::clone(link),
            gate: Arc::clone(&gate),
        };
        let before = self
            .part(link.client_id())
            .lock()
            .insert(link.client_id().into(), owner);
        // Made before waiting: were this task dropped while it waits, whoever
        // claims next must not wait for it for ever.
        let ownership = Ownership {
            registry: Arc::clone(self),
            link: Arc::clone(link),
            gate,
            after: None,
        };
        match before {
            None => ownership,
            Some(before) => {
                before.link.order(Order::Disconnect(reason));
                let mut ownership = ownership;
                ownership.after = Some(Arc::clone(&before.gate));
                before.gate.wait().await;
                ownership.after = None;
                ownership
            }
        }
    }

    /// Becomes the owner if nobody is; for work on sessions that are offline.
    pub(crate) fn try_claim(self: &Arc<Self>, link: &Arc<Link>) -> Option<Ownership> {
        let mut part = self.part(link.client_id()).lock();
        if part.contains_key(link.client_id()) {
            return None;
        }
        let gate = Arc::new(Gate::default());
        let owner = Owner {
            link: Arc::clone(link),
            gate: Arc::clone(&gate),
        };
        part.insert(link.client_id().into(), owner);
        drop(part);
        Some(Ownership {
            registry: Arc::clone(self),
            link: Arc::clone(link),
            gate,
            after: None,
        })
    }

    /// Gives every owner an order.
    pub(crate) fn order_all(&self, order: Order) {
        for part in &self.parts {
            for owner in part.lock().values() {
                owner.link.order(order);
            }
        }
    }

    /// The connection that owns one session, if any.
    pub(crate) fn owner(&self, client_id: &str) -> Option<Arc<Link>> {
        let part = self.part(client_id).lock();
        part.get(client_id).map(|owner| Arc::clone(&owner.link))
    }

    /// How many sessions have an owner.
    pub(crate) fn len(&self) -> usize {
        self.parts.iter().map(|part| part.lock().len()).sum()
    }

    /// Whether no session has an owner.
    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn part(&self, client_id: &str) -> &Mutex<HashMap<Box<str>, Owner>> {
        let sum = client_id.bytes().fold(0usize, |sum, byte| {
            sum.wrapping_mul(31).wrapping_add(usize::from(byte))
        });
        &self.parts[sum % PARTS]
    }
}

/// The right to change a session; given back when dropped.
pub(crate) struct Ownership {
    registry: Arc<Registry>,
    link: Arc<Link>,
    gate: Arc<Gate>,
    /// Set while the owner before has not let go yet.
    after: Option<Arc<Gate>>,
}

impl Drop for Ownership {
    fn drop(&mut self) {
        let mut part = self.registry.part(self.link.client_id()).lock();
        let ours = part
            .get(self.link.client_id())
            .is_some_and(|owner| Arc::ptr_eq(&owner.link, &self.link));
        if let Some(before) = self.after.take() {
            // Given up while waiting: the claim passes on with the wait.
            let gate = Arc::clone(&self.gate);
            drop(part);
            let registry = Arc::clone(&self.registry);
            let link = Arc::clone(&self.link);
            tokio::spawn(async move {
                before.wait().await;
                drop(Ownership {
                    registry,
                    link,
                    gate,
                    after: None,
                });
            });
            return;
        }
        if ours {
            part.remove(self.link.client_id());
        }
        drop(part);
        self.gate.open();
    }
}

#[cfg(test)]
mod tests;
