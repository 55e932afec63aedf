//! Publishes from the client: what is appended, what is a duplicate, and the
//! acknowledgements in the order the client is owed them.
//!
//! **Invariants**
//! 1. PUBACK and PUBREC leave in the order of their PUBLISH packets
//!    [MQTT-4.6.0-2], [MQTT-4.6.0-3], whatever order the appends finish in;
//!    PUBCOMP in the order of the PUBREL packets.
//! 2. No acknowledgement leaves before `stored`, `rejected` or `released` was
//!    called for it.
//! 3. A QoS 2 identifier is open from its PUBLISH until `released` or
//!    `rejected`; while it is open and its PUBLISH comes again with DUP=1,
//!    nothing is appended [MQTT-4.3.3-10].
//! 4. Open QoS 2 identifiers ≤ `qos2_open_max` or what the session already
//!    had; queued acknowledgements ≤ `pending_max`; alias names ≤
//!    `topic_alias_bytes_max`. On 5.0 at most twice the Receive Maximum of
//!    publishes is unacknowledged (see `quota`).
//!
//! **Decided here, where the specification leaves room**
//! - DUP=0 always starts a new message, also on an identifier that is still
//!   stored: a client that lost its state must not lose its next message too.
//!   The exception is an identifier whose PUBREC or PUBCOMP of this very
//!   connection has not been sent: that breaks [MQTT-2.2.1-3] beyond doubt.
//! - A QoS 1 identifier is never checked: while its PUBACK is due, a second
//!   PUBLISH is at worst a second copy, which QoS 1 allows.
//! - A PUBREL before its PUBREC was sent is a protocol error [MQTT-4.3.3-4].
//!
//! **Not here**: authorisation, the append itself, the stored identifiers.
//! The caller hands them in, **after the appends of the session's previous
//! connection have settled**: an identifier in doubt would be appended twice.

use std::collections::{BTreeMap, VecDeque};

use crate::session::Violation;
use crate::types::{PacketId, ProtocolVersion, QoS, ReasonCode};

use admit::Admitted;
use aliases::InboundAliases;
use quota::Quota;

mod admit;
mod aliases;
mod quota;
#[cfg(test)]
mod tests;

/// What this connection may do; fixed at CONNECT.
#[derive(Clone, Debug)]
pub struct InboundLimits {
    /// Version the connection speaks.
    pub version: ProtocolVersion,
    /// Receive Maximum the CONNACK named, ≥ 1; enforced on 5.0 only, as 3.x
    /// clients are never told.
    pub receive_max: u16,
    /// Topic Alias Maximum the CONNACK named; 0 on 3.x.
    pub topic_alias_max: u16,
    /// Bytes of topic names all aliases together may hold.
    pub topic_alias_bytes_max: usize,
    /// Highest QoS accepted.
    pub qos_max: QoS,
    /// Whether RETAIN=1 is accepted.
    pub retain_available: bool,
    /// Open QoS 2 identifiers a session may have. Above it a 5.0 client gets
    /// PUBREC 0x97, a 3.x connection ends.
    pub qos2_open_max: usize,
    /// Acknowledgements that may wait; from there on [`Inbound::is_full`].
    pub pending_max: usize,
}

/// A PUBLISH from the client. The packet identifier is there exactly if
/// QoS > 0, the topic is empty only with an alias (both are checked here too).
#[derive(Clone, Copy, Debug)]
pub struct PublishIn<'a> {
    /// DUP flag.
    pub dup: bool,
    /// Quality of service.
    pub qos: QoS,
    /// RETAIN flag.
    pub retain: bool,
    /// Packet Identifier, if QoS > 0.
    pub packet_id: Option<PacketId>,
    /// Topic Name as sent, maybe empty.
    pub topic: &'a str,
    /// Topic Alias, if the packet had one.
    pub topic_alias: Option<u16>,
}

/// What to do with a PUBLISH.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PublishDecision<'a> {
    /// Append it; then `stored` or `rejected` with the ticket.
    Append {
        /// Topic Name, an alias resolved.
        topic: &'a str,
        /// Number of the acknowledgement due; QoS 0 has none.
        ticket: Option<u64>,
        /// The identifier was still stored for a QoS 2 message that the
        /// client has given up. A QoS 2 append takes the identifier over; for
        /// QoS 1 the caller should log the release of it.
        replaces: bool,
    },
    /// A QoS 2 message that is already stored or being stored: append
    /// nothing, a PUBREC is queued again.
    Duplicate,
    /// Over a limit: append nothing, the refusal is queued.
    Refused(ReasonCode),
}

