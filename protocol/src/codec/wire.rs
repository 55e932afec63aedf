//! The data types of the wire (MQTT 5.0 section 1.5): reading them from a
//! slice, writing them to a sink.
//!
//! Invariants
//! 1. Reading borrows: no byte is copied, nothing is allocated.
//! 2. A length from the wire is only ever compared with what is there.

use super::error::{DecodeError, EncodeError};

/// Largest value of a Variable Byte Integer (section 1.5.5).
pub(super) const VARINT_MAX: u32 = 268_435_455;

/// Reads fields off the front of a slice.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reader<'a> {
    rest: &'a [u8],
}

const SHORT: DecodeError = DecodeError::malformed("4.13.1", "the packet ends inside a field");

impl<'a> Reader<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub(super) const fn len(&self) -> usize {
        self.rest.len()
    }

    /// Everything that is left.
    pub(super) const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    pub(super) fn bytes(&mut self, count: usize) -> Result<&'a [u8], DecodeError> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(SHORT)?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let (taken, rest) = self.rest.split_first_chunk::<N>().ok_or(SHORT)?;
        self.rest = rest;
        Ok(*taken)
    }

    pub(super) fn u8(&mut self) -> Result<u8, DecodeError> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub(super) fn u16(&mut self) -> Result<u16, DecodeError> {
        self.array().map(u16::from_be_bytes)
    }

    pub(super) fn u32(&mut self) -> Result<u32, DecodeError> {
        self.array().map(u32::from_be_bytes)
    }

    /// Binary Data (section 1.5.6).
    pub(super) fn binary(&mut self) -> Result<&'a [u8], DecodeError> {
        let len = self.u16()?;
        self.bytes(usize::from(len))
    }

    /// UTF-8 Encoded String (section 1.5.4).
    pub(super) fn string(&mut self) -> Result<&'a str, DecodeError> {
        let bytes = self.binary()?;
        if bytes.contains(&0) {
            return Err(DecodeError::malformed(
                "MQTT-1.5.4-2",
                "a string holds the null character",
            ));
        }
        std::str::from_utf8(bytes).map_err(|_| {
            DecodeError::malformed("MQTT-1.5.4-1", "a string is not well-formed UTF-8")
        })
    }

    /// Variable Byte Integer (section 1.5.5).
    pub(super) fn varint(&mut self) -> Result<u32, DecodeError> {
        match read_varint(self.rest)? {
            None => Err(SHORT),
            Some(varint) if !varint.minimal => Err(NOT_MINIMAL),
            Some(varint) => {
                self.rest = &self.rest[varint.len..];
                Ok(varint.value)
            }
        }
    }
}

pub(super) const NOT_MINIMAL: DecodeError = DecodeError::malformed(
    "MQTT-1.5.5-1",
    "a variable byte integer is longer than needed",
);

/// A Variable Byte Integer as found.
#[derive(Clone, Copy, Debug)]
pub(super) struct Varint {
    pub(super) value: u32,
    /// Bytes it takes.
    pub(super) len: usize,
    /// Whether it takes no more bytes than needed.
    pub(super) minimal: bool,
}

/// Reads a Variable Byte Integer; none if it goes on beyond `bytes`.
pub(super) fn read_varint(bytes: &[u8]) -> Result<Option<Varint>, DecodeError> {
    let mut value = 0;
    for (at, byte) in bytes.iter().take(4).enumerate() {
        value |= u32::from(byte & 0x7F) << (7 * at);
        if byte & 0x80 == 0 {
            return Ok(Some(Varint {
                value,
                len: at + 1,
                minimal: at == 0 || *byte != 0,
            }));
        }
    }
    if bytes.len() >= 4 {
        return Err(DecodeError::malformed(
            "1.5.5",
            "a variable byte integer is longer than four bytes",
        ));
    }
    Ok(None)
}

/// Bytes a Variable Byte Integer takes.
pub(super) const fn varint_len(value: usize) -> usize {
    match value {
        0..=127 => 1,
        128..=16_383 => 2,
        16_384..=2_097_151 => 3,
        _ => 4,
    }
}

/// Takes the bytes of a packet, or only counts them: encoders run once for
/// the size and once for the bytes.
pub(super) trait Sink {
    fn put(&mut self, bytes: &[u8]);

    fn u8(&mut self, value: u8) {
        self.put(&[value]);
    }

    fn u16(&mut self, value: u16) {
        self.put(&value.to_be_bytes());
    }

    fn u32(&mut self, value: u32) {
        self.put(&value.to_be_bytes());
    }

    fn binary(&mut self, bytes: &[u8]) -> Result<(), EncodeError> {
        let len = u16::try_from(bytes.len()).map_err(|_| EncodeError::FieldTooLong)?;
        self.u16(len);
        self.put(bytes);
        Ok(())
    }

    fn string(&mut self, text: &str) -> Result<(), EncodeError> {
        self.binary(text.as_bytes())
    }

    fn varint(&mut self, value: usize) -> Result<(), EncodeError> {
        let mut left = u32::try_from(value)
            .ok()
            .filter(|value| *value <= VARINT_MAX)
            .ok_or(EncodeError::NumberTooLarge)?;
        loop {
            let low = (left & 0x7F) as u8;
            left >>= 7;
            if left == 0 {
                self.u8(low);
                return Ok(());
            }
            self.u8(low | 0x80);
        }
    }
}

impl Sink for Vec<u8> {
    fn put(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

/// Counts what would be written.
#[derive(Debug, Default)]
pub(super) struct Count(pub(super) usize);

impl Sink for Count {
    fn put(&mut self, bytes: &[u8]) {
        self.0 += bytes.len();
    }
}
