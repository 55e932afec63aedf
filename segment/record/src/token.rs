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

impl fmt::Display for OffsetToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (index, slot) = (self.offset.index(), self.offset.slot());
        write!(f, "{}-{index}-{slot}", self.shard)
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