/// What to do with a PUBREL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReleaseDecision {
    /// Log the release durably, then call [`Inbound::released`].
    Log {
        /// The identifier to release.
        packet_id: PacketId,
        /// Offset of the message, if it was stored on this connection.
        offset: Option<u64>,
    },
    /// The release is being logged already; another PUBCOMP is queued.
    AlreadyLogging,
    /// Nothing known by that identifier; a PUBCOMP is queued (5.0: with 0x92).
    Unknown,
}

/// Which acknowledgement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AckKind {
    /// PUBACK.
    PubAck,
    /// PUBREC.
    PubRec,
    /// PUBCOMP.
    PubComp,
}

/// An acknowledgement to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AckOut {
    /// Which packet.
    pub kind: AckKind,
    /// Its Packet Identifier.
    pub packet_id: PacketId,
    /// Its Reason Code; always `Success` on 3.x.
    pub reason: ReasonCode,
    /// Where the message is stored, if this acknowledgement says that it is.
    pub offset: Option<u64>,
}

/// An entry of the queue of PUBACK and PUBREC.
#[derive(Debug)]
struct Entry {
    packet_id: PacketId,
    kind: AckKind,
    outcome: Outcome,
    /// It took quota, which comes back if this packet ends the exchange.
    counted: bool,
}

#[derive(Clone, Copy, Debug)]
enum Outcome {
    /// The append is under way; `followers` if duplicates wait for the same.
    Waiting { followers: bool },
    /// A duplicate that waits for the append of an earlier ticket.
    Follows { ticket: u64 },
    /// The append's outcome.
    Settled {
        reason: ReasonCode,
        offset: Option<u64>,
    },
}

/// An open QoS 2 identifier.
#[derive(Clone, Copy, Debug)]
struct Open {
    stage: Stage,
    /// Its PUBLISH came on this connection, so it holds quota.
    counted: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// PUBREC not sent yet.
    Pending { ticket: u64 },
    /// PUBREC sent, on this connection or an earlier one.
    Recorded { offset: Option<u64> },
    /// PUBREL came, its log record is under way.
    Releasing,
}

/// A PUBCOMP in the queue.
#[derive(Debug)]
struct Completion {
    packet_id: PacketId,
    reason: ReasonCode,
    ready: bool,
    /// Its PUBLISH came on this connection.
    counted: bool,
}

/// The receiving half of a connection. See the module for its promises.
#[derive(Debug)]
pub struct Inbound {
    limits: InboundLimits,
    aliases: InboundAliases,
    quota: Quota,
    /// Entry i has ticket `ticket_start + i`.
    acks: VecDeque<Entry>,
    ticket_start: u64,
    completions: VecDeque<Completion>,
    open: BTreeMap<PacketId, Open>,
}

impl Inbound {
    /// A new connection of a session that has `known_qos2` stored: identifiers
    /// whose message is in the log and whose release is not.
    pub fn new(limits: InboundLimits, known_qos2: impl IntoIterator<Item = PacketId>) -> Self {
        let is_v5 = limits.version == ProtocolVersion::V5;
        let alias_max = if is_v5 { limits.topic_alias_max } else { 0 };
        let open = known_qos2
            .into_iter()
            .map(|packet_id| {
                let stage = Stage::Recorded { offset: None };
                let counted = false;
                (packet_id, Open { stage, counted })
            })
            .collect();
        Self {
            aliases: InboundAliases::new(alias_max, limits.topic_alias_bytes_max),
            quota: Quota::new(is_v5.then_some(limits.receive_max)),
            acks: VecDeque::new(),
            ticket_start: 0,
            completions: VecDeque::new(),
            open,
            limits,
        }
    }

