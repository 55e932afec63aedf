//! Deliveries to the client: packet identifiers, the in-flight window, the
//! QoS 1 and 2 handshakes, what is sent again after a reconnect.
//!
//! **Invariants**
//! 1. A packet identifier is in use from `assign` (or `resume`) until its
//!    PUBACK, PUBCOMP, failing PUBREC or `discard`, also across connections,
//!    and is never assigned meanwhile [MQTT-2.2.1-4].
//! 2. PUBLISH packets without a final acknowledgement, sent on this
//!    connection, ≤ min(`receive_max`, `window_max`) [MQTT-3.3.4-9].
//! 3. What a session brought along is sent again in its original order, and
//!    before anything new [MQTT-4.4.0-1], [MQTT-4.6.0-1].
//! 4. PUBREL leaves only after `received_logged`, in the order of the PUBREC
//!    packets [MQTT-4.6.0-4]; a PUBLISH never follows it [MQTT-4.3.3-6].
//!
//! Acknowledgements of what an earlier connection sent are taken also before
//! it is sent again: the client has the message.
//!
//! **Not here**: the messages (a token says where each is), message expiry,
//! the log of identifiers. A QoS 2 identifier is to be logged together with
//! its token **before** its PUBLISH is sent, so that it means the same message
//! after a crash.

use std::collections::VecDeque;

use crate::session::Violation;
use crate::types::{PacketId, ProtocolVersion, QoS, ReasonCode};

pub use aliases::AliasUse;

use aliases::OutboundAliases;

mod aliases;
mod identifiers;
mod resend;
#[cfg(test)]
mod tests;

pub use resend::{Resend, ResumeError};

/// Where a delivered message is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeliveryToken {
    /// Shard of the log.
    pub shard: u32,
    /// Offset in the shard.
    pub offset: u64,
}

/// What this connection may be sent; fixed at CONNECT.
#[derive(Clone, Debug)]
pub struct OutboundLimits {
    /// Version the connection speaks.
    pub version: ProtocolVersion,
    /// Receive Maximum of the client, ≥ 1 (65 535 where it named none).
    pub receive_max: u16,
    /// The server's own limit of messages in flight, ≥ 1.
    pub window_max: u16,
    /// Topic aliases to use at most: the smaller of the client's Topic Alias
    /// Maximum and what the server spends memory on.
    pub topic_alias_max: u16,
    /// Maximum Packet Size of the client, in bytes.
    pub packet_size_max: u32,
}

/// How far the handshake of a delivery is; the durable part of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InflightState {
    /// QoS 1: PUBLISH sent, no PUBACK.
    Sent,
    /// QoS 2: identifier assigned and PUBLISH sent (or about to be), no PUBREC.
    AssignedQos2,
    /// QoS 2: PUBREC logged, no PUBCOMP; only PUBREL is sent from here on.
    Received,
}

/// A delivery in flight, as the session's cursor record keeps it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InflightRecord {
    /// Packet Identifier the client knows it by.
    pub packet_id: PacketId,
    /// Which message.
    pub token: DeliveryToken,
    /// QoS it is delivered at: 1 or 2.
    pub qos: QoS,
    /// State of the handshake.
    pub state: InflightState,
}

/// What a PUBACK or PUBCOMP ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AckResult {
    /// The delivery is over; the identifier is free.
    Done {
        /// Which message.
        token: DeliveryToken,
        /// The client answered with an error code (it has the message, and
        /// gets it no second time [MQTT-4.4.0-2]).
        failed: bool,
    },
    /// No such identifier; counted in [`Outbound::unknown_acks`], else ignored.
    Unknown,
}

/// What to do with a PUBREC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PubrecDecision {
    /// Log the receipt durably, call [`Outbound::received_logged`], then send
    /// what [`Outbound::poll_pubrel`] gives.
    LogThenRelease {
        /// Which message.
        token: DeliveryToken,
    },
    /// The receipt is being logged already: nothing to do, its PUBREL comes.
    AlreadyLogging,
    /// The receipt is logged: [`Outbound::poll_pubrel`] gives its PUBREL again.
    AlreadyReceived,
    /// The client refused the message: the delivery is over, no PUBREL.
    Discard {
        /// Which message.
        token: DeliveryToken,
    },
    /// No such identifier: answer with PUBREL (5.0: 0x92) at once, so that the
    /// client forgets it too. A failing PUBREC gets no answer and is `Ignored`.
    Unknown,
    /// Nothing to do: a failing PUBREC of an unknown identifier.
    Ignored,
}

/// A delivery in flight.
#[derive(Debug)]
struct Slot {
    record: InflightRecord,
    /// PUBREC came, its log record is under way.
    logging: bool,
    /// PUBLISH or PUBREL went out on this connection.
    sent: bool,
}

