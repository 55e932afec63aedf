//! The command line.

use std::io::{self, Write};
use std::process::ExitCode;

use clap::{Args, CommandFactory, Parser, Subcommand};
use clap_complete::Shell;

use crate::api::ApiOptions;
use crate::cluster::{self, ClusterCommand};
use crate::error::CtlError;
use crate::log::{self, LogCommand};
use crate::mqtt::{self, MqttCommand};
use crate::output::{Format, Printer};
use crate::pager;

/// It could not be done.
const EXIT_FAILED: u8 = 2;

/// It was done, and what was looked for is wrong.
const EXIT_WRONG: u8 = 1;

const EXAMPLES: &str = "\
Examples:
  robust-ctl mqtt subscribe -t '$replay/-1h/#' -v   the last hour, then live
  robust-ctl mqtt history read -t 'sensors/#' --from -1h   the same without subscribing
  robust-ctl mqtt cursor seek orders --to -1h --dry-run     how much that would be
  robust-ctl log info                         what the log in ./data holds
  robust-ctl log verify --deep                read every byte of it and check
  robust-ctl cluster certificates --out certs --node 1 --node 2 --node 3   keys for three nodes
  robust-ctl completion bash > /etc/bash_completion.d/robust-ctl";

/// Looks after a RobustMQ MQTT broker.
#[derive(Parser)]
#[command(name = "robust-ctl", version, about, after_help = EXAMPLES, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    global: Global,
}

/// Options that may stand anywhere on the line.
#[derive(Args)]
struct Global {
    /// How to print: a table for people, JSON, or one JSON object per line; messages of the history also as
    /// CSV, or as nothing but their payloads (raw).
    #[arg(long, short, value_enum, default_value_t = Format::Table, global = true)]
    output: Format,
    /// Print long tables without a pager.
    #[arg(long, global = true)]
    no_pager: bool,
    #[command(flatten)]
    api: ApiOptions,
}

#[derive(Subcommand)]
enum Command {
    /// Look at the log in a data directory, of a running broker too.
    #[command(subcommand)]
    Log(LogCommand),
    /// Prepare and look after the nodes of a cluster.
    #[command(subcommand)]
    Cluster(ClusterCommand),
    /// Publish, subscribe and replay over MQTT.
    #[command(subcommand)]
    Mqtt(Box<MqttCommand>),
    /// Print the completion script of a shell.
    Completion {
        /// Which shell.
        shell: Shell,
    },
}

impl Command {
    fn can_print(&self, format: Format) -> bool {
        let has_messages = matches!(self, Self::Mqtt(command) if command.has_messages());
        has_messages || !matches!(format, Format::Csv | Format::Raw)
    }
}

/// How a command that was done ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// All is well.
    Fine,
    /// What was looked for is wrong; it has been printed.
    Wrong,
}

/// Runs what the command line asks for.
pub(crate) fn run() -> ExitCode {
    let cli = Cli::parse();
    let format = cli.global.output;
    pager::allow(!cli.global.no_pager);
    let done = match cli.command {
        command if !command.can_print(format) => Err(CtlError::Format {
            command: "this command",
            formats: "table, json or ndjson; csv and raw are for messages of the history",
        }),
        Command::Log(command) => log::run(command, &mut Printer::new(format)),
        Command::Cluster(command) => cluster::run(&command, &cli.global.api, format),
        Command::Mqtt(command) => mqtt::run(&command, &cli.global.api, format),
        Command::Completion { shell } => complete(shell),
    };
    match done {
        Ok(Verdict::Fine) => ExitCode::SUCCESS,
        Ok(Verdict::Wrong) => ExitCode::from(EXIT_WRONG),
        Err(error) if error.is_closed_pipe() => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("robust-ctl: {error}");
            ExitCode::from(EXIT_FAILED)
        }
    }
}

/// Written to memory first: the generator cannot tell that a pipe was closed.
fn complete(shell: Shell) -> Result<Verdict, CtlError> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "robust-ctl", &mut script);
    io::stdout().lock().write_all(&script)?;
    Ok(Verdict::Fine)
}
