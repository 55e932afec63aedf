//! A Topic Filter as an automaton over the bytes of Topic Names, so that an
//! ordered set of names can be searched without visiting every name.

use super::{Filter, TopicError};

/// A Topic Filter that reads a Topic Name byte by byte.
///
/// Deterministic, because a level is matched by one filter level only: a state
/// is a place in the filter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilterAutomaton {
    /// The prefix, then the filter.
    pattern: Box<[u8]>,
    /// Where the filter starts in `pattern`.
    filter_start: usize,
}

/// How far a [`FilterAutomaton`] has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct State(Progress);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Progress {
    /// Nothing that follows can match.
    Dead,
    /// Everything that follows matches.
    Rest,
    /// The bytes of the pattern before this place are matched.
    At(u32),
    /// Inside a level that is matched by the `+` at this place.
    Within(u32),
}

impl FilterAutomaton {
    /// Reads a filter; of a shared subscription, the part behind the
    /// ShareName.
    ///
    /// # Errors
    /// The first rule of section 4.7 that is broken.
    pub fn parse(filter: &str) -> Result<Self, TopicError> {
        let path = Filter::parse(filter)?.path();
        Ok(Self {
            pattern: path.as_bytes().into(),
            filter_start: 0,
        })
    }

    /// The same filter for names that are written behind a prefix (which
    /// replaces an earlier one). The prefix is taken as it is.
    #[must_use]
    pub fn with_prefix(self, prefix: &[u8]) -> Self {
        Self {
            pattern: [prefix, &self.pattern[self.filter_start..]].concat().into(),
            filter_start: prefix.len(),
        }
    }

    /// The one name (with its prefix) that is matched, if the filter has no
    /// wildcard: it can be looked up instead of searched.
    pub fn exact(&self) -> Option<&[u8]> {
        let filter = &self.pattern[self.filter_start..];
        match filter.iter().any(|byte| matches!(byte, b'+' | b'#')) {
            true => None,
            false => Some(&self.pattern),
        }
    }

    /// The state before the first byte.
    pub fn start(&self) -> State {
        State(Progress::At(0))
    }

    /// The state after one more byte.
    pub fn accept(&self, state: &State, byte: u8) -> State {
        State(match state.0 {
            Progress::Dead => Progress::Dead,
            Progress::Rest => Progress::Rest,
            Progress::At(place) => self.accept_at(place, byte),
            Progress::Within(place) => self.accept_within(place, byte),
        })
    }

    /// Whether the bytes so far are a name that matches.
    pub fn is_match(&self, state: &State) -> bool {
        match state.0 {
            Progress::Dead => false,
            Progress::Rest => true,
            Progress::Within(place) => self.ends_at(place + 1),
            Progress::At(place) => match self.token(place) {
                Some(Token::Plus) => self.ends_at(place + 1),
                Some(Token::Hash) => true,
                _ => self.ends_at(place),
            },
        }
    }

    /// Whether any name that goes on from here matches.
    pub fn can_match(&self, state: &State) -> bool {
        // Every place can be left towards a match: what is literal by itself,
        // a wildcard by any byte.
        state.0 != Progress::Dead
    }

    /// Whether every name that goes on from here matches.
    pub fn will_always_match(&self, state: &State) -> bool {
        match state.0 {
            Progress::Rest => true,
            // `#` alone does not match `$…`.
            Progress::At(place) => {
                self.token(place) == Some(Token::Hash) && place as usize > self.filter_start
            }
            _ => false,
        }
    }

    /// Whether a whole name (with its prefix) matches.
    pub fn matches(&self, name: &[u8]) -> bool {
        let end = name
            .iter()
            .fold(self.start(), |state, byte| self.accept(&state, *byte));
        self.is_match(&end)
    }

    fn token(&self, place: u32) -> Option<Token> {
        let place = place as usize;
        let byte = *self.pattern.get(place)?;
        Some(match byte {
            // In a valid filter a wildcard is always a whole level.
            b'+' if place >= self.filter_start => Token::Plus,
            b'#' if place >= self.filter_start => Token::Hash,
            literal => Token::Literal(literal),
        })
    }

    /// Whether a name may end here: nothing is left of the filter, or only
    /// `/#`, which matches the level above too.
    fn ends_at(&self, place: u32) -> bool {
        let place = place as usize;
        place >= self.filter_start && matches!(self.pattern.get(place..), Some(b"" | b"/#"))
    }

    fn accept_at(&self, place: u32, byte: u8) -> Progress {
        let hidden = byte == b'$' && place as usize == self.filter_start;
        match self.token(place) {
            None => Progress::Dead,
            // [MQTT-4.7.2-1]
            Some(Token::Plus | Token::Hash) if hidden => Progress::Dead,
            Some(Token::Hash) => Progress::Rest,
            Some(Token::Plus) => self.accept_within(place, byte),
            Some(Token::Literal(literal)) if literal == byte => Progress::At(place + 1),
            Some(Token::Literal(_)) => Progress::Dead,
        }
    }

    fn accept_within(&self, place: u32, byte: u8) -> Progress {
        match (byte, self.token(place + 1)) {
            // Behind `+` stands `/` or nothing.
            (b'/', Some(_)) => Progress::At(place + 2),
            (b'/', None) => Progress::Dead,
            _ => Progress::Within(place),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token {
    Literal(u8),
    Plus,
    Hash,
}
