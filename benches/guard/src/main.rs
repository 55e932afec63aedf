//! The regression guard: how many instructions the broker executes for each
//! message of some rows, counted by valgrind, beside what is written in
//! `costs.toml`. A machine that is slow or busy does not change them.
//!
//! **Invariants**
//! 1. What is counted is the program that users run, under the load of
//!    `robust-bench`, every layer and thread of it.
//! 2. A row fails only for instructions, never for time.

mod count;
mod verdict;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

use count::{ROWS, Row};
use verdict::{Costs, Verdict, judge};

const EXAMPLES: &str = "\
Examples:
  bench-guard                             compare with benches/guard/costs.toml
  bench-guard --only qos1 --only connect  two rows
  bench-guard --write                     what is measured now becomes what is expected";

/// Compares the instructions per message with those expected.
#[derive(Parser)]
#[command(name = "bench-guard", after_help = EXAMPLES)]
struct Options {
    /// Only this row; may be given several times.
    #[arg(long, value_parser = ROWS.map(|row| row.name))]
    only: Vec<String>,
    /// The file of what is expected.
    #[arg(long, default_value = "benches/guard/costs.toml")]
    costs: PathBuf,
    /// Write what is measured into the file.
    #[arg(long)]
    write: bool,
}

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("bench-guard: {error}");
            ExitCode::from(2)
        }
    }
}

/// Whether no row has become clearly dearer.
fn run(options: &Options) -> Result<bool, String> {
    count::check_valgrind()?;
    let mut costs = Costs::read(&options.costs)?;
    let chosen =
        |row: &&Row| options.only.is_empty() || options.only.iter().any(|name| name == row.name);
    let idle = count::idle()?;
    let mut dearer = Vec::new();
    for row in ROWS.iter().filter(chosen) {
        let measured = count::per_message(row, idle)?;
        if options.write {
            println!("{:<10} {measured:>7} instructions", row.name);
            costs.rows.insert(row.name.to_owned(), measured);
            continue;
        }
        let mut verdict = judge(&costs, row.name, measured)?;
        if verdict == Verdict::Dearer {
            // The gathering of messages into batches differs from run to run: what
            // is dearer twice is.
            let again = count::per_message(row, idle)?.min(measured);
            verdict = judge(&costs, row.name, again)?;
        }
        let expected = costs.rows[row.name];
        let change = (measured as f64 / expected as f64 - 1.0) * 100.0;
        println!(
            "{:<10} {measured:>7} instructions, {change:+.1} % of {expected}: {}",
            row.name,
            verdict.text()
        );
        if verdict == Verdict::Dearer {
            dearer.push(row.name);
        }
    }
    if options.write {
        costs.write(&options.costs)?;
    }
    if !dearer.is_empty() {
        let percent = costs.tolerance_percent;
        eprintln!(
            "bench-guard: more than {percent} % dearer than expected: {}. Where that is worth it, say why and run `make guard-write`.",
            dearer.join(", ")
        );
    }
    Ok(dearer.is_empty())
}
