//! Everything that is bounded.

use std::time::Duration;

/// Bounds of the connections between nodes.
#[derive(Clone, Debug)]
pub struct PeerLimits {
    /// Longest body of a request or an answer.
    pub body_bytes_max: usize,
    /// Requests to one node that wait to be sent; one more is [`crate::CallError::Busy`].
    pub queued_max: usize,
    /// Their bytes. A single body may be longer than that.
    pub queued_bytes_max: usize,
    /// Requests of one node that are being answered here, per lane. The other node is told and keeps
    /// the rest in its own queue.
    pub in_flight_max: u32,
    /// Their bytes, per lane. A single body may be longer than that.
    pub in_flight_bytes_max: u64,
    /// Answers to one node that wait to be sent: no further request but urgent ones is begun over it.
    pub answer_bytes_max: usize,
    /// Connections whose handshake is not done. Over it the oldest gives way, once it has had a quarter of its
    /// time.
    pub handshakes_max: usize,
    /// Connections of nodes that ask without being known yet.
    pub visits_max: usize,
    /// Time for a connection to be accepted by the other machine.
    pub connect_timeout: Duration,
    /// Time from there until both sides know each other.
    pub handshake_timeout: Duration,
    /// How often a sign of life is sent.
    pub ping_interval: Duration,
    /// How long nothing may come before the link counts as dead.
    pub silence_max: Duration,
    /// How often the certificates are looked at for a change, at most.
    pub certificate_check_interval: Duration,
    /// Pause after the first failed dial; it doubles from there.
    pub backoff_min: Duration,
    /// Longest pause between dials.
    pub backoff_max: Duration,
}

impl Default for PeerLimits {
    fn default() -> Self {
        Self {
            body_bytes_max: 64 * 1024 * 1024,
            queued_max: 16_384,
            queued_bytes_max: 64 * 1024 * 1024,
            in_flight_max: 8_192,
            in_flight_bytes_max: 64 * 1024 * 1024,
            answer_bytes_max: 64 * 1024 * 1024,
            handshakes_max: 64,
            visits_max: 16,
            connect_timeout: Duration::from_secs(3),
            handshake_timeout: Duration::from_secs(5),
            ping_interval: Duration::from_millis(500),
            silence_max: Duration::from_secs(3),
            certificate_check_interval: Duration::from_secs(10),
            backoff_min: Duration::from_millis(50),
            backoff_max: Duration::from_secs(1),
        }
    }
}
