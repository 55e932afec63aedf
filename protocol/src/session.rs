//! The server's side of one MQTT connection and of the session behind it, as
//! values: inputs are `handle_*` calls, outputs are their answers and `poll_*`.
//!
//! | module | decides |
//! | --- | --- |
//! | [`lifecycle`] | which packet may come when |
//! | [`connect`] | what a CONNECT is answered, and how long its session lives |
//! | [`keepalive`] | when a silent client is given up |
//! | [`inbound`] | publishes from the client: duplicates, aliases, quota, the order of acknowledgements |
//! | [`outbound`] | deliveries to the client: packet identifiers, window, resends, aliases |
//!
//! **Invariants**
//! 1. Nothing here waits, allocates by a peer's word, reads a clock or draws a
//!    random number; two runs with the same calls give the same answers.
//! 2. Each value belongs to one connection. What outlives a connection (the
//!    stored QoS 2 identifiers, the in-flight records) is handed in at its
//!    start by whoever stores it.
//!
//! **Not here**: packets and their bytes (`codec`), topic names and filters
//! (`topic`), subscriptions, wills, storage. A reason for an answer comes as a
//! [`Violation`]; who sends the DISCONNECT and counts it is the caller.

use std::fmt;

use crate::types::ReasonCode;

pub mod connect;
pub mod inbound;
pub mod keepalive;
pub mod lifecycle;
pub mod outbound;

#[cfg(test)]
mod model;

/// The client broke the protocol, or a limit it was told: the connection ends.
///
/// On MQTT 5.0 a DISCONNECT with `reason` goes first (CONNACK, if the answer
/// to CONNECT is still due); on 3.x the connection is closed without a word
/// [MQTT-4.8.0-1], [MQTT-4.13.1-1].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Reason Code of the DISCONNECT.
    pub reason: ReasonCode,
    /// What was wrong, for the log and the Reason String.
    pub text: &'static str,
    /// The clause or section of the specification that was broken.
    pub clause: &'static str,
}

impl Violation {
    /// A violation of `clause`.
    pub const fn new(reason: ReasonCode, text: &'static str, clause: &'static str) -> Self {
        Self {
            reason,
            text,
            clause,
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} ({}, 0x{:02X}; {})",
            self.text,
            self.reason.name(),
            self.reason.value(),
            self.clause
        )
    }
}

impl std::error::Error for Violation {}
