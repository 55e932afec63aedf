//! The MQTT protocol without input or output: packets, topics, and the state
//! machines of connections and sessions.
//!
//! **Not here**: sockets, files, clocks, randomness, storage. All of them come
//! in as arguments, so that the same code runs in the broker, in tests and in
//! a simulation.

pub mod codec;
pub mod session;
pub mod topic;
pub mod types;

pub use types::{PacketId, ProtocolVersion, QoS, ReasonCode};
