//! The seam to the file system: one directory of files.
//!
//! The log sees its directory only through [`Disk`] and [`DiskFile`], so that
//! tests run it on a simulated disk ([`crate::sim::SimDisk`]) that loses, tears
//! and reorders whatever was not synced.
//!
//! **Invariants** (every implementation passes the same suite)
//! 1. What was written is read back at once, by everybody.
//! 2. After [`DiskFile::sync_data`] returned, all bytes written to the file
//!    before and its length survive a crash, once its name does.
//! 3. After [`Disk::sync_dir`] returned, all names made, changed and removed
//!    before survive a crash.
//! 4. Until then any part of it may survive, in any order.
//!
//! **Not here**: the lock and the format of a data directory (`data_dir`).

mod memory;
mod real;

use std::io;
use std::sync::Arc;

pub use memory::MemoryDisk;
pub use real::RealDisk;

/// A file of a [`Disk`]. Stays readable and writable while it is renamed or
/// removed.
pub trait DiskFile: Send + Sync {
    /// Reads at `position` until the buffer is full or the file ends; returns
    /// how many bytes were read.
    ///
    /// # Errors
    /// What the system says.
    fn read_at(&self, position: u64, buffer: &mut [u8]) -> io::Result<usize>;

    /// Says that these bytes are going to be read, so that a disk which can
    /// begins at once. Nothing depends on it.
    fn will_need(&self, _position: u64, _len: u64) {}

    /// Writes all bytes at `position`, extending the file if needed.
    ///
    /// # Errors
    /// What the system says; any part of the bytes may have been written.
    fn write_at(&self, position: u64, bytes: &[u8]) -> io::Result<()>;

    /// Waits until everything written to this file survives a crash.
    ///
    /// # Errors
    /// What the system says. The data may be lost then, and must not be
    /// trusted to a second try.
    fn sync_data(&self) -> io::Result<()>;

    /// Cuts the file or extends it with zeros. Durable after
    /// [`DiskFile::sync_data`].
    ///
    /// # Errors
    /// What the system says.
    fn set_len(&self, len: u64) -> io::Result<()>;

    /// Extends the file with zeros for which there is room on the disk; nothing
    /// needs to be written for it where the file system can reserve room. Then
    /// the first write to each place also changes what the system notes about
    /// the file, which a sync has to wait for. Durable after
    /// [`DiskFile::sync_data`].
    ///
    /// # Errors
    /// What the system says.
    fn allocate(&self, len: u64) -> io::Result<()> {
        write_zeros(self, self.len()?, len)
    }

    /// Bytes in the file.
    ///
    /// # Errors
    /// What the system says.
    fn len(&self) -> io::Result<u64>;

    /// Whether the file holds no bytes.
    ///
    /// # Errors
    /// What the system says.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }
}

/// A file's name and length.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DiskEntry {
    /// The name inside the directory.
    pub name: String,
    /// Bytes in the file.
    pub len: u64,
}

/// One directory of files, without subdirectories.
pub trait Disk: Send + Sync {
    /// Opens an existing file.
    ///
    /// # Errors
    /// `NotFound`, and what the system says.
    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>>;

    /// Makes an empty file.
    ///
    /// # Errors
    /// `AlreadyExists`, and what the system says.
    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>>;

    /// Removes a file.
    ///
    /// # Errors
    /// `NotFound`, and what the system says.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// Gives a file another name, in the place of a file that has it already.
    ///
    /// # Errors
    /// `NotFound`, and what the system says.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// All files, in the order of their names.
    ///
    /// # Errors
    /// What the system says.
    fn list(&self) -> io::Result<Vec<DiskEntry>>;

    /// Waits until all names survive a crash.
    ///
    /// # Errors
    /// What the system says.
    fn sync_dir(&self) -> io::Result<()>;

    /// Bytes that can still be allocated.
    ///
    /// # Errors
    /// What the system says.
    fn free_bytes(&self) -> io::Result<u64>;
}

/// Whether the error means that there is no room, which may come back.
#[must_use]
pub fn is_disk_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}

/// Reads the whole file.
pub(crate) fn read_all(file: &dyn DiskFile) -> io::Result<Vec<u8>> {
    let len = usize::try_from(file.len()?).map_err(io::Error::other)?;
    let mut bytes = vec![0; len];
    let read = file.read_at(0, &mut bytes)?;
    bytes.truncate(read);
    Ok(bytes)
}

/// Writes zeros to `start..end`.
pub(crate) fn write_zeros<F: DiskFile + ?Sized>(file: &F, start: u64, end: u64) -> io::Result<()> {
    const CHUNK: u64 = 1 << 20;
    let zeros = vec![0; end.saturating_sub(start).min(CHUNK) as usize];
    let mut position = start;
    while position < end {
        let len = (end - position).min(CHUNK);
        file.write_at(position, &zeros[..len as usize])?;
        position += len;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
