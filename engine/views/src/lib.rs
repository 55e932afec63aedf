//! What a broker keeps besides messages: sessions, retained messages, QoS 2
//! identifiers and timers, all folded from the records of the log. Delete the
//! views and fold the log again: they are the same.
//!
//! ```text
//! StateBody ── encode ──► record in the log ── Batch ──► Views::apply ──► KvStore
//!                                                             │
//!                session · retained · inbound_qos2 · due ◄────┘
//! ```
//!
//! **Invariants**
//! 1. Views depend on the records of the log alone: not on how they are
//!    batched, on time, or on how often they are applied.
//! 2. What was folded and up to where is written together.
//! 3. What [`Views::carry_forward`] lists, appended and applied, makes views
//!    independent of the records below.
//!
//! **Not here**: when timers are looked at, what is delivered to whom (the
//! broker); files (`robustmq-views-rocksdb`); time and chance, which come in as
//! arguments.

mod carry;
mod delayed;
mod digest;
mod epoch;
mod error;
mod fold;
mod forget;
mod keys;
mod memory;
mod positions;
mod read;
mod retained;
mod rule;
mod session;
mod snapshot;
mod state;
mod store;
pub mod testing;
mod timer;
mod views;
mod wire;

pub use carry::CarriedRecord;
pub use delayed::{DelayedMessage, DelayedPage};
pub use epoch::{EPOCH_NODE_MAX, epoch_of, owner_of};
pub use error::ViewError;
pub use keys::VIEW_FORMAT_VERSION;
pub use memory::MemoryStore;
pub use retained::RetainedMessage;
pub use rule::Rule;
pub use session::SessionState;
pub use snapshot::ViewSnapshot;

pub use state::{
    AssignedEntry, DelayedCarried, DelayedStored, EXPIRY_NEVER, InboundCarried, InflightStage,
    InflightState, RetainedCarried, RuleCarried, RuleChange, STATE_VERSION, SessionCarried,
    StateBody, StateError, SubscriptionState, Will, kind,
};
pub use store::{KeyRange, KvError, KvRead, KvStore, Visit, WriteBatch, WriteOp};
pub use timer::{Timer, TimerKind};
pub use views::{Counts, NAMESPACE_DEFAULT, Views};
pub use wire::WireError;
