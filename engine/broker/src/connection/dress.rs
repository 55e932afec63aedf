//! What a replayed message wears on its way: where and when it was stored, and
//! whether it is history; its payload in a JSON envelope if so asked.

use std::borrow::Cow;

use crate::history::{Told, envelope};

/// User property: the offset token of the message.
const OFFSET: &str = "x-offset";

/// User property: when the message was stored, in milliseconds since the epoch.
const TIMESTAMP: &str = "x-timestamp";

/// User property: `1` while a replay has not caught up.
const REPLAY: &str = "x-replay";

/// How a delivery is marked; the default is not at all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Dress {
    /// It belongs to a replay.
    pub(super) replayed: bool,
    /// The replay has not caught up.
    pub(super) history: bool,
    /// The payload is wrapped in JSON.
    pub(super) json: bool,
}

/// A dressed message: keep it while the packet is written.
pub(super) struct Dressed<'a> {
    offset: String,
    timestamp: String,
    dress: Dress,
    payload: Cow<'a, [u8]>,
}

impl<'a> Dressed<'a> {
    pub(super) fn new(dress: Dress, told: &Told<'a>) -> Self {
        let (offset, timestamp) = if dress.replayed {
            (told.token.to_string(), told.timestamp_ms.to_string())
        } else {
            (String::new(), String::new())
        };
        let payload = if dress.json {
            Cow::Owned(envelope(told))
        } else {
            Cow::Borrowed(told.payload)
        };
        Self {
            offset,
            timestamp,
            dress,
            payload,
        }
    }

    /// The user properties to add; the first `count` of the array.
    pub(super) fn properties(&self) -> ([(&str, &str); 3], usize) {
        let all = [
            (OFFSET, self.offset.as_str()),
            (TIMESTAMP, self.timestamp.as_str()),
            (REPLAY, "1"),
        ];
        let count = match (self.dress.replayed, self.dress.history) {
            (false, _) => 0,
            (true, false) => 2,
            (true, true) => 3,
        };
        (all, count)
    }

    pub(super) fn payload(&self) -> &[u8] {
        &self.payload
    }
}
