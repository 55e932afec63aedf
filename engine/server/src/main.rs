//! The broker's binary: command line, wiring, signals and exit codes.
//!
//! **Not here**: anything that a test of the broker would want without a
//! process around it.

mod cli;
mod logging;
mod start;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::run()
}
