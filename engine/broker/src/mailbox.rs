//! Where publishes and state records wait for the log, one mailbox per shard.
//!
//! Connections append straight into the batch that will be written: that copy
//! is the only one on the way in. The log's writer takes the batch when it is
//! ready to write, so a batch grows exactly as long as the sync before it.
//!
//! Invariants
//! 1. A mailbox never holds more than its limit: whoever finds it full waits
//!    (a connection stops reading its socket) and is woken when it is taken.
//! 2. Every append that has a waiter is completed exactly once, stored or not.
//!
//! **Not here**: what becomes of a stored batch (`dispatch`).

use std::collections::VecDeque;
use std::sync::{Arc, OnceLock};

use parking_lot::{Mutex, MutexGuard};
use robustmq_log::{AppendError, BatchSource, ShardLog, TakenBatch};
use robustmq_record::{Batch, BatchBuilder, BatchLimits, RecordInput, ShardId};
use tokio::sync::{Notify, oneshot};

use crate::dispatch::KIND_MESSAGE;
use crate::link::{Link, Ticket};

/// Who is told how an append ended.
#[derive(Debug)]
pub(crate) enum Waiter {
    /// A connection, through its link.
    Link {
        /// Index into [`Waiters::links`].
        link: u32,
        /// What the append was for.
        ticket: Ticket,
        /// The record's place in the batch.
        slot: u16,
    },
    /// A task that waits for a state record to be stored and applied.
    Task(oneshot::Sender<Result<(), AppendError>>),
}

/// Everybody who waits for one batch.
#[derive(Debug, Default)]
pub(crate) struct Waiters {
    /// Distinct consecutive links, so that a connection costs one reference
    /// per batch and not one per message.
    pub(crate) links: Vec<Arc<Link>>,
    /// In slot order.
    pub(crate) waiters: Vec<Waiter>,
    /// Messages in the batch, waited for or not.
    pub(crate) messages: u64,
}

/// How the log's outcome reaches the broker; implemented by dispatch.
pub(crate) trait OutcomeSink: Send + Sync + 'static {
    /// The batch is durable, or could not be stored.
    fn outcome(&self, shard: ShardId, result: Result<Arc<Batch>, AppendError>, waiters: Waiters);
}

/// The mailbox is full; the caller has been noted and will be woken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MailboxFull;

/// A batch that is built is closed at this size: readers of one message read
/// its whole batch.
const BATCH_BYTES: usize = 64 << 10;

/// Bytes that a record takes of a batch at most.
fn size_max(record: &RecordInput<'_>) -> usize {
    let names = record.namespace.len() + record.topic.len() + record.client_id.len();
    record.payload.len() + record.properties.len() + names + RECORD_FIELDS_MAX
}

/// Bytes of the numbers of a record and of its entries in the batch's
/// dictionaries.
const RECORD_FIELDS_MAX: usize = 128;

/// A batch that waits to be taken, who waits for it, and its only term.
type Closed = (BatchBuilder, Waiters, Option<u64>);

struct Open {
    builder: BatchBuilder,
    waiters: Waiters,
    /// The only term in which the batch that is built may be appended.
    term: Option<u64>,
    /// Batches that were closed, oldest first, and their bytes.
    closed: VecDeque<Closed>,
    closed_bytes: usize,
    blocked: Vec<Arc<Link>>,
    /// Messages that were ever put in.
    messages: u64,
}

impl Open {
    fn new(limits: BatchLimits) -> Self {
        Self {
            builder: BatchBuilder::new(limits),
            waiters: Waiters::default(),
            term: None,
            closed: VecDeque::new(),
            closed_bytes: 0,
            blocked: Vec::new(),
            messages: 0,
        }
    }

    /// Appends a record; its slot in the batch that is built.
    fn push(&mut self, record: &RecordInput<'_>, limits: BatchLimits) -> Option<u16> {
        if self.builder.size_bytes() >= BATCH_BYTES || self.term.is_some() {
            self.close(limits);
        }
        let over = self.closed_bytes + self.builder.size_bytes() + record.payload.len();
        if over > limits.bytes_max && !self.is_empty() {
            return None;
        }
        let slot = match self.builder.try_push(record) {
            Ok(slot) => slot,
            Err(_) => {
                // It has as many records as a batch may have.
                self.close(limits);
                self.builder.try_push(record).ok()?
            }
        };
        let messages = u64::from(record.kind == KIND_MESSAGE);
        self.messages += messages;
        self.waiters.messages += messages;
        Some(slot)
    }

