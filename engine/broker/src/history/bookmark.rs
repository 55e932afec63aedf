//! Where a reader stands, as text that outlives it: an opaque token for pages
//! and for `Last-Event-ID`.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use robustmq_record::{Offset, ShardId};
use serde_json::{Value, json};

use super::HistoryError;
use crate::positions::Positions;
use crate::shard_map::ShardMap;

/// A place in a range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Bookmark {
    /// Which topics.
    pub(crate) filter: String,
    /// Where in it.
    pub(crate) place: Place,
}

/// The rest of a range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// Everything from these positions on that lies within the bounds.
    Interval {
        from: Positions,
        end: Option<Positions>,
        since_ms: u64,
        until_ms: u64,
    },
    /// Messages picked one by one, of which some have been given: the range
    /// is resolved again as it was resolved then.
    Picks {
        from: String,
        to: Option<String>,
        now_ms: u64,
        visible: Positions,
        /// The last one given.
        after: (u64, ShardId, Offset),
    },
}

impl Bookmark {
    pub(crate) fn encode(&self) -> String {
        let value = match &self.place {
            Place::Interval {
                from,
                end,
                since_ms,
                until_ms,
            } => json!({
                "f": self.filter,
                "p": numbers(from),
                "e": end.as_ref().map(numbers),
                "s": since_ms,
                "u": until_ms,
            }),
            Place::Picks {
                from,
                to,
                now_ms,
                visible,
                after: (timestamp_ms, shard, offset),
            } => json!({
                "f": self.filter,
                "r": from,
                "t": to,
                "n": now_ms,
                "v": numbers(visible),
                "a": [timestamp_ms, shard.0, offset.0],
            }),
        };
        URL_SAFE_NO_PAD.encode(value.to_string())
    }

    /// Reads a bookmark; it comes from outside.
    pub(crate) fn decode(text: &str, map: ShardMap) -> Result<Self, HistoryError> {
        Self::read(text, map).ok_or_else(|| {
            HistoryError::Asked(format!(
                "`{text}` is no cursor of this broker: use what the page before said, unchanged"
            ))
        })
    }

    fn read(text: &str, map: ShardMap) -> Option<Self> {
        let value: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).ok()?).ok()?;
        let text = |key: &str| value.get(key)?.as_str().map(str::to_owned);
        let number = |key: &str| value.get(key)?.as_u64();
        let filter = text("f")?;
        let place = match value.get("p") {
            Some(from) => Place::Interval {
                from: positions(from, map)?,
                end: match value.get("e")? {
                    Value::Null => None,
                    end => Some(positions(end, map)?),
                },
                since_ms: number("s")?,
                until_ms: number("u")?,
            },
            None => {
                let after = value.get("a")?;
                let part = |place: usize| after.get(place)?.as_u64();
                Place::Picks {
                    from: text("r")?,
                    to: text("t"),
                    now_ms: number("n")?,
                    visible: positions(value.get("v")?, map)?,
                    after: (
                        part(0)?,
                        ShardId(u32::try_from(part(1)?).ok()?),
                        Offset(part(2)?),
                    ),
                }
            }
        };
        Some(Self { filter, place })
    }
}

fn numbers(positions: &Positions) -> Vec<u64> {
    positions.iter().map(|(_, offset)| offset.0).collect()
}

fn positions(value: &Value, map: ShardMap) -> Option<Positions> {
    let offsets = value.as_array()?;
    if offsets.len() != map.shards().count() {
        return None;
    }
    let offset = |value: &Value| value.as_u64().map(Offset);
    map.shards()
        .zip(offsets)
        .map(|(shard, value)| Some((shard, offset(value)?)))
        .collect()
}

#[cfg(test)]
mod tests;
