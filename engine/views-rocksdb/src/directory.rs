//! The directory around the database: its version, and beginning anew.
//!
//! **Invariants**
//! 1. The version is written before a database is made and taken away before
//!    one is removed, so that half a database never looks like a whole one.

use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use robustmq_views::{KvError, VIEW_FORMAT_VERSION};

/// Where the version stands.
const FORMAT_FILE: &str = "FORMAT";

/// Where the database is.
const DATABASE: &str = "db";

/// Where a database goes that is being removed.
const DISCARDED: &str = "db.discarded";

/// With less room than this, a write that failed did so for want of room.
const FREE_BYTES_MIN: u64 = 4 << 20;

/// Longest version that is looked at.
const FORMAT_BYTES_MAX: u64 = 64;

pub(crate) fn database(directory: &Path) -> PathBuf {
    directory.join(DATABASE)
}

fn version_text() -> String {
    format!("robustmq views {VIEW_FORMAT_VERSION}\n")
}

/// Leaves a directory in which a database of this version is or may be made.
pub(crate) fn prepare(directory: &Path) -> Result<(), KvError> {
    let make = fs::create_dir_all(directory);
    make.map_err(|error| failed(directory, "create", &error))?;
    let database = database(directory);
    match read_version(directory)? {
        Some(found) if found == version_text() => Ok(()),
        found => {
            if database.exists() {
                let found = found.unwrap_or_default();
                tracing::warn!(
                    path = %database.display(), found = found.trim(), expected = version_text().trim(),
                    "the views are of another version or condemned; they are removed and folded again from the log"
                );
            }
            begin_anew(directory)
        }
    }
}

fn read_version(directory: &Path) -> Result<Option<String>, KvError> {
    use std::io::Read;
    let path = directory.join(FORMAT_FILE);
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(&path, "open", &error)),
    };
    let mut found = Vec::new();
    let read = file.take(FORMAT_BYTES_MAX).read_to_end(&mut found);
    read.map_err(|error| failed(&path, "read", &error))?;
    Ok(Some(String::from_utf8_lossy(&found).into_owned()))
}

/// Removes the database, if there is one, and writes the version.
pub(crate) fn begin_anew(directory: &Path) -> Result<(), KvError> {
    condemn(directory);
    let discarded = directory.join(DISCARDED);
    remove_all(&discarded)?;
    match fs::rename(database(directory), &discarded) {
        Ok(()) => remove_all(&discarded)?,
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(failed(&database(directory), "move away", &error)),
    }
    write_version(directory).map_err(|error| failed(directory, "write the version in", &error))
}

fn write_version(directory: &Path) -> std::io::Result<()> {
    let mut file = File::create(directory.join(FORMAT_FILE))?;
    file.write_all(version_text().as_bytes())?;
    file.sync_all()?;
    File::open(directory)?.sync_all()
}

fn remove_all(path: &Path) -> Result<(), KvError> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(failed(path, "remove", &error)),
        _ => Ok(()),
    }
}

/// Whether the disk is full, or so nearly that a file of the database may have
/// found no room.
pub(crate) fn is_full(directory: &Path) -> bool {
    rustix::fs::statvfs(directory)
        .is_ok_and(|disk| disk.f_bavail.saturating_mul(disk.f_frsize) < FREE_BYTES_MIN)
}

/// Makes sure the database is not used at the next start.
pub(crate) fn condemn(directory: &Path) {
    let path = directory.join(FORMAT_FILE);
    if let Err(error) = fs::remove_file(&path)
        && error.kind() != ErrorKind::NotFound
    {
        tracing::error!(
            path = %path.display(), %error,
            "damaged views could not be marked; remove their directory before the next start"
        );
    }
}

fn failed(path: &Path, what: &str, error: &std::io::Error) -> KvError {
    KvError::Io(format!("cannot {what} {}: {error}", path.display()))
}
