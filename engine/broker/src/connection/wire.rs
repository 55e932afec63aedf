//! Packets into the output buffer, within what the client takes.

use robustmq_protocol::ProtocolVersion;
use robustmq_protocol::codec::{self, Packet};

/// Writes a packet, without its reason string and user properties if they make
/// it too large for the client [MQTT-3.1.2-24]. A packet that is too large even
/// so is left out: there is no way to send it.
pub(super) fn write(
    output: &mut Vec<u8>,
    version: ProtocolVersion,
    packet: &Packet<'_>,
    packet_size_max: u32,
) {
    if let Err(error) = codec::encode_trimmed(output, version, packet, packet_size_max) {
        tracing::info!(kind = ?packet.kind(), %error, "a packet could not be sent");
    }
}
