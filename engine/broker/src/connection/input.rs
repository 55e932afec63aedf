//! Packets from the client: what is done at once, and what must wait.

use std::borrow::Cow;

use robustmq_protocol::codec::{self, Ack, Decoded, Disconnect, Forwarded, Packet, Publish};
use robustmq_protocol::session::inbound::{PublishDecision, PublishIn, ReleaseDecision};
use robustmq_protocol::session::outbound::PubrecDecision;
use robustmq_protocol::{PacketId, ProtocolVersion, QoS, ReasonCode};
use robustmq_record::{KIND_MESSAGE, RecordInput, ShardId};
use robustmq_views::kind;

use super::rules::{Destination, Refusal};
use super::session::{Ending, Session};
use super::subscribe::{SubscribeRequest, UnsubscribeRequest};
use super::wire;
use crate::delayed::{self, Delayed};
use crate::link::Ticket;
use crate::mailbox::Appender;
use crate::rules::Rulebook;
use crate::shard_map::DEFAULT_NAMESPACE;

/// A packet whose handling waits for the log or for dispatch; nothing after it
/// is looked at before it is done.
pub(super) enum Barrier {
    Subscribe(SubscribeRequest),
    Unsubscribe(UnsubscribeRequest),
}

/// How far the input was handled.
#[derive(Default)]
pub(super) struct Handled {
    /// Bytes done with.
    pub(super) consumed: usize,
    /// What must be done before the next packet.
    pub(super) barrier: Option<Barrier>,
}

/// A publish that was accepted but found its mailbox full; its packet is still
/// the first of the input.
#[derive(Clone, Debug)]
pub(super) struct Stalled {
    destination: Destination<'static>,
    ticket: Option<u64>,
}

/// What one packet came to.
enum Step {
    Next,
    Barrier(Barrier),
    /// The packet stays in the input.
    Stall,
}

impl Session {
    /// Handles whole packets of `input` until it ends, a packet must wait, or
    /// the connection ends.
    pub(super) fn handle_input(&mut self, input: &[u8], output: &mut Vec<u8>) -> Handled {
        let broker = std::sync::Arc::clone(&self.broker);
        let link = std::sync::Arc::clone(&self.link);
        let mut appender = broker.mailboxes.appender(&link);
        let now_ms = broker.clock.wall_ms();
        let rules = broker.rules.for_input();
        let mut handled = Handled::default();
        while self.ending.is_none() && self.takes_input(output.len()) {
            let rest = &input[handled.consumed..];
            match codec::decode(rest, self.version, self.broker.limits.packet_size_max) {
                Ok(Decoded::Incomplete { .. }) => break,
                Ok(Decoded::Packet { packet, len }) => {
                    let rules = rules.as_deref();
                    match self.handle_packet(&packet, rules, &mut appender, output, now_ms) {
                        Step::Next => handled.consumed += len,
                        Step::Stall => break,
                        Step::Barrier(barrier) => {
                            handled.consumed += len;
                            handled.barrier = Some(barrier);
                            break;
                        }
                    }
                }
                Err(error) => {
                    tracing::debug!(client_id = self.client_id(), %error, "a packet could not be decoded");
                    self.end(Ending::server(error.reason, error.text));
                }
            }
        }
        handled
    }

    /// Whether input that is there waits for the log.
    pub(super) fn holds_back(&self) -> bool {
        self.stalled.is_some() || self.inbound.is_full()
    }

    /// Whether the client is listened to at present.
    pub(super) fn takes_input(&self, output_len: usize) -> bool {
        !self.inbound.is_full() && output_len < self.broker.limits.write_buffer_bytes_max
    }

