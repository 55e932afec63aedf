//! What an earlier connection left open: taken over, and sent again as fast as
//! the client's window lets it.

use std::fmt;

use super::{InflightRecord, InflightState, Outbound, Slot};
use crate::types::{PacketId, QoS};

/// A packet to send again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resend {
    /// PUBLISH with DUP=1 [MQTT-3.3.1-1] and the record's identifier and QoS.
    Publish(InflightRecord),
    /// PUBREL.
    PubRel(PacketId),
}

/// In-flight records that no session can have: they were damaged or mixed up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResumeError {
    /// Two records with one identifier.
    DuplicateIdentifier(PacketId),
    /// The state does not belong to the QoS.
    StateMismatch(PacketId),
}

impl fmt::Display for ResumeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DuplicateIdentifier(id) => write!(f, "packet identifier {id} in flight twice"),
            Self::StateMismatch(id) => write!(f, "state and QoS of packet {id} do not agree"),
        }
    }
}

impl std::error::Error for ResumeError {}

impl Outbound {
    /// Takes over what an earlier connection left in flight, in the order of
    /// its first PUBLISH. To be called once, before anything is assigned
    /// (panics otherwise). On an error nothing is taken over.
    pub fn resume(&mut self, records: Vec<InflightRecord>) -> Result<(), ResumeError> {
        assert!(self.slots.is_empty(), "a session is resumed once");
        check(&records)?;
        if let Some(newest) = records.last() {
            self.identifiers.resume_after(newest.packet_id);
        }
        self.unsent = records.len();
        self.unsent_from = 0;
        let slots = records.into_iter().map(|record| Slot {
            record,
            logging: false,
            sent: false,
        });
        self.slots = slots.collect();
        Ok(())
    }

    /// The next packet to send again. PUBLISH packets keep their order and wait
    /// for the window, which this client may have made smaller; a PUBREL never
    /// waits [MQTT-4.9.0-3]. Taking a packet counts as sending it. None: all
    /// is sent, or (`resends_left` > 0) acknowledgements must come first.
    pub fn poll_resend(&mut self) -> Option<Resend> {
        if self.unsent == 0 {
            return None;
        }
        let unsent = |slot: &Slot| !slot.sent;
        let from = self.unsent_from;
        let first = from + self.slots.range(from..).position(unsent)?;
        self.unsent_from = first;
        let outstanding = self.slots.len() - self.unsent;
        let may_publish = outstanding < self.window();
        let is_release = |slot: &Slot| slot.record.state == InflightState::Received;
        let index = if may_publish || is_release(&self.slots[first]) {
            first
        } else {
            let waiting = |slot: &Slot| unsent(slot) && is_release(slot);
            first + self.slots.range(first..).position(waiting)?
        };
        let slot = &mut self.slots[index];
        slot.sent = true;
        self.unsent -= 1;
        Some(match slot.record.state {
            InflightState::Received => Resend::PubRel(slot.record.packet_id),
            InflightState::Sent | InflightState::AssignedQos2 => Resend::Publish(slot.record),
        })
    }

    /// All that [`Outbound::poll_resend`] gives now. Call it again after
    /// acknowledgements while [`Outbound::resends_left`] is not zero.
    pub fn resend(&mut self) -> impl Iterator<Item = Resend> + '_ {
        std::iter::from_fn(|| self.poll_resend())
    }

    /// Packets of an earlier connection not sent again yet.
    pub fn resends_left(&self) -> usize {
        self.unsent
    }
}

fn check(records: &[InflightRecord]) -> Result<(), ResumeError> {
    for record in records {
        let fits = match record.state {
            InflightState::Sent => record.qos == QoS::AtLeastOnce,
            InflightState::AssignedQos2 | InflightState::Received => record.qos == QoS::ExactlyOnce,
        };
        if !fits {
            return Err(ResumeError::StateMismatch(record.packet_id));
        }
    }
    let mut ids: Vec<PacketId> = records.iter().map(|record| record.packet_id).collect();
    ids.sort_unstable();
    match ids.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(ResumeError::DuplicateIdentifier(pair[0])),
        None => Ok(()),
    }
}
