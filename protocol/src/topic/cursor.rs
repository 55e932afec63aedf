//! Named cursors as Topic Filters: `$cursor/{name}[@{start}]/{filter}`, alone or
//! in a group: `$share/{group}/$cursor/…`.
//!
//! **Not here**: who uses a cursor, and where it stands.

use std::fmt;

use super::{Filter, ReplayError, ReplayPosition, SHARE_PREFIX, TopicError};

/// What a named cursor's Topic Filter starts with.
pub const CURSOR_PREFIX: &str = "$cursor/";

/// Bytes of a cursor's name.
pub const CURSOR_NAME_BYTES_MAX: usize = 256;

/// A text that is no filter of a named cursor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CursorError {
    /// The name or the filter is missing.
    Form,
    /// The name is too long, or holds a character that it cannot hold.
    Name(String),
    /// Where it is to begin is no place to begin at.
    Start(ReplayError),
    /// The filter behind the name is not valid.
    Filter(TopicError),
}

impl fmt::Display for CursorError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Form => f.write_str("a cursor has the form $cursor/NAME[@START]/FILTER"),
            Self::Name(name) => write!(
                f,
                "`{name}` is no name of a cursor: 1 to {CURSOR_NAME_BYTES_MAX} bytes without / + # @ and control characters"
            ),
            Self::Start(error) => write!(f, "where the cursor is to begin: {error}"),
            Self::Filter(error) => write!(f, "the filter of the cursor: {error}"),
        }
    }
}

impl std::error::Error for CursorError {}

/// A named cursor as a Topic Filter spells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CursorFilter<'a> {
    /// The group that shares it.
    pub group: Option<&'a str>,
    /// Its name.
    pub name: &'a str,
    /// Where it begins when it is made.
    pub start: Option<ReplayPosition>,
    /// Which topics.
    pub filter: Filter<'a>,
}

impl<'a> CursorFilter<'a> {
    /// Whether a Topic Filter is meant as a named cursor.
    pub fn is_cursor(full: &str) -> bool {
        split_group(full).1.starts_with(CURSOR_PREFIX)
    }

    /// Takes a cursor's Topic Filter apart.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(full: &'a str) -> Result<Self, CursorError> {
        Filter::parse(full).map_err(CursorError::Filter)?;
        let (group, path) = split_group(full);
        let rest = path.strip_prefix(CURSOR_PREFIX).ok_or(CursorError::Form)?;
        let (head, filter) = rest.split_once('/').ok_or(CursorError::Form)?;
        let (name, start) = match head.split_once('@') {
            None => (head, None),
            Some((name, start)) => (name, Some(start)),
        };
        validate_cursor_name(name)?;
        let start = match start.map(ReplayPosition::parse).transpose() {
            // They pick messages and are no place.
            Ok(Some(ReplayPosition::Last(_) | ReplayPosition::At(_))) => {
                let text = start.unwrap_or_default().to_owned();
                return Err(CursorError::Start(ReplayError::Position(text)));
            }
            Ok(start) => start,
            Err(error) => return Err(CursorError::Start(error)),
        };
        let filter = Filter::parse(filter).map_err(CursorError::Filter)?;
        if filter.group().is_some() {
            return Err(CursorError::Filter(TopicError::ShareName));
        }
        Ok(Self {
            group,
            name,
            start,
            filter,
        })
    }
}

/// Checks the name of a cursor.
///
/// # Errors
/// [`CursorError::Name`].
pub fn validate_cursor_name(name: &str) -> Result<(), CursorError> {
    let is_wrong = |c: char| c.is_control() || matches!(c, '/' | '+' | '#' | '@');
    let fits = (1..=CURSOR_NAME_BYTES_MAX).contains(&name.len());
    if fits && !name.contains(is_wrong) {
        return Ok(());
    }
    Err(CursorError::Name(name.chars().take(64).collect()))
}

fn split_group(full: &str) -> (Option<&str>, &str) {
    let shared = full
        .strip_prefix(SHARE_PREFIX)
        .and_then(|rest| rest.split_once('/'));
    match shared {
        Some((group, path)) => (Some(group), path),
        None => (None, full),
    }
}

#[cfg(test)]
mod tests;
