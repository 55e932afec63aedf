//! For tests of stores and of folding: the contract every [`KvStore`] keeps,
//! made-up logs, and the laws folding obeys on any store.
//!
//! A broken promise is a panic that tells the seed.
//!
//! [`KvStore`]: crate::KvStore

mod chance;
mod contract;
mod laws;
mod sample;

pub use chance::Chance;
pub use contract::{check_store, pairs};
pub use laws::{CrashingStore, MemoryDisk, check_crashes, check_removal};
pub use sample::{SampleLog, SampleRecord, Sampler};
