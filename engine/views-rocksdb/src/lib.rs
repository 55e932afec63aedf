//! The view store on RocksDB.
//!
//! ```text
//! <directory>/FORMAT   version of the views' keys and values
//! <directory>/db/      the database
//! ```
//!
//! **Invariants**
//! 1. One column family, so that what reaches the disk is the same for all
//!    shards and views.
//! 2. No write-ahead log: the segment log is one. After a crash the store is as
//!    it was after some earlier write, and folding goes on from there.
//! 3. Views are disposable: a database that is damaged or of another version is
//!    removed, never repaired, and the log is folded again.
//!
//! **Not here**: what keys and values mean (`robustmq-views`).

mod directory;
mod snapshot;
#[cfg(test)]
mod tests;

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use robustmq_views::{KeyRange, KvError, KvRead, KvStore, Visit, WriteBatch, WriteOp};
use rocksdb::{
    BlockBasedOptions, Cache, DB, DBCompressionType, DBRawIterator, ErrorKind, LogLevel, Options,
    ReadOptions, WriteOptions,
};

/// Bytes written before they go to disk.
const WRITE_BUFFER_BYTES_MAX: usize = 32 << 20;

/// Write buffers: one being filled, the others on their way to disk.
const WRITE_BUFFERS_MAX: i32 = 2;

/// Bytes of blocks, indexes and filters kept in memory.
const BLOCK_CACHE_BYTES_MAX: usize = 64 << 20;

/// Files kept open.
const OPEN_FILES_MAX: i32 = 256;

/// Threads that flush and compact.
const BACKGROUND_JOBS_MAX: i32 = 2;

/// Two of three lookups of keys that are not there (new clients and topics)
/// must not read a block: at ten bits, 99 of 100 do not.
const FILTER_BITS_PER_KEY: f64 = 10.0;

/// Views in a directory.
pub struct RocksStore {
    db: Arc<DB>,
    directory: PathBuf,
}

impl RocksStore {
    /// Opens the views in `directory`, or begins anew where there are none, or
    /// none that can be used; a log line says why.
    ///
    /// # Errors
    /// When the directory cannot be used at all: not writable, in use by
    /// another process, disk full.
    pub fn open(directory: &Path) -> Result<Self, KvError> {
        directory::prepare(directory)?;
        let path = directory::database(directory);
        let db = match DB::open(&options(), &path) {
            Ok(db) => db,
            Err(error) if is_damage(&error) => {
                tracing::warn!(
                    path = %path.display(), %error,
                    "the views are damaged; they are removed and folded again from the log"
                );
                directory::begin_anew(directory)?;
                DB::open(&options(), &path).map_err(|error| kv_error(&error))?
            }
            Err(error) => return Err(kv_error(&error)),
        };
        Ok(Self {
            db: Arc::new(db),
            directory: directory.to_owned(),
        })
    }

    fn failed(&self, error: &rocksdb::Error) -> KvError {
        failed(&self.directory, error)
    }
}

fn options() -> Options {
    let mut blocks = BlockBasedOptions::default();
    blocks.set_block_cache(&Cache::new_lru_cache(BLOCK_CACHE_BYTES_MAX));
    blocks.set_cache_index_and_filter_blocks(true);
    blocks.set_pin_l0_filter_and_index_blocks_in_cache(true);
    blocks.set_bloom_filter(FILTER_BITS_PER_KEY, false);
    blocks.set_format_version(5);
    let mut options = Options::default();
    options.create_if_missing(true);
    options.set_block_based_table_factory(&blocks);
    options.set_compression_type(DBCompressionType::Lz4);
    options.set_write_buffer_size(WRITE_BUFFER_BYTES_MAX);
    options.set_max_write_buffer_number(WRITE_BUFFERS_MAX);
    options.set_max_open_files(OPEN_FILES_MAX);
    options.set_max_background_jobs(BACKGROUND_JOBS_MAX);
    // Its own log would only fill the disk; what matters comes as an error.
    options.set_log_level(LogLevel::Error);
    options.set_keep_log_file_num(2);
    options
}

