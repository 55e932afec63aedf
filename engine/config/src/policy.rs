//! Retention per topic filter: `[[storage.policy]]`.

use std::fmt;

use crate::file;
use crate::literal::{ByteSize, TimeSpan};
use crate::schema::{Section, section};
use crate::sections::Storage;
use crate::setting::{Fault, FaultKind, Literal, LiteralValue, Setting, invalid, quoted};

/// A bound of a policy that may be left to the defaults of `[storage]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retain<T> {
    /// As `[storage]` says.
    Inherit,
    /// No bound of this kind.
    Unlimited,
    /// So much.
    AtMost(T),
}

impl<T: Copy> Retain<T> {
    fn resolve(self, default: Option<T>) -> Option<T> {
        match self {
            Retain::Inherit => default,
            Retain::Unlimited => None,
            Retain::AtMost(value) => Some(value),
        }
    }
}

impl<T: Setting> Setting for Retain<T> {
    type Scalar = T::Scalar;

    fn accepts(_: Option<&str>) -> String {
        format!(
            "{}, `unlimited` or `inherit` (as `[storage]` says)",
            T::accepts(None)
        )
    }

    fn read(literal: &Literal, _: Option<&str>) -> Result<Self, Vec<Fault>> {
        match literal.text() {
            Some("unlimited") => Ok(Retain::Unlimited),
            Some("inherit") => Ok(Retain::Inherit),
            _ => T::read(literal, None).map(Retain::AtMost),
        }
    }

    fn show(&self, _: Option<&str>) -> String {
        match self {
            Retain::Inherit => quoted("inherit"),
            Retain::Unlimited => quoted("unlimited"),
            Retain::AtMost(value) => value.show(None),
        }
    }

    fn scalar(&self) -> Option<&T::Scalar> {
        match self {
            Retain::AtMost(value) => value.scalar(),
            _ => None,
        }
    }
}

section! {
    /// Retention of the topics that a filter matches. The first table whose filter matches decides.
    pub struct StoragePolicy {
        /// Topic filter, with the wildcards of MQTT. Required.
        filter: String = String::new();
        /// How long records of these topics are kept.
        retention_time: Retain<TimeSpan> = Retain::Inherit;
        /// How many bytes of records of these topics are kept.
        retention_bytes: Retain<ByteSize> = Retain::Inherit;
        /// How many records of these topics are kept.
        retention_messages: Retain<u64> = Retain::Inherit;
    }
}

/// Bounds of retention with nothing left to inherit; `None` is unlimited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Longest age of a record.
    pub time: Option<TimeSpan>,
    /// Most bytes.
    pub bytes: Option<ByteSize>,
    /// Most records.
    pub messages: Option<u64>,
}

impl Storage {
    /// The bounds for topics that no policy matches.
    pub fn retention_default(&self) -> Retention {
        Retention {
            time: self.retention_time,
            bytes: self.retention_bytes,
            messages: self.retention_messages,
        }
    }

    /// Filters with their bounds in the order of the file; the first match decides.
    pub fn retention_by_filter(&self) -> impl Iterator<Item = (&str, Retention)> {
        let default = self.retention_default();
        self.policy.iter().map(move |policy| {
            let retention = Retention {
                time: policy.retention_time.resolve(default.time),
                bytes: policy.retention_bytes.resolve(default.bytes),
                messages: policy.retention_messages.resolve(default.messages),
            };
            (policy.filter.as_str(), retention)
        })
    }
}

/// Never shown as a range: a list has no order.
#[derive(Debug, PartialEq, PartialOrd)]
pub(crate) enum NoRange {}

impl fmt::Display for NoRange {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {}
    }
}

impl Setting for Vec<StoragePolicy> {
    type Scalar = NoRange;

    fn accepts(_: Option<&str>) -> String {
        "`[[storage.policy]]` tables".to_owned()
    }

    fn read(literal: &Literal, _: Option<&str>) -> Result<Self, Vec<Fault>> {
        match &literal.value {
            LiteralValue::List(tables) => read_tables(tables),
            // From the environment or the command line the list is written as TOML.
            LiteralValue::Untyped(text) => match file::parse_value(text).map(|parsed| parsed.value)
            {
                Some(LiteralValue::List(tables)) => read_tables(&tables),
                _ => Err(invalid(
                    literal,
                    "not a list of tables",
                    "write it as TOML: [{ filter = \"a/#\", retention_time = \"1d\" }]",
                )),
            },
            _ => Err(invalid(
                literal,
                "not a list of tables",
                "write [[storage.policy]] tables",
            )),
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

fn read_tables(tables: &[Literal]) -> Result<Vec<StoragePolicy>, Vec<Fault>> {
    let mut policies = Vec::with_capacity(tables.len());
    let mut faults = Vec::new();
    for (index, table) in tables.iter().enumerate() {
        match read_policy(table) {
            Ok(policy) => policies.push(policy),
            Err(found) => faults.extend(found.into_iter().map(|mut fault| {
                fault.at.insert_str(0, &format!("[{index}]"));
                fault.line = fault.line.or(table.line);
                fault
            })),
        }
    }
    if faults.is_empty() {
        Ok(policies)
    } else {
        Err(faults)
    }
}

fn read_policy(table: &Literal) -> Result<StoragePolicy, Vec<Fault>> {
    let LiteralValue::Table(entries) = &table.value else {
        return Err(invalid(
            table,
            "not a table",
            "write { filter = \"a/#\", retention_time = \"1d\" }",
        ));
    };
    let mut policy = StoragePolicy::default();
    let mut faults = Vec::new();
    for (key, literal) in entries {
        let read = policy.set(key, literal).and_then(|()| match key.as_str() {
            "filter" => check_filter(&policy.filter, literal),
            _ => Ok(()),
        });
        if let Err(found) = read {
            faults.extend(found.into_iter().map(|mut fault| {
                fault.at.insert_str(0, &format!(".{key}"));
                fault
            }));
        }
    }
    if !entries.iter().any(|(key, _)| key == "filter") {
        faults.push(Fault {
            at: ".filter".to_owned(),
            line: table.line,
            value: None,
            kind: FaultKind::Invalid {
                problem: "missing".to_owned(),
                remedy: "say which topics the policy is for: filter = \"sensors/#\"".to_owned(),
            },
        });
    }
    if faults.is_empty() {
        Ok(policy)
    } else {
        Err(faults)
    }
}

/// The wildcard rules of MQTT 5 section 4.7.1, so that a policy that can match nothing is not accepted.
fn check_filter(filter: &str, literal: &Literal) -> Result<(), Vec<Fault>> {
    let levels: Vec<&str> = filter.split('/').collect();
    let last = levels.len() - 1;
    let valid = levels
        .iter()
        .enumerate()
        .all(|(index, level)| match *level {
            "#" => index == last,
            "+" => true,
            level => !level.contains(['#', '+', '\0']),
        });
    if valid && filter.len() <= 65_535 {
        return Ok(());
    }
    Err(invalid(
        literal,
        "not a topic filter",
        "`+` stands for one whole level, `#` only for the rest at the end: a/+/b, a/#",
    ))
}
