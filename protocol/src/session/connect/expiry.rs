//! How long a session and its Will wait once the connection is gone.

use crate::session::Violation;
use crate::types::ReasonCode;

/// Session Expiry Interval of a session that never expires.
pub const SESSION_NEVER_EXPIRES: u32 = u32::MAX;

/// The Session Expiry Interval, in seconds, after a DISCONNECT that named
/// `requested_s`. `connect_s` is what CONNECT asked for (absent: 0), `current_s`
/// what it was granted, `max_s` the server's limit. A session that CONNECT
/// wanted to end with the connection cannot be made to live on (section
/// 3.14.2.2.2): protocol error, and the session ends.
pub fn expiry_after_disconnect(
    connect_s: u32,
    current_s: u32,
    requested_s: Option<u32>,
    max_s: u32,
) -> Result<u32, Violation> {
    match requested_s {
        None => Ok(current_s),
        Some(requested_s) if connect_s == 0 && requested_s > 0 => Err(Violation::new(
            ReasonCode::ProtocolError,
            "DISCONNECT gives an expiry to a session that had none",
            "MQTT5 section 3.14.2.2.2",
        )),
        Some(requested_s) => Ok(requested_s.min(max_s)),
    }
}

/// Seconds from the loss of the connection until the Will Message is
/// published: the Will Delay Interval, or the end of the session if that comes
/// first [MQTT-3.1.2-8]. (A new connection to the session in time, or
/// DISCONNECT 0x00, cancels it.)
pub const fn will_is_due_after_s(will_delay_s: u32, session_expiry_s: u32) -> u32 {
    if will_delay_s < session_expiry_s {
        will_delay_s
    } else {
        session_expiry_s
    }
}
