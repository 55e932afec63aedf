//! PUBACK, PUBREC and PUBCOMP on the wire, with the receipt: the offset at
//! which the message is stored.

use robustmq_protocol::ProtocolVersion;
use robustmq_protocol::codec::{self, Ack, AckProperties, Packet, PacketKind};
use robustmq_protocol::session::inbound::{AckKind, AckOut};
use robustmq_record::{Offset, OffsetToken, ShardId};

use super::wire;

/// Name of the user property that carries the offset.
const RECEIPT: &str = "x-offset";

/// Bits of a receipt that hold the offset; the rest holds the shard.
const OFFSET_BITS: u32 = 58;

/// Shard and offset as one number, which is what the session's state machine
/// carries from the append to the acknowledgement.
///
/// # Panics
/// Beyond shard 63 or batch 2^42 of a shard, which no log reaches.
pub(super) fn receipt(shard: ShardId, offset: Offset) -> u64 {
    assert!(
        shard.0 < 64 && offset.0 >> OFFSET_BITS == 0,
        "a receipt has 64 bits"
    );
    u64::from(shard.0) << OFFSET_BITS | offset.0
}

/// The number as clients see it.
fn token(receipt: u64) -> OffsetToken {
    OffsetToken {
        shard: ShardId((receipt >> OFFSET_BITS) as u32),
        offset: Offset(receipt & ((1 << OFFSET_BITS) - 1)),
    }
}

/// Writes one acknowledgement; `text` explains a refusal, `receipt` says whether
/// it carries the offset, which is left out where the packet would exceed
/// `packet_size_max`.
pub(super) fn write(
    output: &mut Vec<u8>,
    version: ProtocolVersion,
    ack: &AckOut,
    receipt: bool,
    text: Option<&str>,
    packet_size_max: u32,
) {
    if text.is_some() {
        let properties = AckProperties {
            reason_string: text,
            ..AckProperties::default()
        };
        let told = Ack {
            properties,
            ..Ack::new(ack.packet_id, ack.reason)
        };
        wire::write(output, version, &wrap(ack.kind, told), packet_size_max);
        return;
    }
    let kind = match ack.kind {
        AckKind::PubAck => PacketKind::PubAck,
        AckKind::PubRec => PacketKind::PubRec,
        AckKind::PubComp => PacketKind::PubComp,
    };
    if let (true, Some(number)) = (receipt && version == ProtocolVersion::V5, ack.offset) {
        let text = token(number).text();
        let told = (RECEIPT, text.as_str());
        let about = (ack.packet_id, ack.reason);
        if codec::encode_ack_with(output, kind, about, told, packet_size_max) {
            return;
        }
    }
    if packet_size_max < PLAIN_BYTES_MAX {
        // There may be no way to send it.
        let plain = Ack::new(ack.packet_id, ack.reason);
        wire::write(output, version, &wrap(ack.kind, plain), packet_size_max);
        return;
    }
    if let Err(error) = codec::encode_ack(output, version, kind, ack.packet_id, ack.reason) {
        tracing::info!(?kind, %error, "a packet could not be sent");
    }
}

/// Bytes of an acknowledgement without properties.
const PLAIN_BYTES_MAX: u32 = 5;

fn wrap(kind: AckKind, ack: Ack<'_>) -> Packet<'_> {
    match kind {
        AckKind::PubAck => Packet::PubAck(ack),
        AckKind::PubRec => Packet::PubRec(ack),
        AckKind::PubComp => Packet::PubComp(ack),
    }
}
