//! What is expected, and whether what was measured is within it.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

/// The file of what is expected.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Costs {
    /// By how much a row may differ.
    pub(crate) tolerance_percent: u64,
    /// Instructions per message, by row.
    pub(crate) rows: BTreeMap<String, u64>,
}

/// What is to be said of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Expected,
    Cheaper,
    Dearer,
}

impl Verdict {
    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::Expected => "as expected",
            Self::Cheaper => "cheaper: `make guard-write` keeps it so",
            Self::Dearer => "DEARER",
        }
    }
}

const HEADER: &str = "\
# Instructions that the broker executes per message (per connection in `connect`), all layers and threads of it.
# Compared by `make guard`, written by `make guard-write`; see docs/performance.md.
";

impl Costs {
    pub(crate) fn read(path: &Path) -> Result<Self, String> {
        let at = |error: String| format!("{}: {error}", path.display());
        let text = std::fs::read_to_string(path).map_err(|error| at(error.to_string()))?;
        toml::from_str(&text).map_err(|error| at(error.to_string()))
    }

    pub(crate) fn write(&self, path: &Path) -> Result<(), String> {
        let rows = self
            .rows
            .iter()
            .map(|(name, cost)| format!("{name} = {cost}\n"));
        let text = format!(
            "{HEADER}\ntolerance_percent = {}\n\n[rows]\n{}",
            self.tolerance_percent,
            rows.collect::<String>()
        );
        std::fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))
    }
}

/// Whether a row costs what is expected.
pub(crate) fn judge(costs: &Costs, row: &str, measured: u64) -> Result<Verdict, String> {
    let expected = *costs
        .rows
        .get(row)
        .ok_or_else(|| format!("nothing is expected of row {row}: run `make guard-write`"))?;
    let tolerated = expected * costs.tolerance_percent / 100;
    Ok(match measured {
        _ if measured > expected + tolerated => Verdict::Dearer,
        _ if measured < expected - tolerated => Verdict::Cheaper,
        _ => Verdict::Expected,
    })
}

#[cfg(test)]
mod tests;