/// Whether a database cannot be opened for what is in it, so that beginning
/// anew helps.
fn is_damage(error: &rocksdb::Error) -> bool {
    match error.kind() {
        ErrorKind::Corruption | ErrorKind::NotFound | ErrorKind::InvalidArgument => true,
        // A file of it is missing; RocksDB has no kind of its own for that.
        ErrorKind::IOError => error.as_ref().contains("No such file or directory"),
        _ => false,
    }
}

fn kv_error(error: &rocksdb::Error) -> KvError {
    match error.kind() {
        ErrorKind::Corruption => KvError::Corrupt(error.to_string()),
        _ => KvError::Io(error.to_string()),
    }
}

/// Translates an error; damage found while reading condemns the database, so
/// that the next start begins anew instead of failing at the same place.
fn failed(directory: &Path, error: &rocksdb::Error) -> KvError {
    if error.kind() == ErrorKind::Corruption {
        tracing::error!(%error, "the views are damaged; the next start folds them again from the log");
        directory::condemn(directory);
    }
    if error.kind() == ErrorKind::IOError && directory::is_full(directory) {
        return KvError::Full(error.to_string());
    }
    kv_error(error)
}

fn write_options() -> WriteOptions {
    let mut options = WriteOptions::default();
    options.disable_wal(true);
    options
}

/// How a range is read.
fn read_options(range: &KeyRange) -> ReadOptions {
    let mut options = ReadOptions::default();
    if let Some(end) = &range.end {
        options.set_iterate_upper_bound(end.clone());
    }
    options
}

/// Visits what an iterator with the range's upper bound finds.
fn walk(
    mut found: DBRawIterator<'_>,
    range: &KeyRange,
    visit: &mut Visit<'_>,
) -> Result<(), rocksdb::Error> {
    if range.is_empty() {
        return Ok(());
    }
    found.seek(&range.start);
    while let Some((key, value)) = found.item() {
        if let ControlFlow::Break(()) = visit(key, value) {
            return Ok(());
        }
        found.next();
    }
    found.status()
}

impl KvRead for RocksStore {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, KvError> {
        let value = self.db.get(key).map_err(|error| self.failed(&error))?;
        Ok(value.map(Bytes::from))
    }

    fn scan(&self, range: KeyRange, visit: &mut Visit<'_>) -> Result<(), KvError> {
        let found = self.db.raw_iterator_opt(read_options(&range));
        walk(found, &range, visit).map_err(|error| self.failed(&error))
    }
}

impl KvStore for RocksStore {
    fn write(&self, batch: WriteBatch) -> Result<(), KvError> {
        let mut changes = rocksdb::WriteBatch::default();
        let mut set: Vec<Vec<u8>> = Vec::new();
        let ops = batch.into_ops();
        let unbounded =
            |op: &WriteOp| matches!(op, WriteOp::DeleteRange(range) if range.end.is_none());
        let remember = ops.iter().any(unbounded);
        for op in ops {
            match op {
                WriteOp::Put(key, value) => {
                    changes.put(&key, value);
                    if remember {
                        set.push(key);
                    }
                }
                WriteOp::Delete(key) => changes.delete(key),
                WriteOp::DeleteRange(range) => match &range.end {
                    Some(end) => changes.delete_range(&range.start, end),
                    // RocksDB knows no range without an end.
                    None => {
                        let earlier = set.iter().filter(|key| **key >= range.start);
                        earlier.for_each(|key| changes.delete(key));
                        self.scan(range.clone(), &mut |key, _| {
                            changes.delete(key);
                            ControlFlow::Continue(())
                        })?;
                    }
                },
            }
        }
        let written = self.db.write_opt(changes, &write_options());
        written.map_err(|error| self.failed(&error))
    }

    fn snapshot(&self) -> Box<dyn KvRead> {
        Box::new(snapshot::Frozen::take(
            Arc::clone(&self.db),
            self.directory.clone(),
        ))
    }

    fn flush(&self) -> Result<(), KvError> {
        // A flush that fails stops all writes until the next one that succeeds.
        if directory::is_full(&self.directory) {
            return Err(KvError::Full("flushed later".to_owned()));
        }
        self.db.flush().map_err(|error| self.failed(&error))
    }
}
