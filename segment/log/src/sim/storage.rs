//! What lies on the simulated medium, and what is still on its way there.

use std::collections::BTreeMap;
use std::io;

use super::random::Random;
use crate::disk::DiskEntry;

/// Bytes that reach the medium together or not at all.
const SECTOR: usize = 512;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct FileId(u64);

/// A change that was not synced yet.
#[derive(Clone)]
enum Pending {
    /// The sectors from `position` on, as they were after a write.
    Sectors { position: usize, bytes: Vec<u8> },
    /// A new length.
    Len(usize),
}

#[derive(Clone, Default)]
struct Inode {
    /// What a program reads.
    live: Vec<u8>,
    /// What is sure to survive a crash.
    durable: Vec<u8>,
    pending: Vec<Pending>,
}

#[derive(Clone)]
enum NameChange {
    Create(String, FileId),
    Remove(String),
    Rename(String, String),
}

/// Names and files, live and durable.
#[derive(Clone, Default)]
pub(super) struct Storage {
    inodes: BTreeMap<FileId, Inode>,
    names: BTreeMap<String, FileId>,
    durable_names: BTreeMap<String, FileId>,
    changes: Vec<NameChange>,
    next_id: u64,
}

impl NameChange {
    fn apply(&self, names: &mut BTreeMap<String, FileId>) {
        match self {
            Self::Create(name, file) => {
                names.insert(name.clone(), *file);
            }
            Self::Remove(name) => {
                names.remove(name);
            }
            Self::Rename(from, to) => {
                if let Some(file) = names.remove(from) {
                    names.insert(to.clone(), file);
                }
            }
        }
    }
}

impl Storage {
    pub(super) fn find(&self, name: &str) -> Option<FileId> {
        self.names.get(name).copied()
    }

    pub(super) fn create(&mut self, name: &str) -> io::Result<FileId> {
        if self.names.contains_key(name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let file = FileId(self.next_id);
        self.next_id += 1;
        self.inodes.insert(file, Inode::default());
        self.change(NameChange::Create(name.to_owned(), file));
        Ok(file)
    }

    pub(super) fn remove(&mut self, name: &str) -> io::Result<()> {
        self.find(name).ok_or(io::ErrorKind::NotFound)?;
        self.change(NameChange::Remove(name.to_owned()));
        Ok(())
    }

    pub(super) fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        self.find(from).ok_or(io::ErrorKind::NotFound)?;
        self.change(NameChange::Rename(from.to_owned(), to.to_owned()));
        Ok(())
    }

    fn change(&mut self, change: NameChange) {
        change.apply(&mut self.names);
        self.changes.push(change);
    }

    pub(super) fn list(&self) -> Vec<DiskEntry> {
        let entry = |(name, file): (&String, &FileId)| DiskEntry {
            name: name.clone(),
            len: self.len(*file),
        };
        self.names.iter().map(entry).collect()
    }

    pub(super) fn sync_dir(&mut self) {
        self.durable_names = self.names.clone();
        self.changes.clear();
    }

    fn inode(&self, file: FileId) -> &Inode {
        self.inodes.get(&file).expect("files are never forgotten")
    }

    fn inode_mut(&mut self, file: FileId) -> &mut Inode {
        self.inodes
            .get_mut(&file)
            .expect("files are never forgotten")
    }

    pub(super) fn len(&self, file: FileId) -> u64 {
        self.inode(file).live.len() as u64
    }

    /// Bytes of all files that have a name.
    pub(super) fn used_bytes(&self) -> u64 {
        self.names.values().map(|file| self.len(*file)).sum()
    }

    pub(super) fn read_at(&self, file: FileId, position: u64, buffer: &mut [u8]) -> usize {
        let live = &self.inode(file).live;
        let start = position.min(live.len() as u64) as usize;
        let len = buffer.len().min(live.len() - start);
        buffer[..len].copy_from_slice(&live[start..start + len]);
        len
    }

