//! The views: brought up to date batch by batch, read at any time.
//!
//! **Invariants**
//! 1. One update is one atomic write, its positions included.
//! 2. What is below a shard's position is never applied again.

mod delayed;
#[cfg(test)]
mod tests;

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use robustmq_protocol::PacketId;
use robustmq_record::{Batch, Offset, ShardId};

use crate::carry::{self, CarriedRecord};
use crate::digest;
use crate::error::ViewError;
use crate::fold::{Fold, Overlay, messages};
use crate::forget;
use crate::keys;
use crate::positions::{self, Position, Positions};
use crate::read;
use crate::retained::RetainedMessage;
use crate::rule::Rule;
use crate::session::SessionState;
use crate::snapshot::ViewSnapshot;
use crate::store::{KeyRange, KvStore, WriteBatch};
use crate::timer::Timer;

/// The namespace that reads look in, until tenancy is switched on.
pub const NAMESPACE_DEFAULT: &str = "default";

/// Expired retained messages removed per write.
const EXPIRED_AT_A_TIME: usize = 1_024;

/// How much views hold. Counting visits everything: for tools and tests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Sessions, connected or not.
    pub sessions: u64,
    /// Their subscriptions.
    pub subscriptions: u64,
    /// Retained messages, those that are expired and not yet removed included.
    pub retained: u64,
    /// QoS 2 publishes that are not released.
    pub inbound: u64,
    /// Wills and session ends to come.
    pub timers: u64,
}

/// Views over a store. Shared between threads; updates queue behind each
/// other, reads do not wait for them.
pub struct Views {
    store: Arc<dyn KvStore>,
    positions: Positions,
    /// Held while something is written.
    writer: Mutex<()>,
    unreadable: AtomicU64,
    rules_version: AtomicU64,
    delayed_count: AtomicU64,
}