/// A PUBREL in the queue.
#[derive(Debug)]
struct Release {
    packet_id: PacketId,
    logged: bool,
}

/// The sending half of a connection. See the module for its promises.
#[derive(Debug)]
pub struct Outbound {
    limits: OutboundLimits,
    aliases: OutboundAliases,
    /// In the order of their first PUBLISH.
    slots: VecDeque<Slot>,
    /// How many slots are not `sent`, and no such slot is before this index.
    unsent: usize,
    unsent_from: usize,
    identifiers: identifiers::Identifiers,
    releases: VecDeque<Release>,
    unknown_acks: u64,
}

impl Outbound {
    /// A new connection with nothing in flight.
    pub fn new(limits: OutboundLimits) -> Self {
        assert!(limits.receive_max > 0, "Receive Maximum is never zero");
        assert!(limits.window_max > 0, "a window of zero delivers nothing");
        let is_v5 = limits.version == ProtocolVersion::V5;
        Self {
            aliases: OutboundAliases::new(if is_v5 { limits.topic_alias_max } else { 0 }),
            slots: VecDeque::new(),
            unsent: 0,
            unsent_from: 0,
            identifiers: identifiers::Identifiers::new(),
            releases: VecDeque::new(),
            unknown_acks: 0,
            limits,
        }
    }

    /// How many deliveries above QoS 0 may be assigned now. None while
    /// anything of an earlier connection waits to be sent again.
    pub fn window_free(&self) -> usize {
        if self.unsent > 0 {
            return 0;
        }
        self.window().saturating_sub(self.slots.len())
    }

    /// The window's size: the smaller of both sides' limits.
    fn window(&self) -> usize {
        usize::from(self.limits.receive_max.min(self.limits.window_max))
    }

    /// Gives a delivery above QoS 0 its packet identifier and a place in the
    /// window; None if there is none free. Its PUBLISH (DUP=0) is to be sent
    /// in the order of the calls.
    pub fn assign(&mut self, qos: QoS, token: DeliveryToken) -> Option<PacketId> {
        assert!(qos != QoS::AtMostOnce, "QoS 0 has no packet identifier");
        if self.window_free() == 0 {
            return None;
        }
        let in_use = self.slots.iter().map(|slot| slot.record.packet_id);
        let packet_id = self.identifiers.take(in_use)?;
        let state = if qos == QoS::ExactlyOnce {
            InflightState::AssignedQos2
        } else {
            InflightState::Sent
        };
        self.slots.push_back(Slot {
            record: InflightRecord {
                packet_id,
                token,
                qos,
                state,
            },
            logging: false,
            sent: true,
        });
        Some(packet_id)
    }

    /// Takes a PUBACK.
    pub fn handle_puback(
        &mut self,
        packet_id: PacketId,
        reason: ReasonCode,
    ) -> Result<AckResult, Violation> {
        let Some(index) = self.find(packet_id) else {
            self.unknown_acks += 1;
            return Ok(AckResult::Unknown);
        };
        if self.slots[index].record.state != InflightState::Sent {
            return Err(out_of_turn("PUBACK for what is not an open QoS 1 message"));
        }
        let token = self.remove(index).token;
        let failed = reason.is_error();
        Ok(AckResult::Done { token, failed })
    }

    /// Takes a PUBREC.
    pub fn handle_pubrec(
        &mut self,
        packet_id: PacketId,
        reason: ReasonCode,
    ) -> Result<PubrecDecision, Violation> {
        let Some(index) = self.find(packet_id) else {
            self.unknown_acks += 1;
            return Ok(if reason.is_error() {
                PubrecDecision::Ignored
            } else {
                PubrecDecision::Unknown
            });
        };
        let slot = &mut self.slots[index];
        let token = slot.record.token;
        match slot.record.state {
            InflightState::Sent => Err(out_of_turn("PUBREC for a QoS 1 message")),
            InflightState::AssignedQos2 if slot.logging => Ok(PubrecDecision::AlreadyLogging),
            InflightState::AssignedQos2 if reason.is_error() => {
                self.remove(index);
                Ok(PubrecDecision::Discard { token })
            }
            InflightState::AssignedQos2 => {
                slot.logging = true;
                // Received on an earlier connection, it need not be sent again.
                if !slot.sent {
                    slot.sent = true;
                    self.unsent -= 1;
                }
                let logged = false;
                self.releases.push_back(Release { packet_id, logged });
                Ok(PubrecDecision::LogThenRelease { token })
            }
            InflightState::Received => {
                self.release_again(packet_id);
                Ok(PubrecDecision::AlreadyReceived)
            }
        }
    }

