//! What stays the same however much there is: the time of a start by the size of
//! the log, the cost of a publish by the number of subscriptions and topics, the
//! memory of sessions that are away, what is written for what is published.
//!
//! Figures are of this machine; what counts is how they change down a column.

mod load;
mod log;
mod publishing;
mod report;
mod sessions;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

use report::Line;

const EXAMPLES: &str = "\
Examples:
  bench-limits                              everything, some minutes
  bench-limits --only sessions              one part
  bench-limits --small                      a hundredth of everything, to see that it works
  bench-limits --write docs/benchmarks.md   what `make bench-limits` does";

/// Measures what is to stay the same however much there is.
#[derive(Parser)]
#[command(name = "bench-limits", after_help = EXAMPLES)]
struct Options {
    /// Only this part; may be given several times.
    #[arg(long, value_parser = PARTS.map(|part| part.name))]
    only: Vec<String>,
    /// A hundredth of everything.
    #[arg(long)]
    small: bool,
    /// Write the table into this page instead of printing it.
    #[arg(long)]
    write: Option<PathBuf>,
}

/// How much of everything.
#[derive(Clone, Copy)]
pub(crate) struct Scale {
    divisor: u64,
}

impl Scale {
    /// So many, or fewer.
    pub(crate) fn of(self, count: u64) -> u64 {
        (count / self.divisor).max(1)
    }
}

struct Part {
    name: &'static str,
    run: fn(Scale) -> Result<Vec<Line>, String>,
}

const PARTS: [Part; 7] = [
    Part {
        name: "restart",
        run: log::restart,
    },
    Part {
        name: "amplification",
        run: log::amplification,
    },
    Part {
        name: "subscriptions",
        run: publishing::subscriptions,
    },
    Part {
        name: "topics",
        run: publishing::topics,
    },
    Part {
        name: "retained",
        run: publishing::retained,
    },
    Part {
        name: "sessions",
        run: sessions::away,
    },
    Part {
        name: "million",
        run: sessions::million,
    },
];

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench-limits: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<(), String> {
    let divisor = if options.small { 100 } else { 1 };
    let chosen =
        |part: &&Part| options.only.is_empty() || options.only.iter().any(|name| name == part.name);
    let mut lines = Vec::new();
    for part in PARTS.iter().filter(chosen) {
        let measured = (part.run)(Scale { divisor });
        let measured = measured.map_err(|error| format!("{}: {error}", part.name))?;
        for line in &measured {
            eprintln!("{}: {}", line.what, line.figure);
        }
        lines.extend(measured);
    }
    let table = report::table(&lines);
    let Some(path) = &options.write else {
        println!("{table}");
        return Ok(());
    };
    let at = |error: std::io::Error| format!("{}: {error}", path.display());
    let page = std::fs::read_to_string(path).map_err(at)?;
    std::fs::write(path, report::replace(&page, &table)).map_err(at)
}
