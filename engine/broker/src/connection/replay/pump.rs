//! The session's side of its replays: starting, reading, sending, storing.

use std::sync::Arc;

use robustmq_log::{LogReader, ReadError};
use robustmq_protocol::QoS;
use robustmq_protocol::codec::PublishOut;
use robustmq_record::{Batch, Offset, ShardId};
use robustmq_views::{StateBody, SubscriptionState};

use super::{Asked, Need, PICKS_AT_A_TIME, Replay, Replays};
use crate::connection::deliver::{Manner, Sent, Source};
use crate::connection::pumped::Pumped;
use crate::connection::session::Session;
use crate::history::catch_up::ReadPlace;
use crate::history::{RangeError, Resolved, Resolver, catch_up};
use crate::link::Delivery;
use crate::positions::Positions;
use crate::subscriptions::Subscriptions;

/// Messages that one replay sends before the next one has its turn.
const TURN_MESSAGES: usize = 256;

/// How sending a delivery ended.
enum Sending {
    Finished,
    /// The client's window or the output buffer is full.
    Full,
    /// The rate holds the next message back until then.
    NotDue(u64),
}

/// What one replay has to read.
enum Reading {
    Log(Vec<ReadPlace>),
    Picks(Vec<(ShardId, Offset)>),
}

/// What reading for a replay found.
enum Found {
    Log(Vec<catch_up::Found>),
    Picks(Vec<(Offset, Option<Arc<Batch>>)>),
    /// The disk refused.
    Failed,
}

impl Found {
    fn has_failed(&self) -> bool {
        match self {
            Self::Log(found) => found.iter().any(|found| found.failed),
            Self::Picks(_) => false,
            Self::Failed => true,
        }
    }
}

