//! The meeting point of a connection and the rest of the broker: what has been
//! logged for it, what is to be delivered to it, what it is told to do.
//!
//! Invariants
//! 1. A link never holds more than its limits: over them it *lags*: it drops
//!    every reference it holds and remembers where its reading must resume.
//! 2. Everything below the resume position has been taken by the connection.
//! 3. Deliveries of one shard are queued in offset order.
//!
//! **Not here**: protocol state (the connection's) and matching (dispatch's).

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};

use parking_lot::Mutex;
use robustmq_protocol::{PacketId, ReasonCode};
use robustmq_record::{Batch, Offset, ShardId};

use crate::positions::Positions;
use crate::subscription::TargetOptions;

/// Bounds of one link.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LinkLimits {
    /// Messages queued for delivery before the session lags.
    pub(crate) queue_messages_max: usize,
    /// Bytes of batches held by the queue before the session lags.
    pub(crate) queue_bytes_max: usize,
}

/// What an append was made for; decides what its completion means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ticket {
    /// A publish by this client, by the session machine's ticket.
    Publish(u64),
    /// The release of an inbound QoS 2 exchange (PUBREL).
    Release(PacketId),
    /// A group of QoS 2 deliveries whose packet identifiers are now stored.
    Assigned(u64),
    /// The PUBRECs of a group of outbound QoS 2 deliveries are stored.
    Received(u64),
}

/// How an append ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Durable by policy, at this offset.
    Stored {
        /// In which shard.
        shard: ShardId,
        /// Where in it.
        offset: Offset,
        /// Whether anybody subscribes to the topic at present.
        matched: bool,
    },
    /// Not stored; the reason says what the client is told.
    Rejected(ReasonCode),
}

/// A completed append.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Completion {
    /// What it was for.
    pub(crate) ticket: Ticket,
    /// How it ended.
    pub(crate) outcome: Outcome,
}

/// An order to the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// Close, telling the client why.
    Disconnect(ReasonCode),
}

/// The messages of one batch that one session gets.
#[derive(Debug)]
pub(crate) struct Delivery {
    /// The batch, shared by everybody.
    pub(crate) batch: Arc<Batch>,
    /// Slot of the record and index into `options`, in slot order.
    pub(crate) entries: Vec<(u16, u16)>,
    /// Distinct subscription options of the matched topics.
    pub(crate) options: Vec<Arc<TargetOptions>>,
    /// How many of the entries have been handed to the client.
    pub(crate) done: usize,
}

impl Delivery {
    /// Offset of the first entry not yet handed on; none when all are.
    pub(crate) fn next_offset(&self) -> Option<Offset> {
        let (slot, _) = self.entries.get(self.done)?;
        Some(Offset::new(self.batch.index(), *slot))
    }

    /// A delivery of nothing, to stand in while the real one is worked on.
    pub(crate) fn empty(batch: &Arc<Batch>) -> Self {
        Self {
            batch: Arc::clone(batch),
            entries: Vec::new(),
            options: Vec::new(),
            done: 0,
        }
    }

    fn remaining(&self) -> usize {
        self.entries.len() - self.done
    }
}

/// What the connection found when it looked.
#[derive(Debug, Default)]
pub(crate) struct Taken {
    /// Completed appends, in completion order.
    pub(crate) completions: Vec<Completion>,
    /// Deliveries, in dispatch order.
    pub(crate) deliveries: VecDeque<Delivery>,
    /// Set when the link lags: where reading must resume, per shard.
    pub(crate) lagging_from: Option<Positions>,
    /// The latest order.
    pub(crate) order: Option<Order>,
}

#[derive(Debug, Default)]
struct Inbox {
    taken: Taken,
    queued_messages: usize,
    queued_bytes: usize,
    lagging: bool,
    woken: bool,
    waker: Option<Waker>,
}

/// One connection's link.
#[derive(Debug)]
pub(crate) struct Link {
    client_id: String,
    limits: LinkLimits,
    inbox: Mutex<Inbox>,
    /// The session was opened, so whoever opens it later takes it over.
    is_opened: AtomicBool,
}

impl Link {
    /// A link for the connection of `client_id`, which at first is not lagging
    /// and has nothing queued.
    pub(crate) fn new(client_id: &str, limits: LinkLimits) -> Self {
        Self {
            client_id: client_id.to_owned(),
            limits,
            inbox: Mutex::default(),
            is_opened: AtomicBool::new(false),
        }
    }

    /// The connection's opening of the session has its place among those of other
    /// nodes, which dispatch has come to.
    pub(crate) fn note_opened(&self) {
        self.is_opened.store(true, Ordering::Release);
    }

    /// Whether an opening by another node comes after this connection's own.
    pub(crate) fn is_opened(&self) -> bool {
        self.is_opened.load(Ordering::Acquire)
    }

    /// The session's client identifier.
    pub(crate) fn client_id(&self) -> &str {
        &self.client_id
    }

    /// Queues a delivery, or makes the link lag when it is full.
    ///
    /// `dispatched` are the positions up to which dispatch had given out
    /// everything before this batch. Returns false when the link lags (now or
    /// already): the message is not lost, the session reads it from the log.
    pub(crate) fn push(&self, delivery: Delivery, dispatched: &Positions) -> bool {
        let mut inbox = self.inbox.lock();
        if inbox.lagging {
            return false;
        }
        let messages = inbox.queued_messages + delivery.entries.len();
        let bytes = inbox.queued_bytes + delivery.batch.size_bytes();
        let over = messages > self.limits.queue_messages_max || bytes > self.limits.queue_bytes_max;
        if over && !inbox.taken.deliveries.is_empty() {
            inbox.lag(dispatched);
            let waker = inbox.wake();
            drop(inbox);
            wake(waker);
            return false;
        }
        inbox.queued_messages = messages;
        inbox.queued_bytes = bytes;
        // With others before it the connection knows, or has left them because
        // its client takes nothing: then the client wakes it.
        let is_first = inbox.taken.deliveries.is_empty();
        inbox.taken.deliveries.push_back(delivery);
        let waker = if is_first { inbox.wake() } else { None };
        drop(inbox);
        wake(waker);
        true
    }

