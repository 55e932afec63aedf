//! Which shard a topic or a session belongs to.
//!
//! Topics hash to one of [`VIRTUAL_SHARDS`] slots and slots map to shards, so
//! that moving a slot later moves whole topics and never splits one: a topic
//! has one total order.

use robustmq_record::ShardId;

/// Number of hash slots that all topics fall into; fixed for ever, since the
/// slot of a topic decides where its history lies.
pub(crate) const VIRTUAL_SHARDS: u32 = 4096;

/// The namespace of everything until tenancy is switched on.
pub(crate) const DEFAULT_NAMESPACE: &str = "default";

/// Maps topics and client identifiers to shards.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ShardMap {
    shards: u32,
}

impl ShardMap {
    /// A map over `shards` shards, numbered from zero.
    ///
    /// # Panics
    /// When `shards` is zero or exceeds [`VIRTUAL_SHARDS`].
    pub(crate) fn new(shards: u32) -> Self {
        assert!(shards > 0 && shards <= VIRTUAL_SHARDS);
        Self { shards }
    }

    /// All shards.
    pub(crate) fn shards(self) -> impl Iterator<Item = ShardId> {
        (0..self.shards).map(ShardId)
    }

    /// The shard that orders a topic's messages.
    pub(crate) fn topic(self, namespace: &str, topic: &str) -> ShardId {
        self.slot(namespace, topic)
    }

    /// The shard that holds a session's state records.
    pub(crate) fn session(self, namespace: &str, client_id: &str) -> ShardId {
        self.slot(namespace, client_id)
    }

    fn slot(self, namespace: &str, name: &str) -> ShardId {
        let hash = fnv1a(
            fnv1a(FNV_OFFSET, namespace.as_bytes()) ^ 0xff,
            name.as_bytes(),
        );
        let slot = (hash ^ (hash >> 32)) as u32 % VIRTUAL_SHARDS;
        ShardId(slot % self.shards)
    }
}

const FNV_OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
const FNV_PRIME: u64 = 0x0000_0100_0000_01b3;

/// FNV-1a, 64 bit: stable across versions and machines, which a placement
/// hash must be, and cheap on short names.
fn fnv1a(seed: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(seed, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(FNV_PRIME)
    })
}

#[cfg(test)]
mod tests;
