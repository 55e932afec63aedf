//! One connected session: protocol state, where it stands in the log, and what
//! it still has to send.

use std::collections::VecDeque;
use std::sync::Arc;

use hashbrown::HashMap;
use robustmq_protocol::codec::{Ack, Packet};
use robustmq_protocol::session::Violation;
use robustmq_protocol::session::inbound::Inbound;
use robustmq_protocol::session::keepalive::Keepalive;
use robustmq_protocol::session::outbound::Resend;
use robustmq_protocol::{PacketId, ProtocolVersion, QoS, ReasonCode};
use robustmq_record::{Offset, ShardId};
use robustmq_views::Will;

use super::acks::receipt;
use super::cursors::CursorUses;
use super::deliver::{HeldPublish, Manner, Sender, Sent, Source};
use super::dress::Dress;
use super::input::{Stalled, Unreleased};
use super::pumped::Pumped;
use super::replay::Replays;
use super::retained::RetainedScan;
use crate::broker::Broker;
use crate::dispatch::SubscriberId;
use crate::history::{CatchUp, Step, catch_up};
use crate::link::{Delivery, Link, Outcome, Taken, Ticket};
use crate::positions::Positions;
use crate::registry::Ownership;
use crate::rules::rewrite::Who;
use crate::subscriptions::Subscriptions;

/// Why a connection ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// The client said DISCONNECT.
    Client {
        /// Whether its will is to be published all the same (0x04).
        with_will: bool,
        /// A new Session Expiry Interval, in seconds.
        expiry_s: Option<u32>,
    },
    /// The socket closed or failed.
    Lost,
    /// The broker ends it, and says why.
    Server {
        /// For DISCONNECT.
        reason: ReasonCode,
        /// For people.
        text: &'static str,
    },
}

impl Ending {
    pub(super) fn server(reason: ReasonCode, text: &'static str) -> Self {
        Self::Server { reason, text }
    }
}

/// How the session lives in the log.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tenure {
    /// Connection epoch: increases with every connection of the session.
    pub(super) epoch: u64,
    /// Session Expiry Interval, seconds; 0 ends with the connection.
    pub(super) expiry_s: u32,
    /// Whether the log knows of this connection.
    pub(super) logged: bool,
}

/// A connected session.
pub(super) struct Session {
    pub(super) broker: Arc<Broker>,
    pub(super) link: Arc<Link>,
    pub(super) _ownership: Ownership,
    pub(super) version: ProtocolVersion,
    pub(super) user_name: Option<Box<str>>,
    pub(super) problem_info: bool,
    pub(super) tenure: Tenure,
    pub(super) will: Option<Will>,
    pub(super) inbound: Inbound,
    pub(super) keepalive: Keepalive,
    pub(super) sender: Sender,
    pub(super) subscriptions: Subscriptions,
    pub(super) subscriber: Option<SubscriberId>,
    pub(super) catch_up: Option<CatchUp>,
    pub(super) retained: VecDeque<RetainedScan>,
    pub(super) replays: Replays,
    pub(super) cursors: CursorUses,
    /// Messages that were in flight when the connection before ended.
    pub(super) resend: HashMap<PacketId, HeldPublish>,
    /// QoS 2 deliveries before these positions were assigned already: reading
    /// the backlog again must not deliver them twice.
    pub(super) assigned_end: Positions,
    /// A publish that found its mailbox full.
    pub(super) stalled: Option<Stalled>,
    /// Shard in which an inbound QoS 2 identifier is remembered.
    pub(super) inbound_shards: HashMap<PacketId, ShardId>,
    /// Inbound releases to be stored.
    pub(super) unreleased: VecDeque<Unreleased>,
    /// Packet identifiers whose PUBREC is to be stored.
    pub(super) unreceived: Vec<PacketId>,
    /// Groups of such identifiers whose state record is under way.
    pub(super) receiving: VecDeque<(u64, Vec<PacketId>)>,
    /// Outbound QoS 2 exchanges completed since the last state record.
    pub(super) completed: Vec<PacketId>,
    pub(super) group: u64,
    /// Whether the stored cursor is behind what has been sent and acknowledged.
    pub(super) cursor_dirty: bool,
    /// What to say beside the reason codes of publishes that were refused.
    pub(super) refusal_texts: Vec<(PacketId, &'static str)>,
    pub(super) ending: Option<Ending>,
    /// Somebody else wants the connection to end, for this reason. What the
    /// client has said before still counts.
    pub(super) ordered_end: Option<ReasonCode>,
}

impl Session {
    pub(super) fn client_id(&self) -> &str {
        self.link.client_id()
    }

