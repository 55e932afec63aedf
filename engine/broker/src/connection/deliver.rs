//! From delivery to PUBLISH: everything that is sent to the client passes here,
//! whether it comes live, from the backlog, from the retained view or again
//! after a reconnect.
//!
//! Invariants
//! 1. A QoS 2 message of a persistent session leaves only after its packet
//!    identifier is stored.
//! 2. Nothing is sent beyond the client's Receive Maximum or Maximum Packet
//!    Size; what is left out because of the latter or of expiry is counted.

use std::collections::VecDeque;
use std::sync::Arc;

use robustmq_protocol::codec::{self, PublishOut};
use robustmq_protocol::session::outbound::{AliasUse, DeliveryToken, Outbound};
use robustmq_protocol::{PacketId, ProtocolVersion, QoS};
use robustmq_record::{Batch, Offset, OffsetToken, RecordRef, ShardId};
use robustmq_views::RetainedMessage;

use super::dress::{Dress, Dressed};
use crate::counters::Counters;
use crate::history::Told;
use crate::subscription::Effective;

/// A message on its way to one client, wherever it lies.
#[derive(Clone, Debug)]
pub(super) enum Source {
    /// In a batch of the log.
    Record { batch: Arc<Batch>, slot: u16 },
    /// In the retained view.
    Retained(Arc<RetainedMessage>),
}

/// What of a message its sending needs.
struct Message<'a> {
    topic: &'a str,
    qos: u8,
    retain: bool,
    timestamp_ms: u64,
    message_expiry_s: Option<u32>,
    client_id: &'a str,
    properties: &'a [u8],
    payload: &'a [u8],
}

impl Source {
    fn message(&self) -> Option<Message<'_>> {
        match self {
            Self::Record { batch, slot } => batch.record(*slot).map(Message::from_record),
            Self::Retained(retained) => Some(Message {
                topic: &retained.topic,
                qos: retained.qos,
                retain: true,
                timestamp_ms: retained.timestamp_ms,
                message_expiry_s: retained.message_expiry_s,
                client_id: &retained.publisher,
                properties: &retained.properties,
                payload: &retained.payload,
            }),
        }
    }

    pub(super) fn token(&self) -> DeliveryToken {
        let (shard, offset) = match self {
            Self::Record { batch, slot } => (batch.shard(), Offset::new(batch.index(), *slot)),
            Self::Retained(retained) => (retained.shard, retained.offset),
        };
        DeliveryToken {
            shard: shard.0,
            offset: offset.0,
        }
    }
}

impl<'a> Message<'a> {
    fn from_record(record: RecordRef<'a>) -> Self {
        Self {
            topic: record.topic(),
            qos: record.qos(),
            retain: record.retain(),
            timestamp_ms: record.timestamp_ms(),
            message_expiry_s: record.message_expiry_s(),
            client_id: record.client_id(),
            properties: record.properties(),
            payload: record.payload(),
        }
    }

    /// What is left of the Message Expiry Interval [MQTT-3.3.2-6]; an error
    /// when nothing is [MQTT-3.3.2-5].
    fn expiry_left(&self, now_ms: u64) -> Result<Option<u32>, Expired> {
        let Some(interval_s) = self.message_expiry_s else {
            return Ok(None);
        };
        let waited_s = now_ms.saturating_sub(self.timestamp_ms) / 1000;
        match u64::from(interval_s).checked_sub(waited_s) {
            None | Some(0) => Err(Expired),
            Some(left) => Ok(Some(left as u32)),
        }
    }
}

struct Expired;

impl Source {
    fn dressed<'a>(&self, dress: Dress, message: &Message<'a>) -> Dressed<'a> {
        let token = self.token();
        let told = Told {
            token: OffsetToken {
                shard: ShardId(token.shard),
                offset: Offset(token.offset),
            },
            timestamp_ms: message.timestamp_ms,
            topic: message.topic,
            qos: message.qos,
            retain: message.retain,
            client_id: message.client_id,
            properties: message.properties,
            payload: message.payload,
        };
        Dressed::new(dress, &told)
    }
}

/// How an attempt to send ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sent {
    /// Sent, under the packet identifier if it has one; or rightly left out.
    Done(Option<PacketId>),
    /// No packet identifier is free: try again after an acknowledgement.
    WindowFull,
    /// Its packet identifier must be stored first; it is kept for then.
    Held,
}

/// What the client can take; set at CONNECT.
#[derive(Clone, Copy, Debug)]
pub(super) struct ClientLimits {
    pub(super) version: ProtocolVersion,
    pub(super) packet_size_max: u32,
}

/// A QoS 2 message whose packet identifier is being stored.
pub(super) struct HeldPublish {
    pub(super) packet_id: PacketId,
    pub(super) source: Source,
    pub(super) effective: Effective,
    pub(super) retain: bool,
    pub(super) dress: Dress,
}

/// How one message is to be sent.
#[derive(Clone, Copy)]
pub(super) struct Manner<'a> {
    /// What the subscription asks for.
    pub(super) effective: &'a Effective,
    /// It comes from the retained view.
    pub(super) from_retained: bool,
    /// How it is marked.
    pub(super) dress: Dress,
}

