//! Connections between the nodes of a cluster: one TLS connection per pair, over
//! which both ask and answer.
//!
//! ```text
//! call, send ─▶ link ─▶ exchange (queues, windows) ─▶ connection ─▶ TLS
//!                 ▲                                       │
//!  dial, accept ──┘        handler, answers ◀─────────────┘
//! ```
//!
//! **Invariants**
//! 1. Who is not of the cluster's authority, says it is a node that its
//!    certificate does not name, is of another cluster or is not on the roster
//!    gets no request through. Both sides log why.
//! 2. Every request has exactly one outcome, which tells *not done* from
//!    *unknown*. Nothing is sent twice.
//! 3. Within a lane requests reach the handler in the order they were sent.
//! 4. Everything is bounded: queues, what is in flight, bodies, handshakes.
//! 5. Bytes off the wire never panic and never choose an allocation beyond a
//!    limit.
//!
//! **Not here**: what is asked; who the members are; when to dial a node that
//! nobody asks anything.

mod accept;
pub mod certificates;
mod connection;
mod discovery;
mod error;
mod exchange;
pub mod frame;
mod handshake;
mod hello;
mod limits;
mod link;
mod notices;
mod peers;
mod places;
mod request;
mod stats;
mod tls;
mod visit;

pub use discovery::{DiscoveryError, Place};
pub use error::{CallError, PeersError, TlsError};
pub use frame::Lane;
pub use hello::{Hello, NoHello, Purpose};
pub use limits::PeerLimits;
pub use peers::{Handler, PeerSetup, Peers, Roster};
pub use request::{Answer, Request};
pub use stats::{PeerState, Stats};
pub use tls::TlsFiles;
