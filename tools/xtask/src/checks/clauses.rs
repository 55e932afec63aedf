//! docs/conformance.md lists every normative statement of the specifications once, and what it says of tests is
//! true.
//!
//! **Invariants**
//! 1. A row names a test that exists, or says why there is none.
//! 2. The page says how many rows have no test yet.
//! 3. A test that is called after a statement (`mqtt5_3_1_0_1_…`) stands in the row of that statement.

use std::collections::{BTreeMap, BTreeSet};

use crate::Finding;
use crate::rust_source::{line_of, mask};
use crate::workspace::File;

/// The page that is checked.
pub(super) const PAGE: &str = "docs/conformance.md";

/// A specification: the heading of its table, how its tests begin, and its statements as sections with the first
/// and the last number.
struct Specification {
    heading: &'static str,
    prefix: &'static str,
    statements: &'static [(&'static str, u16, u16)],
}

/// Appendix B of both: 251 and 141 statements. MQTT 5.0 has no 2.2.1-1.
const SPECIFICATIONS: [Specification; 2] = [
    Specification {
        heading: "## MQTT 5.0",
        prefix: "mqtt5_",
        statements: &[
            ("1.5.4", 1, 3),
            ("1.5.5", 1, 1),
            ("1.5.7", 1, 1),
            ("2.1.3", 1, 1),
            ("2.2.1", 2, 6),
            ("2.2.2", 1, 1),
            ("3.1.0", 1, 2),
            ("3.1.2", 1, 30),
            ("3.1.3", 1, 12),
            ("3.1.4", 1, 6),
            ("3.2.0", 1, 2),
            ("3.2.2", 1, 22),
            ("3.3.1", 1, 13),
            ("3.3.2", 1, 20),
            ("3.3.4", 1, 10),
            ("3.4.2", 1, 3),
            ("3.5.2", 1, 3),
            ("3.6.1", 1, 1),
            ("3.6.2", 1, 3),
            ("3.7.2", 1, 3),
            ("3.8.1", 1, 1),
            ("3.8.3", 1, 5),
            ("3.8.4", 1, 8),
            ("3.9.2", 1, 2),
            ("3.9.3", 1, 2),
            ("3.10.1", 1, 1),
            ("3.10.3", 1, 2),
            ("3.10.4", 1, 6),
            ("3.11.2", 1, 2),
            ("3.11.3", 1, 2),
            ("3.12.4", 1, 1),
            ("3.14.0", 1, 1),
            ("3.14.1", 1, 1),
            ("3.14.2", 1, 4),
            ("3.14.4", 1, 3),
            ("3.15.1", 1, 1),
            ("3.15.2", 1, 3),
            ("4.1.0", 1, 2),
            ("4.2.0", 1, 1),
            ("4.3.1", 1, 1),
            ("4.3.2", 1, 5),
            ("4.3.3", 1, 13),
            ("4.4.0", 1, 2),
            ("4.5.0", 1, 2),
            ("4.6.0", 1, 6),
            ("4.7.0", 1, 1),
            ("4.7.1", 1, 2),
            ("4.7.2", 1, 1),
            ("4.7.3", 1, 4),
            ("4.8.2", 1, 6),
            ("4.9.0", 1, 3),
            ("4.12.0", 1, 7),
            ("4.12.1", 1, 2),
            ("4.13.1", 1, 1),
            ("4.13.2", 1, 1),
            ("6.0.0", 1, 4),
        ],
    },
    Specification {
        heading: "## MQTT 3.1.1",
        prefix: "mqtt311_",
        statements: &[
            ("1.5.3", 1, 3),
            ("2.2.2", 1, 2),
            ("2.3.1", 1, 7),
            ("3.1.0", 1, 2),
            ("3.1.2", 1, 24),
            ("3.1.3", 1, 11),
            ("3.1.4", 1, 5),
            ("3.2.0", 1, 1),
            ("3.2.2", 1, 6),
            ("3.3.1", 1, 12),
            ("3.3.2", 1, 3),
            ("3.3.4", 1, 1),
            ("3.3.5", 1, 2),
            ("3.6.1", 1, 1),
            ("3.8.1", 1, 1),
            ("3.8.3", 1, 4),
            ("3.8.4", 1, 6),
            ("3.9.3", 1, 2),
            ("3.10.1", 1, 1),
            ("3.10.3", 1, 2),
            ("3.10.4", 1, 6),
            ("3.12.4", 1, 1),
            ("3.14.1", 1, 1),
            ("3.14.4", 1, 3),
            ("4.1.0", 1, 2),
            ("4.3.1", 1, 1),
            ("4.3.2", 1, 2),
            ("4.3.3", 1, 2),
            ("4.4.0", 1, 1),
            ("4.5.0", 1, 2),
            ("4.6.0", 1, 6),
            ("4.7.1", 1, 3),
            ("4.7.2", 1, 1),
            ("4.7.3", 1, 4),
            ("4.8.0", 1, 2),
            ("6.0.0", 1, 4),
            ("7.0.0", 1, 2),
            ("7.1.1", 1, 1),
            ("7.1.2", 1, 1),
        ],
    },
];

