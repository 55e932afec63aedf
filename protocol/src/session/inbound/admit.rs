//! Whether a publish is new, a duplicate or refused, and what settling and
//! sending its acknowledgement does to the tables.

use super::{
    AckKind, AckOut, Entry, Inbound, Open, Outcome, PublishIn, QoS, ReasonCode, Stage, Violation,
};
use crate::types::{PacketId, ProtocolVersion};

/// The answer to a PUBLISH, its topic left out.
pub(super) enum Admitted {
    New { ticket: Option<u64>, replaces: bool },
    Duplicate,
    Refused(ReasonCode),
}

impl Inbound {
    pub(super) fn check_flags(&self, publish: &PublishIn<'_>) -> Result<(), Violation> {
        if publish.packet_id.is_some() == (publish.qos == QoS::AtMostOnce) {
            return Err(Violation::new(
                ReasonCode::MalformedPacket,
                "a Packet Identifier belongs to QoS 1 and 2, and only there",
                "MQTT-2.2.1-2",
            ));
        }
        if publish.dup && publish.qos == QoS::AtMostOnce {
            let text = "DUP with QoS 0";
            return Err(Violation::new(
                ReasonCode::MalformedPacket,
                text,
                "MQTT-3.3.1-2",
            ));
        }
        if publish.qos > self.limits.qos_max {
            return Err(Violation::new(
                ReasonCode::QoSNotSupported,
                "QoS above the Maximum QoS",
                "MQTT-3.2.2-11",
            ));
        }
        if publish.retain && !self.limits.retain_available {
            return Err(Violation::new(
                ReasonCode::RetainNotSupported,
                "RETAIN without Retain Available",
                "MQTT-3.2.2-14",
            ));
        }
        Ok(())
    }

    /// The last resort against a caller that reads on although `is_full`.
    pub(super) fn check_room(&self) -> Result<(), Violation> {
        if self.is_full() {
            return Err(Violation::new(
                ReasonCode::QuotaExceeded,
                "too many acknowledgements pending",
                "house limit pending_max",
            ));
        }
        Ok(())
    }

    pub(super) fn admit_qos1(&mut self, packet_id: PacketId) -> Result<Admitted, Violation> {
        let mut replaces = false;
        if !self.open.is_empty()
            && let Some(open) = self.open.get(&packet_id)
        {
            if !matches!(open.stage, Stage::Recorded { .. }) {
                return Err(identifier_in_use());
            }
            replaces = true;
        }
        self.quota.take()?;
        if replaces {
            self.forget_open(packet_id);
        }
        let outcome = Outcome::Waiting { followers: false };
        let ticket = Some(self.enqueue(packet_id, AckKind::PubAck, outcome, true));
        Ok(Admitted::New { ticket, replaces })
    }

    pub(super) fn admit_qos2(
        &mut self,
        packet_id: PacketId,
        dup: bool,
    ) -> Result<Admitted, Violation> {
        let Some(open) = self.open.get(&packet_id).copied() else {
            if self.open.len() >= self.limits.qos2_open_max {
                return self.refuse_qos2(packet_id);
            }
            self.quota.take()?;
            return Ok(self.open_qos2_entry(packet_id, false));
        };
        match open.stage {
            Stage::Pending { .. } if !dup => Err(identifier_in_use()),
            // The client has sent PUBREL: it must not go back to PUBLISH.
            Stage::Releasing => Err(Violation::new(
                ReasonCode::ProtocolError,
                "PUBLISH after its PUBREL, before the PUBCOMP",
                "MQTT-4.3.3-6",
            )),
            Stage::Pending { ticket } => {
                self.follow(packet_id, ticket);
                Ok(Admitted::Duplicate)
            }
            Stage::Recorded { .. } if !dup => {
                self.quota.take()?;
                self.forget_open(packet_id);
                Ok(self.open_qos2_entry(packet_id, true))
            }
            Stage::Recorded { offset } => {
                if !open.counted {
                    self.quota.take()?;
                    let stage = open.stage;
                    let counted = true;
                    self.open.insert(packet_id, Open { stage, counted });
                }
                let reason = ReasonCode::Success;
                let outcome = Outcome::Settled { reason, offset };
                self.enqueue(packet_id, AckKind::PubRec, outcome, false);
                Ok(Admitted::Duplicate)
            }
        }
    }

