//! Writing and reading of the small numbers and texts that state records and
//! view values are made of: LEB128 numbers, lengths in front of texts.
//!
//! **Invariants**
//! 1. Reading never panics and never allocates more than the bytes that are
//!    really there.
//! 2. A number has one encoding: an overlong one is refused.

use bytes::Bytes;

/// Why bytes are not what they should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed state at byte {position}: {what}")]
pub struct WireError {
    /// The place where reading failed.
    pub position: usize,
    /// What is wrong there.
    pub what: &'static str,
}

/// Appends fields.
#[derive(Default)]
pub(crate) struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn finish(self) -> Vec<u8> {
        self.bytes
    }

    pub(crate) fn u8(&mut self, value: u8) {
        self.bytes.push(value);
    }

    pub(crate) fn bool(&mut self, value: bool) {
        self.bytes.push(u8::from(value));
    }

    pub(crate) fn number(&mut self, value: impl Into<u64>) {
        let mut rest = value.into();
        while rest >= 0x80 {
            self.bytes.push(rest as u8 | 0x80);
            rest >>= 7;
        }
        self.bytes.push(rest as u8);
    }

    /// None is 0, a number is itself plus one.
    pub(crate) fn option(&mut self, value: Option<impl Into<u64>>) {
        match value.map(Into::into) {
            None => self.number(0u8),
            Some(value) => {
                assert!(value < u64::MAX, "an optional number has room for none");
                self.number(value + 1);
            }
        }
    }

    pub(crate) fn blob(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.rest(bytes);
    }

    pub(crate) fn text(&mut self, text: &str) {
        self.blob(text.as_bytes());
    }

    /// Bytes without their length: the last field.
    pub(crate) fn rest(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    pub(crate) fn list<T>(&mut self, items: &[T], mut write: impl FnMut(&mut Self, &T)) {
        self.number(items.len() as u64);
        items.iter().for_each(|item| write(self, item));
    }
}

/// Takes fields off the front.
pub(crate) struct Reader<'a> {
    bytes: &'a [u8],
    position: usize,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, position: 0 }
    }

    pub(crate) fn error(&self, what: &'static str) -> WireError {
        WireError {
            position: self.position,
            what,
        }
    }

    fn left(&self) -> usize {
        self.bytes.len() - self.position
    }

    fn take(&mut self, len: usize) -> Result<&'a [u8], WireError> {
        if len > self.left() {
            return Err(self.error("it ends too early"));
        }
        let taken = &self.bytes[self.position..self.position + len];
        self.position += len;
        Ok(taken)
    }

    pub(crate) fn u8(&mut self) -> Result<u8, WireError> {
        Ok(self.take(1)?[0])
    }

    pub(crate) fn bool(&mut self) -> Result<bool, WireError> {
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(self.error("neither yes nor no")),
        }
    }

    pub(crate) fn number(&mut self) -> Result<u64, WireError> {
        let mut value = 0u64;
        for place in 0..10 {
            let byte = self.u8()?;
            let bits = u64::from(byte & 0x7f);
            if place == 9 && bits > 1 {
                return Err(self.error("a number is above 64 bits"));
            }
            value |= bits << (7 * place);
            if byte & 0x80 == 0 {
                if byte == 0 && place > 0 {
                    return Err(self.error("a number is longer than needed"));
                }
                return Ok(value);
            }
        }
        Err(self.error("a number is above 64 bits"))
    }

    pub(crate) fn narrow<T: TryFrom<u64>>(&mut self) -> Result<T, WireError> {
        let number = self.number()?;
        T::try_from(number).map_err(|_| self.error("a number is too large"))
    }

    pub(crate) fn option(&mut self) -> Result<Option<u64>, WireError> {
        Ok(self.number()?.checked_sub(1))
    }

    pub(crate) fn option32(&mut self) -> Result<Option<u32>, WireError> {
        self.option()?
            .map(|value| u32::try_from(value).map_err(|_| self.error("a number is too large")))
            .transpose()
    }

    pub(crate) fn qos(&mut self) -> Result<u8, WireError> {
        match self.u8()? {
            qos @ 0..=2 => Ok(qos),
            _ => Err(self.error("a quality of service is 0, 1 or 2")),
        }
    }

    pub(crate) fn blob(&mut self) -> Result<&'a [u8], WireError> {
        let len = self.narrow::<usize>()?;
        self.take(len)
    }

    pub(crate) fn text(&mut self) -> Result<&'a str, WireError> {
        let bytes = self.blob()?;
        std::str::from_utf8(bytes).map_err(|_| self.error("a text is not UTF-8"))
    }

    pub(crate) fn string(&mut self) -> Result<String, WireError> {
        self.text().map(str::to_owned)
    }

    pub(crate) fn bytes(&mut self) -> Result<Bytes, WireError> {
        self.blob().map(Bytes::copy_from_slice)
    }

    /// All bytes that are left.
    pub(crate) fn rest(&mut self) -> &'a [u8] {
        let rest = &self.bytes[self.position..];
        self.position = self.bytes.len();
        rest
    }

    /// A list; the memory for it grows only with items really read.
    pub(crate) fn list<T>(
        &mut self,
        mut read: impl FnMut(&mut Self) -> Result<T, WireError>,
    ) -> Result<Vec<T>, WireError> {
        let count = self.narrow::<usize>()?;
        let mut items = Vec::new();
        for _ in 0..count {
            items.push(read(self)?);
        }
        Ok(items)
    }

    /// Asserts that nothing is left.
    pub(crate) fn end(&self) -> Result<(), WireError> {
        if self.left() > 0 {
            return Err(self.error("bytes are left over"));
        }
        Ok(())
    }
}
