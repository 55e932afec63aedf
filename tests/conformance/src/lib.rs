//! What the tests of the whole broker are made of: a broker as a process, clients that do exactly what they
//! are told, real clients, faults, and the torture workload with its oracle.
//!
//! **Invariants**
//! 1. Nothing here links the broker: it is started as the program that users start.
//! 2. Packets are built and parsed by hand, not by the codec under test.
//! 3. A broker that logs a WARN or ERROR nobody announced fails the test that started it.
//! 4. A client that is missing fails the test with the command that installs it; nothing is skipped silently.
//!
//! **Not here**: tests of single crates, which live beside them.

pub mod broker;
pub mod chance;
pub mod client;
pub mod packet;

pub use broker::{Broker, Options, differs_on_peer};
pub use client::{Client, Heard};
pub use packet::{
    Ack, AckKind, Connect, Packet, Props, Publish, Subscribe, Value, Version, Will, property,
};
