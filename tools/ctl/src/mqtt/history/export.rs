//! `history export`: messages of a range into a file that is whole or not there.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, BufWriter, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};

use super::read::message;
use super::{Range, tell_cut};
use crate::api::{Api, ApiOptions, KeyFile};
use crate::error::CtlError;
use crate::output::Format;
use crate::units::bytes;

/// How often the progress is drawn.
const TICK: Duration = Duration::from_millis(200);

#[derive(Args)]
pub(crate) struct ExportArgs {
    #[command(flatten)]
    range: Range,
    /// File to write. Its ending says how, unless -o does: .ndjson, .csv, or .raw for payloads.
    #[arg(long, short, value_name = "FILE")]
    file: PathBuf,
    /// Replace the file if it is there.
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    key: KeyFile,
}

/// How the file is written.
fn kind(format: Format, file: &Path) -> Result<Format, CtlError> {
    let ending = file.extension().and_then(|ending| ending.to_str());
    match (format, ending) {
        (Format::Ndjson | Format::Csv | Format::Raw, _) => Ok(format),
        (Format::Table, Some("ndjson" | "jsonl")) => Ok(Format::Ndjson),
        (Format::Table, Some("csv")) => Ok(Format::Csv),
        (Format::Table, Some("raw" | "txt")) => Ok(Format::Raw),
        _ => Err(CtlError::Format {
            command: "history export",
            formats: "ndjson, csv or raw (or name the file so: all.ndjson)",
        }),
    }
}

pub(super) fn run(args: &ExportArgs, api: &ApiOptions, format: Format) -> Result<(), CtlError> {
    let kind = kind(format, &args.file)?;
    if args.file.exists() && !args.force {
        return Err(CtlError::Exists {
            path: args.file.clone(),
        });
    }
    let api = Api::new(api, &args.key)?;
    let asked = if kind == Format::Csv { "csv" } else { "ndjson" };
    let input = api.stream("/history/messages", &args.range.query(asked))?;
    let mut temporary: OsString = args.file.clone().into_os_string();
    temporary.push(".part");
    let temporary = PathBuf::from(temporary);
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| CtlError::File { path, source }
    };
    let file = File::create(&temporary).map_err(failed(&temporary))?;
    let written = write(input.reader, file, kind).and_then(|written| {
        fs::rename(&temporary, &args.file).map_err(failed(&args.file))?;
        Ok(written)
    });
    if written.is_err() {
        // Best effort: the first error counts.
        let _ = fs::remove_file(&temporary);
    }
    let written = written?;
    tell_cut(input.is_cut);
    eprintln!("{}: {}", args.file.display(), bytes(written));
    Ok(())
}

/// Counts what is read and shows it.
struct Counted<R> {
    inner: R,
    bar: ProgressBar,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.bar.inc(count as u64);
        Ok(count)
    }
}

fn write(input: impl Read, file: File, kind: Format) -> Result<u64, CtlError> {
    let bar = ProgressBar::new_spinner();
    let style = ProgressStyle::with_template("{spinner} {elapsed} {bytes} ({bytes_per_sec})");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
    bar.enable_steady_tick(TICK);
    let counted = Counted {
        inner: input,
        bar: bar.clone(),
    };
    let mut input = BufReader::new(counted);
    let mut output = BufWriter::new(file);
    if kind == Format::Raw {
        let mut line = String::new();
        while input.read_line(&mut line).map_err(CtlError::Lost)? > 0 {
            message(&line)?.write_raw(&mut output)?;
            line.clear();
        }
    } else {
        io::copy(&mut input, &mut output).map_err(CtlError::Lost)?;
    }
    let file = output.into_inner().map_err(|error| error.into_error())?;
    file.sync_all()?;
    bar.finish_and_clear();
    Ok(file.metadata()?.len())
}