    /// Whose names rules for rewriting are applied to.
    pub(super) fn who(&self) -> Who<'_> {
        Who {
            client_id: self.client_id(),
            user_name: self.user_name.as_deref(),
        }
    }

    pub(super) fn is_persistent(&self) -> bool {
        self.tenure.expiry_s > 0
    }

    /// Ends the connection because of what the client did.
    pub(super) fn end_for(&mut self, violation: &Violation) {
        self.end(Ending::server(violation.reason, violation.text));
    }

    /// Ends the connection; the first reason stays.
    pub(super) fn end(&mut self, ending: Ending) {
        self.ending.get_or_insert(ending);
    }

    /// Whether deliveries from dispatch can be sent now: not before what is
    /// older has been sent.
    pub(super) fn takes_live(&self) -> bool {
        self.catch_up.is_none()
            && self.retained.is_empty()
            && self.sender.outbound.resends_left() == 0
    }

    /// Takes in what the link had.
    pub(super) fn handle_taken(&mut self, taken: &mut Taken, output: &mut Vec<u8>) {
        for completion in taken.completions.drain(..) {
            self.handle_completion(completion.ticket, completion.outcome, output);
        }
        if let Some(crate::link::Order::Disconnect(reason)) = taken.order {
            self.ordered_end = Some(reason);
        }
        if let Some(resume) = taken.lagging_from.take() {
            match &mut self.catch_up {
                // Already reading from before there.
                Some(catch_up) => catch_up.lost_end(),
                None => self.catch_up = Some(self.backlog(&resume, None)),
            }
        }
    }

    fn handle_completion(&mut self, ticket: Ticket, outcome: Outcome, output: &mut Vec<u8>) {
        match (ticket, outcome) {
            (
                Ticket::Publish(ticket),
                Outcome::Stored {
                    shard,
                    offset,
                    matched,
                },
            ) => {
                self.inbound.stored(ticket, receipt(shard, offset), matched);
            }
            (Ticket::Publish(ticket), Outcome::Rejected(reason)) => {
                self.broker.counters.publishes_rejected.add(1);
                if let Err(violation) = self.inbound.rejected(ticket, reason) {
                    self.end_for(&violation);
                }
            }
            (Ticket::Release(packet_id), Outcome::Stored { .. }) => {
                self.inbound_shards.remove(&packet_id);
                self.inbound.released(packet_id);
            }
            (Ticket::Assigned(group), Outcome::Stored { .. }) => self.send_assigned(group, output),
            (Ticket::Received(group), Outcome::Stored { .. }) => self.received_logged(group),
            (_, Outcome::Rejected(reason)) => {
                // Without its state stored the exchange cannot go on; the
                // client comes back and finds everything as it was.
                self.end(Ending::server(
                    reason,
                    "the session's state could not be stored",
                ));
            }
        }
    }

    fn send_assigned(&mut self, group: u64, output: &mut Vec<u8>) {
        while let Some((number, _)) = self.sender.assigning.front() {
            if *number > group {
                return;
            }
            let Some((_, held)) = self.sender.assigning.pop_front() else {
                return;
            };
            let now_ms = self.broker.clock.wall_ms();
            for publish in &held {
                self.sender.send_with_id(
                    output,
                    publish,
                    QoS::ExactlyOnce,
                    false,
                    now_ms,
                    &self.broker.counters,
                );
            }
        }
    }