    pub(super) fn write_at(&mut self, file: FileId, position: u64, bytes: &[u8]) {
        let inode = self.inode_mut(file);
        let (start, end) = (position as usize, position as usize + bytes.len());
        if inode.live.len() < end {
            inode.live.resize(end, 0);
            inode.pending.push(Pending::Len(end));
        }
        inode.live[start..end].copy_from_slice(bytes);
        let first = start / SECTOR * SECTOR;
        let last = end.next_multiple_of(SECTOR).min(inode.live.len());
        inode.pending.push(Pending::Sectors {
            position: first,
            bytes: inode.live[first..last].to_vec(),
        });
    }

    pub(super) fn set_len(&mut self, file: FileId, len: u64) {
        let inode = self.inode_mut(file);
        inode.live.resize(len as usize, 0);
        inode.pending.push(Pending::Len(len as usize));
    }

    pub(super) fn sync(&mut self, file: FileId) {
        let inode = self.inode_mut(file);
        for change in std::mem::take(&mut inode.pending) {
            match change {
                Pending::Len(len) => inode.durable.resize(len, 0),
                Pending::Sectors { position, bytes } => {
                    // A length that a failed sync lost comes back with what is
                    // behind it.
                    let end = position + bytes.len();
                    let len = inode.durable.len().max(end);
                    inode.durable.resize(len, 0);
                    inode.durable[position..end].copy_from_slice(&bytes);
                }
            }
        }
    }

    /// A failed sync: what was written stays readable but will not survive.
    pub(super) fn forget_unsynced(&mut self, file: FileId) {
        self.inode_mut(file).pending.clear();
    }

    pub(super) fn flip_bit(&mut self, name: &str, bit: u64) {
        let file = self.find(name).expect("the file exists");
        let inode = self.inode_mut(file);
        let (byte, mask) = ((bit / 8) as usize, 1 << (bit % 8));
        inode.live[byte] ^= mask;
        if let Some(byte) = inode.durable.get_mut(byte) {
            *byte ^= mask;
        }
    }

    /// The same content, all of it durable.
    pub(super) fn copy(&self) -> Self {
        let mut copy = self.clone();
        copy.sync_dir();
        for inode in copy.inodes.values_mut() {
            inode.durable = inode.live.clone();
            inode.pending.clear();
        }
        copy
    }

    /// What is found after a crash.
    pub(super) fn survivors(&self, random: &mut Random) -> Self {
        let mut names = self.durable_names.clone();
        for change in &self.changes {
            if random.chance(1, 2) {
                change.apply(&mut names);
            }
        }
        let inodes = self.inodes.iter();
        let inodes = inodes.map(|(file, inode)| (*file, inode.survivor(random)));
        Self {
            inodes: inodes.collect(),
            durable_names: names.clone(),
            names,
            changes: Vec::new(),
            next_id: self.next_id,
        }
    }
}

impl Inode {
    fn survivor(&self, random: &mut Random) -> Self {
        // One of: nothing arrived, everything did, or sectors by chance.
        let (part, whole) = [(0, 1), (1, 1), (1, 2), (1, 8), (7, 8)][(random.next() % 5) as usize];
        let mut bytes = self.durable.clone();
        for change in &self.pending {
            match change {
                Pending::Len(len) => {
                    if random.chance(part, whole) {
                        bytes.resize(*len, 0);
                    }
                }
                Pending::Sectors {
                    position,
                    bytes: sectors,
                } => {
                    for (place, sector) in sectors.chunks(SECTOR).enumerate() {
                        let start = position + place * SECTOR;
                        if random.chance(part, whole) && start < bytes.len() {
                            let len = sector.len().min(bytes.len() - start);
                            bytes[start..start + len].copy_from_slice(&sector[..len]);
                        }
                    }
                }
            }
        }
        Self {
            live: bytes.clone(),
            durable: bytes,
            pending: Vec::new(),
        }
    }
}
