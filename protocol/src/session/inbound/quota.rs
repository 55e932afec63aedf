//! The client's send quota (MQTT5 section 4.9), counted so that one who keeps
//! to the letter is never disconnected.
//!
//! The letter lets a client add to its quota on *every* PUBCOMP, also those of
//! messages it published on an earlier connection, for which nothing was
//! taken on this one. The server cannot know whether its quota was full when
//! such a PUBCOMP arrived, so each is taken for a gift; but only `receive_max`
//! of them on one connection (a client cannot have more messages left over), so
//! that stray PUBREL packets buy no memory: at most 2 × `receive_max` publishes
//! are ever unacknowledged.

use crate::session::Violation;
use crate::types::ReasonCode;

#[derive(Debug)]
pub(super) struct Quota {
    /// None: no quota is enforced (3.x).
    receive_max: Option<u16>,
    used: u32,
    gifts: u16,
}

impl Quota {
    pub(super) fn new(receive_max: Option<u16>) -> Self {
        assert!(receive_max != Some(0), "Receive Maximum is never zero");
        Self {
            receive_max,
            used: 0,
            gifts: 0,
        }
    }

    /// A PUBLISH above QoS 0 came.
    pub(super) fn take(&mut self) -> Result<(), Violation> {
        let Some(receive_max) = self.receive_max else {
            return Ok(());
        };
        if self.used >= u32::from(receive_max) + u32::from(self.gifts) {
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
        if self.receive_max.is_some() {
            assert!(self.used > 0, "quota given back that was never taken");
            self.used -= 1;
        }
    }

    /// PUBCOMP of a message that took nothing on this connection.
    pub(super) fn give_extra(&mut self) {
        let gifts_max = self.receive_max.unwrap_or(0);
        self.gifts = gifts_max.min(self.gifts.saturating_add(1));
    }
}
