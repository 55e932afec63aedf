//! Texts with placeholders: `$1`, `${clientid}`, `${username}`, `${host}`.
//!
//! **Invariants**
//! 1. What is filled in is never read as a placeholder again.
//!
//! **Not here**: where the values come from.

/// A part of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// Stands as it is.
    Text(String),
    /// `$1`, `$2`, … `$10`: what a group of the pattern matched.
    Group(usize),
    /// `${clientid}`
    ClientId,
    /// `${username}`
    UserName,
    /// `${host}`: the address the client comes from.
    Host,
}

impl Piece {
    /// How it is written.
    fn spelled(&self) -> String {
        match self {
            Piece::Text(text) => text.clone(),
            Piece::Group(number) => format!("${number}"),
            Piece::ClientId => "${clientid}".to_owned(),
            Piece::UserName => "${username}".to_owned(),
            Piece::Host => "${host}".to_owned(),
        }
    }
}

/// A text with placeholders.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    pieces: Vec<Piece>,
}

impl Template {
    /// Takes a text apart. A `$` that begins no placeholder is a `$`.
    ///
    /// # Errors
    /// The `${…}` that is no placeholder.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut pieces: Vec<Piece> = Vec::new();
        let mut plain = String::new();
        let mut rest = text;
        while let Some(at) = rest.find('$') {
            plain.push_str(&rest[..at]);
            let behind = &rest[at + 1..];
            let digits = behind.bytes().take_while(u8::is_ascii_digit).count();
            let (piece, len) = if digits > 0 {
                // A number too large for a group is one that no pattern has.
                let number = behind[..digits].parse().unwrap_or(usize::MAX);
                (Piece::Group(number), digits)
            } else if let Some(named) = behind.strip_prefix('{') {
                let end = named.find('}').ok_or_else(|| rest[at..].to_owned())?;
                let piece = match &named[..end] {
                    "clientid" => Piece::ClientId,
                    "username" => Piece::UserName,
                    "host" => Piece::Host,
                    other => return Err(format!("${{{other}}}")),
                };
                (piece, end + 2)
            } else {
                plain.push('$');
                rest = behind;
                continue;
            };
            if !plain.is_empty() {
                pieces.push(Piece::Text(std::mem::take(&mut plain)));
            }
            pieces.push(piece);
            rest = &behind[len..];
        }
        plain.push_str(rest);
        if !plain.is_empty() {
            pieces.push(Piece::Text(plain));
        }
        Ok(Self { pieces })
    }

    /// Its parts.
    pub fn pieces(&self) -> &[Piece] {
        &self.pieces
    }

    /// The text with values in place of placeholders; one without a value stands
    /// as it was written.
    pub fn fill<'a>(&'a self, mut value: impl FnMut(&Piece) -> Option<&'a str>) -> String {
        let mut out = String::new();
        for piece in &self.pieces {
            match (piece, value(piece)) {
                (Piece::Text(text), _) => out.push_str(text),
                (_, Some(value)) => out.push_str(value),
                (piece, None) => out.push_str(&piece.spelled()),
            }
        }
        out
    }
}
