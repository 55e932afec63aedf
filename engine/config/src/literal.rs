//! Values with a unit, as users write them: `15s`, `64KB`.
//!
//! **Invariants**
//! 1. Display and parse are inverse: what is printed reads back as the same value.
//! 2. A value that does not fit is an error, never a wrapped or clipped number.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// A length of time in whole milliseconds, written as a number and one of `ms`, `s`, `m`, `h`, `d`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct TimeSpan(Duration);

impl TimeSpan {
    /// So many milliseconds.
    pub const fn from_millis(millis: u64) -> Self {
        TimeSpan(Duration::from_millis(millis))
    }

    /// So many seconds.
    pub const fn from_secs(secs: u64) -> Self {
        TimeSpan(Duration::from_secs(secs))
    }

    /// The same span as the standard library's type.
    pub const fn duration(self) -> Duration {
        self.0
    }
}

impl From<TimeSpan> for Duration {
    fn from(span: TimeSpan) -> Duration {
        span.0
    }
}

/// A number of bytes, written as a number and one of `B`, `KB`, `MB`, `GB`, `TB`; 1KB is 1 024 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct ByteSize(u64);

impl ByteSize {
    /// So many bytes.
    pub const fn from_bytes(bytes: u64) -> Self {
        ByteSize(bytes)
    }

    /// So many kilobytes of 1 024 bytes.
    pub const fn from_kb(kb: u64) -> Self {
        ByteSize(kb * 1024)
    }

    /// So many megabytes of 1 024 kilobytes.
    pub const fn from_mb(mb: u64) -> Self {
        ByteSize(mb * 1024 * 1024)
    }

    /// The number of bytes.
    pub const fn bytes(self) -> u64 {
        self.0
    }
}

/// Why a text is not a time or a size; the text names what would be right.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct LiteralError(pub(crate) String);

/// Time units from large to small, with their milliseconds.
const TIME_UNITS: [(&str, u64); 5] = [
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1_000),
    ("ms", 1),
];

/// Size units from large to small, with their bytes.
const SIZE_UNITS: [(&str, u64); 5] = [
    ("TB", 1 << 40),
    ("GB", 1 << 30),
    ("MB", 1 << 20),
    ("KB", 1 << 10),
    ("B", 1),
];

impl FromStr for TimeSpan {
    type Err = LiteralError;

    fn from_str(text: &str) -> Result<Self, LiteralError> {
        let help = "write a whole number and a unit: 500ms, 15s, 5m, 2h or 7d";
        let (number, unit) = split(text, help)?;
        let factor = TIME_UNITS
            .iter()
            .find(|(name, _)| *name == unit)
            .map(|(_, factor)| *factor)
            .ok_or_else(|| LiteralError(format!("`{text}` is not a time: {help}")))?;
        scale(text, number, factor).map(TimeSpan::from_millis)
    }
}

impl FromStr for ByteSize {
    type Err = LiteralError;

    fn from_str(text: &str) -> Result<Self, LiteralError> {
        let help = "write a whole number and a unit: 512B, 64KB, 1MB or 10GB";
        let (number, unit) = split(text, help)?;
        let factor = SIZE_UNITS
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(unit) || binary_name(name, unit))
            .map(|(_, factor)| *factor)
            .ok_or_else(|| LiteralError(format!("`{text}` is not a size: {help}")))?;
        scale(text, number, factor).map(ByteSize)
    }
}

/// True for the spelling with an `i` (`KiB`), which means the same here.
fn binary_name(name: &str, unit: &str) -> bool {
    name.len() == 2 && unit.len() == 3 && unit.eq_ignore_ascii_case(&format!("{}iB", &name[..1]))
}

fn split<'a>(text: &'a str, help: &str) -> Result<(u64, &'a str), LiteralError> {
    let text = text.trim();
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    if digits == 0 || unit.is_empty() {
        return Err(LiteralError(format!(
            "`{text}` has no unit or no number: {help}"
        )));
    }
    match number.parse() {
        Ok(number) => Ok((number, unit.trim_start())),
        Err(_) => Err(too_large(text)),
    }
}

fn scale(text: &str, number: u64, factor: u64) -> Result<u64, LiteralError> {
    number.checked_mul(factor).ok_or_else(|| too_large(text))
}

fn too_large(text: &str) -> LiteralError {
    LiteralError(format!("`{text}` is larger than 64 bits can count"))
}

/// Writes `value` in the largest unit that divides it, so that nothing is rounded.
fn show(f: &mut fmt::Formatter<'_>, value: u64, units: &[(&str, u64)], zero: &str) -> fmt::Result {
    let fitting = units
        .iter()
        .find(|(_, factor)| value != 0 && value.is_multiple_of(*factor));
    match fitting {
        Some((unit, factor)) => write!(f, "{}{unit}", value / factor),
        None => f.write_str(zero),
    }
}

impl fmt::Display for TimeSpan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Built from u64 milliseconds only, so the conversion cannot overflow.
        let millis = u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX);
        show(f, millis, &TIME_UNITS, "0s")
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        show(f, self.0, &SIZE_UNITS, "0B")
    }
}