    /// The receipt of `packet_id` is durable: its PUBREL may go. Panics if no
    /// receipt was to be logged.
    pub fn received_logged(&mut self, packet_id: PacketId) {
        let index = self.find(packet_id);
        let slot = index.map(|index| &mut self.slots[index]);
        let slot = slot.filter(|slot| slot.logging);
        let slot = slot.expect("only a PUBREC that was to be logged is");
        slot.logging = false;
        slot.record.state = InflightState::Received;
        for release in &mut self.releases {
            if release.packet_id == packet_id {
                release.logged = true;
            }
        }
    }

    /// The next PUBREL to send, if one may go. Resends are not among them, see
    /// [`Outbound::poll_resend`].
    pub fn poll_pubrel(&mut self) -> Option<PacketId> {
        if !self.releases.front()?.logged {
            return None;
        }
        self.releases.pop_front().map(|release| release.packet_id)
    }

    /// Takes a PUBCOMP.
    pub fn handle_pubcomp(
        &mut self,
        packet_id: PacketId,
        reason: ReasonCode,
    ) -> Result<AckResult, Violation> {
        let Some(index) = self.find(packet_id) else {
            self.unknown_acks += 1;
            return Ok(AckResult::Unknown);
        };
        if self.slots[index].record.state != InflightState::Received {
            return Err(out_of_turn("PUBCOMP before the PUBREL"));
        }
        // A PUBREL that was to be repeated has become pointless.
        self.releases.retain(|r| r.packet_id != packet_id);
        let token = self.remove(index).token;
        let failed = reason.is_error();
        Ok(AckResult::Done { token, failed })
    }

    /// Ends a delivery without the client, when its PUBLISH is not going to be
    /// sent after all: the message is gone (retention), or too large for this
    /// client [MQTT-3.1.2-25]. None if the client has confirmed the receipt of
    /// a QoS 2 message, which only PUBCOMP can end [MQTT-4.3.3-13].
    pub fn discard(&mut self, packet_id: PacketId) -> Option<DeliveryToken> {
        let index = self.find(packet_id)?;
        let slot = &self.slots[index];
        if slot.logging || slot.record.state == InflightState::Received {
            return None;
        }
        Some(self.remove(index).token)
    }

    /// Whether the client takes a packet of that many bytes
    /// [MQTT-3.1.2-24].
    pub fn fits(&self, packet_bytes: usize) -> bool {
        u32::try_from(packet_bytes).is_ok_and(|bytes| bytes <= self.limits.packet_size_max)
    }

    /// How to name `topic` in the next PUBLISH. An announced alias holds from
    /// then on: that PUBLISH must be sent, or [`Outbound::forget_alias`] called.
    pub fn alias_for(&mut self, topic: &str) -> AliasUse {
        self.aliases.alias_for(topic)
    }

    /// The PUBLISH that was to announce `alias` was not sent.
    pub fn forget_alias(&mut self, alias: u16) {
        self.aliases.forget(alias);
    }

    /// Everything in flight, in the order of its first PUBLISH. A receipt that
    /// is still being logged counts as not received: sending the PUBLISH again
    /// does no harm, as its PUBREL has not gone.
    pub fn snapshot(&self) -> Vec<InflightRecord> {
        self.slots.iter().map(|slot| slot.record).collect()
    }

    /// The least offset in flight of a shard: its cursor must not pass it.
    pub fn offset_min(&self, shard: u32) -> Option<u64> {
        let tokens = self.slots.iter().map(|slot| slot.record.token);
        tokens
            .filter(|token| token.shard == shard)
            .map(|token| token.offset)
            .min()
    }

    /// Deliveries in flight.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether nothing is in flight.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Acknowledgements for identifiers not in use, since the connection began.
    pub fn unknown_acks(&self) -> u64 {
        self.unknown_acks
    }

    /// Clients acknowledge in order as a rule, so the search ends at once.
    fn find(&self, packet_id: PacketId) -> Option<usize> {
        let mut slots = self.slots.iter();
        slots.position(|slot| slot.record.packet_id == packet_id)
    }

    fn remove(&mut self, index: usize) -> InflightRecord {
        let slot = self.slots.remove(index).expect("index comes from find");
        if index < self.unsent_from {
            self.unsent_from -= 1;
        }
        if !slot.sent {
            self.unsent -= 1;
        }
        slot.record
    }

    /// Bounded: one queued PUBREL per identifier answers any number of PUBRECs.
    fn release_again(&mut self, packet_id: PacketId) {
        if self.releases.iter().any(|r| r.packet_id == packet_id) {
            return;
        }
        let logged = true;
        self.releases.push_back(Release { packet_id, logged });
    }
}

fn out_of_turn(text: &'static str) -> Violation {
    Violation::new(ReasonCode::ProtocolError, text, "MQTT5 section 4.3")
}
