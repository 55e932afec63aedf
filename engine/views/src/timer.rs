//! What falls due without anybody's doing: wills and the end of sessions.

use crate::wire::{Reader, WireError, Writer};

/// What is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TimerKind {
    /// A delayed will is to be published, then
    /// [`WillFired`](crate::StateBody::WillFired) to be appended.
    Will,
    /// A session's time is over:
    /// [`SessionExpired`](crate::StateBody::SessionExpired) is to be appended.
    Expiry,
}

impl TimerKind {
    pub(crate) fn byte(self) -> u8 {
        match self {
            Self::Will => 0,
            Self::Expiry => 1,
        }
    }

    pub(crate) fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            0 => Some(Self::Will),
            1 => Some(Self::Expiry),
            _ => None,
        }
    }
}

/// Something that is due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timer {
    /// When, milliseconds since the Unix epoch.
    pub at_ms: u64,
    /// Whose.
    pub client_id: String,
    /// The epoch of the connection it belongs to.
    pub epoch: u64,
    /// What.
    pub kind: TimerKind,
}

pub(crate) fn encode_epoch(epoch: u64) -> Vec<u8> {
    let mut out = Writer::new();
    out.number(epoch);
    out.finish()
}

pub(crate) fn decode_epoch(bytes: &[u8]) -> Result<u64, WireError> {
    let mut input = Reader::new(bytes);
    let epoch = input.number()?;
    input.end()?;
    Ok(epoch)
}
