//! House commands: `cargo xtask check` runs the checks that no compiler does, `cargo xtask generate` writes
//! the pages and samples that come from code.
//!
//! **Not here**: formatting, lints and tests; `make check` and `make test` run those.

mod checks;
mod generate;
mod rust_source;
mod spdx;
mod workspace;

use std::process::ExitCode;

use workspace::Workspace;

const USAGE: &str = "\
usage: cargo xtask check               house checks
       cargo xtask generate            write generated files
       cargo xtask generate --check    only say which generated files are out of date";

/// One violation: where and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Finding {
    /// File, `file:line` or crate.
    place: String,
    /// What is wrong and how to repair it.
    message: String,
}

impl Finding {
    fn new(place: impl Into<String>, message: impl Into<String>) -> Self {
        Finding {
            place: place.into(),
            message: message.into(),
        }
    }
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let result = match arguments.as_slice() {
        ["check"] => Workspace::read().and_then(|workspace| checks::run(&workspace)),
        ["generate"] => generate::write(),
        ["generate", "--check"] => generate::drift(),
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match result {
        Ok(findings) if findings.is_empty() => ExitCode::SUCCESS,
        Ok(findings) => {
            for finding in &findings {
                eprintln!("{}: {}", finding.place, finding.message);
            }
            eprintln!("{} to repair", findings.len());
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("xtask: {error}");
            ExitCode::FAILURE
        }
    }
}
