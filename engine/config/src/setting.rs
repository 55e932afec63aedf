//! From a literal of any source to a typed value.
//!
//! **Invariants**
//! 1. A literal from the file keeps its TOML type: `id = "1"` is an error. Text from the environment or
//!    the command line has no type of its own and is read as the key's type demands.

use std::fmt::Display;
use std::net::SocketAddr;
use std::path::PathBuf;

use crate::literal::{ByteSize, TimeSpan};

/// A value as a source gave it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Literal {
    pub(crate) value: LiteralValue,
    /// 1-based line in the file; `None` outside files.
    pub(crate) line: Option<usize>,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum LiteralValue {
    /// Text without a type: environment, command line.
    Untyped(String),
    Text(String),
    Integer(i128),
    Float(f64),
    Boolean(bool),
    List(Vec<Literal>),
    Table(Vec<(String, Literal)>),
    /// A TOML type that no key takes (dates).
    Other(String),
}

impl Literal {
    /// The value as the user would recognise it.
    pub(crate) fn shown(&self) -> String {
        match &self.value {
            LiteralValue::Untyped(text) | LiteralValue::Other(text) => text.clone(),
            LiteralValue::Text(text) => quoted(text),
            LiteralValue::Integer(number) => number.to_string(),
            LiteralValue::Float(number) => number.to_string(),
            LiteralValue::Boolean(flag) => flag.to_string(),
            LiteralValue::List(_) => "[…]".to_owned(),
            LiteralValue::Table(_) => "{…}".to_owned(),
        }
    }

    /// The text of a string or of an untyped value.
    pub(crate) fn text(&self) -> Option<&str> {
        match &self.value {
            LiteralValue::Untyped(text) | LiteralValue::Text(text) => Some(text),
            _ => None,
        }
    }
}

