//! Unfinished, switched off and unused code does not land, and tests live in files of their own.

use crate::Finding;
use crate::rust_source::{line_of, lines_with_word, mask};
use crate::workspace::File;

/// Macros that mark unfinished code.
const MACROS: [&str; 3] = ["todo", "unimplemented", "dbg"];

pub(super) fn check<'a>(files: impl Iterator<Item = &'a File>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in files {
        let masked = mask(&file.text);
        let mut report = |line: usize, message: &str| {
            findings.push(Finding::new(format!("{}:{line}", file.path), message));
        };
        for name in MACROS {
            for line in lines_with_word(&masked, name) {
                if text_of(&masked, line).contains(&format!("{name}!")) {
                    report(
                        line,
                        &format!("`{name}!` does not land: finish it or leave it out"),
                    );
                }
            }
        }
        for (at, _) in masked.match_indices("#[ignore") {
            report(
                line_of(&masked, at),
                "a test that is ignored shows nothing: repair or remove it",
            );
        }
        for line in lines_with_word(&masked, "dead_code") {
            report(line, "unused code does not land: remove it");
        }
        for line in inline_test_modules(&masked) {
            report(
                line,
                "tests live in a sibling file: `#[cfg(test)] mod tests;`",
            );
        }
    }
    findings
}

fn text_of(text: &str, line: usize) -> &str {
    text.lines().nth(line - 1).unwrap_or_default()
}

/// Lines where a module for tests opens its body.
fn inline_test_modules(masked: &str) -> Vec<usize> {
    let named = masked.match_indices("mod ").filter_map(|(at, _)| {
        let (name, body) = masked[at + 4..].split_once('{')?;
        let is_test_name = matches!(name.trim(), "tests" | "test");
        let attribute = masked[..at]
            .trim_end()
            .trim_end_matches("pub(crate)")
            .trim_end();
        let is_test_only = attribute.ends_with("#[cfg(test)]") && !name.contains(';');
        (!body.is_empty() && (is_test_name || is_test_only)).then(|| line_of(masked, at))
    });
    named.collect()
}
