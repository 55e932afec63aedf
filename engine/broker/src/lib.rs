//! The broker: from sockets to the log and from the log to sockets.
//!
//! `ARCHITECTURE.md` at the root of the project tells the way of a message.
//!
//! **Invariants**
//! 1. Nothing is acknowledged but by `dispatch::acknowledge`, after it is
//!    durable.
//! 2. No queue grows with a slow reader: links lag, mailboxes push back.
//! 3. A session has one owner at a time (`registry`).
//!
//! **Not here**: bytes on disk (`robustmq-log`), packets
//! (`robustmq-protocol`), the process around it (`robustmq-server`).

mod assembly;
mod broker;
mod carry;
mod clock;
pub mod cluster;
mod connection;
mod counters;
pub mod cursors;
pub mod delayed;
mod dispatch;
mod exclusive;
pub mod explain;
pub mod history;
mod ledger;
mod link;
mod mailbox;
mod net;
mod positions;
mod registry;
pub mod rules;
mod running;
pub mod sessions;
mod shard_map;
mod startup;
mod subscription;
mod subscriptions;
mod timers;
mod will;

pub use broker::{Broker, Setup, StartError};
pub use clock::{Clock, SystemClock};
pub use counters::Counters;
pub use dispatch::OnFatal;
pub use ledger::LedgerEntry;
pub use net::{Listening, TlsError};
pub use running::Running;
