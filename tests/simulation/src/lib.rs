//! A cluster in one process: the production code of the log, of replication and
//! of the views, on simulated disks, network and clocks. One seed decides all
//! that happens, so a seed that fails fails again.
//!
//! ```text
//! plan (faults) ─┐
//! workload ──────┼─► nodes: Views ◄── Groups (Raft) ──► DiskLog ──► SimDisk
//!                │              ▲            │
//! network ───────┘              │            └──► network, to the others
//!                            oracle
//! ```
//!
//! **Invariants**
//! 1. Everything runs on one thread, in virtual time; all chance comes from the
//!    seed.
//! 2. What a killed node still does is seen by nobody.
//!
//! **Not here**: sockets, sessions and the MQTT protocol (`tests/e2e`).

mod disk;
mod network;
mod node;
mod oracle;
mod plan;
mod run;
mod trace;
mod workload;

pub use plan::Plan;
pub use run::{Options, Outcome, run};

/// A fault of the product that is put in on purpose: the oracle has to see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Planted {
    /// What is acknowledged was not synced: the disk only says so.
    AckBeforeSync,
    /// A node that has lost its disk comes back under its old id.
    WipedComesBack,
    /// A node passes over every fourth batch when it brings its views up to date.
    ViewsSkip,
    /// A batch whose fate is unknown is proposed again as a new one.
    ProposedTwice,
}
