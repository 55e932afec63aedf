//! Printing: tables for people, JSON for programs.
//!
//! **Invariants**
//! 1. What strangers chose (topics, client identifiers, payloads) moves no
//!    cursor and adds no line to what people read: control characters are
//!    written as escapes. Programs and `raw` get it as it is.

use std::io::{self, BufWriter, Write};

use clap::ValueEnum;
use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, Table};
use serde::Serialize;

use crate::error::CtlError;
use crate::pager::Pager;

/// How to print.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people.
    Table,
    /// One JSON document.
    Json,
    /// One JSON object per line.
    Ndjson,
    /// Comma-separated values.
    Csv,
    /// Payloads, each with an end of line.
    Raw,
}

/// Where a command prints.
pub(crate) struct Printer {
    format: Format,
    out: BufWriter<Box<dyn Write>>,
    pager: Option<Pager>,
    /// Elements of the JSON array that was begun.
    elements: u64,
}

impl Printer {
    pub(crate) fn new(format: Format) -> Self {
        Self {
            format,
            out: BufWriter::new(Box::new(io::stdout().lock())),
            pager: None,
            elements: 0,
        }
    }

    /// For output that may be long: a table goes through a pager where somebody
    /// looks at a terminal.
    pub(crate) fn paged(format: Format) -> Self {
        let pager = (format == Format::Table).then(Pager::start).flatten();
        match pager {
            None => Self::new(format),
            Some((pager, input)) => Self {
                format,
                out: BufWriter::new(Box::new(input)),
                pager: Some(pager),
                elements: 0,
            },
        }
    }

    /// Nothing more comes: waits for whoever reads in a pager.
    pub(crate) fn finish(self) -> Result<(), CtlError> {
        let Self { mut out, pager, .. } = self;
        let flushed = out.flush();
        drop(out);
        if let Some(pager) = pager {
            pager.wait();
        }
        Ok(flushed?)
    }

    pub(crate) fn format(&self) -> Format {
        self.format
    }

    /// Prints one element as soon as it is there: for people the bytes as they
    /// are, with an end of line.
    pub(crate) fn bytes(&mut self, value: &impl Serialize, line: &[u8]) -> io::Result<()> {
        if self.format == Format::Table {
            self.out.write_all(line)?;
            self.out.write_all(b"\n")?;
        } else {
            self.element(value, String::new)?;
        }
        self.out.flush()
    }

    /// Prints a document that people get as text.
    pub(crate) fn document(
        &mut self,
        value: &impl Serialize,
        text: impl FnOnce() -> String,
    ) -> io::Result<()> {
        match self.format {
            Format::Table | Format::Csv | Format::Raw => {
                self.out.write_all(harmless(text(), true).as_bytes())?;
            }
            Format::Json => {
                serde_json::to_writer_pretty(&mut self.out, value)?;
                self.out.write_all(b"\n")?;
            }
            Format::Ndjson => self.line(value)?,
        }
        self.out.flush()
    }

    /// Prints a list: a table, a JSON array, or an object per line.
    pub(crate) fn list<T: Serialize>(
        &mut self,
        rows: &[T],
        table: impl FnOnce(&[T]) -> Table,
    ) -> io::Result<()> {
        if self.format == Format::Table {
            writeln!(self.out, "{}", table(rows))?;
            return self.out.flush();
        }
        rows.iter()
            .try_for_each(|row| self.element(row, String::new))?;
        self.finish_elements()
    }

    /// Prints one element of a list that is too long to be held.
    pub(crate) fn element(
        &mut self,
        value: &impl Serialize,
        text: impl FnOnce() -> String,
    ) -> io::Result<()> {
        let first = self.elements == 0;
        self.elements += 1;
        match self.format {
            Format::Table | Format::Csv | Format::Raw => {
                writeln!(self.out, "{}", harmless(text(), false))
            }
            Format::Ndjson => self.line(value),
            Format::Json => {
                self.out.write_all(if first { b"[\n" } else { b",\n" })?;
                Ok(serde_json::to_writer(&mut self.out, value)?)
            }
        }
    }

    /// Nothing follows the elements printed so far.
    pub(crate) fn finish_elements(&mut self) -> io::Result<()> {
        if self.format == Format::Json {
            let end: &[u8] = if self.elements == 0 {
                b"[]\n"
            } else {
                b"\n]\n"
            };
            self.out.write_all(end)?;
        }
        self.elements = 0;
        self.out.flush()
    }

    fn line(&mut self, value: &impl Serialize) -> io::Result<()> {
        serde_json::to_writer(&mut self.out, value)?;
        self.out.write_all(b"\n")
    }
}

/// Bytes as they are.
impl Write for Printer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.out.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// A table without lines, whose columns named in `numbers` are set to the right.
pub(crate) fn table(header: &[&str], numbers: &[usize], rows: Vec<Vec<String>>) -> Table {
    let mut table = Table::new();
    table.load_preset(NOTHING);
    table.set_header(header.iter().map(|name| name.to_uppercase()));
    let cells = |row: Vec<String>| row.into_iter().map(|cell| harmless(cell, false));
    table.add_rows(rows.into_iter().map(cells));
    for number in numbers {
        if let Some(column) = table.column_mut(*number) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

/// Text without control characters; `has_lines` keeps the ends of its lines.
fn harmless(text: String, has_lines: bool) -> String {
    let is_kept = |letter: char| !letter.is_control() || (has_lines && letter == '\n');
    if text.chars().all(is_kept) {
        return text;
    }
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        if is_kept(letter) {
            out.push(letter);
        } else {
            out.extend(letter.escape_default());
        }
    }
    out
}

#[cfg(test)]
mod tests;