    fn received_logged(&mut self, group: u64) {
        while self
            .receiving
            .front()
            .is_some_and(|(number, _)| *number <= group)
        {
            let Some((_, packet_ids)) = self.receiving.pop_front() else {
                return;
            };
            for packet_id in packet_ids {
                self.sender.outbound.received_logged(packet_id);
            }
        }
    }

    /// A reading of the backlog from `from`; shards that no subscription can
    /// reach are left to dispatch.
    pub(super) fn backlog(&self, from: &Positions, end: Option<Positions>) -> CatchUp {
        let map = self.broker.shard_map;
        let reached: Positions = from
            .iter()
            .map(|(shard, offset)| {
                let reaches = self.subscriptions.reaches(map, shard);
                let beyond = || {
                    self.broker
                        .dispatch
                        .progress()
                        .positions()
                        .get(shard)
                        .max(offset)
                };
                (shard, if reaches { offset } else { beyond() })
            })
            .collect();
        CatchUp::new(&reached, end)
    }

    /// Sends what can be sent, oldest first, until the client's window or the
    /// output buffer is full. Returns whether the backlog must be read first.
    pub(super) fn pump(&mut self, output: &mut Vec<u8>, live: &mut VecDeque<Delivery>) -> Pumped {
        let output_max = self.broker.limits.write_buffer_bytes_max;
        let now_ms = self.broker.clock.wall_ms();
        loop {
            if output.len() >= output_max || self.ending.is_some() {
                return Pumped::Wait;
            }
            if let Some(resend) = self.sender.outbound.poll_resend() {
                self.send_again(output, resend, now_ms);
                continue;
            }
            if self.sender.outbound.resends_left() > 0 {
                return Pumped::Wait;
            }
            if let Some(catch_up) = &mut self.catch_up {
                match catch_up.step() {
                    Step::Read => return Pumped::Read,
                    Step::Rejoin => return Pumped::Rejoin,
                    Step::Live => {
                        self.catch_up = None;
                        // What dispatch queued meanwhile is next.
                        return Pumped::Again;
                    }
                    Step::Deliver(mut delivery) => {
                        let full = !self.pump_delivery(output, &mut delivery, now_ms);
                        if full && let Some(catch_up) = &mut self.catch_up {
                            catch_up.put_back(delivery);
                            return Pumped::Wait;
                        }
                        continue;
                    }
                }
            }
            // After the backlog: a retained message must not come before what
            // is older, and its QoS 2 identifier vouches for all before it.
            if !self.retained.is_empty() {
                if !self.pump_retained(output, now_ms) {
                    return Pumped::Wait;
                }
                continue;
            }
            let Some(delivery) = live.front_mut() else {
                let replays = self.pump_replays(output);
                return replays.or(self.pump_cursors(output));
            };
            let mut delivery = std::mem::replace(delivery, Delivery::empty(&delivery.batch));
            if self.pump_delivery(output, &mut delivery, now_ms) {
                live.pop_front();
            } else {
                live[0] = delivery;
                return Pumped::Wait;
            }
        }
    }

    /// Sends a delivery's messages; false if it could not be finished.
    fn pump_delivery(
        &mut self,
        output: &mut Vec<u8>,
        delivery: &mut Delivery,
        now_ms: u64,
    ) -> bool {
        let output_max = self.broker.limits.write_buffer_bytes_max;
        self.cursor_dirty = true;
        while let Some((slot, option)) = delivery.entries.get(delivery.done).copied() {
            if output.len() >= output_max {
                return false;
            }
            let options = &delivery.options[option as usize];
            let own = options.depends_on_publisher()
                && delivery
                    .batch
                    .record(slot)
                    .is_some_and(|record| record.client_id() == self.link.client_id());
            if let Some(effective) = options.effective(own) {
                let source = Source::Record {
                    batch: Arc::clone(&delivery.batch),
                    slot,
                };
                if self.skips(&source, effective.qos) {
                    delivery.done += 1;
                    continue;
                }
                let counters = &self.broker.counters;
                let manner = Manner {
                    effective,
                    from_retained: false,
                    dress: Dress::default(),
                };
                match self.sender.send(output, &source, manner, now_ms, counters) {
                    Sent::Done(_) | Sent::Held => {}
                    Sent::WindowFull => return false,
                }
            }
            delivery.done += 1;
        }
        true
    }

