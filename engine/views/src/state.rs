//! Bodies of state records: what the engine writes into the log besides
//! messages. The layouts are tables in `docs/formats/views.md`.
//!
//! A state record's `client_id` is the client whose session it is about, its
//! payload is a body as encoded here, and its kind is [`StateBody::kind`].
//!
//! **Invariants**
//! 1. Every body begins with the version of its encoding; a later version is
//!    refused, not guessed at.
//! 2. Arbitrary bytes never panic and never choose an allocation size.
//!
//! **Not here**: what a record changes (`fold`).

mod carried;
mod delayed;
mod delivery;
mod rule;
mod session;
mod subscription;
#[cfg(test)]
mod tests;

pub use carried::{InboundCarried, RetainedCarried, SessionCarried};
pub use delayed::{DelayedCarried, DelayedStored};
pub use delivery::{AssignedEntry, InflightStage, InflightState};
pub(crate) use delivery::{read_places, write_places};
use robustmq_record::{Offset, RecordRef, ShardId};
pub use rule::{RuleCarried, RuleChange};
pub use session::{EXPIRY_NEVER, Will};
pub use subscription::SubscriptionState;

use crate::session::SessionState;
use crate::wire::{Reader, WireError, Writer};

/// The version of the encoding that is written.
pub const STATE_VERSION: u8 = 1;

/// Kinds of records. Numbers are for ever.
pub mod kind {
    /// [`super::StateBody::SessionOpened`]
    pub const SESSION_OPENED: u8 = 1;
    /// [`super::StateBody::Subscribed`]
    pub const SUBSCRIBED: u8 = 2;
    /// [`super::StateBody::Unsubscribed`]
    pub const UNSUBSCRIBED: u8 = 3;
    /// [`super::StateBody::CursorStored`]
    pub const CURSOR_STORED: u8 = 4;
    /// [`super::StateBody::OutboundAssigned`]
    pub const OUTBOUND_ASSIGNED: u8 = 5;
    /// [`super::StateBody::OutboundReceived`]
    pub const OUTBOUND_RECEIVED: u8 = 6;
    /// [`super::StateBody::OutboundCompleted`]
    pub const OUTBOUND_COMPLETED: u8 = 7;
    /// [`super::StateBody::SessionClosed`]
    pub const SESSION_CLOSED: u8 = 8;
    /// [`super::StateBody::SessionExpired`]
    pub const SESSION_EXPIRED: u8 = 9;
    /// [`super::StateBody::WillFired`]
    pub const WILL_FIRED: u8 = 10;
    /// [`super::StateBody::InboundReleased`]
    pub const INBOUND_RELEASED: u8 = 11;
    /// [`super::StateBody::ReplayAssigned`]
    pub const REPLAY_ASSIGNED: u8 = 12;
    /// [`super::StateBody::SessionRewound`]
    pub const SESSION_REWOUND: u8 = 13;
    /// [`super::StateBody::RulesChanged`]
    pub const RULES_CHANGED: u8 = 14;
    /// [`super::StateBody::DelayedStored`]
    pub const DELAYED_STORED: u8 = 15;
    /// [`super::StateBody::DelayedEnded`]
    pub const DELAYED_ENDED: u8 = 16;
    /// [`super::StateBody::RetainedCarried`]
    pub const RETAINED_CARRIED: u8 = 32;
    /// [`super::StateBody::SessionCarried`]
    pub const SESSION_CARRIED: u8 = 33;
    /// [`super::StateBody::InboundCarried`]
    pub const INBOUND_CARRIED: u8 = 34;
    /// [`super::StateBody::SessionAnnounced`]
    pub const SESSION_ANNOUNCED: u8 = 35;
    /// [`super::StateBody::RuleCarried`]
    pub const RULE_CARRIED: u8 = 36;
    /// [`super::StateBody::DelayedCarried`]
    pub const DELAYED_CARRIED: u8 = 37;
}

/// Why a state record cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StateError {
    /// No record of this kind is known: it was written by a later version.
    #[error("unknown kind of state record: {0}")]
    UnknownKind(u8),
    /// The encoding is of a later version.
    #[error("unknown version of a state record: {0}")]
    UnknownVersion(u8),
    /// The body is malformed.
    #[error(transparent)]
    Malformed(#[from] WireError),
}