    /// Appends records to one batch: all or none, and in that term only.
    fn push_together(
        &mut self,
        records: &[RecordInput<'_>],
        term: u64,
        limits: BatchLimits,
    ) -> bool {
        let bytes: usize = records.iter().map(size_max).sum();
        if self.closed_bytes + self.builder.size_bytes() + bytes > limits.bytes_max
            && !self.is_empty()
        {
            return false;
        }
        if self.term != Some(term) && !self.builder.is_empty() {
            self.close(limits);
        }
        self.term = Some(term);
        let is_full = self.builder.count() + records.len() > limits.records_max
            || self.builder.size_bytes() + bytes > BATCH_BYTES;
        if is_full {
            if !self.builder.is_empty() {
                self.close(limits);
                self.term = Some(term);
            }
            // One message may be larger than a mailbox.
            let bytes_max = limits.bytes_max.max(self.builder.size_bytes() + bytes);
            self.builder = BatchBuilder::new(BatchLimits {
                bytes_max,
                ..limits
            });
        }
        for record in records {
            let pushed = self.builder.try_push(record);
            assert!(pushed.is_ok(), "room was made for all of them");
            let messages = u64::from(record.kind == KIND_MESSAGE);
            self.messages += messages;
            self.waiters.messages += messages;
        }
        true
    }

    fn is_empty(&self) -> bool {
        self.closed.is_empty() && self.builder.is_empty()
    }

    fn close(&mut self, limits: BatchLimits) {
        let builder = std::mem::replace(&mut self.builder, BatchBuilder::new(limits));
        self.closed_bytes += builder.size_bytes();
        let waiters = std::mem::take(&mut self.waiters);
        self.closed.push_back((builder, waiters, self.term.take()));
    }

    /// The oldest batch.
    fn take(&mut self, limits: BatchLimits) -> Option<Closed> {
        if self.closed.is_empty() {
            if self.builder.is_empty() {
                return None;
            }
            self.close(limits);
        }
        let closed = self.closed.pop_front()?;
        self.closed_bytes -= closed.0.size_bytes();
        Some(closed)
    }
}

struct Mailbox {
    open: Mutex<Open>,
    /// Wakes tasks (not connections) that found the mailbox full.
    space: Notify,
}

/// The mailboxes of all shards of this node.
pub(crate) struct Mailboxes {
    boxes: Vec<Mailbox>,
    limits: BatchLimits,
    sink: Arc<dyn OutcomeSink>,
    log: OnceLock<Arc<dyn ShardLog>>,
}

impl Mailboxes {
    /// Empty mailboxes; `limits` bound what each holds while the log is busy.
    pub(crate) fn new(shards: u32, limits: BatchLimits, sink: Arc<dyn OutcomeSink>) -> Self {
        let mailbox = || Mailbox {
            open: Mutex::new(Open::new(limits)),
            space: Notify::new(),
        };
        Self {
            boxes: (0..shards).map(|_| mailbox()).collect(),
            limits,
            sink,
            log: OnceLock::new(),
        }
    }

    /// Names the log that takes the batches; before that, appends only gather.
    pub(crate) fn connect(&self, log: Arc<dyn ShardLog>) {
        let first = self.log.set(log).is_ok();
        assert!(first, "mailboxes feed one log");
    }

    /// Starts a run of appends by one connection.
    pub(crate) fn appender<'a>(&'a self, link: &'a Arc<Link>) -> Appender<'a> {
        Appender {
            mailboxes: self,
            link,
            current: None,
        }
    }

    /// Appends one record and waits until it is durable and the views show it.
    ///
    /// # Errors
    /// What the log says when it could not be stored.
    pub(crate) async fn append_and_wait(
        &self,
        shard: ShardId,
        record: &RecordInput<'_>,
    ) -> Result<(), AppendError> {
        let (sender, receiver) = oneshot::channel();
        let mut waiter = Some(Waiter::Task(sender));
        loop {
            let mailbox = self.mailbox(shard);
            let space = mailbox.space.notified();
            tokio::pin!(space);
            space.as_mut().enable();
            let pushed = {
                let mut open = mailbox.open.lock();
                let pushed = open.push(record, self.limits).is_some();
                if pushed && let Some(waiter) = waiter.take() {
                    open.waiters.waiters.push(waiter);
                }
                pushed
            };
            if pushed {
                break;
            }
            space.await;
        }
        self.wake(shard);
        receiver.await.unwrap_or(Err(AppendError::Shutdown))
    }

