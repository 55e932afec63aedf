//! Model clients joined with the two halves of the session over two queues
//! that lose what is in them when the connection is cut.
//!
//! A run is a list of numbers, each the choice of one step; a failing list is
//! shrunk and printed by proptest. After it the network behaves, everything
//! settles, and the oracle looks at what arrived:
//! QoS 1 at least once, QoS 2 exactly once, acknowledgements in order,
//! identifiers never shared, windows kept, quotas whole again.

mod inbound;
mod outbound;

/// Picks by a number from outside; `None` of an empty slice.
fn pick(choice: u16, count: usize) -> Option<usize> {
    (count > 0).then(|| usize::from(choice) % count)
}