    fn open_qos2_entry(&mut self, packet_id: PacketId, replaces: bool) -> Admitted {
        let outcome = Outcome::Waiting { followers: false };
        let ticket = self.enqueue(packet_id, AckKind::PubRec, outcome, true);
        let stage = Stage::Pending { ticket };
        let counted = true;
        self.open.insert(packet_id, Open { stage, counted });
        Admitted::New {
            ticket: Some(ticket),
            replaces,
        }
    }

    /// More QoS 2 identifiers than the session may have.
    fn refuse_qos2(&mut self, packet_id: PacketId) -> Result<Admitted, Violation> {
        let reason = ReasonCode::QuotaExceeded;
        if self.limits.version != ProtocolVersion::V5 {
            return Err(Violation::new(
                reason,
                "too many QoS 2 messages without PUBREL",
                "house limit qos2_open_max",
            ));
        }
        self.quota.take()?;
        let offset = None;
        let outcome = Outcome::Settled { reason, offset };
        self.enqueue(packet_id, AckKind::PubRec, outcome, true);
        Ok(Admitted::Refused(reason))
    }

    /// A stored exchange that the client gave up: its quota, if it holds any,
    /// comes back.
    fn forget_open(&mut self, packet_id: PacketId) {
        if self
            .open
            .remove(&packet_id)
            .is_some_and(|open| open.counted)
        {
            self.quota.give_back();
        }
    }

    /// Queues a PUBREC that shares the outcome of the append of `ticket`.
    fn follow(&mut self, packet_id: PacketId, ticket: u64) {
        let entry = self.entry_mut(ticket);
        let outcome = match entry.outcome {
            Outcome::Waiting { .. } => {
                entry.outcome = Outcome::Waiting { followers: true };
                Outcome::Follows { ticket }
            }
            settled => settled,
        };
        self.enqueue(packet_id, AckKind::PubRec, outcome, false);
    }

    fn enqueue(
        &mut self,
        packet_id: PacketId,
        kind: AckKind,
        outcome: Outcome,
        counted: bool,
    ) -> u64 {
        let ticket = self.ticket_start + self.acks.len() as u64;
        self.acks.push_back(Entry {
            packet_id,
            kind,
            outcome,
            counted,
        });
        ticket
    }

    fn entry_mut(&mut self, ticket: u64) -> &mut Entry {
        let index = ticket.checked_sub(self.ticket_start);
        let entry = index
            .and_then(|index| usize::try_from(index).ok())
            .and_then(|index| self.acks.get_mut(index));
        entry.expect("a ticket is settled once, before its acknowledgement leaves")
    }

    pub(super) fn settle(&mut self, ticket: u64, reason: ReasonCode, offset: Option<u64>) {
        let entry = self.entry_mut(ticket);
        let Outcome::Waiting { followers } = entry.outcome else {
            panic!("ticket {ticket} is not waiting for an append");
        };
        let settled = Outcome::Settled { reason, offset };
        entry.outcome = settled;
        if !followers {
            return;
        }
        for entry in &mut self.acks {
            match entry.outcome {
                Outcome::Follows { ticket: of } if of == ticket => entry.outcome = settled,
                _ => {}
            }
        }
    }

    /// A PUBREC is being sent: a failing one ends the exchange
    /// [MQTT-4.3.3-9], a good one makes a PUBREL possible.
    pub(super) fn pubrec_leaves(
        &mut self,
        packet_id: PacketId,
        ticket: u64,
        reason: ReasonCode,
        offset: Option<u64>,
    ) {
        let Some(open) = self.open.get_mut(&packet_id) else {
            return;
        };
        // A later duplicate's PUBREC changes nothing.
        if open.stage != (Stage::Pending { ticket }) {
            return;
        }
        if reason.is_error() {
            self.open.remove(&packet_id);
        } else {
            open.stage = Stage::Recorded { offset };
        }
    }

    pub(super) fn poll_completion(&mut self) -> Option<AckOut> {
        if !self.completions.front()?.ready {
            return None;
        }
        let completion = self.completions.pop_front()?;
        if completion.counted {
            self.quota.give_back();
        } else {
            self.quota.give_extra();
        }
        Some(AckOut {
            kind: AckKind::PubComp,
            packet_id: completion.packet_id,
            reason: completion.reason,
            offset: None,
        })
    }
}

fn identifier_in_use() -> Violation {
    Violation::new(
        ReasonCode::ProtocolError,
        "Packet Identifier still in use on this connection",
        "MQTT-2.2.1-3",
    )
}
