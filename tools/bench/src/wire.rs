//! The few bytes of MQTT that are read for every message, and the stamp that
//! messages of this program carry.
//!
//! **Invariants**
//! 1. Bytes of a broker never panic and never choose the size of an allocation.
//!
//! **Not here**: CONNECT, SUBSCRIBE and their answers, which the protocol crate
//! reads and writes (`greeting`).

/// Types of packets, as they stand in the upper half of the first byte.
pub(crate) const CONNACK: u8 = 2;
pub(crate) const PUBLISH: u8 = 3;
pub(crate) const PUBACK: u8 = 4;
pub(crate) const PUBREC: u8 = 5;
pub(crate) const PUBREL: u8 = 6;
pub(crate) const PUBCOMP: u8 = 7;
pub(crate) const SUBACK: u8 = 9;
pub(crate) const PINGRESP: u8 = 13;

/// The largest packet this program waits for: one that is larger was not sent
/// by it.
pub(crate) const PACKET_BYTES_MAX: usize = 17 << 20;

/// Bytes of a broker that are no MQTT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Broken(pub(crate) &'static str);

/// Where the packet at the start of a buffer lies in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) body_start: usize,
    pub(crate) end: usize,
}

/// The packet that begins here, if all of it is there.
pub(crate) fn frame(bytes: &[u8]) -> Result<Option<Frame>, Broken> {
    let mut len = 0usize;
    for (place, byte) in bytes.iter().skip(1).take(4).enumerate() {
        len |= usize::from(byte & 0x7f) << (7 * place);
        if byte & 0x80 == 0 {
            let body_start = place + 2;
            let end = body_start + len;
            if end > PACKET_BYTES_MAX {
                return Err(Broken("a packet is larger than any that was sent"));
            }
            return Ok((end <= bytes.len()).then_some(Frame { body_start, end }));
        }
    }
    match bytes.len() {
        0..5 => Ok(None),
        _ => Err(Broken("a Remaining Length has more than four bytes")),
    }
}

/// A PUBLISH as far as it matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Incoming<'a> {
    pub(crate) qos: u8,
    /// 0 with QoS 0.
    pub(crate) packet_id: u16,
    pub(crate) payload: &'a [u8],
}

/// Reads the body of a PUBLISH.
pub(crate) fn incoming(first: u8, body: &[u8], is_v5: bool) -> Option<Incoming<'_>> {
    let qos = (first >> 1) & 0b11;
    let (topic_len, rest) = two_bytes(body)?;
    let mut rest = rest.get(usize::from(topic_len)..)?;
    let mut packet_id = 0;
    if qos > 0 {
        (packet_id, rest) = two_bytes(rest)?;
    }
    if is_v5 {
        let (len, after) = varint(rest)?;
        rest = after.get(len..)?;
    }
    Some(Incoming {
        qos,
        packet_id,
        payload: rest,
    })
}

/// Packet identifier and reason code of an acknowledgement; no code is success.
pub(crate) fn acknowledgement(body: &[u8]) -> Option<(u16, u8)> {
    let (packet_id, rest) = two_bytes(body)?;
    Some((packet_id, rest.first().copied().unwrap_or(0)))
}

/// Appends PUBACK, PUBREC, PUBREL or PUBCOMP: the short form, which all
/// versions share.
pub(crate) fn push_acknowledgement(out: &mut Vec<u8>, kind: u8, packet_id: u16) {
    // PUBREL alone has a flag [MQTT-3.6.1-1].
    let flags = if kind == PUBREL { 0b0010 } else { 0 };
    let [high, low] = packet_id.to_be_bytes();
    out.extend_from_slice(&[(kind << 4) | flags, 2, high, low]);
}

fn two_bytes(bytes: &[u8]) -> Option<(u16, &[u8])> {
    let (value, rest) = bytes.split_first_chunk()?;
    Some((u16::from_be_bytes(*value), rest))
}

fn varint(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let mut value = 0;
    for place in 0..4 {
        let byte = *bytes.get(place)?;
        value |= usize::from(byte & 0x7f) << (7 * place);
        if byte & 0x80 == 0 {
            return Some((value, &bytes[place + 1..]));
        }
    }
    None
}

/// What every payload begins with: 20 bytes, little-endian.
///
/// | bytes | meaning |
/// | --- | --- |
/// | 0..4 | flow: one publisher's messages on one topic |
/// | 4..12 | number of the message within its flow, from 0 |
/// | 12..20 | when it was sent, or was meant to be: monotonic clock, nanoseconds |
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    pub(crate) flow: u32,
    pub(crate) number: u64,
    pub(crate) sent_ns: u64,
}

impl Stamp {
    pub(crate) const LEN: usize = 20;

    pub(crate) fn to_bytes(self) -> [u8; Self::LEN] {
        let mut bytes = [0; Self::LEN];
        bytes[..4].copy_from_slice(&self.flow.to_le_bytes());
        bytes[4..12].copy_from_slice(&self.number.to_le_bytes());
        bytes[12..].copy_from_slice(&self.sent_ns.to_le_bytes());
        bytes
    }

    pub(crate) fn read(payload: &[u8]) -> Option<Self> {
        let (flow, rest) = payload.split_first_chunk()?;
        let (number, rest) = rest.split_first_chunk()?;
        let (sent_ns, _) = rest.split_first_chunk()?;
        Some(Self {
            flow: u32::from_le_bytes(*flow),
            number: u64::from_le_bytes(*number),
            sent_ns: u64::from_le_bytes(*sent_ns),
        })
    }
}

#[cfg(test)]
mod tests;