/// Beginnings of the last column of a row without a test.
const REASONS: [&str; 4] = ["client: ", "not observable: ", "not offered: ", MISSING];

/// The one of them that is a fault of ours.
const MISSING: &str = "no test yet: ";

/// What the line begins with that counts those rows.
const COUNT: &str = "Rows without a test yet: ";

impl Specification {
    fn clauses(&self) -> impl Iterator<Item = String> {
        self.statements.iter().flat_map(|(section, first, last)| {
            (*first..=*last).map(move |number| format!("{section}-{number}"))
        })
    }
}

/// A row of a table: its line and the names of its tests.
struct Row {
    line: usize,
    tests: BTreeSet<String>,
    has_reason: bool,
    is_missing: bool,
}

pub(super) fn check<'a>(page: &str, rust: impl Iterator<Item = &'a File>) -> Vec<Finding> {
    let tests: BTreeMap<String, String> = rust
        .flat_map(|file| {
            let named = |(name, line)| (name, format!("{}:{line}", file.path));
            tests(&file.text).into_iter().map(named).collect::<Vec<_>>()
        })
        .collect();
    let mut findings = Vec::new();
    for specification in &SPECIFICATIONS {
        let rows = rows(page, specification, &mut findings);
        for row in rows.values() {
            check_row(row, &tests, &mut findings);
        }
        check_count(page, specification, &rows, &mut findings);
        check_names(specification, &rows, &tests, &mut findings);
    }
    check_other_tables(page, &tests, &mut findings);
    findings
}

fn at(line: usize) -> String {
    format!("{PAGE}:{line}")
}

/// Lines (1-based) below a heading, up to the next one of its kind.
fn section<'a>(page: &'a str, heading: &str) -> impl Iterator<Item = (usize, &'a str)> {
    let numbered = (1..).zip(page.lines());
    let below = numbered
        .skip_while(move |(_, line)| line.trim() != heading)
        .skip(1);
    below.take_while(|(_, line)| !line.starts_with("## "))
}

fn row(line: usize, text: &str) -> Option<(String, Row)> {
    let cells: Vec<&str> = text
        .strip_prefix("| ")?
        .strip_suffix(" |")?
        .split(" | ")
        .collect();
    let [clause, what, shown] = cells[..] else {
        return None;
    };
    let is_clause = clause.starts_with(|c: char| c.is_ascii_digit()) && clause.contains('-');
    let tests = shown
        .split('`')
        .skip(1)
        .step_by(2)
        .map(str::to_owned)
        .collect();
    let has_reason = REASONS.iter().any(|reason| shown.starts_with(reason));
    let row = Row {
        line,
        tests,
        has_reason,
        is_missing: shown.starts_with(MISSING),
    };
    (is_clause && !what.trim().is_empty()).then(|| (clause.to_owned(), row))
}

fn rows(
    page: &str,
    specification: &Specification,
    findings: &mut Vec<Finding>,
) -> BTreeMap<String, Row> {
    let mut rows = BTreeMap::new();
    let known: BTreeSet<String> = specification.clauses().collect();
    for (line, text) in section(page, specification.heading) {
        let Some((clause, row)) = row(line, text) else {
            if text.starts_with("| ") && text[2..].starts_with(|c: char| c.is_ascii_digit()) {
                findings.push(Finding::new(
                    at(line),
                    "a row has three columns: statement, what it asks for, tests",
                ));
            }
            continue;
        };
        if !known.contains(&clause) {
            findings.push(Finding::new(
                at(line),
                format!("the specification has no statement {clause}"),
            ));
        }
        if rows.insert(clause.clone(), row).is_some() {
            findings.push(Finding::new(at(line), format!("{clause} is listed twice")));
        }
    }
    for clause in known.iter().filter(|clause| !rows.contains_key(*clause)) {
        let message = format!("{} misses statement {clause}", &specification.heading[3..]);
        findings.push(Finding::new(PAGE.to_owned(), message));
    }
    rows
}

