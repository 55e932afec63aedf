//! One record: how it comes in, how it lies in a batch, how it is read.

use bytes::Bytes;

use crate::batch::Batch;
use crate::error::FormatError;
use crate::ids::Offset;
use crate::wire::{Input, VARINT_LEN_MAX, put_varint, unzigzag, varint_len, zigzag};

/// The kind of a message; all other kinds are the engine's state records.
pub const KIND_MESSAGE: u8 = 0;

/// The kind of what consensus writes for itself: the blank entry of a new
/// leader, or a membership. It says nothing about messages or sessions.
pub const KIND_CONSENSUS: u8 = 255;

const FLAG_QOS: u8 = 0b0000_0011;
const FLAG_RETAIN: u8 = 0b0000_0100;
const FLAG_EXPIRY: u8 = 0b0000_1000;
const FLAG_PACKET_ID: u8 = 0b0001_0000;
const FLAG_PROPERTIES: u8 = 0b0010_0000;
const FLAG_KIND: u8 = 0b0100_0000;
const FLAG_RESERVED: u8 = 0b1000_0000;

/// A record on its way into a batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RecordInput<'a> {
    /// [`KIND_MESSAGE`] or a kind of the engine's.
    pub kind: u8,
    /// 0, 1 or 2.
    pub qos: u8,
    /// The RETAIN flag of the publish.
    pub retain: bool,
    /// The tenant; must not hold U+0000.
    pub namespace: &'a str,
    /// The Topic Name; state records may use it as their key.
    pub topic: &'a str,
    /// The publisher's Client Identifier, or whom a state record is about.
    pub client_id: &'a str,
    /// Milliseconds since the Unix epoch.
    pub timestamp_ms: u64,
    /// The Message Expiry Interval in seconds.
    pub message_expiry_s: Option<u32>,
    /// The Packet Identifier of a QoS 2 publish.
    pub packet_id: Option<u16>,
    /// MQTT 5 properties to be passed on, in wire form without their length.
    pub properties: &'a [u8],
    /// The Application Message.
    pub payload: &'a [u8],
}

/// A record's fields as numbers and slices of its batch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RawRecord<'a> {
    pub(crate) flags: u8,
    pub(crate) kind: u8,
    /// Present in compacted batches only.
    pub(crate) slot: Option<u16>,
    pub(crate) topic_id: u32,
    pub(crate) client_id: u32,
    /// Difference to the batch's timestamp base, modulo 2^64.
    pub(crate) timestamp_delta: u64,
    pub(crate) message_expiry_s: Option<u32>,
    pub(crate) packet_id: Option<u16>,
    pub(crate) properties: &'a [u8],
    pub(crate) payload: &'a [u8],
}

impl<'a> RawRecord<'a> {
    /// The fields of `input`, with its names replaced by their ids.
    pub(crate) fn new(
        input: &RecordInput<'a>,
        slot: Option<u16>,
        topic_id: u32,
        client_id: u32,
        timestamp_base: u64,
    ) -> Self {
        assert!(input.qos <= 2, "a quality of service is 0, 1 or 2");
        let mut flags = input.qos;
        let mut set = |flag, on: bool| flags |= if on { flag } else { 0 };
        set(FLAG_RETAIN, input.retain);
        set(FLAG_EXPIRY, input.message_expiry_s.is_some());
        set(FLAG_PACKET_ID, input.packet_id.is_some());
        set(FLAG_PROPERTIES, !input.properties.is_empty());
        set(FLAG_KIND, input.kind != KIND_MESSAGE);
        Self {
            flags,
            kind: input.kind,
            slot,
            topic_id,
            client_id,
            timestamp_delta: input.timestamp_ms.wrapping_sub(timestamp_base),
            message_expiry_s: input.message_expiry_s,
            packet_id: input.packet_id,
            properties: input.properties,
            payload: input.payload,
        }
    }

    /// Whether views must see the record: a state record, a retained message,
    /// or a QoS 2 message whose identifier must be remembered.
    pub(crate) fn is_state(&self) -> bool {
        self.kind != KIND_MESSAGE || self.flags & (FLAG_RETAIN | FLAG_PACKET_ID) != 0
    }

