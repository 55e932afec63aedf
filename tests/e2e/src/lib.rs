//! Support for tests that run the real broker: a process with its data
//! directory, and a client that does exactly what it is told.
//!
//! **Not here**: the tests (`tests/`), and any knowledge of the engine: only
//! the protocol and what a user sees.

mod broker;
mod client;
mod cluster;
mod http;
mod mosquitto;

pub use broker::{Broker, Failed, Launch, binary};
pub use client::{Client, Connect, Message, Received, Wire};
pub use cluster::{Cluster, free_place};
pub use http::{Answer, Event, Events, Http};
pub use mosquitto::Mosquitto;