impl Session {
    /// Resolves and begins a replay. Gives a text for the client if the range
    /// begins before what is kept.
    pub(in crate::connection) async fn begin_replay(
        &mut self,
        asked: Asked,
        resume_from: Option<Positions>,
    ) -> Result<Option<&'static str>, RangeError> {
        let resolved = self.resolve(&asked, resume_from).await?;
        let is_cut = resolved.is_cut;
        if is_cut {
            tracing::info!(
                client_id = self.client_id(),
                filter = asked.name,
                "a replay begins before the oldest message that is kept"
            );
        }
        self.replays.insert(Replay::new(asked, resolved));
        Ok(is_cut.then_some("the range begins before the oldest message that is kept"))
    }

    async fn resolve(
        &self,
        asked: &Asked,
        resume_from: Option<Positions>,
    ) -> Result<Resolved, RangeError> {
        let broker = Arc::clone(&self.broker);
        let (range, filter) = (asked.range.clone(), asked.filter.clone());
        let now_ms = broker.clock.wall_ms();
        // Finding the last of every topic reads the whole range.
        let _permit = self.broker.reads.acquire().await;
        let resolving = tokio::task::spawn_blocking(move || {
            let resolver = Resolver {
                reader: &broker.reader,
                map: broker.shard_map,
                filter: &filter,
                now_ms,
                visible: broker.dispatch.progress().positions(),
            };
            resolver.resolve(&range)
        });
        let mut resolved = match resolving.await {
            Ok(resolved) => resolved?,
            // Only a panic or the end of the process.
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        };
        if let Some(places) = resume_from {
            resolved.resume(&places);
        }
        Ok(resolved)
    }

    /// Tells dispatch which messages the replays and cursors wait for.
    pub(in crate::connection) fn watch_replays(&self) {
        if let Some(subscriber) = self.subscriber {
            let mut filters = self.replays.watched();
            filters.extend(self.cursors.watched());
            filters.sort_unstable();
            filters.dedup();
            self.broker.dispatch.watch(subscriber, filters);
        }
    }

    /// The replays as they are stored with the session.
    pub(in crate::connection) fn replay_body(&self) -> Option<StateBody> {
        let state = |replay: &Replay| {
            let (stored, subscription) = replay.to_subscription();
            subscription.to_state(stored)
        };
        let subscriptions: Vec<SubscriptionState> = self.replays.iter().map(state).collect();
        (!subscriptions.is_empty()).then_some(StateBody::Subscribed { subscriptions })
    }

    /// Sends what the replays have, each in its turn.
    pub(in crate::connection) fn pump_replays(&mut self, output: &mut Vec<u8>) -> Pumped {
        if self.replays.is_empty() {
            return Pumped::Wait;
        }
        let mut replays = std::mem::take(&mut self.replays);
        let pumped = self.pump_each(&mut replays, output);
        self.replays = replays;
        pumped
    }

    fn pump_each(&mut self, replays: &mut Replays, output: &mut Vec<u8>) -> Pumped {
        let visible = self.broker.dispatch.progress().positions();
        replays.due_ms = None;
        let (mut reads, mut again) = (false, false);
        for _ in 0..replays.all.len() {
            replays.turn = (replays.turn + 1) % replays.all.len();
            let replay = &mut replays.all[replays.turn];
            match self.pump_one(replay, &visible, output) {
                Turn::Over => again = true,
                Turn::Full => return Pumped::Wait,
                Turn::Reads => reads = true,
                Turn::Waits => {}
                Turn::NotDue(due_ms) => {
                    replays.due_ms = Some(replays.due_ms.map_or(due_ms, |due| due.min(due_ms)));
                }
            }
        }
        match (reads, again) {
            (true, _) => Pumped::ReadReplays,
            (false, true) => Pumped::Again,
            (false, false) => Pumped::Wait,
        }
    }

    fn pump_one(&mut self, replay: &mut Replay, visible: &Positions, output: &mut Vec<u8>) -> Turn {
        let mut left = TURN_MESSAGES;
        while left > 0 {
            match replay.next(visible) {
                Need::Read => return Turn::Reads,
                Need::Wait => return Turn::Waits,
                Need::CaughtUp => self.tell_caught_up(replay, output),
                Need::Deliver {
                    mut delivery,
                    is_pick,
                } => {
                    left = left.saturating_sub(delivery.entries.len());
                    match self.send_replayed(replay, &mut delivery, is_pick, output) {
                        Sending::Finished => {}
                        Sending::Full => {
                            replay.put_back(delivery, is_pick);
                            return Turn::Full;
                        }
                        Sending::NotDue(due_ms) => {
                            replay.put_back(delivery, is_pick);
                            return Turn::NotDue(due_ms);
                        }
                    }
                }
            }
        }
        Turn::Over
    }

    fn send_replayed(
        &mut self,
        replay: &mut Replay,
        delivery: &mut Delivery,
        is_pick: bool,
        output: &mut Vec<u8>,
    ) -> Sending {
        let broker = Arc::clone(&self.broker);
        let now_ms = broker.clock.monotonic_ms();
        self.cursor_dirty = true;
        while let Some((slot, option)) = delivery.entries.get(delivery.done).copied() {
            if output.len() >= broker.limits.write_buffer_bytes_max {
                return Sending::Full;
            }
            let Some(record) = delivery.batch.record(slot) else {
                delivery.done += 1;
                continue;
            };
            let (shard, offset) = (delivery.batch.shard(), record.offset());
            let timestamp_ms = record.timestamp_ms();
            let own = record.client_id() == self.client_id();
            let dress = replay.dress(shard, offset);
            let wanted = is_pick || replay.holds(shard, offset, timestamp_ms);
            let effective = delivery.options[option as usize].effective(own);
            if let (true, Some(effective)) = (wanted, effective) {
                let due_ms = replay.pace.due_ms(timestamp_ms, now_ms);
                if dress.history && due_ms > now_ms {
                    return Sending::NotDue(due_ms);
                }
                let source = Source::Record {
                    batch: Arc::clone(&delivery.batch),
                    slot,
                };
                let manner = Manner {
                    effective,
                    from_retained: false,
                    dress,
                };
                let wall_ms = broker.clock.wall_ms();
                match self
                    .sender
                    .send(output, &source, manner, wall_ms, &broker.counters)
                {
                    Sent::Done(_) | Sent::Held => replay.pace.sent(timestamp_ms, now_ms),
                    Sent::WindowFull => return Sending::Full,
                }
            }
            delivery.done += 1;
        }
        Sending::Finished
    }

    /// Says that a replay has caught up, to a client that wants to know.
    fn tell_caught_up(&mut self, replay: &Replay, output: &mut Vec<u8>) {
        let topic = format!("$SYS/replay/{}/caught_up", self.client_id());
        let wanted = self
            .subscriptions
            .matching(&topic, ShardId(0), Offset::MAX)
            .is_some();
        if !wanted {
            return;
        }
        let payload = serde_json::json!({
            "filter": replay.name(),
            "timestamp": self.broker.clock.wall_ms(),
        });
        let payload = payload.to_string();
        let publish = PublishOut {
            dup: false,
            qos: QoS::AtMostOnce,
            retain: false,
            topic: &topic,
            topic_alias: None,
            packet_id: None,
            message_expiry: None,
            subscription_ids: &[],
            forwarded: &[],
            extra_user_properties: &[],
            payload: payload.as_bytes(),
        };
        self.sender.tell(output, publish);
    }

    /// Reads for all replays that need it.
    pub(in crate::connection) async fn read_replays(&mut self) {
        let mut wanted: Vec<(usize, Reading)> = Vec::new();
        for (place, replay) in self.replays.all.iter_mut().enumerate() {
            if let Some(reading) = replay.reading_wanted() {
                wanted.push((place, reading));
            }
        }
        let filters: Vec<Subscriptions> = wanted
            .iter()
            .map(|(place, _)| self.replays.all[*place].subscriptions.clone())
            .collect();
        let broker = Arc::clone(&self.broker);
        let permit = self.broker.reads.acquire().await;
        let reading = tokio::task::spawn_blocking(move || {
            let read = |((place, reading), filters): ((usize, Reading), Subscriptions)| {
                (place, read(&broker.reader, reading, &filters))
            };
            wanted
                .into_iter()
                .zip(filters)
                .map(read)
                .collect::<Vec<_>>()
        });
        let found = reading.await;
        drop(permit);
        let Ok(found) = found else {
            tracing::error!("reading the log for a replay failed");
            self.end_unread();
            return;
        };
        for (place, found) in found {
            if found.has_failed() {
                self.end_unread();
                return;
            }
            let missing = self.replays.all[place].take_found(found);
            self.broker.counters.deliveries_missing.add(missing);
        }
    }
}

