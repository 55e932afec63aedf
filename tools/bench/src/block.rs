//! PUBLISH packets of one publisher, encoded once and sent again and again: of a
//! message only the stamp, the packet identifier and the digits of the topic are
//! written anew.
//!
//! **Invariants**
//! 1. Bytes between `written` and `filled` are not touched: they are on their
//!    way to the socket.
//! 2. Payloads do not compress, and the same bytes come again only after a block:
//!    a broker that compresses what it stores gains nothing here.

use robustmq_protocol::codec::{EncodeError, Packet, Publish, PublishProperties, encode};
use robustmq_protocol::{PacketId, ProtocolVersion, QoS};

use crate::wire::Stamp;

/// Bytes of packets that a block holds, unless one packet is larger.
pub(crate) const BLOCK_BYTES: usize = 64 << 10;

/// Digits at the end of the topic of a publisher that has several.
const TOPIC_DIGITS: usize = 8;

/// What all packets of a publisher have in common.
#[derive(Clone, Debug)]
pub(crate) struct Template {
    pub(crate) version: ProtocolVersion,
    pub(crate) qos: QoS,
    pub(crate) retain: bool,
    pub(crate) topic: String,
    /// With more than one, the topic is followed by a number.
    pub(crate) topics: u32,
    /// At least [`Stamp::LEN`]; or 0, which carries no stamp.
    pub(crate) payload_bytes: usize,
}

pub(crate) struct Block {
    bytes: Vec<u8>,
    packet_len: usize,
    digits_at: Option<usize>,
    id_at: Option<usize>,
    payload_at: usize,
    filled: usize,
    written: usize,
}

impl Block {
    /// A block of as many packets as fit and as can be of use.
    pub(crate) fn new(
        template: &Template,
        packets_max: usize,
        seed: u64,
    ) -> Result<Self, EncodeError> {
        let mut topic = template.topic.clone();
        if template.topics > 1 {
            topic.push('/');
            topic.extend(std::iter::repeat_n('0', TOPIC_DIGITS));
        }
        let has_id = template.qos > QoS::AtMostOnce;
        let payload = match template.payload_bytes {
            0 => Vec::new(),
            bytes => vec![0; bytes.max(Stamp::LEN)],
        };
        let packet = Packet::Publish(Publish {
            dup: false,
            qos: template.qos,
            retain: template.retain,
            topic: &topic,
            packet_id: has_id.then_some(PacketId::MIN),
            properties: PublishProperties::default(),
            payload: &payload,
        });
        let mut one = Vec::new();
        encode(&mut one, template.version, &packet)?;
        let payload_at = one.len() - payload.len();
        // Behind the identifier there is only the length of no properties.
        let properties_len = usize::from(template.version == ProtocolVersion::V5);
        let id_at = has_id.then(|| payload_at - properties_len - 2);
        let topic_end = id_at.unwrap_or(payload_at - properties_len);
        let digits_at = (template.topics > 1).then(|| topic_end - TOPIC_DIGITS);
        let packets = (BLOCK_BYTES / one.len()).clamp(1, packets_max.max(1));
        let mut noise = Noise(seed);
        let mut bytes = Vec::with_capacity(packets * one.len());
        for _ in 0..packets {
            noise.fill(&mut one[payload_at..]);
            bytes.extend_from_slice(&one);
        }
        Ok(Self {
            packet_len: one.len(),
            bytes,
            digits_at,
            id_at,
            payload_at,
            filled: 0,
            written: 0,
        })
    }

    pub(crate) fn is_full(&self) -> bool {
        self.filled == self.bytes.len()
    }

    /// Adds a packet; the block must not be full.
    pub(crate) fn push(&mut self, stamp: Stamp, packet_id: u16, topic: u32) {
        let packet = &mut self.bytes[self.filled..self.filled + self.packet_len];
        if let Some(place) = packet[self.payload_at..].first_chunk_mut() {
            *place = stamp.to_bytes();
        }
        if let Some(at) = self.id_at {
            packet[at..at + 2].copy_from_slice(&packet_id.to_be_bytes());
        }
        if let Some(at) = self.digits_at {
            let mut rest = topic;
            for digit in packet[at..at + TOPIC_DIGITS].iter_mut().rev() {
                *digit = b'0' + (rest % 10) as u8;
                rest /= 10;
            }
        }
        self.filled += self.packet_len;
    }

    /// What is to be written.
    pub(crate) fn pending(&self) -> &[u8] {
        &self.bytes[self.written..self.filled]
    }

    /// True if a packet has been written only in part.
    pub(crate) fn is_within_packet(&self) -> bool {
        !self.written.is_multiple_of(self.packet_len)
    }

    /// So many bytes of [`pending`](Self::pending) have been written.
    pub(crate) fn consume(&mut self, count: usize) {
        self.written += count;
        assert!(self.written <= self.filled, "more written than there was");
        if self.written == self.filled {
            (self.written, self.filled) = (0, 0);
        }
    }
}

/// Bytes that do not compress (xorshift).
struct Noise(u64);

impl Noise {
    fn fill(&mut self, payload: &mut [u8]) {
        for part in payload.chunks_mut(8) {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            part.copy_from_slice(&self.0.to_le_bytes()[..part.len()]);
        }
    }
}

#[cfg(test)]
mod tests;