impl Views {
    /// Views as the store holds them.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn new(store: Arc<dyn KvStore>) -> Result<Self, ViewError> {
        let positions = Positions::load(&*store)?;
        let delayed_count = read::delayed_count(&*store, NAMESPACE_DEFAULT)?;
        Ok(Self {
            store,
            delayed_count: AtomicU64::new(delayed_count),
            positions,
            writer: Mutex::new(()),
            unreadable: AtomicU64::new(0),
            rules_version: AtomicU64::new(0),
        })
    }

    fn write_lock(&self) -> MutexGuard<'_, ()> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says from where on the log of a shard holds every state record and every
    /// retained or QoS 2 message, before anything of it is applied, and returns
    /// from where on to apply it. Not simply the log's first offset: a segment
    /// that was rewritten with only some of its records lies before `start`.
    ///
    /// If the log has lost more of its beginning than views have folded (they
    /// are new, were deleted, or are a stale copy), what they hold of the shard
    /// is removed and folding begins at `start`: a rebuild, until
    /// [`Views::caught_up`].
    ///
    /// # Errors
    /// When the store fails.
    pub fn begin(&self, shard: ShardId, start: Offset) -> Result<Offset, ViewError> {
        let _writer = self.write_lock();
        let position = self.positions.get(shard);
        let first = Offset::new(1, 0);
        if position.applied > Offset::ZERO && position.applied >= start {
            return Ok(position.applied);
        }
        let start = start.max(first);
        let rebuild = (start > first).then_some(start);
        forget::forget_shard(&*self.store, shard)?;
        let delayed_count = read::delayed_count(&*self.store, NAMESPACE_DEFAULT)?;
        self.delayed_count.store(delayed_count, Ordering::Relaxed);
        let mut writes = WriteBatch::new();
        positions::put(&mut writes, keys::APPLIED, shard, start);
        match rebuild {
            Some(start) => positions::put(&mut writes, keys::REBUILD, shard, start),
            None => writes.delete(keys::of_shard(keys::REBUILD, shard)),
        }
        self.store.write(writes)?;
        let position = Position {
            applied: start,
            stored: start,
            rebuild,
        };
        self.positions.set(shard, position);
        Ok(start)
    }

    /// Everything that was in the log of a shard when it was opened has been
    /// applied: what only a rebuild needs is dropped.
    ///
    /// # Errors
    /// When the store fails.
    pub fn caught_up(&self, shard: ShardId) -> Result<(), ViewError> {
        let _writer = self.write_lock();
        let position = self.positions.get(shard);
        if position.rebuild.is_none() {
            return Ok(());
        }
        let mut writes = WriteBatch::new();
        writes.delete(keys::of_shard(keys::REBUILD, shard));
        for view in [keys::TOUCHED, keys::HELD] {
            writes.delete_range(KeyRange::prefix(keys::of_shard(view, shard)));
        }
        self.store.write(writes)?;
        let rebuild = None;
        self.positions.set(
            shard,
            Position {
                rebuild,
                ..position
            },
        );
        Ok(())
    }

    /// The end of what has been applied of a shard: from there on batches are
    /// to be applied. [`Offset::ZERO`] if nothing was.
    #[must_use]
    pub fn applied(&self, shard: ShardId) -> Offset {
        self.positions.get(shard).applied
    }

    /// Nothing below `end` needs applying: what lies between there and
    /// [`Views::applied`] holds no state. Stored with the next write or flush.
    pub fn note_applied(&self, shard: ShardId, end: Offset) {
        self.positions.raise(shard, end);
    }

    /// Applies what of a batch has not been applied. Batches of a shard come
    /// in log order; ones without state may be left out.
    ///
    /// # Errors
    /// When the store fails; the views are then not to be used further.
    pub fn apply(&self, batch: &Batch) -> Result<(), ViewError> {
        self.apply_each(std::iter::once(batch))
    }

    /// Applies several batches in one write; they may be of several shards.
    ///
    /// # Errors
    /// As [`Views::apply`].
    pub fn apply_all(&self, batches: &[Arc<Batch>]) -> Result<(), ViewError> {
        self.apply_each(batches.iter().map(|batch| &**batch))
    }

    fn apply_each<'a>(&self, batches: impl Iterator<Item = &'a Batch>) -> Result<(), ViewError> {
        let _writer = self.write_lock();
        let mut fold = Fold::new(&*self.store);
        let mut reached: Vec<(ShardId, Position)> = Vec::new();
        for batch in batches {
            let shard = batch.shard();
            let place = reached.iter().position(|(known, _)| *known == shard);
            let place = place.unwrap_or_else(|| {
                reached.push((shard, self.positions.get(shard)));
                reached.len() - 1
            });
            let position = &mut reached[place].1;
            if position.applied == Offset::ZERO && batch.index() > 1 {
                // Nobody said where the log begins: assume nothing.
                position.rebuild = Some(Offset::ZERO);
            }
            let end = Offset::new(batch.index(), u16::MAX).next();
            if position.applied < end {
                if batch.has_state() {
                    fold.batch(batch, position.applied, position.rebuild)?;
                }
                position.applied = end;
            }
        }
        let (mut writes, folded) = fold.finish()?;
        self.unreadable
            .fetch_add(folded.unreadable, Ordering::Relaxed);
        if writes.is_empty() {
            for (shard, position) in reached {
                self.positions.raise(shard, position.applied);
            }
            return Ok(());
        }
        for (shard, position) in &reached {
            positions::put(&mut writes, keys::APPLIED, *shard, position.applied);
            if position.rebuild == Some(Offset::ZERO) {
                positions::put(&mut writes, keys::REBUILD, *shard, Offset::ZERO);
            }
        }
        self.store.write(writes)?;
        self.delayed_count
            .fetch_add(folded.delayed_change as u64, Ordering::Relaxed);
        if folded.rules_changed {
            self.rules_version.fetch_add(1, Ordering::Release);
        }
        for (shard, position) in reached {
            // Noted positions may have gone ahead meanwhile.
            let applied = position.applied.max(self.positions.get(shard).applied);
            let stored = position.applied;
            let rebuild = position.rebuild;
            self.positions.set(
                shard,
                Position {
                    applied,
                    stored,
                    rebuild,
                },
            );
        }
        Ok(())
    }

    /// Makes everything applied survive a crash.
    ///
    /// # Errors
    /// When the store fails. What is not stored is applied again from the log.
    pub fn flush(&self) -> Result<(), ViewError> {
        let _writer = self.write_lock();
        let mut writes = WriteBatch::new();
        let pending = self.positions.pending(&mut writes);
        if !pending.is_empty() {
            self.store.write(writes)?;
            self.positions.stored(&pending);
        }
        Ok(self.store.flush()?)
    }

    /// State records that could not be read and were passed over, since these
    /// views were opened: they are of a later version of the broker.
    #[must_use]
    pub fn unreadable_records(&self) -> u64 {
        self.unreadable.load(Ordering::Relaxed)
    }

    /// Becomes higher whenever rules have changed: cheap to look at per batch.
    #[must_use]
    pub fn rules_version(&self) -> u64 {
        self.rules_version.load(Ordering::Acquire)
    }

    /// All rules of all families, by family and name.
    ///
    /// # Errors
    /// As [`Views::session`].
    pub fn rules(&self) -> Result<Vec<Rule>, ViewError> {
        read::rules(&*self.store, NAMESPACE_DEFAULT)
    }

    /// A session.
    ///
    /// # Errors
    /// When the store fails or holds what cannot be read.
    pub fn session(&self, client_id: &str) -> Result<Option<SessionState>, ViewError> {
        self.snapshot().session(client_id)
    }

    /// Visits sessions by client id until `visit` answers false.
    ///
    /// # Errors
    /// As [`Views::session`].
    pub fn for_each_session(
        &self,
        visit: &mut dyn FnMut(SessionState) -> bool,
    ) -> Result<(), ViewError> {
        self.snapshot().for_each_session(visit)
    }

    /// The QoS 2 publishes of a client that are not released, in all shards.
    ///
    /// They outlive the session, whose end is recorded in another shard: when
    /// it opens a session afresh or expires one, the broker appends
    /// [`InboundReleased`](crate::StateBody::InboundReleased) for each.
    ///
    /// # Errors
    /// As [`Views::session`].
    pub fn inbound_qos2(
        &self,
        client_id: &str,
    ) -> Result<Vec<(PacketId, ShardId, Offset)>, ViewError> {
        read::inbound_qos2(&*self.store, NAMESPACE_DEFAULT, client_id)
    }

    /// Retained messages that match a filter and are not expired, by topic,
    /// beginning behind the topic `after`. Fewer than `limit` are the last.
    ///
    /// # Errors
    /// As [`Views::session`], and when `filter` is no Topic Filter.
    pub fn retained(
        &self,
        filter: &str,
        now_ms: u64,
        limit: usize,
        after: Option<&str>,
    ) -> Result<Vec<RetainedMessage>, ViewError> {
        self.snapshot().retained(filter, now_ms, limit, after)
    }

    /// The views as they are now, for as long as the snapshot is held.
    #[must_use]
    pub fn snapshot(&self) -> ViewSnapshot {
        ViewSnapshot::new(self.store.snapshot())
    }

    /// What is due at `now_ms`, earliest first. It is listed again until the
    /// record of its being done has been applied.
    ///
    /// # Errors
    /// As [`Views::session`].
    pub fn due(&self, now_ms: u64, limit: usize) -> Result<Vec<Timer>, ViewError> {
        read::timers(&*self.store, NAMESPACE_DEFAULT, now_ms, limit)
    }

    /// When something is due next.
    ///
    /// # Errors
    /// As [`Views::session`].
    pub fn next_due(&self) -> Result<Option<u64>, ViewError> {
        let first = read::timers(&*self.store, NAMESPACE_DEFAULT, u64::MAX, 1)?;
        Ok(first.first().map(|timer| timer.at_ms))
    }

    /// Removes retained messages that expired before or at `now_ms`; returns
    /// how many.
    ///
    /// # Errors
    /// As [`Views::session`].
    pub fn expire_retained(&self, now_ms: u64) -> Result<u64, ViewError> {
        let mut removed = 0u64;
        loop {
            let expired = self.remove_expired(now_ms)?;
            removed += expired as u64;
            if expired < EXPIRED_AT_A_TIME {
                return Ok(removed);
            }
        }
    }

    fn remove_expired(&self, now_ms: u64) -> Result<usize, ViewError> {
        let _writer = self.write_lock();
        let end_ms = now_ms.saturating_add(1);
        let range = keys::before(keys::EXPIRING, NAMESPACE_DEFAULT, end_ms);
        let mut topics = Vec::new();
        read::scan(&*self.store, range, &mut |key, _| {
            let topic = keys::split(key)
                .and_then(|(_, _, rest)| keys::take_u64(rest))
                .and_then(|(_, topic)| keys::text(topic))
                .ok_or_else(|| ViewError::bad_key("expiring"))?;
            topics.push(topic.to_owned());
            Ok(if topics.len() < EXPIRED_AT_A_TIME {
                ControlFlow::Continue(())
            } else {
                ControlFlow::Break(())
            })
        })?;
        let mut overlay = Overlay::new(&*self.store);
        for topic in &topics {
            let entry = messages::known(&overlay, NAMESPACE_DEFAULT, topic)?;
            let entry = entry.ok_or_else(|| ViewError::bad_key("expiring"))?;
            messages::remove(&mut overlay, NAMESPACE_DEFAULT, &entry);
        }
        let writes = overlay.into_writes();
        if !writes.is_empty() {
            self.store.write(writes)?;
        }
        Ok(topics.len())
    }

    /// Lists live entries that need the shard's log below `up_to`, as records
    /// to append to that shard; at most `limit` of them.
    ///
    /// An entry may take several rounds (a session is announced first; a copy
    /// that was overtaken does not count). So: append, wait until applied, ask
    /// again, until the list is empty. Then nothing in the views depends on the
    /// log below `up_to`. [`Views::flush`] before the log is cut, or a crash
    /// makes the next start fold everything anew.
    ///
    /// # Errors
    /// As [`Views::session`], and [`ViewError::NotApplied`].
    pub fn carry_forward(
        &self,
        shard: ShardId,
        up_to: Offset,
        limit: usize,
    ) -> Result<Vec<CarriedRecord>, ViewError> {
        let (as_of, snapshot) = {
            // What the snapshot holds and up to where must agree.
            let _writer = self.write_lock();
            (self.applied(shard), self.store.snapshot())
        };
        if as_of < up_to {
            return Err(ViewError::NotApplied {
                shard,
                applied: as_of,
                up_to,
            });
        }
        let request = carry::Request {
            shard,
            up_to,
            as_of,
            limit,
        };
        carry::collect(&*snapshot, &request)
    }

    /// A fingerprint of everything the views hold (positions left out). Visits
    /// everything: for tools and tests.
    ///
    /// # Errors
    /// As [`Views::session`].
    pub fn digest(&self) -> Result<u64, ViewError> {
        digest::digest(&*self.store.snapshot())
    }

    /// How much the views hold. Visits everything: for tools and tests.
    ///
    /// # Errors
    /// As [`Views::session`].
    pub fn counts(&self) -> Result<Counts, ViewError> {
        let snapshot = self.store.snapshot();
        let count = |view: u8| {
            let mut count = 0u64;
            let range = keys::view(view, NAMESPACE_DEFAULT);
            snapshot.scan(range, &mut |_, _| {
                count += 1;
                ControlFlow::Continue(())
            })?;
            Ok::<u64, ViewError>(count)
        };
        Ok(Counts {
            sessions: count(keys::CORE)?,
            subscriptions: count(keys::SUBSCRIPTION)?,
            retained: count(keys::RETAINED)?,
            inbound: count(keys::INBOUND)?,
            timers: count(keys::TIMER)?,
        })
    }
}

impl std::fmt::Debug for Views {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Views").finish_non_exhaustive()
    }
}