fn check_row(row: &Row, tests: &BTreeMap<String, String>, findings: &mut Vec<Finding>) {
    if row.tests.is_empty() && !row.has_reason {
        let reasons = REASONS.map(str::trim).join("`, `");
        findings.push(Finding::new(
            at(row.line),
            format!("name a test, or begin the reason with `{reasons}`"),
        ));
    }
    for test in row.tests.iter().filter(|test| !tests.contains_key(*test)) {
        findings.push(Finding::new(
            at(row.line),
            format!("there is no test `{test}`"),
        ));
    }
}

/// Below each heading stands how many rows have no test yet.
fn check_count(
    page: &str,
    specification: &Specification,
    rows: &BTreeMap<String, Row>,
    findings: &mut Vec<Finding>,
) {
    let count = rows.values().filter(|row| row.is_missing).count();
    let wanted = format!("{COUNT}{count}.");
    if !section(page, specification.heading).any(|(_, line)| line == wanted) {
        let message = format!("{} has to say `{wanted}`", &specification.heading[3..]);
        findings.push(Finding::new(PAGE.to_owned(), message));
    }
}

/// Tests called after a statement of this specification stand in its row.
fn check_names(
    specification: &Specification,
    rows: &BTreeMap<String, Row>,
    tests: &BTreeMap<String, String>,
    findings: &mut Vec<Finding>,
) {
    for (name, place) in tests {
        let Some(clause) = name.strip_prefix(specification.prefix).and_then(clause_of) else {
            continue;
        };
        match rows.get(&clause) {
            Some(row) if row.tests.contains(name) => {}
            Some(_) => findings.push(Finding::new(
                place.clone(),
                format!("name `{name}` in the row of {clause} in {PAGE}"),
            )),
            None => findings.push(Finding::new(
                place.clone(),
                format!("`{name}` is called after a statement that {PAGE} does not list"),
            )),
        }
    }
}

/// `3.1.0-1` of `3_1_0_1_first_packet…`: exactly four numbers; three are a section.
fn clause_of(name: &str) -> Option<String> {
    let numbers: Vec<&str> = name
        .split('_')
        .take_while(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()))
        .collect();
    match numbers[..] {
        [a, b, c, number] => Some(format!("{a}.{b}.{c}-{number}")),
        _ => None,
    }
}

/// The other tables name tests too.
fn check_other_tables(page: &str, tests: &BTreeMap<String, String>, findings: &mut Vec<Finding>) {
    for (line, text) in section(page, "## MQTT 3.1") {
        for name in text
            .split('`')
            .skip(1)
            .step_by(2)
            .filter(|name| name.starts_with("mqtt"))
        {
            if !tests.contains_key(name) {
                findings.push(Finding::new(at(line), format!("there is no test `{name}`")));
            }
        }
    }
}

/// Names and lines of tests: functions marked so, and the entries of `clauses!`.
fn tests(source: &str) -> Vec<(String, usize)> {
    let masked = mask(source);
    let mut found = Vec::new();
    for (position, _) in masked
        .match_indices("#[test]")
        .chain(masked.match_indices("#[tokio::test"))
    {
        let rest = &masked[position..];
        if let Some(name) = rest.split("fn ").nth(1).map(identifier) {
            found.push((name, line_of(&masked, position)));
        }
    }
    for (position, _) in masked.match_indices("\nclauses! {") {
        let first = line_of(&masked, position) + 1;
        let block = masked[position + 1..]
            .lines()
            .skip(1)
            .take_while(|line| *line != "}");
        for (line, text) in (first + 1..).zip(block) {
            let name = identifier(text.trim_start());
            if text.trim_start()[name.len()..].starts_with(':')
                && !name.is_empty()
                && text.starts_with("    mqtt")
            {
                found.push((name, line));
            }
        }
    }
    found
}

fn identifier(text: &str) -> String {
    text.chars()
        .take_while(|c| c.is_alphanumeric() || *c == '_')
        .collect()
}