    fn handle_packet(
        &mut self,
        packet: &Packet<'_>,
        rules: Option<&Rulebook>,
        appender: &mut Appender<'_>,
        output: &mut Vec<u8>,
        now_ms: u64,
    ) -> Step {
        if let Err(error) = packet.check_from_client() {
            self.end(Ending::server(error.reason, error.text));
            return Step::Next;
        }
        match packet {
            Packet::Publish(publish) => {
                return self.handle_publish(publish, rules, appender, now_ms);
            }
            Packet::PubAck(ack) => self.handle_puback(ack),
            Packet::PubRec(ack) => self.handle_pubrec(ack, output),
            Packet::PubRel(ack) => self.handle_pubrel(ack.packet_id),
            Packet::PubComp(ack) => self.handle_pubcomp(ack),
            Packet::Subscribe(subscribe) => {
                return Step::Barrier(Barrier::Subscribe(SubscribeRequest::new(subscribe)));
            }
            Packet::Unsubscribe(unsubscribe) => {
                return Step::Barrier(Barrier::Unsubscribe(UnsubscribeRequest::new(unsubscribe)));
            }
            Packet::PingReq => codec::encode_pingresp(output),
            Packet::Disconnect(disconnect) => self.handle_disconnect(disconnect),
            Packet::Auth(_) => self.end(Ending::server(
                ReasonCode::ProtocolError,
                "AUTH without an authentication method",
            )),
            Packet::Connect(_) => {
                self.end(Ending::server(
                    ReasonCode::ProtocolError,
                    "a second CONNECT",
                ));
            }
            Packet::ConnAck(_) | Packet::SubAck(_) | Packet::UnsubAck(_) | Packet::PingResp => {
                self.end(Ending::server(
                    ReasonCode::ProtocolError,
                    "a packet only servers send",
                ));
            }
        }
        Step::Next
    }

    fn handle_publish(
        &mut self,
        publish: &Publish<'_>,
        rules: Option<&Rulebook>,
        appender: &mut Appender<'_>,
        now_ms: u64,
    ) -> Step {
        if let Some(stalled) = self.stalled.take() {
            let Stalled {
                destination,
                ticket,
            } = stalled;
            return self.store(publish, destination, ticket, appender, now_ms);
        }
        let taken = PublishIn {
            dup: publish.dup,
            qos: publish.qos,
            retain: publish.retain,
            packet_id: publish.packet_id,
            topic: publish.topic,
            topic_alias: publish.properties.topic_alias,
        };
        let (topic, ticket, replaces) = match self.inbound.handle_publish(taken) {
            Err(violation) => {
                self.end_for(&violation);
                return Step::Next;
            }
            Ok(PublishDecision::Duplicate) => return Step::Next,
            Ok(PublishDecision::Refused(_)) => {
                self.count_refusal(publish.topic);
                return Step::Next;
            }
            Ok(PublishDecision::Append {
                topic,
                ticket,
                replaces,
            }) => (topic, ticket, replaces),
        };
        // The topic borrows from the alias table; storing needs the rest of
        // the session. Names without an alias are the packet's own.
        let owned: Box<str>;
        let topic = if publish.topic.is_empty() {
            owned = topic.into();
            &*owned
        } else {
            publish.topic
        };
        if replaces && publish.qos == QoS::AtLeastOnce {
            self.release_replaced(publish.packet_id);
        }
        let destination = self.destination(topic, rules, now_ms);
        let destination = destination.and_then(|destination| {
            let refusal = self.refusal(&destination.topic);
            refusal.map_or(Ok(destination), |reason| Err(reason.into()))
        });
        match destination {
            Err(refusal) => {
                self.explain_refusal(publish.packet_id, refusal.text);
                self.reject(topic, ticket, refusal);
                Step::Next
            }
            Ok(destination) => self.store(publish, destination, ticket, appender, now_ms),
        }
    }

    /// A QoS 1 publish uses an identifier that an abandoned QoS 2 exchange held.
    fn release_replaced(&mut self, packet_id: Option<PacketId>) {
        if let Some(packet_id) = packet_id
            && let Some(shard) = self.inbound_shards.remove(&packet_id)
        {
            self.unreleased.push_back((packet_id, shard, false));
        }
    }

    fn count_refusal(&self, topic: &str) {
        let shard = self.broker.shard_map.topic(DEFAULT_NAMESPACE, topic);
        self.broker.ledger.refused(shard);
        self.broker.counters.publishes_rejected.add(1);
    }

