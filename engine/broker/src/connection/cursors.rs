//! The session's side of named cursors: joining, taking, acknowledging.
//!
//! What a cursor gives is delivered at least once, with QoS 1 at most, and is
//! not part of the session's own in-flight window: when the connection ends it
//! goes back to the cursor, which gives it again to whoever uses it then.
//!
//! **Not here**: the cursors themselves (`crate::cursors`).

use std::sync::Arc;

use hashbrown::HashMap;
use robustmq_protocol::topic::{CursorFilter, Filter, SharedFilter};
use robustmq_protocol::{PacketId, QoS, ReasonCode};
use robustmq_views::StateBody;

use super::deliver::{Manner, Sent, Source};
use super::dress::Dress;
use super::pumped::Pumped;
use super::session::Session;
use crate::cursors::{Cursor, CursorRefusal, Given, Membership, Reading, Strategy, Taken};
use crate::dispatch::append_failure_reason;
use crate::positions::Positions;
use crate::subscription::{SubscriptionOptions, TargetOptions};
use crate::subscriptions::Subscription;

/// Cursors and shared subscriptions of one session at a time.
const CURSORS_MAX: usize = 128;

/// Messages taken from a cursor at a time: few, so that a group shares.
const AT_A_TIME: usize = 16;

/// Messages that one cursor gives before the next one has its turn.
const TURN_MESSAGES: usize = 256;

/// One cursor in use.
struct Use {
    /// The filter as it was subscribed.
    name: String,
    number: u64,
    membership: Membership,
    options: SubscriptionOptions,
    /// What is before this was there when the session joined.
    history_end: Positions,
    reading: Option<Reading>,
    /// The group, if it is a shared subscription.
    shared: Option<String>,
}

/// A message that waits for its acknowledgement.
struct Unacknowledged {
    number: u64,
    given: Given,
}

/// The cursors one session uses.
#[derive(Default)]
pub(super) struct CursorUses {
    all: Vec<Use>,
    in_flight: HashMap<PacketId, Unacknowledged>,
    next_number: u64,
    turn: usize,
}

/// How a cursor's turn ended.
enum Turn {
    Over,
    Full,
    Reads,
    Waits,
}

impl CursorUses {
    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Whether a packet identifier belongs to a message of a cursor.
    pub(super) fn holds(&self, packet_id: PacketId) -> bool {
        self.in_flight.contains_key(&packet_id)
    }

    pub(super) fn contains(&self, name: &str) -> bool {
        self.all.iter().any(|used| used.name == name)
    }

    /// Gives up one cursor.
    pub(super) fn remove(&mut self, name: &str) -> Option<Arc<Cursor>> {
        let place = self.all.iter().position(|used| used.name == name)?;
        let used = self.all.remove(place);
        Some(Arc::clone(used.membership.cursor()))
    }

    /// Messages of shared subscriptions that are not acknowledged.
    pub(super) fn shared_in_flight(&self) -> usize {
        let shared = |number| {
            self.all
                .iter()
                .any(|used| used.number == number && used.shared.is_some())
        };
        let waiting = self.in_flight.values();
        waiting.filter(|one| shared(one.number)).count()
    }

    /// Gives up all; they are then to be stored.
    pub(super) fn leave(&mut self) -> Vec<Arc<Cursor>> {
        let cursor = |used: Use| Arc::clone(used.membership.cursor());
        self.all.drain(..).map(cursor).collect()
    }

    /// The filters whose messages they wait for.
    pub(super) fn watched(&self) -> impl Iterator<Item = String> {
        let filter = |used: &Use| used.membership.cursor().filter().to_owned();
        self.all.iter().map(filter)
    }

    fn acknowledged(&mut self, packet_id: PacketId) {
        let Some(found) = self.in_flight.remove(&packet_id) else {
            return;
        };
        let mut uses = self.all.iter();
        if let Some(used) = uses.find(|used| used.number == found.number) {
            let given = found.given;
            used.membership.done(given.generation, given.place());
        }
    }
}

