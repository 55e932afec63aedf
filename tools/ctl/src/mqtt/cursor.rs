//! `robust-ctl mqtt cursor`: named cursors.

use clap::{ArgGroup, Args, Subcommand};
use serde::{Deserialize, Serialize};

use crate::api::{Api, ApiOptions, KeyFile, segment};
use crate::cli::Verdict;
use crate::error::CtlError;
use crate::output::{self, Format, Printer};

const SEEK_EXAMPLES: &str = "\
Examples:
  robust-ctl mqtt cursor seek orders --to -1h --dry-run     how many messages that would be
  robust-ctl mqtt cursor seek orders --to 2026-11-22T10:00:00Z
  robust-ctl mqtt cursor seek orders --shift -100           the last hundred again";

#[derive(Subcommand)]
pub(crate) enum CursorCommand {
    /// List the named cursors.
    List(KeyFile),
    /// Show one cursor: who uses it, where it stands, how far it lags.
    Show(Named),
    /// Move a cursor, or with --dry-run only say what that would do.
    #[command(after_help = SEEK_EXAMPLES)]
    Seek(SeekArgs),
    /// Delete a cursor.
    Delete(Named),
}

#[derive(Args)]
pub(crate) struct Named {
    /// Name of the cursor.
    name: String,
    #[command(flatten)]
    key: KeyFile,
}

#[derive(Args)]
pub(crate) struct SeekArgs {
    /// Name of the cursor.
    name: String,
    #[command(flatten)]
    go: Go,
    #[command(flatten)]
    key: KeyFile,
}

/// Where to go.
#[derive(Args)]
#[command(group(ArgGroup::new("target").required(true)))]
pub(super) struct Go {
    /// A position: earliest, latest, -1h, 2026-11-22T10:00:00Z, ts:MS, o:TOKEN.
    #[arg(
        long,
        value_name = "POSITION",
        group = "target",
        allow_hyphen_values = true
    )]
    to: Option<String>,
    /// So many messages on, or back if negative.
    #[arg(
        long,
        value_name = "COUNT",
        group = "target",
        allow_hyphen_values = true
    )]
    shift: Option<i64>,
    /// Only say what it would do.
    #[arg(long)]
    dry_run: bool,
}

#[derive(Serialize)]
struct Move<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    shift: Option<i64>,
    dry_run: bool,
}

#[derive(Deserialize, Serialize)]
pub(super) struct Position {
    shard: u32,
    offset: String,
}

#[derive(Deserialize, Serialize)]
struct Moved {
    dry_run: bool,
    direction: String,
    messages: u64,
    again: u64,
    skipped: u64,
    positions: Vec<Position>,
}

impl Go {
    /// Has a reader moved and says what that did.
    pub(super) fn run(&self, api: &Api, path: &str, printer: &mut Printer) -> Result<(), CtlError> {
        let body = Move {
            to: self.to.as_deref(),
            shift: self.shift,
            dry_run: self.dry_run,
        };
        let moved: Moved = api.post(path, &body)?;
        printer.document(&moved, || moved.text())?;
        Ok(())
    }
}

impl Moved {
    fn text(&self) -> String {
        let would = if self.dry_run { "would be " } else { "" };
        let done = match (self.again, self.skipped) {
            (0, 0) => "nothing changes: no message lies between".to_owned(),
            (again, 0) => format!("{again} messages {would}delivered again"),
            (0, skipped) => format!("{skipped} messages {would}passed over"),
            (again, skipped) => {
                format!("{again} messages {would}delivered again, {skipped} passed over")
            }
        };
        format!("{done}\n")
    }
}

#[derive(Deserialize, Serialize)]
struct Cursor {
    name: String,
    filter: String,
    group: Option<String>,
    members: Vec<String>,
    in_flight: u64,
    positions: Vec<Position>,
    lag_messages: u64,
    lag_is_more: bool,
    lag_seconds: f64,
}

#[derive(Deserialize)]
struct Page {
    data: Vec<Cursor>,
    meta: Meta,
}

#[derive(Deserialize)]
pub(super) struct Meta {
    pub(super) hasnext: bool,
}

/// A lag for people.
pub(super) fn lag(messages: u64, is_more: bool, seconds: f64) -> String {
    let more = if is_more { "more than " } else { "" };
    match messages {
        0 => "none".to_owned(),
        _ => format!("{more}{messages} messages, {seconds:.0} s"),
    }
}

/// Positions for people.
pub(super) fn places(positions: &[Position]) -> String {
    let offsets: Vec<&str> = positions
        .iter()
        .map(|place| place.offset.as_str())
        .collect();
    offsets.join(" ")
}

pub(super) fn run(
    command: &CursorCommand,
    options: &ApiOptions,
    format: Format,
) -> Result<Verdict, CtlError> {
    let path = |name: &str| format!("/cursors/{}", segment(name));
    match command {
        CursorCommand::List(key) => list(&Api::new(options, key)?, Printer::paged(format))?,
        CursorCommand::Show(named) => {
            let api = Api::new(options, &named.key)?;
            let cursor: Cursor = api.object(&path(&named.name), &[])?;
            Printer::new(format).document(&cursor, || cursor.text())?;
        }
        CursorCommand::Seek(args) => {
            let api = Api::new(options, &args.key)?;
            let path = format!("{}/seek", path(&args.name));
            args.go.run(&api, &path, &mut Printer::new(format))?;
        }
        CursorCommand::Delete(named) => {
            Api::new(options, &named.key)?.delete(&path(&named.name))?;
        }
    }
    Ok(Verdict::Fine)
}

impl Cursor {
    fn text(&self) -> String {
        let group = self.group.as_deref().unwrap_or("-");
        format!(
            "name       {}\nfilter     {}\ngroup      {group}\nmembers    {}\nin flight  {}\nlag        {}\npositions  {}\n",
            self.name,
            self.filter,
            self.members.join(" "),
            self.in_flight,
            lag(self.lag_messages, self.lag_is_more, self.lag_seconds),
            places(&self.positions),
        )
    }
}

fn list(api: &Api, mut printer: Printer) -> Result<(), CtlError> {
    let mut cursors: Vec<Cursor> = Vec::new();
    for page in 1u64.. {
        let found: Page = api.object("/cursors", &[("page", &page.to_string())])?;
        cursors.extend(found.data);
        if !found.meta.hasnext {
            break;
        }
    }
    printer.list(&cursors, |cursors| {
        let row = |cursor: &Cursor| {
            vec![
                cursor.name.clone(),
                cursor.filter.clone(),
                cursor.group.clone().unwrap_or_else(|| "-".to_owned()),
                cursor.members.len().to_string(),
                cursor.in_flight.to_string(),
                lag(cursor.lag_messages, cursor.lag_is_more, cursor.lag_seconds),
            ]
        };
        let header = ["name", "filter", "group", "members", "in flight", "lag"];
        output::table(&header, &[3, 4], cursors.iter().map(row).collect())
    })?;
    printer.finish()
}
