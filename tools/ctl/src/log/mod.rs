//! `robust-ctl log`: what is in a log, and whether it is whole.
//!
//! Nothing is changed and nothing is locked: a broker may run meanwhile.

mod dump;
mod frame;
mod info;
mod record;
mod segments;
mod verify;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Args, Subcommand};
use robustmq_log::inspect::LogInspector;
use robustmq_log::{DataDir, LogLocation, RealDisk};

use crate::cli::Verdict;
use crate::error::CtlError;
use crate::output::Printer;

const DUMP_EXAMPLES: &str = "\
Examples:
  robust-ctl log dump --segment 3                    the frames of one segment
  robust-ctl log dump --records --topic 'sensors/#'  every message of these topics
  robust-ctl log dump --records -o ndjson | jq .topic";

const VERIFY_EXAMPLES: &str = "\
Examples:
  robust-ctl log verify                  first frames and indexes of all segments
  robust-ctl log verify --deep           every byte, with a progress bar on a terminal
  robust-ctl log verify --deep -o json   for programs; exit code 1 if there is damage";

#[derive(Subcommand)]
pub(crate) enum LogCommand {
    /// Sum up the log: shards, offsets, sizes.
    Info(Location),
    /// List the segments.
    Segments(Location),
    /// Print what stands in segments, frame by frame or record by record.
    #[command(after_help = DUMP_EXAMPLES)]
    Dump(dump::DumpArgs),
    /// Check the log for damage; exit code 1 if there is any.
    #[command(after_help = VERIFY_EXAMPLES)]
    Verify(verify::VerifyArgs),
}

/// Which log.
#[derive(Args)]
pub(crate) struct Location {
    /// Data directory of the broker, running or stopped.
    #[arg(
        long,
        short,
        value_name = "DIR",
        env = "ROBUSTMQ__NODE__DATA_DIR",
        default_value = "./data"
    )]
    data_dir: PathBuf,
}

/// A log that was found.
struct FoundLog {
    location: LogLocation,
    inspector: LogInspector,
}

impl Location {
    fn open(&self) -> Result<FoundLog, CtlError> {
        let location = DataDir::look(&self.data_dir)?;
        let disk = RealDisk::read_only(&location.log).map_err(read_error(&location.log))?;
        Ok(FoundLog {
            inspector: LogInspector::new(Arc::new(disk)),
            location,
        })
    }
}

impl FoundLog {
    /// An error of the file system, with what was read.
    fn read_error(&self) -> impl Fn(std::io::Error) -> CtlError {
        read_error(&self.location.log)
    }
}

fn read_error(path: &Path) -> impl Fn(std::io::Error) -> CtlError {
    move |source| CtlError::Read {
        path: path.to_owned(),
        source,
    }
}

pub(crate) fn run(command: LogCommand, printer: &mut Printer) -> Result<Verdict, CtlError> {
    match command {
        LogCommand::Info(location) => info::run(&location.open()?, printer),
        LogCommand::Segments(location) => segments::run(&location.open()?, printer),
        LogCommand::Dump(args) => dump::run(&args, printer),
        LogCommand::Verify(args) => verify::run(&args, printer),
    }
}
