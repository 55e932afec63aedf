//! Retention per topic filter: `[[storage.policy]]`.

use crate::literal::{ByteSize, TimeSpan};
use crate::schema::section;
use crate::sections::Storage;
use crate::setting::{Fault, Literal, Setting, invalid, quoted};
use crate::tables::ListedSection;

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

impl ListedSection for StoragePolicy {
    const PATH: &'static str = "storage.policy";
    const EXAMPLE: &'static str = "{ filter = \"a/#\", retention_time = \"1d\" }";
    const REQUIRED: &'static [(&'static str, &'static str)] = &[(
        "filter",
        "say which topics the policy is for: filter = \"sensors/#\"",
    )];

    fn check(&self, key: &str, literal: &Literal) -> Result<(), Vec<Fault>> {
        match key {
            "filter" => check_filter(&self.filter, literal),
            _ => Ok(()),
        }
    }
}

/// The wildcard rules of MQTT 5 section 4.7.1, so that a policy that can match nothing is not accepted.
fn check_filter(filter: &str, literal: &Literal) -> Result<(), Vec<Fault>> {
    if is_filter(filter) {
        return Ok(());
    }
    Err(invalid(
        literal,
        "not a topic filter",
        "`+` stands for one whole level, `#` only for the rest at the end: a/+/b, a/#",
    ))
}

pub(crate) fn is_filter(filter: &str) -> bool {
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
    valid && filter.len() <= 65_535
}
