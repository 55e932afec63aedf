//! Records of where a session stands in the log and what it has in flight.

use robustmq_record::{Offset, ShardId};

use crate::wire::{Reader, WireError, Writer};

/// How far the delivery of a message has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum InflightStage {
    /// QoS 1: sent, not acknowledged.
    Sent = 0,
    /// QoS 2: its packet identifier is stored; it may have been sent.
    Assigned = 1,
    /// QoS 2: the client's PUBREC is stored; only PUBREL is sent again.
    Received = 2,
}

/// A message on its way to the client: sent or about to be, not completed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct InflightState {
    /// The Packet Identifier.
    pub packet_id: u16,
    /// Where the message is.
    pub shard: ShardId,
    /// Where the message is in its shard.
    pub offset: Offset,
    /// The quality of service it is delivered with: 1 or 2.
    pub qos: u8,
    /// How far it has come.
    pub state: InflightStage,
}

impl InflightState {
    pub(crate) fn write(&self, out: &mut Writer) {
        out.number(self.packet_id);
        out.number(self.shard.0);
        out.number(self.offset.0);
        out.u8(self.qos | (self.state as u8) << 4);
    }

    pub(crate) fn read(input: &mut Reader<'_>) -> Result<Self, WireError> {
        let packet_id = input.narrow()?;
        let shard = ShardId(input.narrow()?);
        let offset = Offset(input.number()?);
        let byte = input.u8()?;
        let state = match byte >> 4 {
            0 => InflightStage::Sent,
            1 => InflightStage::Assigned,
            2 => InflightStage::Received,
            _ => return Err(input.error("unknown stage of a delivery")),
        };
        let qos = byte & 0x0f;
        if qos > 2 {
            return Err(input.error("a quality of service is 0, 1 or 2"));
        }
        Ok(Self {
            packet_id,
            shard,
            offset,
            qos,
            state,
        })
    }
}

/// A message that was given a packet identifier: identifier, shard, offset.
pub type AssignedEntry = (u16, ShardId, Offset);

pub(crate) fn write_places(out: &mut Writer, places: &[(ShardId, Offset)]) {
    out.list(places, |out, (shard, offset)| {
        out.number(shard.0);
        out.number(offset.0);
    });
}

pub(crate) fn read_places(input: &mut Reader<'_>) -> Result<Vec<(ShardId, Offset)>, WireError> {
    input.list(|input| Ok((ShardId(input.narrow()?), Offset(input.number()?))))
}

pub(crate) fn write_assigned(out: &mut Writer, entries: &[AssignedEntry]) {
    out.list(entries, |out, (packet_id, shard, offset)| {
        out.number(*packet_id);
        out.number(shard.0);
        out.number(offset.0);
    });
}

pub(crate) fn read_assigned(input: &mut Reader<'_>) -> Result<Vec<AssignedEntry>, WireError> {
    input.list(|input| {
        let packet_id = input.narrow()?;
        Ok((packet_id, ShardId(input.narrow()?), Offset(input.number()?)))
    })
}