/// How a replay's turn ended.
enum Turn {
    /// It has more, and had its share.
    Over,
    /// The client takes no more.
    Full,
    /// The log must be read.
    Reads,
    /// There is nothing more at present.
    Waits,
    /// Its rate holds it back until then.
    NotDue(u64),
}

fn read(reader: &LogReader, reading: Reading, subscriptions: &Subscriptions) -> Found {
    match reading {
        Reading::Log(places) => {
            let filters = subscriptions.automata();
            let read = |place| catch_up::read(reader, place, &filters);
            Found::Log(places.into_iter().map(read).collect())
        }
        Reading::Picks(picks) => {
            let read = |(shard, offset): (ShardId, Offset)| {
                Ok((offset, reader.batch(shard, offset.index())?))
            };
            let read: Result<Vec<_>, ReadError> = picks.into_iter().map(read).collect();
            read.map_or_else(
                |error| {
                    tracing::warn!(%error, "messages of a replay could not be read");
                    Found::Failed
                },
                Found::Picks,
            )
        }
    }
}

impl Replay {
    fn reading_wanted(&mut self) -> Option<Reading> {
        if !self.picked.is_empty() {
            return None;
        }
        if !self.picks.is_empty() {
            let count = self.picks.len().min(PICKS_AT_A_TIME);
            return Some(Reading::Picks(
                self.picks.iter().take(count).copied().collect(),
            ));
        }
        let places = self.reading.reads();
        (!places.is_empty()).then_some(Reading::Log(places))
    }

    /// Takes in what was read; how much of it was not there any more.
    fn take_found(&mut self, found: Found) -> u64 {
        let mut missing = 0;
        match found {
            Found::Log(found) => {
                for found in found {
                    missing += found.missing;
                    self.reading.handle_found(found, &self.subscriptions);
                }
            }
            Found::Failed => {}
            Found::Picks(found) => {
                for (offset, batch) in found {
                    self.picks.pop_front();
                    let picked = batch.and_then(|batch| self.pick(&batch, offset));
                    match picked {
                        Some(delivery) => self.picked.push_back(delivery),
                        None => missing += 1,
                    }
                }
            }
        }
        missing
    }

    fn pick(&self, batch: &Arc<Batch>, offset: Offset) -> Option<Delivery> {
        let record = batch.record(offset.slot())?;
        let options = self
            .subscriptions
            .matching(record.topic(), batch.shard(), offset)?;
        Some(Delivery {
            batch: Arc::clone(batch),
            entries: vec![(offset.slot(), 0)],
            options: vec![Arc::new(options)],
            done: 0,
        })
    }
}

impl Resolved {
    /// Goes on where the session stood, with what is left of the range.
    fn resume(&mut self, places: &Positions) {
        for (shard, stood) in places.iter() {
            self.from.raise(shard, stood);
        }
        let stood = |shard: ShardId| places.get(shard);
        if let Some(picks) = &mut self.picks {
            picks.retain(|(shard, offset)| *offset >= stood(*shard));
        }
    }
}
