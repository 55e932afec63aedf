//! Files and functions stay small enough to be read at once.
//!
//! **Invariants**
//! 1. The list of exceptions only shrinks: an entry that is no longer needed is a finding.

use serde::Deserialize;

use super::EXCEPTIONS;
use crate::Finding;
use crate::rust_source::{functions, mask};
use crate::workspace::File;

/// Most lines of a file.
const FILE_LINES_MAX: usize = 500;
/// Most lines that an exception may grant a file.
const FILE_LINES_HARD_MAX: usize = 600;
/// Most lines of a function, from `fn` to its closing brace.
const FUNCTION_LINES_MAX: usize = 70;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Exceptions {
    #[serde(default)]
    file: Vec<Exception>,
    #[serde(default)]
    function: Vec<Exception>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Exception {
    path: String,
    /// Only for functions.
    #[serde(default)]
    name: String,
    /// Lines granted.
    lines_max: usize,
    reason: String,
}

/// A file (with an empty name) or a function, and its lines.
struct Measured {
    place: String,
    path: String,
    name: String,
    line_count: usize,
}

pub(super) fn check<'a>(
    exceptions: &str,
    files: impl Iterator<Item = &'a File>,
) -> Result<Vec<Finding>, String> {
    let exceptions: Exceptions =
        toml::from_str(exceptions).map_err(|error| format!("{EXCEPTIONS}: {error}"))?;
    let (mut file_sizes, mut function_sizes) = (Vec::new(), Vec::new());
    for file in files {
        file_sizes.push(Measured {
            place: file.path.clone(),
            path: file.path.clone(),
            name: String::new(),
            line_count: file.text.lines().count(),
        });
        for function in functions(&mask(&file.text)) {
            function_sizes.push(Measured {
                place: format!("{}:{}", file.path, function.line),
                path: file.path.clone(),
                name: function.name,
                line_count: function.line_count,
            });
        }
    }
    let mut findings = judge(
        &file_sizes,
        &exceptions.file,
        FILE_LINES_MAX,
        FILE_LINES_HARD_MAX,
    );
    findings.extend(judge(
        &function_sizes,
        &exceptions.function,
        FUNCTION_LINES_MAX,
        usize::MAX,
    ));
    Ok(findings)
}

fn judge(
    measured: &[Measured],
    exceptions: &[Exception],
    most: usize,
    hard: usize,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    for item in measured.iter().filter(|item| item.line_count > most) {
        let granted = exceptions
            .iter()
            .find(|exception| exception.path == item.path && exception.name == item.name)
            .map_or(most, |exception| exception.lines_max.min(hard));
        if item.line_count > granted {
            let what = if item.name.is_empty() {
                "file".to_owned()
            } else {
                format!("`{}`", item.name)
            };
            let message = format!(
                "{what} has {} lines, allowed are {granted}: split it",
                item.line_count
            );
            findings.push(Finding::new(&item.place, message));
        }
    }
    for exception in exceptions {
        let is_needed = measured.iter().any(|item| {
            item.path == exception.path && item.name == exception.name && item.line_count > most
        });
        let listed = format!("{} {}", exception.path, exception.name);
        if !is_needed {
            findings.push(Finding::new(
                EXCEPTIONS,
                format!("{} is small enough: remove it", listed.trim()),
            ));
        }
        if exception.reason.trim().is_empty() {
            findings.push(Finding::new(
                EXCEPTIONS,
                format!("{} has no reason", listed.trim()),
            ));
        }
    }
    findings
}
