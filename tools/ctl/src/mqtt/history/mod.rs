//! `robust-ctl mqtt history`: what the log holds, without a subscription.

mod export;
mod message;
mod read;
mod state;
mod tail;
mod topics;

use clap::{Args, Subcommand};

use crate::api::ApiOptions;
use crate::cli::Verdict;
use crate::error::CtlError;
use crate::output::{Format, Printer};

const READ_EXAMPLES: &str = "\
Examples:
  robust-ctl mqtt history read --from -1h                        the last hour of everything
  robust-ctl mqtt history read -t 'sensors/#' --from last:3      the last three of each topic
  robust-ctl mqtt history read -t orders/1 --limit 10 -o raw     payloads, one per line
  robust-ctl mqtt history read -t 'sensors/#' -o csv > sensors.csv";

const TAIL_EXAMPLES: &str = "\
Examples:
  robust-ctl mqtt history tail -t 'sensors/#'                    what is published from now on
  robust-ctl mqtt history tail --from -10m -o ndjson | jq .topic";

const STATE_EXAMPLES: &str = "\
Examples:
  robust-ctl mqtt history state -t 'sensors/#'                   the last message of every topic
  robust-ctl mqtt history state --at 2026-11-22T10:00:00Z        the same as of then";

const EXPORT_EXAMPLES: &str = "\
Examples:
  robust-ctl mqtt history export --file all.ndjson
  robust-ctl mqtt history export -t 'sensors/#' --from -7d --file sensors.csv";

#[derive(Subcommand)]
pub(crate) enum HistoryCommand {
    /// Print messages of a range.
    #[command(after_help = READ_EXAMPLES)]
    Read(read::ReadArgs),
    /// Print messages from a place on, and go on with those that are published.
    #[command(after_help = TAIL_EXAMPLES)]
    Tail(tail::TailArgs),
    /// List the topics that the log holds messages of.
    Topics(topics::TopicsArgs),
    /// Print what every topic last said, now or at any moment.
    #[command(after_help = STATE_EXAMPLES)]
    State(state::StateArgs),
    /// Write messages of a range into a file.
    #[command(after_help = EXPORT_EXAMPLES)]
    Export(export::ExportArgs),
}

/// Which topics, and which part of their history.
#[derive(Args)]
pub(crate) struct Range {
    /// Topic filter.
    #[arg(long = "topic", short, value_name = "FILTER", default_value = "#")]
    topic: String,
    /// First message: earliest, -24h, 2026-11-22T10:00:00Z, ts:MS, o:TOKEN, last:N, at:TIME.
    #[arg(
        long,
        value_name = "POSITION",
        default_value = "earliest",
        allow_hyphen_values = true
    )]
    from: String,
    /// Before which message to end: latest or any of the above but last: and at:.
    #[arg(
        long,
        value_name = "POSITION",
        default_value = "latest",
        allow_hyphen_values = true
    )]
    to: String,
}

impl Range {
    fn query<'a>(&'a self, format: &'a str) -> Vec<(&'static str, &'a str)> {
        vec![
            ("filter", self.topic.as_str()),
            ("from", &self.from),
            ("to", &self.to),
            ("format", format),
        ]
    }
}

/// Tells people what a range lacks: nothing is lost silently.
fn tell_cut(is_cut: bool) {
    if is_cut {
        eprintln!("robust-ctl: the range begins before the oldest message that is kept");
    }
}

pub(crate) fn run(
    command: &HistoryCommand,
    api: &ApiOptions,
    format: Format,
) -> Result<Verdict, CtlError> {
    match command {
        HistoryCommand::Read(args) => read::run(args, api, format)?,
        HistoryCommand::Tail(args) => tail::run(args, api, &mut Printer::new(format))?,
        HistoryCommand::Topics(args) => topics::run(args, api, Printer::paged(format))?,
        HistoryCommand::State(args) => state::run(args, api, Printer::paged(format))?,
        HistoryCommand::Export(args) => export::run(args, api, format)?,
    }
    Ok(Verdict::Fine)
}