    /// Appends records to one batch, so that all of them are in the log or none,
    /// and only in a term in which this node leads the shard
    /// ([`crate::broker::Broker::term_led`]). Gives who tells when they are
    /// durable and the views show them.
    pub(crate) async fn append_together(
        &self,
        shard: ShardId,
        records: &[RecordInput<'_>],
        term: u64,
    ) -> oneshot::Receiver<Result<(), AppendError>> {
        let (sender, receiver) = oneshot::channel();
        let mut waiter = Some(Waiter::Task(sender));
        loop {
            let mailbox = self.mailbox(shard);
            let space = mailbox.space.notified();
            tokio::pin!(space);
            space.as_mut().enable();
            let pushed = {
                let mut open = mailbox.open.lock();
                let pushed = open.push_together(records, term, self.limits);
                if pushed && let Some(waiter) = waiter.take() {
                    open.waiters.waiters.push(waiter);
                }
                pushed
            };
            if pushed {
                break;
            }
            space.await;
        }
        self.wake(shard);
        receiver
    }

    /// Whether the log has room for messages.
    pub(crate) fn has_room(&self) -> bool {
        self.log.get().is_none_or(|log| log.has_room())
    }

    /// How many messages were ever put into the mailbox of a shard.
    pub(crate) fn messages_taken(&self, shard: ShardId) -> u64 {
        self.mailbox(shard).open.lock().messages
    }

    fn mailbox(&self, shard: ShardId) -> &Mailbox {
        &self.boxes[shard.0 as usize]
    }

    fn wake(&self, shard: ShardId) {
        if let Some(log) = self.log.get() {
            log.wake(shard);
        }
    }
}

impl BatchSource for Mailboxes {
    fn take(&self, shard: ShardId) -> Option<TakenBatch> {
        // The log has one more shard, for metadata, which has no records.
        let mailbox = self.boxes.get(shard.0 as usize)?;
        let (builder, waiters, term, blocked) = {
            let mut open = mailbox.open.lock();
            let (builder, waiters, term) = open.take(self.limits)?;
            (builder, waiters, term, std::mem::take(&mut open.blocked))
        };
        for link in blocked {
            link.nudge();
        }
        mailbox.space.notify_waiters();
        let sink = Arc::clone(&self.sink);
        Some(TakenBatch {
            builder,
            term,
            completion: Box::new(move |result| sink.outcome(shard, result, waiters)),
        })
    }
}

/// A run of appends by one connection: keeps the mailbox of the last shard
/// locked, so that a run on one topic locks once. Never held across an await.
pub(crate) struct Appender<'a> {
    mailboxes: &'a Mailboxes,
    link: &'a Arc<Link>,
    current: Option<(ShardId, MutexGuard<'a, Open>)>,
}

impl Appender<'_> {
    /// Appends a record; its completion reaches the link if a ticket is given.
    ///
    /// # Errors
    /// [`MailboxFull`]: nothing was appended; the link will be woken when the
    /// log has taken what is there.
    pub(crate) fn push(
        &mut self,
        shard: ShardId,
        record: &RecordInput<'_>,
        ticket: Option<Ticket>,
    ) -> Result<(), MailboxFull> {
        if self
            .current
            .as_ref()
            .is_none_or(|(current, _)| *current != shard)
        {
            self.release();
            self.current = Some((shard, self.mailboxes.mailbox(shard).open.lock()));
        }
        let Some((_, open)) = self.current.as_mut() else {
            return Err(MailboxFull);
        };
        let Some(slot) = open.push(record, self.mailboxes.limits) else {
            if !open
                .blocked
                .iter()
                .any(|blocked| Arc::ptr_eq(blocked, self.link))
            {
                open.blocked.push(Arc::clone(self.link));
            }
            return Err(MailboxFull);
        };
        if let Some(ticket) = ticket {
            let link = open.waiters.link_index(self.link);
            open.waiters
                .waiters
                .push(Waiter::Link { link, ticket, slot });
        }
        Ok(())
    }

    fn release(&mut self) {
        if let Some((shard, open)) = self.current.take() {
            drop(open);
            self.mailboxes.wake(shard);
        }
    }
}

impl Drop for Appender<'_> {
    fn drop(&mut self) {
        self.release();
    }
}

impl Waiters {
    fn link_index(&mut self, link: &Arc<Link>) -> u32 {
        let same = self
            .links
            .last()
            .is_some_and(|last| Arc::ptr_eq(last, link));
        if !same {
            self.links.push(Arc::clone(link));
        }
        (self.links.len() - 1) as u32
    }
}
