//! `log verify`: whether the log is whole.

use std::fmt::Write;
use std::time::Duration;

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use robustmq_log::inspect::{Problem, VerifyReport};
use serde::Serialize;

use super::Location;
use crate::cli::Verdict;
use crate::error::CtlError;
use crate::output::Printer;
use crate::units::bytes;

#[derive(Args)]
pub(crate) struct VerifyArgs {
    #[command(flatten)]
    location: Location,
    /// Read every byte, check every checksum, decode every record, compare the indexes.
    #[arg(long)]
    deep: bool,
}

#[derive(Serialize)]
struct Report {
    deep: bool,
    segments: u64,
    bytes: u64,
    frames: u64,
    batches: u64,
    records: u64,
    torn_bytes: u64,
    /// Whether nothing stored is lost or unreadable.
    intact: bool,
    problems: Vec<ProblemLine>,
}

#[derive(Serialize)]
struct ProblemLine {
    segment: u64,
    position: Option<u64>,
    loses_data: bool,
    what: String,
}

impl ProblemLine {
    fn new(problem: Problem) -> Self {
        Self {
            segment: problem.segment.0,
            position: problem.position,
            loses_data: problem.loses_data,
            what: problem.what,
        }
    }
}

pub(super) fn run(args: &VerifyArgs, printer: &mut Printer) -> Result<Verdict, CtlError> {
    let found = args.location.open()?;
    // Draws on standard error, and only if that is a terminal.
    let bar = if args.deep {
        ProgressBar::new(0).with_style(style())
    } else {
        ProgressBar::hidden()
    };
    bar.enable_steady_tick(Duration::from_millis(200));
    let verified = found.inspector.verify(args.deep, &mut |progress| {
        bar.set_length(progress.bytes);
        bar.set_position(progress.bytes_done);
        bar.set_message(format!(
            "{}/{} segments",
            progress.segments_done, progress.segments
        ));
    });
    bar.finish_and_clear();
    let report = summarize(args.deep, verified.map_err(found.read_error())?);
    printer.document(&report, || text(&report))?;
    Ok(if report.intact {
        Verdict::Fine
    } else {
        Verdict::Wrong
    })
}

fn style() -> ProgressStyle {
    let template = "verifying {wide_bar} {binary_bytes}/{binary_total_bytes} {msg} {eta} left";
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

fn summarize(deep: bool, report: VerifyReport) -> Report {
    Report {
        deep,
        segments: report.segments,
        bytes: report.bytes,
        frames: report.frames,
        batches: report.batches,
        records: report.records,
        torn_bytes: report.torn_bytes,
        intact: !report.problems.iter().any(|problem| problem.loses_data),
        problems: report.problems.into_iter().map(ProblemLine::new).collect(),
    }
}

fn text(report: &Report) -> String {
    let mut text = String::new();
    // Writing into a String does not fail.
    for problem in &report.problems {
        let kind = if problem.loses_data { "damage" } else { "note" };
        let place = problem
            .position
            .map_or_else(String::new, |position| format!(" at {position}"));
        let _ = writeln!(
            text,
            "{kind}: segment {}{place}: {}",
            problem.segment, problem.what
        );
    }
    let verdict = if report.intact { "intact" } else { "damaged" };
    let _ = write!(text, "{verdict}: {} segments", report.segments);
    if report.deep {
        let _ = write!(
            text,
            ", {} read, {} frames, {} batches, {} records",
            bytes(report.bytes),
            report.frames,
            report.batches,
            report.records
        );
    } else {
        text.push_str(" looked at; --deep reads every byte");
    }
    if report.torn_bytes > 0 {
        let _ = write!(
            text,
            "; {} of a write under way at the end",
            bytes(report.torn_bytes)
        );
    }
    text.push('\n');
    text
}