/// The body of a state record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StateBody {
    /// A connection took the session.
    SessionOpened {
        /// The connection epoch: increases with every connection of a client.
        epoch: u64,
        /// Whether what was before ends here.
        clean_start: bool,
        /// The protocol version: 3, 4 or 5.
        version: u8,
        /// The Session Expiry Interval in seconds.
        expiry_s: u32,
        /// The will of the new connection.
        will: Option<Will>,
        /// When, milliseconds since the Unix epoch.
        at_ms: u64,
    },
    /// Subscriptions were made; one with a known filter replaces it.
    Subscribed {
        /// The subscriptions.
        subscriptions: Vec<SubscriptionState>,
    },
    /// Subscriptions were removed.
    Unsubscribed {
        /// Their filters.
        filters: Vec<String>,
    },
    /// Where the session stands. Replaces the cursors and the part of the
    /// in-flight window that is QoS 1; of QoS 2 entries only their place in
    /// the order is taken, the next three records tell what they are.
    CursorStored {
        /// The epoch of the connection that writes it.
        epoch: u64,
        /// Per shard, the next offset to read.
        cursors: Vec<(ShardId, Offset)>,
        /// The in-flight window in the order of sending.
        inflight: Vec<InflightState>,
    },
    /// QoS 2 messages were given packet identifiers; logged before sending.
    OutboundAssigned {
        /// The messages, in the order of sending.
        entries: Vec<AssignedEntry>,
    },
    /// The same for messages of a replay: they say nothing about how far the
    /// session's own cursor has come.
    ReplayAssigned {
        /// The messages, in the order of sending.
        entries: Vec<AssignedEntry>,
    },
    /// The session is to go on from elsewhere: cursors take the place of those
    /// before, QoS 2 deliveries may be made again, and of the in-flight window
    /// only what the client has received already stays.
    SessionRewound {
        /// Per shard, the next offset to read.
        cursors: Vec<(ShardId, Offset)>,
    },
    /// The client has sent PUBREC; logged before PUBREL.
    OutboundReceived {
        /// The packet identifiers.
        packet_ids: Vec<u16>,
    },
    /// The client has sent PUBCOMP: the identifiers are free.
    OutboundCompleted {
        /// The packet identifiers.
        packet_ids: Vec<u16>,
    },
    /// The connection ended; the session goes on offline, or ends if its
    /// expiry interval is 0.
    SessionClosed {
        /// The epoch of the connection that ended.
        epoch: u64,
        /// When, milliseconds since the Unix epoch.
        at_ms: u64,
        /// The Session Expiry Interval in seconds, counted from `at_ms`.
        expiry_s: u32,
        /// When the will is due; none if there is none any more.
        will: Option<u64>,
    },
    /// The session's time is over: it is removed.
    SessionExpired {
        /// The epoch of the session's last connection.
        epoch: u64,
    },
    /// The will was published: it is removed.
    WillFired {
        /// The epoch of the connection whose will it was.
        epoch: u64,
    },
    /// The publisher of a QoS 2 message has sent PUBREL, or its session is
    /// gone. Written to the shard that holds the message.
    InboundReleased {
        /// The packet identifier.
        packet_id: u16,
    },
    /// Rules were made, changed or removed, all at once.
    RulesChanged {
        /// The family they belong to.
        family: String,
        /// What becomes of each.
        changes: Vec<RuleChange>,
    },
    /// A message that is to be published later; written to the shard of its
    /// topic.
    DelayedStored(DelayedStored),
    /// A delayed message waits no more; written to the shard that holds it.
    DelayedEnded {
        /// Where it was stored.
        offset: Offset,
        /// Whether it was published, by the record before this one; else it was
        /// cancelled.
        published: bool,
    },
    /// A copy of a retained message.
    RetainedCarried(RetainedCarried),
    /// A copy of a session follows: from here on, whoever lacks its beginning
    /// keeps what is said about it, to go on from the copy.
    SessionAnnounced,
    /// A copy of a session.
    SessionCarried(Box<SessionCarried>),
    /// A copy of a QoS 2 packet identifier that is not released.
    InboundCarried(InboundCarried),
    /// A copy of a rule.
    RuleCarried(RuleCarried),
    /// A copy of a delayed message.
    DelayedCarried(DelayedCarried),
}

