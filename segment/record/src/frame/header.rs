//! The fixed header of a frame.

use super::compress::Codec;
use super::{FRAME_ALIGN, FRAME_MAGIC, FrameFault, HEADER_LEN, RATIO_MAX, RAW_LEN_MAX, checksum};
use crate::builder::RECORDS_MAX;
use crate::ids::{Lsn, NodeId, Offset, SegmentId, ShardId, Term};

/// What a frame holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum FrameKind {
    /// The first frame of a segment: who wrote it and every shard's state.
    SegmentStart = 1,
    /// Records; a Raft entry.
    Batch = 2,
    /// A shard's vote in a term.
    Vote = 3,
    /// Raft entries from an index on are void.
    Truncate = 4,
    /// Raft entries up to an index were removed.
    Purge = 5,
    /// Nothing but the header's durable number; written when the log goes idle.
    DurableMark = 6,
    /// The last frame of a sealed segment.
    SegmentEnd = 7,
}

impl FrameKind {
    /// All kinds.
    pub const ALL: [Self; 7] = [
        Self::SegmentStart,
        Self::Batch,
        Self::Vote,
        Self::Truncate,
        Self::Purge,
        Self::DurableMark,
        Self::SegmentEnd,
    ];

    fn from_u8(value: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| *kind as u8 == value)
    }
}

/// Properties of a frame that are worth knowing without its body.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FrameFlags {
    /// Batch: views must see it.
    pub has_state: bool,
    /// Batch: records were removed. SegmentStart: frames were removed from the
    /// segment, so that log sequence numbers have gaps that are no damage.
    pub compacted: bool,
    /// DurableMark and SegmentEnd: written at an orderly shutdown.
    pub clean: bool,
}

impl FrameFlags {
    const HAS_STATE: u16 = 1;
    const COMPACTED: u16 = 2;
    const CLEAN: u16 = 4;

    fn to_bits(self) -> u16 {
        let bit = |on: bool, bit: u16| if on { bit } else { 0 };
        bit(self.has_state, Self::HAS_STATE)
            | bit(self.compacted, Self::COMPACTED)
            | bit(self.clean, Self::CLEAN)
    }

    fn from_bits(bits: u16) -> Option<Self> {
        let known = Self::HAS_STATE | Self::COMPACTED | Self::CLEAN;
        (bits & !known == 0).then_some(Self {
            has_state: bits & Self::HAS_STATE != 0,
            compacted: bits & Self::COMPACTED != 0,
            clean: bits & Self::CLEAN != 0,
        })
    }
}

/// What the writer of a frame says about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameFields {
    /// What the frame holds.
    pub kind: FrameKind,
    /// Properties worth knowing without the body.
    pub flags: FrameFlags,
    /// The shard concerned; 0 in frames that concern the whole log.
    pub shard: ShardId,
    /// Batch: its Raft index. Truncate, Purge: the index concerned. Else 0.
    pub index: u64,
    /// Raft's term; 0 in frames that concern the whole log.
    pub term: Term,
    /// The node that led the shard in `term`; control frames: the writer.
    pub leader: NodeId,
    /// Records in a batch; 0 in other frames.
    pub count: u32,
    /// The frame's number in the log, at least 1.
    pub lsn: Lsn,
    /// All frames up to and including this number were synced when this one
    /// was written; 0 for none. Always below `lsn`.
    pub durable_lsn: Lsn,
    /// The shard's commit index as far as known; repairs need no more exact one.
    pub commit_hint: u64,
    /// Batch: the first record's timestamp. Control frames: when written.
    pub timestamp_base_ms: u64,
}

impl FrameFields {
    /// The fields of the frame for `batch`, still without the numbers that the
    /// log gives: leader, lsn, durable_lsn and commit hint are 0.
    #[must_use]
    pub fn of_batch(batch: &crate::Batch) -> Self {
        Self {
            kind: FrameKind::Batch,
            flags: FrameFlags {
                has_state: batch.has_state(),
                compacted: batch.is_compacted(),
                clean: false,
            },
            shard: batch.shard(),
            index: batch.index(),
            term: batch.term(),
            leader: NodeId(0),
            count: batch.count() as u32,
            lsn: Lsn(0),
            durable_lsn: Lsn(0),
            commit_hint: 0,
            timestamp_base_ms: batch.timestamp_base_ms(),
        }
    }

    /// The rules that hold for every frame written.
    fn check(&self) -> Result<(), &'static str> {
        if self.lsn.0 == 0 || self.durable_lsn >= self.lsn {
            return Err("log sequence numbers are out of order");
        }
        if self.index > Offset::INDEX_MAX {
            return Err("Raft index is above 2^48 - 1");
        }
        let count = self.count as usize;
        match self.kind {
            FrameKind::Batch if self.index == 0 => Err("a batch has no index"),
            FrameKind::Batch if count == 0 || count > RECORDS_MAX => {
                Err("a batch holds 1 to 65536 records")
            }
            FrameKind::Batch => Ok(()),
            _ if count != 0 => Err("only batches count records"),
            _ => Ok(()),
        }
    }
}

