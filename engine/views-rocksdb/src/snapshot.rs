//! A snapshot that keeps its database alive.
//!
//! RocksDB's snapshots borrow the database; `self_cell` ties the two together
//! and confines the unsafe code that takes to its own macro.

use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use robustmq_views::{KeyRange, KvError, KvRead, Visit};
use rocksdb::{DB, Snapshot};

use crate::{failed, read_options, walk};

self_cell::self_cell!(
    struct Held {
        owner: Arc<DB>,
        #[not_covariant]
        dependent: Snapshot,
    }
);

/// The database as it was at one moment.
pub(crate) struct Frozen {
    held: Held,
    directory: PathBuf,
}

impl Frozen {
    pub(crate) fn take(db: Arc<DB>, directory: PathBuf) -> Self {
        Self {
            held: Held::new(db, |db| db.snapshot()),
            directory,
        }
    }
}

impl KvRead for Frozen {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, KvError> {
        let value = self.held.with_dependent(|_, snapshot| snapshot.get(key));
        let value = value.map_err(|error| failed(&self.directory, &error))?;
        Ok(value.map(Bytes::from))
    }

    fn scan(&self, range: KeyRange, visit: &mut Visit<'_>) -> Result<(), KvError> {
        let scanned = self.held.with_dependent(|_, snapshot| {
            walk(
                snapshot.raw_iterator_opt(read_options(&range)),
                &range,
                visit,
            )
        });
        scanned.map_err(|error| failed(&self.directory, &error))
    }
}
