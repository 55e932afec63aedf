//! The name of a record as clients see it: what a receipt carries, and what a
//! position `o:…` takes back.
//!
//! `SHARD-INDEX-SLOT` in decimal, without signs or leading zeros. Clients are to
//! take it as opaque; operators may compare the first part.

use std::fmt;
use std::str::FromStr;

use crate::{Offset, ShardId};

/// A record of the log, by shard and offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OffsetToken {
    /// The shard.
    pub shard: ShardId,
    /// The place in the shard.
    pub offset: Offset,
}

/// A text that names no record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an offset token has the form SHARD-INDEX-SLOT, for example 3-1042-7")]
pub struct TokenError;

/// A token's text at most: three numbers of 10, 15 and 5 digits.
const TEXT_BYTES_MAX: usize = 10 + 1 + 15 + 1 + 5;

/// A token as text, without an allocation: a broker writes one for every message.
#[derive(Clone, Copy, Debug)]
pub struct TokenText {
    bytes: [u8; TEXT_BYTES_MAX],
    start: usize,
}

impl TokenText {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        str::from_utf8(&self.bytes[self.start..]).expect("digits and hyphens")
    }

    /// Puts a number before what there is.
    fn prepend(&mut self, mut number: u64) {
        loop {
            self.start -= 1;
            self.bytes[self.start] = b'0' + (number % 10) as u8;
            number /= 10;
            if number == 0 {
                return;
            }
        }
    }

    fn prepend_hyphen(&mut self) {
        self.start -= 1;
        self.bytes[self.start] = b'-';
    }
}

impl OffsetToken {
    /// As text.
    #[must_use]
    pub fn text(&self) -> TokenText {
        let mut text = TokenText {
            bytes: [0; TEXT_BYTES_MAX],
            start: TEXT_BYTES_MAX,
        };
        text.prepend(u64::from(self.offset.slot()));
        text.prepend_hyphen();
        text.prepend(self.offset.index());
        text.prepend_hyphen();
        text.prepend(u64::from(self.shard.0));
        text
    }
}

impl fmt::Display for OffsetToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text().as_str())
    }
}

impl FromStr for OffsetToken {
    type Err = TokenError;

    fn from_str(text: &str) -> Result<Self, TokenError> {
        let mut parts = text.split('-');
        let shard = number(parts.next())?;
        let index = number(parts.next())?;
        let slot = number(parts.next())?;
        let shard = u32::try_from(shard).map_err(|_| TokenError)?;
        let slot = u16::try_from(slot).map_err(|_| TokenError)?;
        if parts.next().is_some() || index > Offset::INDEX_MAX {
            return Err(TokenError);
        }
        Ok(Self {
            shard: ShardId(shard),
            offset: Offset::new(index, slot),
        })
    }
}

/// A number in its only spelling: two tokens of one record are the same text.
fn number(part: Option<&str>) -> Result<u64, TokenError> {
    let part = part.ok_or(TokenError)?;
    let is_plain = part.bytes().all(|byte| byte.is_ascii_digit());
    let leads_with_zero = part.len() > 1 && part.starts_with('0');
    if !is_plain || leads_with_zero {
        return Err(TokenError);
    }
    part.parse().map_err(|_| TokenError)
}

#[cfg(test)]
mod tests;
