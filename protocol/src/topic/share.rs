//! Shared subscriptions as Topic Filters: `$share/{group}/{filter}`, and
//! `$queue/{filter}`, which is the group `$queue`.
//!
//! **Not here**: who of a group gets a message; named cursors that a group
//! shares ([`super::CursorFilter`]).

use super::{CursorFilter, Filter, SHARE_PREFIX, TopicError};

/// What the Topic Filter of a queue starts with.
pub const QUEUE_PREFIX: &str = "$queue/";

/// The group that all queues are of.
pub const QUEUE_GROUP: &str = "$queue";

/// A shared subscription as a Topic Filter spells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SharedFilter<'a> {
    /// The ShareName [MQTT-4.8.2-1].
    pub group: &'a str,
    /// Which topics.
    pub filter: Filter<'a>,
}

impl<'a> SharedFilter<'a> {
    /// Whether a Topic Filter is meant as a shared subscription, and not as a
    /// named cursor that is shared.
    pub fn is_shared(full: &str) -> bool {
        full.starts_with(QUEUE_PREFIX)
            || full.starts_with(SHARE_PREFIX) && !CursorFilter::is_cursor(full)
    }

    /// Takes the Topic Filter of a shared subscription apart.
    ///
    /// # Errors
    /// The first rule that is broken.
    pub fn parse(full: &'a str) -> Result<Self, TopicError> {
        let (group, path) = match full.strip_prefix(QUEUE_PREFIX) {
            Some(path) => (QUEUE_GROUP, path),
            None => {
                let parsed = Filter::parse(full)?;
                (parsed.group().ok_or(TopicError::ShareName)?, parsed.path())
            }
        };
        let filter = Filter::parse(path)?;
        if filter.group().is_some() {
            return Err(TopicError::ShareName);
        }
        Ok(Self { group, filter })
    }

    /// What everybody shares who has the same group and filter, however it is
    /// spelled.
    pub fn name(&self) -> String {
        format!("{SHARE_PREFIX}{}/{}", self.group, self.filter.as_str())
    }
}

#[cfg(test)]
mod tests;
