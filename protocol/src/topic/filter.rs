//! One Topic Filter: its syntax and what it matches.

use super::{SHARE_PREFIX, TopicError, has_wildcard, validate_text};

/// A valid Topic Filter, of a shared subscription or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Filter<'a> {
    full: &'a str,
    group: Option<&'a str>,
    path: &'a str,
}

impl<'a> Filter<'a> {
    /// Checks a Topic Filter as it stands in SUBSCRIBE, UNSUBSCRIBE or
    /// configuration.
    ///
    /// # Errors
    /// The first rule that is broken.
    pub fn parse(full: &'a str) -> Result<Self, TopicError> {
        validate_text(full)?;
        let (group, path) = match full.strip_prefix(SHARE_PREFIX) {
            None => (None, full),
            Some(rest) => {
                let (group, path) = rest.split_once('/').ok_or(TopicError::ShareName)?;
                if group.is_empty() || has_wildcard(group) {
                    return Err(TopicError::ShareName);
                }
                (Some(group), path)
            }
        };
        validate_path(path)?;
        Ok(Self { full, group, path })
    }

    /// The text as given.
    pub const fn as_str(&self) -> &'a str {
        self.full
    }

    /// The ShareName of a shared subscription (section 4.8.2).
    pub const fn group(&self) -> Option<&'a str> {
        self.group
    }

    /// The filter itself, without `$share/{ShareName}/`: what is matched.
    pub const fn path(&self) -> &'a str {
        self.path
    }

    /// Whether it can match more than one Topic Name.
    pub fn has_wildcard(&self) -> bool {
        has_wildcard(self.path)
    }

    /// Levels it has. The specification sets no limit but the length of the
    /// filter; every level of a filter with wildcards costs the subscription
    /// tree a node, so a server sets one.
    pub fn level_count(&self) -> usize {
        self.path.split('/').count()
    }

    /// Whether it matches a Topic Name.
    pub fn matches(&self, topic: &str) -> bool {
        matches(self.path, topic)
    }
}

fn validate_path(path: &str) -> Result<(), TopicError> {
    if path.is_empty() {
        return Err(TopicError::Empty);
    }
    let mut levels = path.split('/').peekable();
    while let Some(level) = levels.next() {
        if level.contains('#') && (level != "#" || levels.peek().is_some()) {
            return Err(TopicError::MultiLevelWildcard);
        }
        if level.contains('+') && level != "+" {
            return Err(TopicError::SingleLevelWildcard);
        }
    }
    Ok(())
}

/// Whether a filter matches a Topic Name (section 4.7). Both must be valid;
/// the filter is given without `$share/{ShareName}/`.
///
/// A wildcard in the first level matches no name that starts with `$`
/// [MQTT-4.7.2-1]; `sport/#` matches `sport` too; an empty level is a level.
pub fn matches(filter: &str, topic: &str) -> bool {
    if topic.starts_with('$') && filter.starts_with(['+', '#']) {
        return false;
    }
    let mut topic_levels = topic.split('/');
    for level in filter.split('/') {
        if level == "#" {
            return true;
        }
        match topic_levels.next() {
            Some(name) if level == "+" || level == name => {}
            _ => return false,
        }
    }
    topic_levels.next().is_none()
}