    /// Encoded bytes after the record's length, with `extra` more bytes of
    /// properties than [`RawRecord::properties`] holds.
    pub(crate) fn body_len(&self, extra: usize) -> usize {
        let properties = self.properties.len() + extra;
        1 + usize::from(self.kind != KIND_MESSAGE)
            + self.slot.map_or(0, |slot| varint_len(slot.into()))
            + varint_len(self.topic_id.into())
            + varint_len(self.client_id.into())
            + varint_len(zigzag(self.timestamp_delta as i64))
            + self
                .message_expiry_s
                .map_or(0, |seconds| varint_len(seconds.into()))
            + self.packet_id.map_or(0, |_| 2)
            + if properties == 0 {
                0
            } else {
                varint_len(properties as u64) + properties
            }
            + self.payload.len()
    }

    /// Appends the record, `len` being its [`RawRecord::body_len`];
    /// `write_extra` appends `extra` bytes of properties.
    pub(crate) fn write(
        &self,
        out: &mut Vec<u8>,
        len: usize,
        extra: usize,
        write_extra: impl FnOnce(&mut Vec<u8>),
    ) {
        let properties = self.properties.len() + extra;
        let flags = self.flags | if properties > 0 { FLAG_PROPERTIES } else { 0 };
        out.reserve(VARINT_LEN_MAX + len);
        put_varint(out, len as u64);
        let record_start = out.len();
        out.push(flags);
        if self.kind != KIND_MESSAGE {
            out.push(self.kind);
        }
        if let Some(slot) = self.slot {
            put_varint(out, slot.into());
        }
        put_varint(out, self.topic_id.into());
        put_varint(out, self.client_id.into());
        put_varint(out, zigzag(self.timestamp_delta as i64));
        if let Some(seconds) = self.message_expiry_s {
            put_varint(out, seconds.into());
        }
        if let Some(packet_id) = self.packet_id {
            out.extend_from_slice(&packet_id.to_le_bytes());
        }
        if properties > 0 {
            put_varint(out, properties as u64);
            out.extend_from_slice(self.properties);
            let start = out.len();
            write_extra(out);
            assert!(
                out.len() == start + extra,
                "properties are as long as announced"
            );
        }
        out.extend_from_slice(self.payload);
        assert!(
            out.len() == record_start + len,
            "a record is as long as announced"
        );
    }

    /// Reads the record at the front of `input`, without knowledge of the
    /// dictionary; `explicit` says whether records carry their slot.
    pub(crate) fn read(input: &mut Input<'a>, explicit: bool) -> Result<Self, FormatError> {
        let len = input.varint()?;
        let start = input.position();
        let bytes = input.sized(len)?;
        let mut fields = Input::new("record", bytes);
        Self::read_fields(&mut fields, explicit).map_err(|error| FormatError {
            position: start + error.position,
            ..error
        })
    }

    fn read_fields(input: &mut Input<'a>, explicit: bool) -> Result<Self, FormatError> {
        let flags = input.u8()?;
        if flags & FLAG_RESERVED != 0 || flags & FLAG_QOS == FLAG_QOS {
            return Err(input.error("unknown flags"));
        }
        let has = |flag| flags & flag != 0;
        let kind = if has(FLAG_KIND) {
            input.u8()?
        } else {
            KIND_MESSAGE
        };
        if has(FLAG_KIND) && kind == KIND_MESSAGE {
            return Err(input.error("kind of a message is spelled out"));
        }
        let slot = if explicit {
            let slot = input.varint()?;
            Some(u16::try_from(slot).map_err(|_| input.error("slot is above 65535"))?)
        } else {
            None
        };
        let topic_id = input.varint32()?;
        let client_id = input.varint32()?;
        let timestamp_delta = unzigzag(input.varint()?) as u64;
        let message_expiry_s = if has(FLAG_EXPIRY) {
            Some(input.varint32()?)
        } else {
            None
        };
        let packet_id = if has(FLAG_PACKET_ID) {
            Some(input.u16()?)
        } else {
            None
        };
        let properties = if has(FLAG_PROPERTIES) {
            let len = input.varint()?;
            if len == 0 {
                return Err(input.error("empty properties are spelled out"));
            }
            input.sized(len)?
        } else {
            &[]
        };
        let payload = input.rest();
        Ok(Self {
            flags,
            kind,
            slot,
            topic_id,
            client_id,
            timestamp_delta,
            message_expiry_s,
            packet_id,
            properties,
            payload,
        })
    }
}

