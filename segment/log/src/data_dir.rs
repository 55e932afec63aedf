//! The data directory: one broker at a time, one format version.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

/// Version of the layout of a data directory.
const LAYOUT_VERSION: u32 = 1;

/// An opened data directory; locked until dropped.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    _lock: File,
}

/// Where the log of a data directory lies, and who has it open.
#[derive(Clone, Debug)]
pub struct LogLocation {
    /// The data directory.
    pub path: PathBuf,
    /// Its log.
    pub log: PathBuf,
    /// The broker that runs on it.
    pub owner: Option<Owner>,
}

/// A process that holds a data directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owner {
    /// Its number; unknown while it starts.
    pub pid: Option<u32>,
}

/// A data directory that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DataDirError {
    /// Another process has it.
    #[error(
        "the data directory {path} is in use by another broker (process {pid}): stop that one, or set node.data_dir to another directory"
    )]
    Locked {
        /// The directory.
        path: PathBuf,
        /// Who has it, as far as known.
        pid: String,
    },
    /// It cannot be read or written.
    #[error(
        "the data directory {path} cannot be used: {source}. Make it writable for this user, or set node.data_dir to another directory"
    )]
    Unusable {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// There is none.
    #[error("there is no data directory at {path}: name the one of the broker (its node.data_dir)")]
    Missing {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// It was written by a later version.
    #[error(
        "the data directory {path} has format {found}, this version knows up to {known}: start the newer version again, or set node.data_dir to another directory"
    )]
    Newer {
        /// The directory.
        path: PathBuf,
        /// Its version.
        found: u32,
        /// The highest version known.
        known: u32,
    },
    /// The version cannot be read.
    #[error(
        "{path} does not hold a format version: restore it (this version writes {known}), or set node.data_dir to another directory"
    )]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What this version would write.
        known: u32,
    },
}

impl DataDir {
    /// Opens `path`, which is created if it is missing, and locks it.
    ///
    /// # Errors
    /// See [`DataDirError`].
    pub fn open(path: &Path) -> Result<Self, DataDirError> {
        let unusable = |source| DataDirError::Unusable {
            path: path.to_owned(),
            source,
        };
        std::fs::create_dir_all(path).map_err(unusable)?;
        let lock = Self::lock(path)?;
        Self::check_format(path)?;
        Ok(Self {
            path: path.to_owned(),
            _lock: lock,
        })
    }

    /// Looks at `path` without locking or changing it: a broker may run on it,
    /// or start meanwhile.
    ///
    /// # Errors
    /// [`DataDirError::Missing`] and those that concern the format.
    pub fn look(path: &Path) -> Result<LogLocation, DataDirError> {
        let log = path.join("log");
        if !log.is_dir() || !path.join("FORMAT").is_file() {
            let path = path.to_owned();
            return Err(DataDirError::Missing { path });
        }
        Self::check_format(path)?;
        Ok(LogLocation {
            owner: owner(path),
            path: path.to_owned(),
            log,
        })
    }

    fn lock(path: &Path) -> Result<File, DataDirError> {
        let unusable = |source| DataDirError::Unusable {
            path: path.to_owned(),
            source,
        };
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path.join("LOCK"))
            .map_err(unusable)?;
        if let Err(error) = flock(&file, FlockOperation::NonBlockingLockExclusive) {
            if error != rustix::io::Errno::WOULDBLOCK {
                return Err(unusable(error.into()));
            }
            let mut pid = String::new();
            let known = file.read_to_string(&mut pid).is_ok() && !pid.trim().is_empty();
            let pid = if known {
                pid.trim().to_owned()
            } else {
                "unknown".to_owned()
            };
            return Err(DataDirError::Locked {
                path: path.to_owned(),
                pid,
            });
        }
        file.set_len(0).map_err(unusable)?;
        file.rewind().map_err(unusable)?;
        writeln!(file, "{}", std::process::id()).map_err(unusable)?;
        Ok(file)
    }

    fn check_format(path: &Path) -> Result<(), DataDirError> {
        let unusable = |source| DataDirError::Unusable {
            path: path.to_owned(),
            source,
        };
        let file = path.join("FORMAT");
        let text = match std::fs::read_to_string(&file) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return write_format(path, &file).map_err(unusable);
            }
            Err(error) => return Err(unusable(error)),
        };
        match text.trim().parse::<u32>() {
            Ok(version) if (1..=LAYOUT_VERSION).contains(&version) => Ok(()),
            Ok(0) => Err(DataDirError::Unreadable {
                path: file,
                known: LAYOUT_VERSION,
            }),
            Ok(found) => Err(DataDirError::Newer {
                path: path.to_owned(),
                found,
                known: LAYOUT_VERSION,
            }),
            Err(_) => Err(DataDirError::Unreadable {
                path: file,
                known: LAYOUT_VERSION,
            }),
        }
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where the log lies.
    pub fn log(&self) -> PathBuf {
        self.path.join("log")
    }

    /// Where it is kept who this node is to others, and who takes part.
    pub fn cluster(&self) -> PathBuf {
        self.path.join("cluster")
    }

    /// Where the views lie; may be deleted while no broker runs.
    pub fn views(&self) -> PathBuf {
        self.path.join("views")
    }
}

/// Who holds the lock, by what the kernel lists: trying the lock would be in the
/// way of a broker that starts.
fn owner(path: &Path) -> Option<Owner> {
    let lock = std::fs::metadata(path.join("LOCK")).ok()?;
    let locks = std::fs::read_to_string("/proc/locks").ok()?;
    // "1: FLOCK  ADVISORY  WRITE 4242 fe:00:131 0 EOF"
    let inode = lock.ino().to_string();
    let held = locks.lines().any(|line| {
        let mut fields = line.split_whitespace().skip(1);
        let is_flock = fields.next() == Some("FLOCK");
        let file = fields.nth(3).unwrap_or_default();
        is_flock && file.rsplit(':').next() == Some(inode.as_str())
    });
    let pid = || {
        let text = std::fs::read_to_string(path.join("LOCK")).ok()?;
        text.trim().parse().ok()
    };
    held.then(|| Owner { pid: pid() })
}

fn write_format(directory: &Path, file: &Path) -> io::Result<()> {
    let written = directory.join("FORMAT.new");
    std::fs::write(&written, format!("{LAYOUT_VERSION}\n"))?;
    File::open(&written)?.sync_all()?;
    std::fs::rename(&written, file)?;
    File::open(directory)?.sync_all()
}

#[cfg(test)]
mod tests;