/// `text` as a TOML basic string.
pub(crate) fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            c if c.is_control() => out.push_str(&format!("\\u{:04X}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// What is wrong with one value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Fault {
    /// Appended to the key that was being read (`[0].filter`); empty for the value itself.
    pub(crate) at: String,
    pub(crate) line: Option<usize>,
    pub(crate) value: Option<String>,
    pub(crate) kind: FaultKind,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum FaultKind {
    /// No key of this name; `known` are those of the same table.
    Unknown {
        known: Vec<String>,
    },
    Invalid {
        problem: String,
        remedy: String,
    },
}

/// A fault of the value itself.
pub(crate) fn invalid(
    literal: &Literal,
    problem: impl Into<String>,
    remedy: impl Into<String>,
) -> Vec<Fault> {
    vec![Fault {
        at: String::new(),
        line: literal.line,
        value: Some(literal.shown()),
        kind: FaultKind::Invalid {
            problem: problem.into(),
            remedy: remedy.into(),
        },
    }]
}

/// A type that a key may have.
pub(crate) trait Setting: Sized {
    /// What a range bounds; the type itself but for optional ones.
    type Scalar: PartialOrd + Display;

    /// What may be written, for the reference. `none` is the word for "no value".
    fn accepts(none: Option<&str>) -> String;

    /// Reads a literal.
    fn read(literal: &Literal, none: Option<&str>) -> Result<Self, Vec<Fault>>;

    /// As TOML.
    fn show(&self, none: Option<&str>) -> String;

    /// The part of the value that a range bounds.
    fn scalar(&self) -> Option<&Self::Scalar>;
}

macro_rules! setting_by_text {
    ($type:ty, $accepts:literal, $show:expr) => {
        impl Setting for $type {
            type Scalar = $type;

            fn accepts(_: Option<&str>) -> String {
                $accepts.to_owned()
            }

            fn read(literal: &Literal, _: Option<&str>) -> Result<Self, Vec<Fault>> {
                let Some(text) = literal.text() else {
                    return Err(invalid(
                        literal,
                        "wrong type",
                        concat!("give ", $accepts, " in quotes"),
                    ));
                };
                text.parse::<$type>().map_err(|error| {
                    invalid(literal, error.to_string(), concat!("give ", $accepts))
                })
            }

            fn show(&self, _: Option<&str>) -> String {
                let show: fn(&Self) -> String = $show;
                show(self)
            }

            fn scalar(&self) -> Option<&Self> {
                Some(self)
            }
        }
    };
}

setting_by_text!(
    TimeSpan,
    "a time such as `500ms`, `15s`, `5m`, `2h`, `7d`",
    |v| quoted(&v.to_string())
);
setting_by_text!(
    ByteSize,
    "a size such as `64KB`, `1MB`, `10GB`",
    |v| quoted(&v.to_string())
);
setting_by_text!(
    SocketAddr,
    "an address and port such as `127.0.0.1:1883` or `[::1]:1883`",
    |v| { quoted(&v.to_string()) }
);

macro_rules! setting_integer {
    ($($type:ty),+) => {$(
        impl Setting for $type {
            type Scalar = $type;

            fn accepts(_: Option<&str>) -> String {
                "a whole number".to_owned()
            }

            fn read(literal: &Literal, _: Option<&str>) -> Result<Self, Vec<Fault>> {
                let number = match &literal.value {
                    LiteralValue::Integer(number) => Some(*number),
                    LiteralValue::Untyped(text) => text.trim().replace('_', "").parse().ok(),
                    _ => None,
                };
                let Some(number) = number else {
                    return Err(invalid(literal, "not a whole number", "give digits without quotes or a unit"));
                };
                <$type>::try_from(number).map_err(|_| {
                    let most = <$type>::MAX;
                    invalid(literal, "number out of range", format!("give a number from 0 to {most}"))
                })
            }

            fn show(&self, _: Option<&str>) -> String {
                self.to_string()
            }

            fn scalar(&self) -> Option<&Self> {
                Some(self)
            }
        }
    )+};
}

setting_integer!(u8, u16, u32, u64);

impl Setting for f64 {
    type Scalar = f64;

    fn accepts(_: Option<&str>) -> String {
        "a number".to_owned()
    }

    fn read(literal: &Literal, _: Option<&str>) -> Result<Self, Vec<Fault>> {
        let number = match &literal.value {
            LiteralValue::Float(number) => Some(*number),
            // Whole numbers are welcome; those that f64 cannot hold exactly are far out of every range.
            LiteralValue::Integer(number) => number.to_string().parse().ok(),
            LiteralValue::Untyped(text) => text.trim().parse().ok(),
            _ => None,
        };
        match number {
            Some(number) if number.is_finite() => Ok(number),
            _ => Err(invalid(
                literal,
                "not a number",
                "give a number such as 1.5 without quotes",
            )),
        }
    }

    fn show(&self, _: Option<&str>) -> String {
        format!("{self:?}")
    }

    fn scalar(&self) -> Option<&Self> {
        Some(self)
    }
}

impl Setting for bool {
    type Scalar = bool;

    fn accepts(_: Option<&str>) -> String {
        "`true` or `false`".to_owned()
    }

    fn read(literal: &Literal, _: Option<&str>) -> Result<Self, Vec<Fault>> {
        match &literal.value {
            LiteralValue::Boolean(flag) => Ok(*flag),
            LiteralValue::Untyped(text) if text == "true" => Ok(true),
            LiteralValue::Untyped(text) if text == "false" => Ok(false),
            _ => Err(invalid(
                literal,
                "neither true nor false",
                "write true or false without quotes",
            )),
        }
    }

    fn show(&self, _: Option<&str>) -> String {
        self.to_string()
    }

    fn scalar(&self) -> Option<&Self> {
        Some(self)
    }
}

impl Setting for String {
    type Scalar = String;

    fn accepts(_: Option<&str>) -> String {
        "a text".to_owned()
    }

    fn read(literal: &Literal, _: Option<&str>) -> Result<Self, Vec<Fault>> {
        match literal.text() {
            Some(text) if !text.is_empty() => Ok(text.to_owned()),
            Some(_) => Err(invalid(
                literal,
                "empty",
                "give a text of at least one character",
            )),
            None => Err(invalid(
                literal,
                "not a text",
                "put the value in double quotes",
            )),
        }
    }

    fn show(&self, _: Option<&str>) -> String {
        quoted(self)
    }

    fn scalar(&self) -> Option<&Self> {
        Some(self)
    }
}

impl Setting for PathBuf {
    type Scalar = String;

    fn accepts(_: Option<&str>) -> String {
        "a path, relative to the working directory or absolute".to_owned()
    }

    fn read(literal: &Literal, none: Option<&str>) -> Result<Self, Vec<Fault>> {
        String::read(literal, none).map(PathBuf::from)
    }

    fn show(&self, _: Option<&str>) -> String {
        quoted(&self.display().to_string())
    }

    fn scalar(&self) -> Option<&String> {
        None
    }
}

/// A value or the key's own word for "none" (`infinity`, `unlimited`, …).
impl<T: Setting> Setting for Option<T> {
    type Scalar = T::Scalar;

    fn accepts(none: Option<&str>) -> String {
        let inner = T::accepts(None);
        match none {
            Some(word) => format!("{inner}, or `{word}`"),
            None => inner,
        }
    }

    fn read(literal: &Literal, none: Option<&str>) -> Result<Self, Vec<Fault>> {
        if none.is_some() && literal.text() == none {
            return Ok(None);
        }
        T::read(literal, None).map(Some).map_err(|mut faults| {
            for fault in &mut faults {
                if let (FaultKind::Invalid { remedy, .. }, Some(word)) = (&mut fault.kind, none) {
                    remedy.push_str(&format!(", or \"{word}\""));
                }
            }
            faults
        })
    }

    fn show(&self, none: Option<&str>) -> String {
        match self {
            Some(value) => value.show(None),
            None => quoted(none.unwrap_or_default()),
        }
    }

    fn scalar(&self) -> Option<&Self::Scalar> {
        self.as_ref().and_then(T::scalar)
    }
}
