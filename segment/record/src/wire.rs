//! Reading and writing the primitive values: little-endian integers, varints
//! (LEB128, in the shortest form) and byte strings.

use crate::error::FormatError;

/// The longest varint of 64 bits.
pub(crate) const VARINT_LEN_MAX: usize = 10;

/// Appends a varint.
#[inline]
pub(crate) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// The number of bytes that [`put_varint`] appends.
#[inline]
pub(crate) fn varint_len(value: u64) -> usize {
    let bits = 64 - (value | 1).leading_zeros() as usize;
    bits.div_ceil(7)
}

/// Maps a signed difference to a number that is small when the difference is.
pub(crate) fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

/// The inverse of [`zigzag`].
pub(crate) fn unzigzag(value: u64) -> i64 {
    (value >> 1) as i64 ^ -((value & 1) as i64)
}

/// Reads values off the front of bytes, never beyond their end.
#[derive(Clone, Debug)]
pub(crate) struct Input<'a> {
    part: &'static str,
    bytes: &'a [u8],
    position: usize,
}

impl<'a> Input<'a> {
    /// Reads `bytes` from the start; `part` names them in errors.
    pub(crate) fn new(part: &'static str, bytes: &'a [u8]) -> Self {
        Self {
            part,
            bytes,
            position: 0,
        }
    }

    /// Reads `bytes` from `position`, which may lie beyond their end.
    pub(crate) fn at(part: &'static str, bytes: &'a [u8], position: usize) -> Self {
        Self {
            part,
            bytes,
            position: position.min(bytes.len()),
        }
    }

    /// The error that `what` is wrong here.
    pub(crate) fn error(&self, what: &'static str) -> FormatError {
        FormatError {
            part: self.part,
            what,
            position: self.position,
        }
    }

    pub(crate) fn position(&self) -> usize {
        self.position
    }

    pub(crate) fn remaining(&self) -> usize {
        self.bytes.len() - self.position
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.remaining() == 0
    }

    /// Takes `len` bytes.
    pub(crate) fn bytes(&mut self, len: usize) -> Result<&'a [u8], FormatError> {
        if len > self.remaining() {
            return Err(self.error("ends too early"));
        }
        let bytes = &self.bytes[self.position..self.position + len];
        self.position += len;
        Ok(bytes)
    }

    /// Takes as many bytes as `length`, a value read from the input, says.
    pub(crate) fn sized(&mut self, length: u64) -> Result<&'a [u8], FormatError> {
        match usize::try_from(length) {
            Ok(length) => self.bytes(length),
            Err(_) => Err(self.error("ends too early")),
        }
    }

    /// Takes all that is left.
    pub(crate) fn rest(&mut self) -> &'a [u8] {
        let rest = &self.bytes[self.position..];
        self.position = self.bytes.len();
        rest
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], FormatError> {
        match self
            .bytes
            .get(self.position..)
            .and_then(|rest| rest.first_chunk::<N>())
        {
            Some(chunk) => {
                self.position += N;
                Ok(*chunk)
            }
            None => Err(self.error("ends too early")),
        }
    }

    pub(crate) fn u8(&mut self) -> Result<u8, FormatError> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub(crate) fn u16(&mut self) -> Result<u16, FormatError> {
        self.array().map(u16::from_le_bytes)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, FormatError> {
        self.array().map(u32::from_le_bytes)
    }

    pub(crate) fn u64(&mut self) -> Result<u64, FormatError> {
        self.array().map(u64::from_le_bytes)
    }

    /// A varint in its shortest form.
    #[inline]
    pub(crate) fn varint(&mut self) -> Result<u64, FormatError> {
        // Most values are small.
        if let Some(&byte) = self.bytes.get(self.position)
            && byte < 0x80
        {
            self.position += 1;
            return Ok(u64::from(byte));
        }
        self.long_varint()
    }

    fn long_varint(&mut self) -> Result<u64, FormatError> {
        let mut value = 0u64;
        for place in 0..VARINT_LEN_MAX {
            let byte = self.u8()?;
            if place == VARINT_LEN_MAX - 1 && byte > 1 {
                break;
            }
            value |= u64::from(byte & 0x7f) << (7 * place);
            if byte < 0x80 {
                if byte == 0 && place > 0 {
                    return Err(self.error("varint is not in its shortest form"));
                }
                return Ok(value);
            }
        }
        Err(self.error("varint is above 64 bits"))
    }

    /// A varint of at most 32 bits.
    pub(crate) fn varint32(&mut self) -> Result<u32, FormatError> {
        let value = self.varint()?;
        u32::try_from(value).map_err(|_| self.error("varint is above 32 bits"))
    }

    /// A count of things that take at least `len_min` bytes each of what
    /// follows; so a count is never larger than the input.
    pub(crate) fn count(&mut self, len_min: usize) -> Result<usize, FormatError> {
        let count = self.varint()?;
        match usize::try_from(count) {
            Ok(count) if count.saturating_mul(len_min) <= self.remaining() => Ok(count),
            _ => Err(self.error("count is above what the bytes can hold")),
        }
    }

    /// Fails unless everything was read.
    pub(crate) fn finish(&self) -> Result<(), FormatError> {
        if self.is_empty() {
            Ok(())
        } else {
            Err(self.error("bytes are left over"))
        }
    }
}

#[cfg(test)]
mod tests;
