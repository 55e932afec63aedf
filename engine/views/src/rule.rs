//! A rule as it stands in the views.

use bytes::Bytes;
use robustmq_record::{Offset, ShardId};

use crate::wire::{Reader, WireError, Writer};

/// A definition that was made while the broker ran.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// What kind of definition it is: `topic_rewrite`, ….
    pub family: String,
    /// Its name within the family.
    pub name: String,
    /// What it says, in the encoding of the family.
    pub definition: Bytes,
    /// When it was set, milliseconds since the Unix epoch.
    pub set_at_ms: u64,
}

/// A rule with what folding needs to know of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RuleEntry {
    /// The shard's offset from which on the log is needed to fold the entry.
    pub(crate) source: Offset,
    pub(crate) shard: ShardId,
    /// Where it was set.
    pub(crate) offset: Offset,
    pub(crate) rule: Rule,
}

impl RuleEntry {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Writer::new();
        out.number(self.source.0);
        out.number(self.shard.0);
        out.number(self.offset.0);
        out.number(self.rule.set_at_ms);
        out.rest(&self.rule.definition);
        out.finish()
    }

    pub(crate) fn decode(family: &str, name: &str, bytes: &[u8]) -> Result<Self, WireError> {
        let mut input = Reader::new(bytes);
        Ok(Self {
            source: Offset(input.number()?),
            shard: ShardId(input.narrow()?),
            offset: Offset(input.number()?),
            rule: Rule {
                family: family.to_owned(),
                name: name.to_owned(),
                set_at_ms: input.number()?,
                definition: Bytes::copy_from_slice(input.rest()),
            },
        })
    }
}
