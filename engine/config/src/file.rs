//! TOML text to literals with line numbers.
//!
//! **Not here**: which keys exist; this only knows TOML.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::setting::{Literal, LiteralValue};

/// A leaf of a file: where it stands and what it holds. Empty tables are leaves too, so that an unknown
/// empty section is noticed.
#[derive(Debug, PartialEq)]
pub(crate) struct Entry {
    pub(crate) path: Vec<String>,
    pub(crate) literal: Literal,
}

/// A mistake in the TOML itself.
#[derive(Debug, PartialEq)]
pub(crate) struct SyntaxError {
    pub(crate) line: usize,
    pub(crate) message: String,
}

/// All leaves and all mistakes; leaves that could be read are there even beside mistakes.
pub(crate) fn parse(text: &str) -> (Vec<Entry>, Vec<SyntaxError>) {
    let (table, errors) = DeTable::parse_recoverable(text);
    let lines = Lines::of(text);
    let errors = errors
        .iter()
        .map(|error| SyntaxError {
            line: error.span().map_or(0, |span| lines.number(span.start)),
            message: error.message().to_owned(),
        })
        .collect();
    let mut entries = Vec::new();
    flatten(&mut Vec::new(), table.get_ref(), &lines, &mut entries);
    // The parser sorts keys; people read from the top.
    entries.sort_by_key(|entry| entry.literal.line);
    (entries, errors)
}

/// One TOML value; `None` when it is not one.
pub(crate) fn parse_value(text: &str) -> Option<Literal> {
    let value = DeValue::parse(text).ok()?;
    let mut literal = to_literal(&value, &Lines::of(text));
    forget_lines(&mut literal);
    Some(literal)
}

/// Lines mean nothing outside a file.
fn forget_lines(literal: &mut Literal) {
    literal.line = None;
    match &mut literal.value {
        LiteralValue::List(items) => items.iter_mut().for_each(forget_lines),
        LiteralValue::Table(entries) => entries.iter_mut().for_each(|(_, item)| forget_lines(item)),
        _ => {}
    }
}

/// Byte positions at which lines start.
struct Lines(Vec<usize>);

impl Lines {
    fn of(text: &str) -> Self {
        let breaks = text.match_indices('\n').map(|(at, _)| at + 1);
        Lines(std::iter::once(0).chain(breaks).collect())
    }

    /// 1-based line of a byte position.
    fn number(&self, at: usize) -> usize {
        self.0.partition_point(|start| *start <= at)
    }
}

fn flatten(path: &mut Vec<String>, table: &DeTable<'_>, lines: &Lines, out: &mut Vec<Entry>) {
    for (key, value) in table {
        path.push(key.get_ref().to_string());
        match value.get_ref() {
            DeValue::Table(inner) if !inner.is_empty() => flatten(path, inner, lines, out),
            _ => {
                let mut literal = to_literal(value, lines);
                literal.line = Some(lines.number(key.span().start));
                out.push(Entry {
                    path: path.clone(),
                    literal,
                });
            }
        }
        path.pop();
    }
}

fn to_literal(value: &Spanned<DeValue<'_>>, lines: &Lines) -> Literal {
    let line = Some(lines.number(value.span().start));
    let value = match value.get_ref() {
        DeValue::String(text) => LiteralValue::Text(text.to_string()),
        DeValue::Integer(number) => match i128::from_str_radix(number.as_str(), number.radix()) {
            Ok(number) => LiteralValue::Integer(number),
            Err(_) => LiteralValue::Other(number.to_string()),
        },
        DeValue::Float(number) => match number.as_str().parse() {
            Ok(number) => LiteralValue::Float(number),
            Err(_) => LiteralValue::Other(number.to_string()),
        },
        DeValue::Boolean(flag) => LiteralValue::Boolean(*flag),
        DeValue::Datetime(time) => LiteralValue::Other(time.to_string()),
        DeValue::Array(items) => {
            LiteralValue::List(items.iter().map(|item| to_literal(item, lines)).collect())
        }
        DeValue::Table(table) => {
            let entries = table.iter().map(|(key, item)| {
                let mut literal = to_literal(item, lines);
                literal.line = Some(lines.number(key.span().start));
                (key.get_ref().to_string(), literal)
            });
            LiteralValue::Table(entries.collect())
        }
    };
    Literal { value, line }
}
