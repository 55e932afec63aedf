//! Rules: definitions that people change while the broker runs.
//!
//! A rule belongs to a family (`topic_rewrite`, …) and has a name within it.
//! What its definition says is for the family's owner; here it is bytes.

use bytes::Bytes;
use robustmq_record::Offset;

use crate::wire::{Reader, WireError, Writer};

/// What becomes of one rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleChange {
    /// The rule's name within its family.
    pub name: String,
    /// What it says from now on; none removes it.
    pub definition: Option<Bytes>,
}

impl RuleChange {
    pub(super) fn write(&self, out: &mut Writer) {
        out.text(&self.name);
        out.bool(self.definition.is_some());
        out.blob(self.definition.as_deref().unwrap_or_default());
    }

    pub(super) fn read(input: &mut Reader<'_>) -> Result<Self, WireError> {
        let name = input.string()?;
        let is_set = input.bool()?;
        let definition = input.bytes()?;
        if !is_set && !definition.is_empty() {
            return Err(input.error("a rule that goes says nothing"));
        }
        Ok(Self {
            name,
            definition: is_set.then_some(definition),
        })
    }
}

/// A copy of a rule, appended again because its record is about to be removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleCarried {
    /// The end of what had been folded when the copy was made.
    pub as_of: Offset,
    /// Where the rule was set.
    pub offset: Offset,
    /// When it was set, milliseconds since the Unix epoch.
    pub set_at_ms: u64,
    /// Its family.
    pub family: String,
    /// Its name within the family.
    pub name: String,
    /// What it says.
    pub definition: Bytes,
}

impl RuleCarried {
    pub(super) fn write(&self, out: &mut Writer) {
        out.number(self.as_of.0);
        out.number(self.offset.0);
        out.number(self.set_at_ms);
        out.text(&self.family);
        out.text(&self.name);
        out.blob(&self.definition);
    }

    pub(super) fn read(input: &mut Reader<'_>) -> Result<Self, WireError> {
        Ok(Self {
            as_of: Offset(input.number()?),
            offset: Offset(input.number()?),
            set_at_ms: input.number()?,
            family: input.string()?,
            name: input.string()?,
            definition: input.bytes()?,
        })
    }
}