/// A record in its batch. Cheap to copy; all accessors are infallible.
#[derive(Clone, Copy)]
pub struct RecordRef<'a> {
    pub(crate) batch: &'a Batch,
    pub(crate) slot: u16,
    pub(crate) raw: RawRecord<'a>,
}

impl<'a> RecordRef<'a> {
    /// The record's place in its shard.
    #[must_use]
    pub fn offset(&self) -> Offset {
        Offset::new(self.batch.index(), self.slot)
    }

    /// [`KIND_MESSAGE`] or a kind of the engine's.
    #[must_use]
    pub fn kind(&self) -> u8 {
        self.raw.kind
    }

    /// 0, 1 or 2.
    #[must_use]
    pub fn qos(&self) -> u8 {
        self.raw.flags & FLAG_QOS
    }

    /// The RETAIN flag of the publish.
    #[must_use]
    pub fn retain(&self) -> bool {
        self.raw.flags & FLAG_RETAIN != 0
    }

    /// The topic's number in the batch, as in [`Batch::topics`].
    #[must_use]
    pub fn topic_id(&self) -> u32 {
        self.raw.topic_id
    }

    /// The tenant of the topic.
    #[must_use]
    pub fn namespace(&self) -> &'a str {
        self.batch.topic(self.raw.topic_id).0
    }

    /// The Topic Name.
    #[must_use]
    pub fn topic(&self) -> &'a str {
        self.batch.topic(self.raw.topic_id).1
    }

    /// The publisher's Client Identifier, or whom a state record is about.
    #[must_use]
    pub fn client_id(&self) -> &'a str {
        self.batch.client(self.raw.client_id)
    }

    /// Milliseconds since the Unix epoch.
    #[must_use]
    pub fn timestamp_ms(&self) -> u64 {
        self.batch
            .timestamp_base_ms()
            .wrapping_add(self.raw.timestamp_delta)
    }

    /// The Message Expiry Interval in seconds.
    #[must_use]
    pub fn message_expiry_s(&self) -> Option<u32> {
        self.raw.message_expiry_s
    }

    /// The Packet Identifier of a QoS 2 publish.
    #[must_use]
    pub fn packet_id(&self) -> Option<u16> {
        self.raw.packet_id
    }

    /// MQTT 5 properties in wire form without their length.
    #[must_use]
    pub fn properties(&self) -> &'a [u8] {
        self.raw.properties
    }

    /// The Application Message.
    #[must_use]
    pub fn payload(&self) -> &'a [u8] {
        self.raw.payload
    }

    /// The Application Message as a share of the batch's bytes, not a copy.
    #[must_use]
    pub fn payload_bytes(&self) -> Bytes {
        self.batch.body().slice_ref(self.raw.payload)
    }

    /// The record as it could be appended again.
    #[must_use]
    pub fn to_input(&self) -> RecordInput<'a> {
        RecordInput {
            kind: self.kind(),
            qos: self.qos(),
            retain: self.retain(),
            namespace: self.namespace(),
            topic: self.topic(),
            client_id: self.client_id(),
            timestamp_ms: self.timestamp_ms(),
            message_expiry_s: self.message_expiry_s(),
            packet_id: self.packet_id(),
            properties: self.properties(),
            payload: self.payload(),
        }
    }
}

impl std::fmt::Debug for RecordRef<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RecordRef")
            .field("offset", &self.offset())
            .field("record", &self.to_input())
            .finish()
    }
}
