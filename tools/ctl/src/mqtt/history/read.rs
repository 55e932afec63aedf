//! `history read`: messages of a range, as they come.

use std::io::{BufRead, Write};

use clap::Args;

use super::message::Message;
use super::{Range, tell_cut};
use crate::api::{Api, ApiOptions, KeyFile};
use crate::error::CtlError;
use crate::output::{Format, Printer};

#[derive(Args)]
pub(crate) struct ReadArgs {
    #[command(flatten)]
    range: Range,
    /// Print at most so many messages.
    #[arg(long, short = 'n', value_name = "COUNT")]
    limit: Option<usize>,
    #[command(flatten)]
    key: KeyFile,
}

pub(super) fn run(args: &ReadArgs, api: &ApiOptions, format: Format) -> Result<(), CtlError> {
    let api = Api::new(api, &args.key)?;
    let mut printer = Printer::paged(format);
    if format == Format::Csv {
        return rows(args, &api, printer);
    }
    let input = api.stream("/history/messages", &args.range.query("ndjson"))?;
    let mut left = args.limit.unwrap_or(usize::MAX);
    for line in input.reader.lines() {
        if left == 0 {
            break;
        }
        left -= 1;
        message(&line.map_err(CtlError::Lost)?)?.print(&mut printer)?;
    }
    printer.finish_elements()?;
    printer.finish()?;
    tell_cut(input.is_cut);
    Ok(())
}

/// One message from its line.
pub(super) fn message(line: &str) -> Result<Message, CtlError> {
    serde_json::from_str(line).map_err(|error| CtlError::Broken {
        reason: error.to_string(),
    })
}

/// CSV is the broker's own, up to the record that is the last one asked for.
fn rows(args: &ReadArgs, api: &Api, mut printer: Printer) -> Result<(), CtlError> {
    let mut input = api.stream("/history/messages", &args.range.query("csv"))?;
    let mut left = args
        .limit
        .map_or(usize::MAX, |limit| limit.saturating_add(1));
    let mut is_quoted = false;
    let mut line = Vec::new();
    while left > 0 {
        line.clear();
        let read = input.reader.read_until(b'\n', &mut line);
        if read.map_err(CtlError::Lost)? == 0 {
            break;
        }
        printer.write_all(&line)?;
        is_quoted = ends_quoted(&line, is_quoted);
        left -= usize::from(!is_quoted);
    }
    printer.finish()?;
    tell_cut(input.is_cut);
    Ok(())
}

/// Whether a record goes on behind a line: a quoted field may hold ends of lines.
fn ends_quoted(line: &[u8], begins_quoted: bool) -> bool {
    let quotes = line.iter().filter(|byte| **byte == b'"').count();
    begins_quoted != (quotes % 2 == 1)
}

#[cfg(test)]
mod tests;
