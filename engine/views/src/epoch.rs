//! Connection epochs: which connection of a client is the later one, and which
//! node it is of.
//!
//! The lower 10 bits are the node, so that no two nodes have the same; above
//! them is the clock in 64ths of a millisecond, or one more than the epoch
//! before.

/// Bits that say which node it is of.
const NODE_BITS: u32 = 10;

/// Epochs of a node that are possible in a millisecond; more than that run ahead
/// of the clock.
const PER_MS_BITS: u32 = 6;

/// The highest number of a node that an epoch can hold.
pub const EPOCH_NODE_MAX: u64 = (1 << NODE_BITS) - 1;

/// The first connection epoch of a node at a moment that is above `last`.
#[must_use]
pub fn epoch_of(node: u64, now_ms: u64, last: u64) -> u64 {
    let next = (last >> NODE_BITS) + 1;
    ((now_ms << PER_MS_BITS).max(next) << NODE_BITS) | (node & EPOCH_NODE_MAX)
}

/// Whose connection epoch it is.
#[must_use]
pub fn owner_of(epoch: u64) -> u64 {
    epoch & EPOCH_NODE_MAX
}
