//! `history read`: messages of a range, as they come.

use std::io::{self, BufRead};

use clap::Args;

use super::message::Message;
use super::{Range, tell_cut};
use crate::api::{Api, ApiOptions, KeyFile};
use crate::error::CtlError;
use crate::output::{Format, Printer};

/// Rows that a limited CSV may have: the broker cuts them.
const CSV_ROWS_MAX: usize = 10_000;

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

/// CSV is the broker's own.
fn rows(args: &ReadArgs, api: &Api, mut printer: Printer) -> Result<(), CtlError> {
    let limit = args.limit.map(|limit| limit.to_string());
    let mut query = args.range.query("csv");
    match (&limit, args.limit) {
        (Some(_), Some(limit)) if limit > CSV_ROWS_MAX => {
            return Err(CtlError::Rows { max: CSV_ROWS_MAX });
        }
        (Some(text), _) => query.push(("limit", text)),
        (None, _) => {}
    }
    let mut table = api.stream("/history/messages", &query)?;
    io::copy(&mut table.reader, &mut printer)?;
    printer.finish()?;
    tell_cut(table.is_cut);
    Ok(())
}
