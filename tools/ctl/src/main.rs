//! `robust-ctl`: looks after a broker from the command line.
//!
//! Exit codes: 0 done, 1 what was looked for is wrong (`log verify` found
//! damage), 2 it could not be done (bad arguments, no data directory, I/O).
//!
//! **Not here**: starting a broker (`robustmq`), the shape of the log
//! (`robustmq-log`).

mod api;
mod cli;
mod cluster;
mod error;
mod log;
mod mqtt;
mod output;
mod pager;
mod units;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::run()
}