impl Session {
    /// Joins a named cursor.
    pub(super) async fn subscribe_cursor(
        &mut self,
        name: &str,
        options: SubscriptionOptions,
    ) -> (ReasonCode, Option<String>) {
        let options = SubscriptionOptions {
            qos: options.qos.min(QoS::AtLeastOnce),
            ..options
        };
        let code = ReasonCode::from(options.qos);
        if let Some(used) = self.cursors.all.iter_mut().find(|used| used.name == name) {
            used.options = options;
            return (code, None);
        }
        if self.cursors.all.len() >= CURSORS_MAX {
            let text =
                format!("one session has at most {CURSORS_MAX} cursors and shared subscriptions");
            return (ReasonCode::QuotaExceeded, Some(text));
        }
        if self.attached().await.is_none() {
            return (ReasonCode::ServerShuttingDown, None);
        }
        if let Err((reason, text)) = self.join_cursor(name, options).await {
            return (reason, Some(text));
        }
        let subscription = Subscription {
            options,
            retain_handling: 2,
            starts: Positions::default(),
        };
        let body = StateBody::Subscribed {
            subscriptions: vec![subscription.to_state(name)],
        };
        if self.is_persistent() {
            for body in self.cursor_bodies().iter().chain([&body]) {
                if let Err(error) = self.broker.append_state(self.client_id(), body).await {
                    self.cursors.remove(name);
                    return (append_failure_reason(&error), None);
                }
            }
        }
        self.watch_replays();
        (code, None)
    }

    /// Takes up a cursor, without telling anybody.
    pub(super) async fn join_cursor(
        &mut self,
        name: &str,
        options: SubscriptionOptions,
    ) -> Result<(), (ReasonCode, String)> {
        if SharedFilter::is_shared(name) {
            return self.join_group(name, options).await;
        }
        let wanted = CursorFilter::parse(name)
            .map_err(|error| (ReasonCode::TopicFilterInvalid, error.to_string()))?;
        self.check_cursor(&wanted.filter)?;
        let refused = |error: CursorRefusal| (error.reason(), error.to_string());
        let cursor = self.broker.cursors.open(&self.broker, &wanted).await;
        let membership = cursor
            .and_then(|cursor| cursor.join(&self.link, wanted.group))
            .map_err(refused)?;
        self.add_use(name, membership, options, None);
        Ok(())
    }

    pub(super) fn add_use(
        &mut self,
        name: &str,
        membership: Membership,
        options: SubscriptionOptions,
        shared: Option<String>,
    ) {
        let number = self.cursors.next_number;
        self.cursors.next_number += 1;
        self.cursors.all.push(Use {
            name: name.to_owned(),
            number,
            membership,
            options,
            history_end: self.broker.dispatch.progress().positions(),
            reading: None,
            shared,
        });
    }

    pub(super) fn check_cursor(&self, filter: &Filter<'_>) -> Result<(), (ReasonCode, String)> {
        let levels_max = usize::from(self.broker.config.mqtt.max_topic_levels);
        if filter.as_str().starts_with('$') || filter.level_count() > levels_max {
            let text = "a cursor reads topics of clients, within mqtt.max_topic_levels";
            return Err((ReasonCode::TopicFilterInvalid, text.to_owned()));
        }
        Ok(())
    }

    /// A client has acknowledged a message, perhaps one of a cursor.
    pub(super) fn cursor_acknowledged(&mut self, packet_id: PacketId) {
        self.cursors.acknowledged(packet_id);
    }

    /// Sends what the cursors give, each in its turn.
    pub(super) fn pump_cursors(&mut self, output: &mut Vec<u8>) -> Pumped {
        if self.cursors.is_empty() {
            return Pumped::Wait;
        }
        let visible = self.broker.dispatch.progress().positions();
        let mut uses = std::mem::take(&mut self.cursors);
        let (mut reads, mut again) = (false, false);
        for _ in 0..uses.all.len() {
            uses.turn = (uses.turn + 1) % uses.all.len();
            match self.pump_cursor(&mut uses, &visible, output) {
                Turn::Over => again = true,
                Turn::Full => {
                    again = false;
                    break;
                }
                Turn::Reads => reads = true,
                Turn::Waits => {}
            }
        }
        self.cursors = uses;
        match (reads, again) {
            (true, _) => Pumped::ReadCursors,
            (false, true) => Pumped::Again,
            (false, false) => Pumped::Wait,
        }
    }