    /// Takes a PUBLISH. Errors end the connection; nothing was queued then.
    pub fn handle_publish<'a>(
        &'a mut self,
        publish: PublishIn<'a>,
    ) -> Result<PublishDecision<'a>, Violation> {
        self.check_flags(&publish)?;
        // Also for a duplicate: the packet may carry a mapping that the
        // client will use from now on.
        self.aliases.apply(publish.topic, publish.topic_alias)?;
        let admitted = match publish.packet_id {
            None => Admitted::New {
                ticket: None,
                replaces: false,
            },
            Some(packet_id) => {
                self.check_room()?;
                if publish.qos == QoS::ExactlyOnce {
                    self.admit_qos2(packet_id, publish.dup)?
                } else {
                    self.admit_qos1(packet_id)?
                }
            }
        };
        Ok(match admitted {
            Admitted::New { ticket, replaces } => PublishDecision::Append {
                topic: self.aliases.name(publish.topic, publish.topic_alias),
                ticket,
                replaces,
            },
            Admitted::Duplicate => PublishDecision::Duplicate,
            Admitted::Refused(reason) => PublishDecision::Refused(reason),
        })
    }

    /// The append of `ticket` is durable at `offset`; `matched` says whether
    /// any subscription wanted it. A ticket settles once: anything else is the
    /// caller's mistake and panics rather than acknowledge the wrong message.
    pub fn stored(&mut self, ticket: u64, offset: u64, matched: bool) {
        let is_v5 = self.limits.version == ProtocolVersion::V5;
        let reason = if matched || !is_v5 {
            ReasonCode::Success
        } else {
            ReasonCode::NoMatchingSubscribers
        };
        self.settle(ticket, reason, Some(offset));
    }

    /// The publish of `ticket` is not stored. `reason` must be an error code
    /// and `ticket` unsettled (panics otherwise).
    ///
    /// 5.0 tells the client. 3.x cannot: a publish that was not allowed is
    /// acknowledged all the same, which [MQTT-3.3.5-2] permits; for any other
    /// reason the message would be lost unseen, so the connection must end and
    /// no acknowledgement from this one on is given out.
    pub fn rejected(&mut self, ticket: u64, reason: ReasonCode) -> Result<(), Violation> {
        assert!(reason.is_error(), "a rejection needs an error code");
        if self.limits.version == ProtocolVersion::V5 {
            self.settle(ticket, reason, None);
            return Ok(());
        }
        if reason != ReasonCode::NotAuthorized {
            return Err(Violation::new(
                reason,
                "publish not stored and 3.x has no way to say so",
                "MQTT-3.3.5-2",
            ));
        }
        self.settle(ticket, ReasonCode::Success, None);
        Ok(())
    }

    /// Takes a PUBREL.
    pub fn handle_pubrel(&mut self, packet_id: PacketId) -> Result<ReleaseDecision, Violation> {
        self.check_room()?;
        let Some(open) = self.open.get_mut(&packet_id) else {
            let reason = if self.limits.version == ProtocolVersion::V5 {
                ReasonCode::PacketIdentifierNotFound
            } else {
                ReasonCode::Success
            };
            self.completions.push_back(Completion {
                packet_id,
                reason,
                ready: true,
                counted: false,
            });
            return Ok(ReleaseDecision::Unknown);
        };
        let decision = match open.stage {
            Stage::Pending { .. } => {
                return Err(Violation::new(
                    ReasonCode::ProtocolError,
                    "PUBREL before its PUBREC",
                    "MQTT-4.3.3-4",
                ));
            }
            Stage::Recorded { offset } => ReleaseDecision::Log { packet_id, offset },
            Stage::Releasing => ReleaseDecision::AlreadyLogging,
        };
        let first = open.stage != Stage::Releasing;
        let counted = first && open.counted;
        open.stage = Stage::Releasing;
        self.completions.push_back(Completion {
            packet_id,
            reason: ReasonCode::Success,
            ready: false,
            counted,
        });
        Ok(decision)
    }

    /// The release of `packet_id` is durable: its PUBCOMP may go, and the
    /// identifier is free. Panics if no release was asked for.
    pub fn released(&mut self, packet_id: PacketId) {
        let open = self.open.remove(&packet_id);
        assert!(
            open.is_some_and(|open| open.stage == Stage::Releasing),
            "released {packet_id} without a PUBREL"
        );
        for completion in &mut self.completions {
            if completion.packet_id == packet_id {
                completion.ready = true;
            }
        }
    }

    /// The next acknowledgement that may be sent, if any. Taking it counts as
    /// sending it.
    pub fn poll_ack(&mut self) -> Option<AckOut> {
        if let Some(ack) = self.poll_completion() {
            return Some(ack);
        }
        let front = self.acks.front()?;
        let Outcome::Settled { reason, offset } = front.outcome else {
            return None;
        };
        let (packet_id, kind, counted) = (front.packet_id, front.kind, front.counted);
        let ticket = self.ticket_start;
        self.acks.pop_front();
        self.ticket_start += 1;
        if kind == AckKind::PubRec {
            self.pubrec_leaves(packet_id, ticket, reason, offset);
        }
        if counted && (kind == AckKind::PubAck || reason.is_error()) {
            self.quota.give_back();
        }
        Some(AckOut {
            kind,
            packet_id,
            reason,
            offset,
        })
    }

    /// Whether as many acknowledgements wait as may: read nothing from the
    /// client until [`Inbound::poll_ack`] has given some. A publish above
    /// QoS 0 or a PUBREL taken all the same ends the connection.
    pub fn is_full(&self) -> bool {
        self.pending() >= self.limits.pending_max
    }

    /// Acknowledgements that wait for their turn or for the log.
    pub fn pending(&self) -> usize {
        self.acks.len() + self.completions.len()
    }

    /// The open QoS 2 identifiers, ascending.
    pub fn open_qos2(&self) -> impl Iterator<Item = PacketId> + '_ {
        self.open.keys().copied()
    }
}