    /// Makes the link lag if its oldest queued batch is older than the horizon
    /// of its shard, so that a session that has stopped reading does not hold
    /// on to batches that everybody else has let go.
    pub(crate) fn release_older_than(&self, horizon: &Positions, dispatched: &Positions) -> bool {
        let mut inbox = self.inbox.lock();
        let stale = inbox
            .taken
            .deliveries
            .iter()
            .any(|held| held.batch.first_offset() < horizon.get(held.batch.shard()));
        if stale && !inbox.lagging {
            inbox.lag(dispatched);
            let waker = inbox.wake();
            drop(inbox);
            wake(waker);
        }
        stale
    }

    /// Reports completed appends.
    pub(crate) fn complete(&self, completions: impl IntoIterator<Item = Completion>) {
        let mut inbox = self.inbox.lock();
        inbox.taken.completions.extend(completions);
        let waker = inbox.wake();
        drop(inbox);
        wake(waker);
    }

    /// Gives an order; a later one replaces an earlier one not yet seen.
    pub(crate) fn order(&self, order: Order) {
        let mut inbox = self.inbox.lock();
        inbox.taken.order = Some(order);
        let waker = inbox.wake();
        drop(inbox);
        wake(waker);
    }

    /// Wakes the connection without telling it anything new.
    pub(crate) fn nudge(&self) {
        let waker = self.inbox.lock().wake();
        wake(waker);
    }

    /// Takes all there is. Deliveries are taken only if `want_deliveries`, so
    /// that a session without room leaves them where their number is bounded.
    pub(crate) fn take(&self, want_deliveries: bool) -> Taken {
        let mut inbox = self.inbox.lock();
        inbox.woken = false;
        let mut taken = Taken {
            completions: std::mem::take(&mut inbox.taken.completions),
            order: inbox.taken.order.take(),
            lagging_from: inbox.taken.lagging_from.take(),
            deliveries: VecDeque::new(),
        };
        if want_deliveries {
            taken.deliveries = std::mem::take(&mut inbox.taken.deliveries);
            inbox.queued_messages = 0;
            inbox.queued_bytes = 0;
        }
        taken
    }

    /// Gives back deliveries that could not be handed to the client yet. While
    /// the connection sleeps, the link holds them, so that dispatch can make a
    /// session that has stopped reading let go.
    ///
    /// Only what waits for the client (its acknowledgements, its socket) may be
    /// given back: deliveries that come behind do not wake the connection.
    pub(crate) fn put_back(&self, mut deliveries: VecDeque<Delivery>) {
        if deliveries.is_empty() {
            return;
        }
        let mut inbox = self.inbox.lock();
        if inbox.lagging {
            let resume = inbox.taken.lagging_from.get_or_insert_default();
            for held in &deliveries {
                if let Some(offset) = held.next_offset() {
                    resume.lower(held.batch.shard(), offset);
                }
            }
            return;
        }
        for held in &deliveries {
            inbox.queued_messages += held.remaining();
            inbox.queued_bytes += held.batch.size_bytes();
        }
        deliveries.append(&mut inbox.taken.deliveries);
        inbox.taken.deliveries = deliveries;
    }

    /// Where the session stands, given positions read from dispatch's progress
    /// *before* this call: there if nothing is queued, else at the first
    /// queued message.
    pub(crate) fn position(&self, dispatched: Positions) -> Positions {
        let inbox = self.inbox.lock();
        let mut position = match &inbox.taken.lagging_from {
            Some(resume) => resume.clone(),
            None => dispatched,
        };
        for held in &inbox.taken.deliveries {
            if let Some(offset) = held.next_offset() {
                position.lower(held.batch.shard(), offset);
            }
        }
        position
    }

    /// Makes the link live again. Called by dispatch between two batches.
    pub(crate) fn set_live(&self) {
        let mut inbox = self.inbox.lock();
        inbox.lagging = false;
        inbox.taken.lagging_from = None;
    }

    /// Returns when something has happened since the last [`Link::take`].
    pub(crate) async fn woken(&self) {
        poll_fn(|context| match self.poll_woken(context) {
            true => Poll::Ready(()),
            false => Poll::Pending,
        })
        .await;
    }

    /// Registers interest in the next wake-up; true if something has happened
    /// since the last [`Link::take`].
    pub(crate) fn poll_woken(&self, context: &mut Context<'_>) -> bool {
        let mut inbox = self.inbox.lock();
        if inbox.woken {
            return true;
        }
        match &inbox.waker {
            Some(waker) if waker.will_wake(context.waker()) => {}
            _ => inbox.waker = Some(context.waker().clone()),
        }
        false
    }
}

impl Inbox {
    fn lag(&mut self, dispatched: &Positions) {
        let mut resume = dispatched.clone();
        for delivery in self.taken.deliveries.drain(..) {
            if let Some(offset) = delivery.next_offset() {
                resume.lower(delivery.batch.shard(), offset);
            }
        }
        self.queued_messages = 0;
        self.queued_bytes = 0;
        self.lagging = true;
        self.taken.lagging_from = Some(resume);
    }

    fn wake(&mut self) -> Option<Waker> {
        self.woken = true;
        self.waker.take()
    }
}

fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}

#[cfg(test)]
mod tests;
