//! What each policy's topics hold in a segment, from the segment's index.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use super::{RetentionPolicies, Retirement};
use crate::error::ReadError;
use crate::file_names;
use crate::indexes;
use crate::segment::Segment;

/// What the topics of one policy hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Share {
    pub(crate) records: u64,
    pub(crate) bytes: u64,
    pub(crate) timestamp_ms_max: u64,
}

impl Share {
    pub(super) fn add(&mut self, other: &Self) {
        self.records += other.records;
        self.bytes += other.bytes;
        self.timestamp_ms_max = self.timestamp_ms_max.max(other.timestamp_ms_max);
    }
}

/// Shares by policy, and for which policies they were computed.
#[derive(Clone, Debug)]
pub(crate) struct Shares {
    policies: u64,
    shares: Vec<Share>,
}

impl Retirement<'_> {
    /// One share per policy, and one more for state records. Computed once per
    /// segment and set of policies.
    pub(super) fn shares(&self, segment: &Arc<Segment>) -> Result<Vec<Share>, ReadError> {
        let policies = fingerprint(self.policies);
        if let Some(known) = &*segment.shares.lock()
            && known.policies == policies
        {
            return Ok(known.shares.clone());
        }
        let failed = |source| ReadError::Io {
            file: file_names::index(segment.id()),
            source,
        };
        let index = indexes::load(self.state, segment).map_err(failed)?;
        let mut shares = vec![Share::default(); self.policies.count() + 1];
        for table in index.shards() {
            let visited = table.all_topics(|entry| {
                // No message has an empty topic; state records may.
                let number = if entry.topic.is_empty() {
                    self.policies.count()
                } else {
                    self.policies.number(entry.topic)
                };
                shares[number].add(&Share {
                    records: entry.records,
                    bytes: entry.bytes,
                    timestamp_ms_max: entry.timestamp_ms_max,
                });
            });
            visited.map_err(|error| failed(std::io::Error::other(error)))?;
        }
        *segment.shares.lock() = Some(Shares {
            policies,
            shares: shares.clone(),
        });
        Ok(shares)
    }
}

/// The same for the same policies, as long as the process runs.
fn fingerprint(policies: &RetentionPolicies) -> u64 {
    let mut hasher = DefaultHasher::new();
    policies.hash(&mut hasher);
    hasher.finish()
}