    fn reject(&mut self, topic: &str, ticket: Option<u64>, refusal: Refusal) {
        let Refusal { reason, text } = refusal;
        self.count_refusal(topic);
        tracing::info!(
            client_id = self.client_id(),
            topic,
            reason = reason.name(),
            text,
            "a publish was refused"
        );
        if let Some(ticket) = ticket
            && let Err(violation) = self.inbound.rejected(ticket, reason)
        {
            self.end_for(&violation);
        }
    }

    fn store(
        &mut self,
        publish: &Publish<'_>,
        destination: Destination<'_>,
        ticket: Option<u64>,
        appender: &mut Appender<'_>,
        now_ms: u64,
    ) -> Step {
        if self.append(publish, &destination, ticket, appender, now_ms) {
            return Step::Next;
        }
        self.stalled = Some(Stalled {
            destination: Destination {
                topic: Cow::Owned(destination.topic.into_owned()),
                ..destination
            },
            ticket,
        });
        Step::Stall
    }

    /// Why a client may not publish to a topic now: the disk is full, names that
    /// begin with `$` belong to the broker, and a limit holds for levels.
    fn refusal(&self, topic: &str) -> Option<ReasonCode> {
        if !self.broker.mailboxes.has_room() {
            return Some(ReasonCode::QuotaExceeded);
        }
        let levels_max = usize::from(self.broker.config.mqtt.max_topic_levels);
        let too_deep = topic.len() > levels_max && topic.split('/').count() > levels_max;
        (topic.starts_with('$') || too_deep).then_some(ReasonCode::TopicNameInvalid)
    }

    fn append(
        &mut self,
        publish: &Publish<'_>,
        destination: &Destination<'_>,
        ticket: Option<u64>,
        appender: &mut Appender<'_>,
        now_ms: u64,
    ) -> bool {
        let topic = &*destination.topic;
        let shard = self.broker.shard_map.topic(DEFAULT_NAMESPACE, topic);
        let stored_id = publish
            .packet_id
            .filter(|_| publish.qos == QoS::ExactlyOnce);
        let default_expiry_s = self.broker.message_expiry_s;
        let body = destination
            .due_ms
            .map(|due_ms| delayed::body(Delayed { topic, due_ms }, publish.payload));
        let (kind, key) = match body {
            Some(_) => (kind::DELAYED_STORED, ""),
            None => (KIND_MESSAGE, topic),
        };
        let record = RecordInput {
            kind,
            qos: publish.qos as u8,
            retain: publish.retain,
            namespace: DEFAULT_NAMESPACE,
            topic: key,
            client_id: self.link.client_id(),
            timestamp_ms: now_ms,
            message_expiry_s: publish.properties.message_expiry.or(default_expiry_s),
            packet_id: stored_id.map(PacketId::get),
            properties: &properties(&publish.properties.forwarded),
            payload: body.as_deref().unwrap_or(publish.payload),
        };
        if appender
            .push(shard, &record, ticket.map(Ticket::Publish))
            .is_err()
        {
            return false;
        }
        if let Some(packet_id) = stored_id {
            self.inbound_shards.insert(packet_id, shard);
        }
        self.broker.counters.publishes_accepted.add(1);
        if destination.due_ms.is_some() {
            self.broker.counters.messages_delayed.add(1);
        }
        true
    }

    fn handle_pubrel(&mut self, packet_id: PacketId) {
        match self.inbound.handle_pubrel(packet_id) {
            Err(violation) => self.end_for(&violation),
            Ok(ReleaseDecision::Log { packet_id, .. }) => {
                match self.inbound_shards.get(&packet_id) {
                    Some(shard) => self.unreleased.push_back((packet_id, *shard, true)),
                    None => self.inbound.released(packet_id),
                }
            }
            Ok(ReleaseDecision::AlreadyLogging | ReleaseDecision::Unknown) => {}
        }
    }

    fn handle_puback(&mut self, ack: &Ack<'_>) {
        match self
            .sender
            .outbound
            .handle_puback(ack.packet_id, ack.reason)
        {
            Err(violation) => self.end_for(&violation),
            Ok(_) => {
                self.cursor_acknowledged(ack.packet_id);
                self.cursor_dirty = true;
            }
        }
    }