/// The sending side of one connection.
pub(super) struct Sender {
    pub(super) limits: ClientLimits,
    pub(super) outbound: Outbound,
    /// Whether the session outlives the connection.
    pub(super) persistent: bool,
    /// QoS 2 messages, of replays or not, to be stored with the next records.
    pub(super) unassigned: Vec<HeldPublish>,
    /// Groups whose state record is under way, oldest first.
    pub(super) assigning: VecDeque<(u64, Vec<HeldPublish>)>,
}

impl Sender {
    /// Sends one message, or keeps it until its identifier is stored.
    pub(super) fn send(
        &mut self,
        output: &mut Vec<u8>,
        source: &Source,
        manner: Manner<'_>,
        now_ms: u64,
        counters: &Counters,
    ) -> Sent {
        let effective = manner.effective;
        let Some(message) = source.message() else {
            counters.deliveries_missing.add(1);
            return Sent::Done(None);
        };
        let Ok(expiry) = message.expiry_left(now_ms) else {
            counters.deliveries_expired.add(1);
            return Sent::Done(None);
        };
        let qos = effective
            .qos
            .min(QoS::try_from(message.qos).unwrap_or(QoS::AtMostOnce));
        let is_live = !manner.dress.replayed;
        let retain =
            manner.from_retained || (is_live && message.retain && effective.retain_as_published);
        let dressed = source.dressed(manner.dress, &message);
        let (extra, extra_count) = dressed.properties();
        let publish = PublishOut {
            dup: false,
            qos,
            retain,
            topic: message.topic,
            topic_alias: None,
            // Any identifier takes two bytes: this one is for the size only.
            packet_id: (qos > QoS::AtMostOnce).then_some(PacketId::MIN),
            message_expiry: expiry,
            subscription_ids: &effective.identifiers,
            forwarded: message.properties,
            extra_user_properties: &extra[..extra_count],
            payload: dressed.payload(),
        };
        if !self.fits(&publish) {
            counters.deliveries_too_large.add(1);
            return Sent::Done(None);
        }
        let packet_id = match qos {
            QoS::AtMostOnce => None,
            _ => match self.outbound.assign(qos, source.token()) {
                Some(packet_id) => Some(packet_id),
                None => return Sent::WindowFull,
            },
        };
        if let (QoS::ExactlyOnce, Some(packet_id), true) = (qos, packet_id, self.persistent) {
            self.unassigned.push(HeldPublish {
                packet_id,
                source: source.clone(),
                effective: effective.clone(),
                retain: manner.from_retained,
                dress: manner.dress,
            });
            return Sent::Held;
        }
        self.write(
            output,
            PublishOut {
                packet_id,
                ..publish
            },
        );
        counters.deliveries.add(1);
        Sent::Done(packet_id)
    }

    /// Sends a message whose packet identifier is known: a stored QoS 2 one, or
    /// one sent before (`dup`) [MQTT-4.4.0-1].
    pub(super) fn send_with_id(
        &mut self,
        output: &mut Vec<u8>,
        held: &HeldPublish,
        qos: QoS,
        dup: bool,
        now_ms: u64,
        counters: &Counters,
    ) {
        let Some(message) = held.source.message() else {
            return;
        };
        // Once it has an identifier a message is completed even when its time
        // is over: the exchange may be half done.
        let expiry = message.expiry_left(now_ms).unwrap_or(Some(1));
        let dressed = held.source.dressed(held.dress, &message);
        let (extra, extra_count) = dressed.properties();
        let is_live = !held.dress.replayed;
        self.write(
            output,
            PublishOut {
                dup,
                qos,
                retain: held.retain
                    || (is_live && message.retain && held.effective.retain_as_published),
                topic: message.topic,
                topic_alias: None,
                packet_id: Some(held.packet_id),
                message_expiry: expiry,
                subscription_ids: &held.effective.identifiers,
                forwarded: message.properties,
                extra_user_properties: &extra[..extra_count],
                payload: dressed.payload(),
            },
        );
        counters.deliveries.add(1);
    }

    /// Sends what the broker itself has to say, if it fits.
    pub(super) fn tell(&mut self, output: &mut Vec<u8>, publish: PublishOut<'_>) {
        if self.fits(&publish) {
            self.write(output, publish);
        }
    }

    fn fits(&self, publish: &PublishOut<'_>) -> bool {
        codec::publish_size(self.limits.version, publish) <= self.limits.packet_size_max as usize
    }

    fn write(&mut self, output: &mut Vec<u8>, publish: PublishOut<'_>) {
        let aliased = match self.outbound.alias_for(publish.topic) {
            AliasUse::None => publish,
            AliasUse::Announce(alias) => PublishOut {
                topic_alias: Some(alias),
                ..publish
            },
            AliasUse::Use(alias) => PublishOut {
                topic: "",
                topic_alias: Some(alias),
                ..publish
            },
        };
        if let Err(error) = codec::encode_publish(output, self.limits.version, &aliased) {
            tracing::warn!(topic = publish.topic, %error, "a message could not be sent");
        }
    }
}