    fn pump_retained(&mut self, output: &mut Vec<u8>, now_ms: u64) -> bool {
        let Some(scan) = self.retained.front_mut() else {
            return true;
        };
        let source = match scan.peek(now_ms) {
            Ok(Some(source)) => source,
            Ok(None) => {
                self.retained.pop_front();
                return true;
            }
            Err(error) => {
                tracing::error!(%error, "retained messages could not be read");
                self.end(Ending::server(
                    ReasonCode::UnspecifiedError,
                    "retained messages could not be read",
                ));
                return false;
            }
        };
        let effective = scan.effective().clone();
        let counters = &self.broker.counters;
        let manner = Manner {
            effective: &effective,
            from_retained: true,
            dress: Dress::default(),
        };
        match self.sender.send(output, &source, manner, now_ms, counters) {
            Sent::Done(_) | Sent::Held => {
                if let Some(scan) = self.retained.front_mut() {
                    scan.advance();
                }
                true
            }
            Sent::WindowFull => false,
        }
    }

    fn send_again(&mut self, output: &mut Vec<u8>, resend: Resend, now_ms: u64) {
        match resend {
            Resend::PubRel(packet_id) => {
                self.write(
                    output,
                    &Packet::PubRel(Ack::new(packet_id, ReasonCode::Success)),
                );
            }
            Resend::Publish(record) => {
                if let Some(held) = self.resend.remove(&record.packet_id) {
                    let counters = &self.broker.counters;
                    self.sender
                        .send_with_id(output, &held, record.qos, true, now_ms, counters);
                }
            }
        }
    }

    /// Whether a QoS 2 message was given an identifier before a crash that the
    /// cursor does not know of.
    fn skips(&self, source: &Source, granted: QoS) -> bool {
        let token = source.token();
        let Source::Record { batch, slot } = source else {
            return false;
        };
        let assigned = Offset(token.offset) < self.assigned_end.get(batch.shard());
        assigned
            && granted == QoS::ExactlyOnce
            && batch
                .record(*slot)
                .is_some_and(|record| record.qos() == QoS::ExactlyOnce as u8)
    }

    /// Reads the backlog where it stands.
    pub(super) async fn read_backlog(&mut self) {
        let Some(catch_up) = &self.catch_up else {
            return;
        };
        let reads = catch_up.reads();
        let filters = self.subscriptions.automata();
        let broker = Arc::clone(&self.broker);
        let permit = self.broker.reads.acquire().await;
        let found = tokio::task::spawn_blocking(move || {
            reads
                .into_iter()
                .map(|place| catch_up::read(&broker.reader, place, &filters))
                .collect::<Vec<_>>()
        })
        .await;
        drop(permit);
        match found {
            Ok(found) => {
                for found in found {
                    if found.failed {
                        self.end_unread();
                    }
                    self.broker.counters.deliveries_missing.add(found.missing);
                    if let Some(catch_up) = &mut self.catch_up {
                        catch_up.handle_found(found, &self.subscriptions);
                    }
                }
            }
            Err(error) => {
                tracing::error!(%error, "reading the log failed");
                self.end_unread();
            }
        }
    }

    /// The log could not be read: the client comes back and finds its cursor
    /// where it was.
    pub(super) fn end_unread(&mut self) {
        self.end(Ending::server(
            ReasonCode::UnspecifiedError,
            "the log could not be read",
        ));
    }

    /// Where the session stands in every shard: all before has been sent (and
    /// is either acknowledged or in flight) or did not match.
    pub(super) fn positions(&self) -> Positions {
        match &self.catch_up {
            Some(catch_up) => catch_up.positions(),
            None => self
                .link
                .position(self.broker.dispatch.progress().positions()),
        }
    }
}
