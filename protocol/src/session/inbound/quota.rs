//! The client's send quota as the client itself counts it (MQTT5 section 4.9),
//! so that one who keeps to the letter is never disconnected.
//!
//! The letter lets a client add to its quota on *every* PUBCOMP, also those of
//! messages it published on an earlier connection, for which nothing was
//! taken. Such gifts are followed, but only `receive_max` of them on one
//! connection (a client cannot have more messages left over), so that stray
//! PUBREL packets buy no memory: at most 2 × `receive_max` are ever out.

use crate::session::Violation;
use crate::types::ReasonCode;

#[derive(Debug)]
pub(super) struct Quota {
    /// None: no quota is enforced (3.x).
    receive_max: Option<u16>,
    used: u16,
    gifts_left: u16,
}

impl Quota {
    pub(super) fn new(receive_max: Option<u16>) -> Self {
        assert!(receive_max != Some(0), "Receive Maximum is never zero");
        Self {
            receive_max,
            used: 0,
            gifts_left: receive_max.unwrap_or(0),
        }
    }

    /// A PUBLISH above QoS 0 came.
    pub(super) fn take(&mut self) -> Result<(), Violation> {
        let Some(receive_max) = self.receive_max else {
            return Ok(());
        };
        if self.used >= receive_max {
            return Err(Violation::new(
                ReasonCode::ReceiveMaximumExceeded,
                "more publishes in flight than the Receive Maximum",
                "MQTT-3.3.4-7",
            ));
        }
        self.used += 1;
        Ok(())
    }

    /// PUBACK, PUBCOMP or a failing PUBREC ends a publish of this connection.
    pub(super) fn give_back(&mut self) {
        self.used = self.used.saturating_sub(1);
    }

    /// PUBCOMP of a message that took nothing on this connection.
    pub(super) fn give_extra(&mut self) {
        if self.used > 0 && self.gifts_left > 0 {
            self.used -= 1;
            self.gifts_left -= 1;
        }
    }
}