impl StateBody {
    /// The kind of the record that carries the body; never
    /// [`robustmq_record::KIND_MESSAGE`].
    #[must_use]
    pub fn kind(&self) -> u8 {
        match self {
            Self::SessionOpened { .. } => kind::SESSION_OPENED,
            Self::Subscribed { .. } => kind::SUBSCRIBED,
            Self::Unsubscribed { .. } => kind::UNSUBSCRIBED,
            Self::CursorStored { .. } => kind::CURSOR_STORED,
            Self::OutboundAssigned { .. } => kind::OUTBOUND_ASSIGNED,
            Self::ReplayAssigned { .. } => kind::REPLAY_ASSIGNED,
            Self::SessionRewound { .. } => kind::SESSION_REWOUND,
            Self::OutboundReceived { .. } => kind::OUTBOUND_RECEIVED,
            Self::OutboundCompleted { .. } => kind::OUTBOUND_COMPLETED,
            Self::SessionClosed { .. } => kind::SESSION_CLOSED,
            Self::SessionExpired { .. } => kind::SESSION_EXPIRED,
            Self::WillFired { .. } => kind::WILL_FIRED,
            Self::InboundReleased { .. } => kind::INBOUND_RELEASED,
            Self::RulesChanged { .. } => kind::RULES_CHANGED,
            Self::DelayedStored(_) => kind::DELAYED_STORED,
            Self::DelayedEnded { .. } => kind::DELAYED_ENDED,
            Self::RetainedCarried(_) => kind::RETAINED_CARRIED,
            Self::SessionAnnounced => kind::SESSION_ANNOUNCED,
            Self::SessionCarried(_) => kind::SESSION_CARRIED,
            Self::InboundCarried(_) => kind::INBOUND_CARRIED,
            Self::RuleCarried(_) => kind::RULE_CARRIED,
            Self::DelayedCarried(_) => kind::DELAYED_CARRIED,
        }
    }

