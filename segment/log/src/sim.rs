//! A simulated disk: seeded, in memory, and as unkind as a real one may be.
//!
//! Written bytes are visible at once, but only synced ones are sure to survive
//! [`SimDisk::crash`]. Of the others each 512-byte sector comes out as it was
//! at some moment since it was synced: writes are dropped, torn and reordered.
//! Names that were not synced are kept or lost one by one.
//!
//! Faults are planned beforehand ([`Faults`]) and counted in changing calls:
//! create, remove, rename, write, set length, sync.
//!
//! **Not here**: damage of synced bytes by itself; see [`SimDisk::flip_bit`].

mod random;
mod storage;

use std::io;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::disk::{Disk, DiskEntry, DiskFile};
use random::Random;
use storage::{FileId, Storage};

/// What is to go wrong; counted in changing calls from 1.
#[derive(Clone, Copy, Debug, Default)]
pub struct Faults {
    /// The machine stops at this call: it and all later ones, also reads, fail.
    /// Whether the call itself had an effect is left to chance.
    pub crash_at: Option<u64>,
    /// This sync of a file fails (counted in syncs of files), and what it was
    /// to make durable is lost at the next crash.
    pub fail_sync_at: Option<u64>,
    /// This write finds no room (counted in writes); a part of it may be there
    /// all the same.
    pub full_at_write: Option<u64>,
    /// Bytes that all files together may have.
    pub capacity_bytes: Option<u64>,
}

/// The simulated disk. Clones are the same disk.
#[derive(Clone)]
pub struct SimDisk {
    shared: Arc<Mutex<Machine>>,
}

struct Machine {
    storage: Storage,
    random: Random,
    faults: Faults,
    calls: u64,
    syncs: u64,
    writes: u64,
    crashed: bool,
}

impl SimDisk {
    /// An empty disk without faults.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self::with(Storage::default(), seed)
    }

    fn with(storage: Storage, seed: u64) -> Self {
        let machine = Machine {
            storage,
            random: Random::new(seed),
            faults: Faults::default(),
            calls: 0,
            syncs: 0,
            writes: 0,
            crashed: false,
        };
        Self {
            shared: Arc::new(Mutex::new(machine)),
        }
    }

    /// Plans faults and starts counting anew.
    pub fn plan(&self, faults: Faults) {
        let mut machine = self.shared.lock();
        machine.faults = faults;
        machine.calls = 0;
        machine.syncs = 0;
        machine.writes = 0;
    }

    /// Changing calls since the last plan.
    #[must_use]
    pub fn calls(&self) -> u64 {
        self.shared.lock().calls
    }

    /// Syncs of files since the last plan.
    #[must_use]
    pub fn syncs(&self) -> u64 {
        self.shared.lock().syncs
    }

    /// Writes since the last plan.
    #[must_use]
    pub fn writes(&self) -> u64 {
        self.shared.lock().writes
    }

    /// Whether the planned crash has happened.
    #[must_use]
    pub fn has_crashed(&self) -> bool {
        self.shared.lock().crashed
    }

    /// What is found after a crash at this moment. The seed decides what of
    /// the unsynced survives. The old disk is dead from now on.
    #[must_use]
    pub fn crash(&self, seed: u64) -> Self {
        let mut machine = self.shared.lock();
        machine.crashed = true;
        let mut random = Random::new(seed);
        Self::with(machine.storage.survivors(&mut random), seed)
    }

    /// A separate disk with the same content, all of it durable, as after an
    /// orderly shutdown.
    #[must_use]
    pub fn copy(&self) -> Self {
        Self::with(self.shared.lock().storage.copy(), 0)
    }

    /// Turns over one bit of a file, in memory and on the medium.
    ///
    /// # Panics
    /// When there is no such file or bit.
    pub fn flip_bit(&self, name: &str, bit: u64) {
        self.shared.lock().storage.flip_bit(name, bit);
    }
}

impl Machine {
    /// Counts a changing call. `Err` when the machine has stopped; `Ok(false)`
    /// when it stops here and the call has its effect all the same.
    fn begin(&mut self) -> io::Result<bool> {
        self.alive()?;
        self.calls += 1;
        if self.faults.crash_at != Some(self.calls) {
            return Ok(true);
        }
        self.crashed = true;
        if self.random.chance(1, 2) {
            return Err(stopped());
        }
        Ok(false)
    }

