//! What is wrong with bytes that should be a batch, a control record or an index.

/// Bytes that do not follow the format. The data is damaged or was written by
/// something else: reading it again will not help.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{part}: {what} at byte {position}")]
pub struct FormatError {
    /// What was being read, e.g. `record` or `dictionary`.
    pub part: &'static str,
    /// Which rule was broken.
    pub what: &'static str,
    /// Where, counted from the start of the bytes given to the parser.
    pub position: usize,
}
