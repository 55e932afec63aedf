//! When a silent client is given up: before CONNECT, and between packets.
//!
//! **Invariants**
//! 1. Until CONNECT a connection lives at most the idle timeout, whatever
//!    bytes trickle in.
//! 2. Afterwards it ends once one and a half times the Keep Alive passes
//!    without a whole packet from the client [MQTT-3.1.2-22] (3.1.1: -24);
//!    Keep Alive 0 never ends it.
//!
//! **Not here**: the clock and the timer. `handle_activity` only notes a time,
//! so the caller keeps one timer and asks `poll_timeout` again when it fires.
//! Times are milliseconds of any clock that does not go back.

use crate::types::ReasonCode;

#[cfg(test)]
mod tests;

/// Why a client is given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timeout {
    /// No CONNECT in time: close without a word.
    Connect,
    /// Keep Alive passed: DISCONNECT 0x8D on 5.0, then close.
    KeepAlive,
}

impl Timeout {
    /// Reason Code of the DISCONNECT, if one may be sent at this stage
    /// [MQTT-3.14.0-1].
    pub const fn reason(self) -> Option<ReasonCode> {
        match self {
            Self::Connect => None,
            Self::KeepAlive => Some(ReasonCode::KeepAliveTimeout),
        }
    }
}

/// The deadlines of one connection.
#[derive(Clone, Debug)]
pub struct Keepalive {
    stage: Stage,
    active_at_ms: u64,
}

#[derive(Clone, Copy, Debug)]
enum Stage {
    AwaitingConnect { deadline_ms: u64 },
    Connected { patience_ms: u64 },
}

impl Keepalive {
    /// A connection opened at `now_ms` that must send CONNECT within
    /// `idle_timeout_ms`.
    pub fn new(now_ms: u64, idle_timeout_ms: u64) -> Self {
        let deadline_ms = now_ms.saturating_add(idle_timeout_ms);
        Self {
            stage: Stage::AwaitingConnect { deadline_ms },
            active_at_ms: now_ms,
        }
    }

    /// CONNECT was accepted with this Keep Alive (the server's, if it named
    /// one), in seconds; 0 switches the timer off.
    /// The client is given up after `multiplier` times that: one and a half in
    /// the specification [MQTT-3.1.2-22].
    pub fn connected(&mut self, now_ms: u64, keep_alive_s: u16, multiplier: f64) {
        let patience_ms = (f64::from(keep_alive_s) * 1_000.0 * multiplier) as u64;
        self.stage = Stage::Connected { patience_ms };
        self.active_at_ms = now_ms;
    }

    /// A whole packet came from the client.
    pub fn handle_activity(&mut self, now_ms: u64) {
        self.active_at_ms = self.active_at_ms.max(now_ms);
    }

    /// When `handle_timeout` is due, as things stand; None for never.
    pub fn poll_timeout(&self) -> Option<u64> {
        match self.stage {
            Stage::AwaitingConnect { deadline_ms } => Some(deadline_ms),
            Stage::Connected { patience_ms: 0 } => None,
            Stage::Connected { patience_ms } => Some(self.active_at_ms.saturating_add(patience_ms)),
        }
    }

    /// Whether the client is to be given up at `now_ms`.
    pub fn handle_timeout(&mut self, now_ms: u64) -> Option<Timeout> {
        let due = self.poll_timeout().is_some_and(|at| now_ms >= at);
        due.then_some(match self.stage {
            Stage::AwaitingConnect { .. } => Timeout::Connect,
            Stage::Connected { .. } => Timeout::KeepAlive,
        })
    }
}