    fn alive(&self) -> io::Result<()> {
        if self.crashed {
            return Err(stopped());
        }
        Ok(())
    }

    fn change<T>(&mut self, call: impl FnOnce(&mut Storage) -> io::Result<T>) -> io::Result<T> {
        let lives = self.begin()?;
        let result = call(&mut self.storage);
        if lives { result } else { Err(stopped()) }
    }

    /// Refuses a file's growth beyond the capacity.
    fn allocate(&self, file: FileId, len: u64) -> io::Result<()> {
        let grows = len.saturating_sub(self.storage.len(file));
        if grows > self.free_bytes() {
            return Err(io::ErrorKind::StorageFull.into());
        }
        Ok(())
    }

    fn free_bytes(&self) -> u64 {
        match self.faults.capacity_bytes {
            Some(capacity) => capacity.saturating_sub(self.storage.used_bytes()),
            None => u64::MAX,
        }
    }
}

fn stopped() -> io::Error {
    io::Error::other("the simulated machine has stopped")
}

impl Disk for SimDisk {
    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let machine = self.shared.lock();
        machine.alive()?;
        let file = machine.storage.find(name).ok_or(io::ErrorKind::NotFound)?;
        Ok(self.handle(file))
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let file = self.shared.lock().change(|storage| storage.create(name))?;
        Ok(self.handle(file))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.shared.lock().change(|storage| storage.remove(name))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut machine = self.shared.lock();
        machine.change(|storage| storage.rename(from, to))
    }

    fn list(&self) -> io::Result<Vec<DiskEntry>> {
        let machine = self.shared.lock();
        machine.alive()?;
        Ok(machine.storage.list())
    }

    fn sync_dir(&self) -> io::Result<()> {
        self.shared.lock().change(|storage| {
            storage.sync_dir();
            Ok(())
        })
    }

    fn free_bytes(&self) -> io::Result<u64> {
        let machine = self.shared.lock();
        machine.alive()?;
        Ok(machine.free_bytes())
    }
}

impl SimDisk {
    fn handle(&self, file: FileId) -> Arc<dyn DiskFile> {
        Arc::new(SimFile {
            disk: self.clone(),
            file,
        })
    }
}

struct SimFile {
    disk: SimDisk,
    file: FileId,
}

impl DiskFile for SimFile {
    fn read_at(&self, position: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let machine = self.disk.shared.lock();
        machine.alive()?;
        Ok(machine.storage.read_at(self.file, position, buffer))
    }

    fn write_at(&self, position: u64, bytes: &[u8]) -> io::Result<()> {
        let mut machine = self.disk.shared.lock();
        let lives = machine.begin()?;
        machine.writes += 1;
        let mut room = machine.allocate(self.file, position + bytes.len() as u64);
        let mut part = bytes.len();
        if machine.faults.full_at_write == Some(machine.writes) {
            room = Err(io::ErrorKind::StorageFull.into());
            part = machine.random.next() as usize % (part + 1);
        } else if room.is_err() {
            let inside = machine.storage.len(self.file).saturating_sub(position);
            part = part.min(inside as usize);
        }
        machine
            .storage
            .write_at(self.file, position, &bytes[..part]);
        if lives { room } else { Err(stopped()) }
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut machine = self.disk.shared.lock();
        let lives = machine.begin()?;
        machine.syncs += 1;
        if machine.faults.fail_sync_at == Some(machine.syncs) {
            machine.storage.forget_unsynced(self.file);
            return Err(io::Error::other("simulated failure of a sync"));
        }
        machine.storage.sync(self.file);
        if lives { Ok(()) } else { Err(stopped()) }
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut machine = self.disk.shared.lock();
        let lives = machine.begin()?;
        machine.allocate(self.file, len)?;
        machine.storage.set_len(self.file, len);
        if lives { Ok(()) } else { Err(stopped()) }
    }

    fn len(&self) -> io::Result<u64> {
        let machine = self.disk.shared.lock();
        machine.alive()?;
        Ok(machine.storage.len(self.file))
    }
}

#[cfg(test)]
mod tests;
