//! The syntax of a replay: `$replay/{start}[..{end}]/{filter}` and the same
//! positions in user properties of SUBSCRIBE.
//!
//! **Not here**: what a position comes to in a log, which depends on what the
//! log holds and on the present time.

use std::fmt;

use super::{Filter, TopicError};

/// What a replay's Topic Filter starts with.
pub const REPLAY_PREFIX: &str = "$replay/";

/// The same, for payloads in a JSON envelope.
pub const REPLAY_JSON_PREFIX: &str = "$replay-json/";

/// Milliseconds of a day, the longest unit of a duration.
const DAY_MS: u64 = 86_400_000;

/// A moment, or a distance from now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// So many milliseconds ago.
    AgoMs(u64),
    /// Milliseconds since the Unix epoch.
    UnixMs(u64),
}

impl Moment {
    /// Milliseconds since the Unix epoch.
    pub fn to_unix_ms(self, now_ms: u64) -> u64 {
        match self {
            Self::AgoMs(ago_ms) => now_ms.saturating_sub(ago_ms),
            Self::UnixMs(ms) => ms,
        }
    }
}

/// A place in the history of a filter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReplayPosition {
    /// The oldest there is.
    Earliest,
    /// After the newest there is.
    Latest,
    /// The first message from a moment on.
    Time(Moment),
    /// The message that an offset token names; opaque here.
    Offset(String),
    /// The last messages of each topic.
    Last(u32),
    /// The last message of each topic as of a moment.
    At(Moment),
}

/// A text that is no position or no replay filter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReplayError {
    /// The range is missing: nothing stands between the prefix and the filter.
    NoRange,
    /// A position has none of the forms.
    Position(String),
    /// A position that cannot be an end.
    End(String),
    /// A rate has none of the forms.
    Rate(String),
    /// A mode that is not known.
    Mode(String),
    /// The filter behind the range is not valid.
    Filter(TopicError),
}

impl fmt::Display for ReplayError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoRange => f.write_str("a replay has the form $replay/START[..END]/FILTER"),
            Self::Position(text) => write!(
                f,
                "`{text}` is no position: earliest, latest, -24h, 2026-11-22T10:00:00Z, ts:MS, o:TOKEN, last:N, at:TIME"
            ),
            Self::End(text) => write!(f, "`{text}` cannot be the end of a range"),
            Self::Rate(text) => write!(f, "`{text}` is no rate: max, original, x10, 500/s"),
            Self::Mode(text) => write!(f, "`{text}` is no mode: then-live, only"),
            Self::Filter(error) => write!(f, "the filter of the replay: {error}"),
        }
    }
}

impl std::error::Error for ReplayError {}

/// From where to where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplayRange {
    /// The first message.
    pub start: ReplayPosition,
    /// Before which message to end; none goes on live.
    pub end: Option<ReplayPosition>,
}

/// A replay as a Topic Filter spells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplayFilter<'a> {
    /// Whether payloads are wrapped in JSON.
    pub json: bool,
    /// What part of the history.
    pub range: ReplayRange,
    /// Which topics.
    pub filter: Filter<'a>,
}

impl<'a> ReplayFilter<'a> {
    /// Whether a Topic Filter is meant as a replay.
    pub fn is_replay(full: &str) -> bool {
        full.starts_with(REPLAY_PREFIX) || full.starts_with(REPLAY_JSON_PREFIX)
    }

    /// Takes a replay's Topic Filter apart.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(full: &'a str) -> Result<Self, ReplayError> {
        let plain = full.strip_prefix(REPLAY_PREFIX);
        let json = plain.is_none();
        let rest = plain
            .or_else(|| full.strip_prefix(REPLAY_JSON_PREFIX))
            .ok_or(ReplayError::NoRange)?;
        let (range, filter) = rest.split_once('/').ok_or(ReplayError::NoRange)?;
        let range = ReplayRange::parse(range)?;
        let filter = Filter::parse(filter).map_err(ReplayError::Filter)?;
        Ok(Self {
            json,
            range,
            filter,
        })
    }
}

impl ReplayRange {
    /// Takes `start[..end]` apart.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, ReplayError> {
        let (start, end) = match text.split_once("..") {
            None => (text, None),
            Some((start, end)) => (start, Some(end)),
        };
        Self::from_parts(start, end)
    }

    /// A range of two positions as texts.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn from_parts(start: &str, end: Option<&str>) -> Result<Self, ReplayError> {
        if start.is_empty() {
            return Err(ReplayError::NoRange);
        }
        let start = ReplayPosition::parse(start)?;
        let end = match end {
            None => None,
            Some(text) => match ReplayPosition::parse(text)? {
                ReplayPosition::Last(_) | ReplayPosition::At(_) => {
                    return Err(ReplayError::End(text.to_owned()));
                }
                end => Some(end),
            },
        };
        Ok(Self { start, end })
    }
}

impl ReplayPosition {
    /// Reads one position.
    ///
    /// # Errors
    /// [`ReplayError::Position`].
    pub fn parse(text: &str) -> Result<Self, ReplayError> {
        let parsed = match text {
            "earliest" => Some(Self::Earliest),
            "latest" => Some(Self::Latest),
            _ => Self::parse_other(text),
        };
        parsed.ok_or_else(|| ReplayError::Position(text.chars().take(64).collect()))
    }

    fn parse_other(text: &str) -> Option<Self> {
        if let Some(token) = text.strip_prefix("o:") {
            return (!token.is_empty()).then(|| Self::Offset(token.to_owned()));
        }
        if let Some(count) = text.strip_prefix("last:") {
            let count = number(count).and_then(|count| u32::try_from(count).ok())?;
            return (count > 0).then_some(Self::Last(count));
        }
        match text.strip_prefix("at:") {
            Some(moment) => parse_moment(moment).map(Self::At),
            None => parse_moment(text).map(Self::Time),
        }
    }
}

fn parse_moment(text: &str) -> Option<Moment> {
    if let Some(ms) = text.strip_prefix("ts:") {
        return number(ms).map(Moment::UnixMs);
    }
    if let Some(duration) = text.strip_prefix('-') {
        return parse_duration_ms(duration).map(Moment::AgoMs);
    }
    let time: jiff::Timestamp = text.parse().ok()?;
    u64::try_from(time.as_millisecond())
        .ok()
        .map(Moment::UnixMs)
}

/// `500ms`, `15s`, `10m`, `2h`, `7d`.
fn parse_duration_ms(text: &str) -> Option<u64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (count, unit) = text.split_at(digits);
    let unit_ms = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => DAY_MS,
        _ => return None,
    };
    number(count)?.checked_mul(unit_ms)
}

/// A number of digits only.
fn number(text: &str) -> Option<u64> {
    let is_plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_plain.then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests;
