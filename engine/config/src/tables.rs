//! Lists of tables: `[[storage.policy]]`, `[[api.key]]`.

use std::fmt;

use crate::file;
use crate::schema::Section;
use crate::setting::{Fault, FaultKind, Literal, LiteralValue, Setting, invalid};

/// A section of which there may be several.
pub(crate) trait ListedSection: Section {
    /// Where its tables stand.
    const PATH: &'static str;

    /// One of them, written in a line.
    const EXAMPLE: &'static str;

    /// Keys that must be there, with what to do where one is not.
    const REQUIRED: &'static [(&'static str, &'static str)];

    /// Checks a key that was just set.
    fn check(&self, key: &str, literal: &Literal) -> Result<(), Vec<Fault>>;
}

/// Never shown as a range: a list has no order.
#[derive(Debug, PartialEq, PartialOrd)]
pub(crate) enum NoRange {}

impl fmt::Display for NoRange {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {}
    }
}

impl<T: ListedSection> Setting for Vec<T> {
    type Scalar = NoRange;

    fn accepts(_: Option<&str>) -> String {
        format!("`[[{}]]` tables", T::PATH)
    }

    fn read(literal: &Literal, _: Option<&str>) -> Result<Self, Vec<Fault>> {
        let not_a_list = |remedy| Err(invalid(literal, "not a list of tables", remedy));
        match &literal.value {
            LiteralValue::List(tables) => read_tables(tables),
            // From the environment or the command line the list is written as TOML.
            LiteralValue::Untyped(text) => match file::parse_value(text).map(|parsed| parsed.value)
            {
                Some(LiteralValue::List(tables)) => read_tables(&tables),
                _ => not_a_list(format!("write it as TOML: [{}]", T::EXAMPLE)),
            },
            _ => not_a_list(format!("write [[{}]] tables", T::PATH)),
        }
    }

    fn show(&self, _: Option<&str>) -> String {
        // Only the default is ever shown, and that is empty.
        "[]".to_owned()
    }

    fn scalar(&self) -> Option<&NoRange> {
        None
    }
}

fn read_tables<T: ListedSection>(tables: &[Literal]) -> Result<Vec<T>, Vec<Fault>> {
    let mut listed = Vec::with_capacity(tables.len());
    let mut faults = Vec::new();
    for (index, table) in tables.iter().enumerate() {
        match read_table(table) {
            Ok(section) => listed.push(section),
            Err(found) => faults.extend(found.into_iter().map(|mut fault| {
                fault.at.insert_str(0, &format!("[{index}]"));
                fault.line = fault.line.or(table.line);
                fault
            })),
        }
    }
    if faults.is_empty() {
        Ok(listed)
    } else {
        Err(faults)
    }
}

fn read_table<T: ListedSection>(table: &Literal) -> Result<T, Vec<Fault>> {
    let LiteralValue::Table(entries) = &table.value else {
        let remedy = format!("write {}", T::EXAMPLE);
        return Err(invalid(table, "not a table", remedy));
    };
    let mut section = T::default();
    let mut faults = Vec::new();
    for (key, literal) in entries {
        let read = section.set(key, literal);
        if let Err(found) = read.and_then(|()| section.check(key, literal)) {
            faults.extend(found.into_iter().map(|mut fault| {
                fault.at.insert_str(0, &format!(".{key}"));
                fault
            }));
        }
    }
    for (required, remedy) in T::REQUIRED {
        if !entries.iter().any(|(key, _)| key == required) {
            faults.push(Fault {
                at: format!(".{required}"),
                line: table.line,
                value: None,
                kind: FaultKind::Invalid {
                    problem: "missing".to_owned(),
                    remedy: (*remedy).to_owned(),
                },
            });
        }
    }
    if faults.is_empty() {
        Ok(section)
    } else {
        Err(faults)
    }
}
