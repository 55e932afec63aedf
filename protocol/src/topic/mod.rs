//! Topic Names and Topic Filters (MQTT 5.0 sections 4.7 and 4.8): their
//! syntax, what matches what, and two ways to match many at once.
//!
//! **Invariants**
//! 1. [`matches()`] is the one definition of matching; the tree and the
//!    automaton agree with it for every valid filter and name.
//! 2. Nothing here recurses: the depth of a topic is the peer's choice.
//!
//! **Not here**: who gets a message of a shared subscription, access rights,
//! rewriting.

mod automaton;
mod cursor;
mod entries;
mod filter;
mod replay;
mod share;
mod tree;

use std::fmt;

pub use automaton::{FilterAutomaton, State};
pub use cursor::{
    CURSOR_NAME_BYTES_MAX, CURSOR_PREFIX, CursorError, CursorFilter, validate_cursor_name,
};
pub use filter::{Filter, matches};
pub use replay::{
    Moment, REPLAY_JSON_PREFIX, REPLAY_PREFIX, ReplayError, ReplayFilter, ReplayPosition,
    ReplayRange,
};
pub use share::{QUEUE_GROUP, QUEUE_PREFIX, SharedFilter};
pub use tree::SubscriptionTree;

/// What a shared subscription's Topic Filter starts with (section 4.8.2).
pub const SHARE_PREFIX: &str = "$share/";

/// Why a Topic Name or Topic Filter is not valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TopicError {
    /// It is empty [MQTT-4.7.3-1].
    Empty,
    /// It holds the null character [MQTT-4.7.3-2].
    NullCharacter,
    /// It is longer than 65,535 bytes [MQTT-4.7.3-3].
    TooLong,
    /// A Topic Name holds a wildcard [MQTT-4.7.0-1].
    WildcardInName,
    /// `#` is not a whole level at the end [MQTT-4.7.1-1].
    MultiLevelWildcard,
    /// `+` is not a whole level [MQTT-4.7.1-2].
    SingleLevelWildcard,
    /// The share name is missing, empty or holds a wildcard [MQTT-4.8.2-1],
    /// [MQTT-4.8.2-2].
    ShareName,
}

impl fmt::Display for TopicError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "it is empty",
            Self::NullCharacter => "it holds the null character",
            Self::TooLong => "it is longer than 65535 bytes",
            Self::WildcardInName => "a topic name must not hold a wildcard",
            Self::MultiLevelWildcard => "# must be the whole last level",
            Self::SingleLevelWildcard => "+ must be a whole level",
            Self::ShareName => "the share name is missing or ill-formed",
        })
    }
}

impl std::error::Error for TopicError {}

/// Longest Topic Name or Topic Filter, bytes [MQTT-4.7.3-3].
pub const TOPIC_BYTES_MAX: usize = 65_535;

/// Whether a text holds `+` or `#`.
pub fn has_wildcard(text: &str) -> bool {
    // Looks at every byte: without an early end this is many bytes a step, and
    // most texts that are asked about have none.
    text.bytes()
        .fold(false, |found, byte| found | (byte == b'+') | (byte == b'#'))
}

fn validate_text(text: &str) -> Result<(), TopicError> {
    if text.is_empty() {
        return Err(TopicError::Empty);
    }
    if text.len() > TOPIC_BYTES_MAX {
        return Err(TopicError::TooLong);
    }
    if text.as_bytes().contains(&0) {
        return Err(TopicError::NullCharacter);
    }
    Ok(())
}

/// Checks a Topic Name.
///
/// # Errors
/// The first rule that is broken.
pub fn validate_topic_name(topic: &str) -> Result<(), TopicError> {
    validate_text(topic)?;
    if has_wildcard(topic) {
        return Err(TopicError::WildcardInName);
    }
    Ok(())
}

#[cfg(test)]
mod tests;