    fn handle_pubrec(&mut self, ack: &Ack<'_>, output: &mut Vec<u8>) {
        match self
            .sender
            .outbound
            .handle_pubrec(ack.packet_id, ack.reason)
        {
            Err(violation) => self.end_for(&violation),
            Ok(PubrecDecision::LogThenRelease { .. }) if self.is_persistent() => {
                self.unreceived.push(ack.packet_id);
            }
            // Nothing of this session outlives the connection.
            Ok(PubrecDecision::LogThenRelease { .. }) => {
                self.sender.outbound.received_logged(ack.packet_id);
            }
            Ok(PubrecDecision::Discard { .. }) => self.completed(ack.packet_id),
            Ok(PubrecDecision::Unknown) => {
                let reason = if self.version == ProtocolVersion::V5 {
                    ReasonCode::PacketIdentifierNotFound
                } else {
                    ReasonCode::Success
                };
                let release = Packet::PubRel(Ack::new(ack.packet_id, reason));
                self.write(output, &release);
            }
            Ok(
                PubrecDecision::AlreadyLogging
                | PubrecDecision::AlreadyReceived
                | PubrecDecision::Ignored,
            ) => {}
        }
    }

    fn handle_pubcomp(&mut self, ack: &Ack<'_>) {
        match self
            .sender
            .outbound
            .handle_pubcomp(ack.packet_id, ack.reason)
        {
            Err(violation) => self.end_for(&violation),
            Ok(_) => self.completed(ack.packet_id),
        }
    }

    fn completed(&mut self, packet_id: PacketId) {
        if self.is_persistent() {
            self.completed.push(packet_id);
        }
        self.cursor_dirty = true;
    }

    fn handle_disconnect(&mut self, disconnect: &Disconnect<'_>) {
        let expiry_s = disconnect.properties.session_expiry_s;
        if expiry_s.is_some_and(|expiry_s| expiry_s > 0) && self.tenure.expiry_s == 0 {
            // [MQTT-3.14.2-2]
            self.end(Ending::server(
                ReasonCode::ProtocolError,
                "DISCONNECT sets an expiry where CONNECT set none",
            ));
            return;
        }
        // Only 0x00 discards the will [MQTT-3.1.2-8].
        let with_will = disconnect.reason != ReasonCode::Success;
        self.end(Ending::Client {
            with_will,
            expiry_s,
        });
    }

    /// Writes a packet, as far as the client takes one of its size.
    pub(super) fn write(&self, output: &mut Vec<u8>, packet: &Packet<'_>) {
        wire::write(
            output,
            self.version,
            packet,
            self.sender.limits.packet_size_max,
        );
    }

    /// Writes the acknowledgements whose turn it is.
    pub(super) fn write_acks(&mut self, output: &mut Vec<u8>) {
        while let Some(ack) = self.inbound.poll_ack() {
            let receipt = self.broker.config.mqtt.receipt && self.problem_info;
            let packet_size_max = self.sender.limits.packet_size_max;
            let text = match ack.reason.is_error() {
                true => self.take_refusal_text(ack.packet_id),
                false => None,
            };
            super::acks::write(output, self.version, &ack, receipt, text, packet_size_max);
        }
        while let Some(packet_id) = self.sender.outbound.poll_pubrel() {
            let release = Packet::PubRel(Ack::new(packet_id, ReasonCode::Success));
            self.write(output, &release);
        }
    }
}

/// The forwarded properties as they are stored: mostly they lie in one piece.
fn properties<'a>(forwarded: &Forwarded<'a>) -> Cow<'a, [u8]> {
    let mut pieces = forwarded.pieces();
    match (pieces.next(), pieces.next()) {
        (None, _) => Cow::Borrowed(&[]),
        (Some(all), None) => Cow::Borrowed(all),
        (Some(_), Some(_)) => {
            let mut gathered = Vec::new();
            forwarded.write_to(&mut gathered);
            Cow::Owned(gathered)
        }
    }
}

/// Where an inbound QoS 2 identifier lies and whether a PUBCOMP waits for it.
pub(super) type Unreleased = (PacketId, ShardId, bool);