/// The header of a frame whose checksum was found right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameHeader {
    /// What the writer said.
    pub fields: FrameFields,
    /// How the body is compressed.
    pub codec: Codec,
    /// Bytes of the body as stored, without padding.
    pub body_len: u32,
    /// Bytes of the body when decompressed.
    pub raw_len: u32,
    /// The checksum of the body as stored, padding included.
    pub body_crc: u32,
}

impl FrameHeader {
    /// Bytes of the body on disk with its padding.
    #[must_use]
    pub fn body_len_padded(&self) -> usize {
        (self.body_len as usize).next_multiple_of(FRAME_ALIGN)
    }

    /// Bytes of the whole frame on disk; the next one starts there.
    #[must_use]
    pub fn frame_len(&self) -> usize {
        HEADER_LEN + self.body_len_padded()
    }

    /// The header as bytes, checksum included.
    ///
    /// # Panics
    /// When a field breaks a rule that [`parse_header`] checks: such a frame
    /// could not be read again.
    pub(crate) fn to_bytes(self, segment_id: SegmentId) -> [u8; HEADER_LEN] {
        let fields = &self.fields;
        assert!(
            self.check() == Ok(()),
            "unreadable header: {:?}",
            self.check()
        );
        let mut bytes = [0; HEADER_LEN];
        let mut put = |position: usize, value: &[u8]| {
            bytes[position..position + value.len()].copy_from_slice(value);
        };
        put(0, &FRAME_MAGIC);
        put(8, &self.body_crc.to_le_bytes());
        put(12, &self.body_len.to_le_bytes());
        put(16, &self.raw_len.to_le_bytes());
        put(20, &[fields.kind as u8, self.codec as u8]);
        put(22, &fields.flags.to_bits().to_le_bytes());
        put(24, &fields.shard.0.to_le_bytes());
        put(28, &fields.count.to_le_bytes());
        put(32, &fields.index.to_le_bytes());
        put(40, &fields.term.0.to_le_bytes());
        put(48, &fields.leader.0.to_le_bytes());
        put(56, &fields.lsn.0.to_le_bytes());
        put(64, &fields.durable_lsn.0.to_le_bytes());
        put(72, &fields.commit_hint.to_le_bytes());
        put(80, &fields.timestamp_base_ms.to_le_bytes());
        let header_crc = checksum(segment_id, &bytes[8..]);
        bytes[4..8].copy_from_slice(&header_crc.to_le_bytes());
        bytes
    }

    fn check(&self) -> Result<(), &'static str> {
        let (body_len, raw_len) = (self.body_len as usize, self.raw_len as usize);
        if raw_len > RAW_LEN_MAX || body_len > raw_len {
            return Err("body is too long");
        }
        match self.codec {
            Codec::None if body_len != raw_len => Err("lengths of a stored body differ"),
            Codec::Lz4 | Codec::Zstd if raw_len > body_len.saturating_mul(RATIO_MAX) => {
                Err("body shrank too much to be true")
            }
            _ => self.fields.check(),
        }
    }
}

/// Reads and verifies the header at the front of `bytes`.
///
/// The body is not looked at, so that a scan can learn how much to read.
///
/// # Errors
/// [`FrameFault::Short`] with fewer than [`HEADER_LEN`] bytes;
/// [`FrameFault::Magic`]; [`FrameFault::HeaderChecksum`]; and
/// [`FrameFault::Field`] when a verified header says what no writer writes.
pub fn parse_header(bytes: &[u8], segment_id: SegmentId) -> Result<FrameHeader, FrameFault> {
    let Some(bytes) = bytes.first_chunk::<HEADER_LEN>() else {
        return Err(FrameFault::Short { need: HEADER_LEN });
    };
    if bytes[..4] != FRAME_MAGIC {
        return Err(FrameFault::Magic);
    }
    let u32_at = |position: usize| {
        let bytes = bytes[position..]
            .first_chunk()
            .expect("position is inside the header");
        u32::from_le_bytes(*bytes)
    };
    let u64_at = |position: usize| {
        let bytes = bytes[position..]
            .first_chunk()
            .expect("position is inside the header");
        u64::from_le_bytes(*bytes)
    };
    if u32_at(4) != checksum(segment_id, &bytes[8..]) {
        return Err(FrameFault::HeaderChecksum);
    }
    let flags = u16::from_le_bytes([bytes[22], bytes[23]]);
    let fields = FrameFields {
        kind: FrameKind::from_u8(bytes[20]).ok_or(FrameFault::Field("unknown frame kind"))?,
        flags: FrameFlags::from_bits(flags).ok_or(FrameFault::Field("unknown flags"))?,
        shard: ShardId(u32_at(24)),
        index: u64_at(32),
        term: Term(u64_at(40)),
        leader: NodeId(u64_at(48)),
        count: u32_at(28),
        lsn: Lsn(u64_at(56)),
        durable_lsn: Lsn(u64_at(64)),
        commit_hint: u64_at(72),
        timestamp_base_ms: u64_at(80),
    };
    let header = FrameHeader {
        fields,
        codec: Codec::from_u8(bytes[21]).ok_or(FrameFault::Field("unknown codec"))?,
        body_len: u32_at(12),
        raw_len: u32_at(16),
        body_crc: u32_at(8),
    };
    header.check().map_err(FrameFault::Field)?;
    Ok(header)
}