    fn pump_cursor(
        &mut self,
        uses: &mut CursorUses,
        visible: &Positions,
        output: &mut Vec<u8>,
    ) -> Turn {
        let used = &mut uses.all[uses.turn];
        let mut left = TURN_MESSAGES;
        while left > 0 {
            let room = self.sender.outbound.window_free().min(AT_A_TIME);
            let is_full = output.len() >= self.broker.limits.write_buffer_bytes_max;
            if room == 0 || is_full {
                return Turn::Full;
            }
            let strategy = match &used.shared {
                Some(group) => self.broker.rules.current().shared.strategy_of(group),
                None => Strategy::default(),
            };
            let given = match used.membership.take(room, visible, strategy) {
                Taken::Wait => return Turn::Waits,
                Taken::Read(places) => {
                    used.reading = Some(used.membership.reading(places));
                    return Turn::Reads;
                }
                Taken::Messages(given) => given,
            };
            left = left.saturating_sub(given.len());
            for given in given {
                self.send_given(used, &mut uses.in_flight, given, output);
            }
        }
        Turn::Over
    }

    fn send_given(
        &mut self,
        used: &Use,
        in_flight: &mut HashMap<PacketId, Unacknowledged>,
        given: Given,
        output: &mut Vec<u8>,
    ) {
        let (shard, offset) = given.place();
        let own = given
            .batch
            .record(given.slot)
            .is_some_and(|record| record.client_id() == self.client_id());
        let options = TargetOptions::from(&used.options);
        let Some(effective) = options.effective(own) else {
            used.membership.done(given.generation, (shard, offset));
            return;
        };
        let source = Source::Record {
            batch: Arc::clone(&given.batch),
            slot: given.slot,
        };
        let manner = Manner {
            effective,
            from_retained: false,
            dress: Dress {
                replayed: used.shared.is_none(),
                history: used.shared.is_none() && offset < used.history_end.get(shard),
                json: false,
            },
        };
        let now_ms = self.broker.clock.wall_ms();
        let counters = &self.broker.counters;
        self.cursor_dirty = true;
        let sent = self.sender.send(output, &source, manner, now_ms, counters);
        if used.shared.is_some() && matches!(sent, Sent::Done(_)) {
            counters.messages_shared.add(1);
        }
        match sent {
            Sent::Done(Some(packet_id)) => {
                let number = used.number;
                in_flight.insert(packet_id, Unacknowledged { number, given });
            }
            // Sent with QoS 0, or rightly left out.
            Sent::Done(None) => used.membership.done(given.generation, (shard, offset)),
            Sent::WindowFull | Sent::Held => used.membership.put_back(&given),
        }
    }

    /// Reads the log for the cursors that asked this session to.
    pub(super) async fn read_cursors(&mut self) {
        let readings: Vec<Reading> = self
            .cursors
            .all
            .iter_mut()
            .filter_map(|used| used.reading.take())
            .collect();
        let broker = Arc::clone(&self.broker);
        let permit = self.broker.reads.acquire().await;
        let read = tokio::task::spawn_blocking(move || {
            readings.into_iter().all(|mut reading| reading.run(&broker))
        });
        let read = read.await;
        drop(permit);
        if !matches!(read, Ok(true)) {
            self.end_unread();
        }
    }

    /// Stores where the cursors stand, if that has changed, without waiting.
    pub(super) fn store_cursors(&self) {
        for used in &self.cursors.all {
            used.membership
                .cursor()
                .store_later(&self.broker, &self.link);
        }
    }
}