    /// The payload of the record that carries the body.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Writer::new();
        out.u8(STATE_VERSION);
        self.write(&mut out);
        out.finish()
    }

    fn write(&self, out: &mut Writer) {
        match self {
            Self::SessionOpened {
                epoch,
                clean_start,
                version,
                expiry_s,
                will,
                at_ms,
            } => {
                out.number(*epoch);
                out.bool(*clean_start);
                out.u8(*version);
                out.number(*expiry_s);
                Will::write_option(will.as_ref(), out);
                out.number(*at_ms);
            }
            Self::Subscribed { subscriptions } => {
                out.list(subscriptions, |out, subscription| subscription.write(out));
            }
            Self::Unsubscribed { filters } => out.list(filters, |out, filter| out.text(filter)),
            Self::CursorStored {
                epoch,
                cursors,
                inflight,
            } => {
                out.number(*epoch);
                write_places(out, cursors);
                out.list(inflight, |out, entry| entry.write(out));
            }
            Self::OutboundAssigned { entries } | Self::ReplayAssigned { entries } => {
                delivery::write_assigned(out, entries);
            }
            Self::SessionRewound { cursors } => write_places(out, cursors),
            Self::OutboundReceived { packet_ids } | Self::OutboundCompleted { packet_ids } => {
                out.list(packet_ids, |out, packet_id| out.number(*packet_id));
            }
            Self::SessionClosed {
                epoch,
                at_ms,
                expiry_s,
                will,
            } => {
                out.number(*epoch);
                out.number(*at_ms);
                out.number(*expiry_s);
                out.option(*will);
            }
            Self::SessionExpired { epoch } | Self::WillFired { epoch } => out.number(*epoch),
            Self::InboundReleased { packet_id } => out.number(*packet_id),
            Self::RulesChanged { family, changes } => {
                out.text(family);
                out.list(changes, |out, change| change.write(out));
            }
            Self::RetainedCarried(carried) => carried.write(out),
            Self::SessionAnnounced => {}
            Self::SessionCarried(carried) => {
                out.number(carried.as_of.0);
                carried.session.write(out);
            }
            Self::InboundCarried(carried) => carried.write(out),
            Self::RuleCarried(carried) => carried.write(out),
            Self::DelayedCarried(carried) => carried.write(out),
            Self::DelayedStored(stored) => stored.write(out),
            Self::DelayedEnded { offset, published } => {
                out.number(offset.0);
                out.bool(*published);
            }
        }
    }

    /// Reads the body of a state record.
    ///
    /// # Errors
    /// [`StateError`], also for a message: it has no such body.
    pub fn decode(record: &RecordRef<'_>) -> Result<Self, StateError> {
        Self::decode_parts(record.kind(), record.client_id(), record.payload())
    }

    /// Reads a body by its record's kind, client id and payload.
    ///
    /// # Errors
    /// [`StateError`].
    pub fn decode_parts(kind: u8, client_id: &str, payload: &[u8]) -> Result<Self, StateError> {
        let known = matches!(
            kind,
            kind::SESSION_OPENED..=kind::DELAYED_ENDED
                | kind::RETAINED_CARRIED..=kind::DELAYED_CARRIED
        );
        if !known {
            return Err(StateError::UnknownKind(kind));
        }
        let mut input = Reader::new(payload);
        let version = input.u8()?;
        if version != STATE_VERSION {
            return Err(StateError::UnknownVersion(version));
        }
        let body = match kind {
            kind::RETAINED_CARRIED..=kind::DELAYED_CARRIED => {
                Self::read_carried(kind, client_id, &mut input)?
            }
            _ => Self::read(kind, &mut input)?,
        };
        input.end()?;
        Ok(body)
    }

    fn read(kind: u8, input: &mut Reader<'_>) -> Result<Self, WireError> {
        let packet_ids = |input: &mut Reader<'_>| input.list(|input| input.narrow());
        Ok(match kind {
            kind::SESSION_OPENED => Self::SessionOpened {
                epoch: input.number()?,
                clean_start: input.bool()?,
                version: input.u8()?,
                expiry_s: input.narrow()?,
                will: Will::read_option(input)?,
                at_ms: input.number()?,
            },
            kind::SUBSCRIBED => Self::Subscribed {
                subscriptions: input.list(SubscriptionState::read)?,
            },
            kind::UNSUBSCRIBED => Self::Unsubscribed {
                filters: input.list(|input| input.string())?,
            },
            kind::CURSOR_STORED => Self::CursorStored {
                epoch: input.number()?,
                cursors: read_places(input)?,
                inflight: input.list(InflightState::read)?,
            },
            kind::OUTBOUND_ASSIGNED => Self::OutboundAssigned {
                entries: delivery::read_assigned(input)?,
            },
            kind::REPLAY_ASSIGNED => Self::ReplayAssigned {
                entries: delivery::read_assigned(input)?,
            },
            kind::SESSION_REWOUND => Self::SessionRewound {
                cursors: read_places(input)?,
            },
            kind::OUTBOUND_RECEIVED => Self::OutboundReceived {
                packet_ids: packet_ids(input)?,
            },
            kind::OUTBOUND_COMPLETED => Self::OutboundCompleted {
                packet_ids: packet_ids(input)?,
            },
            kind::SESSION_CLOSED => Self::SessionClosed {
                epoch: input.number()?,
                at_ms: input.number()?,
                expiry_s: input.narrow()?,
                will: input.option()?,
            },
            kind::SESSION_EXPIRED => Self::SessionExpired {
                epoch: input.number()?,
            },
            kind::WILL_FIRED => Self::WillFired {
                epoch: input.number()?,
            },
            kind::INBOUND_RELEASED => Self::InboundReleased {
                packet_id: input.narrow()?,
            },
            kind::RULES_CHANGED => Self::RulesChanged {
                family: input.string()?,
                changes: input.list(RuleChange::read)?,
            },
            kind::DELAYED_STORED => Self::DelayedStored(DelayedStored::read(input)?),
            kind::DELAYED_ENDED => Self::DelayedEnded {
                offset: Offset(input.number()?),
                published: input.bool()?,
            },
            _ => return Err(input.error("no body of this kind is known")),
        })
    }

    fn read_carried(kind: u8, client_id: &str, input: &mut Reader<'_>) -> Result<Self, WireError> {
        Ok(match kind {
            kind::RETAINED_CARRIED => Self::RetainedCarried(RetainedCarried::read(input)?),
            kind::SESSION_ANNOUNCED => Self::SessionAnnounced,
            kind::SESSION_CARRIED => Self::SessionCarried(Box::new(SessionCarried {
                as_of: Offset(input.number()?),
                session: SessionState::read(client_id, input)?,
            })),
            kind::INBOUND_CARRIED => Self::InboundCarried(InboundCarried::read(input)?),
            kind::RULE_CARRIED => Self::RuleCarried(RuleCarried::read(input)?),
            _ => Self::DelayedCarried(DelayedCarried::read(input)?),
        })
    }
}
