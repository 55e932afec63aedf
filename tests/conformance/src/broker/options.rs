//! What a test wants of a broker.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Options of a broker; `Options::new()` is what most tests use.
#[derive(Clone, Debug)]
pub struct Options {
    /// Configuration keys with their values.
    pub(super) sets: Vec<(String, String)>,
    /// The data directory; `None` takes a temp folder.
    pub(super) data_dir: Option<PathBuf>,
    environment: Vec<(OsString, OsString)>,
}

impl Default for Options {
    fn default() -> Self {
        Self::new()
    }
}

impl Options {
    /// Small segment files, so that a start does not write a hundred megabytes.
    pub fn new() -> Self {
        let options = Self {
            sets: Vec::new(),
            data_dir: None,
            environment: Vec::new(),
        };
        options.set("storage.segment_size", "4MB")
    }

    /// Sets a configuration key; the last value of a key counts.
    #[must_use]
    pub fn set(mut self, key: &str, value: &str) -> Self {
        self.sets.retain(|(at, _)| at != key);
        self.sets.push((key.to_owned(), value.to_owned()));
        self
    }

    /// Sets the data directory.
    #[must_use]
    pub fn data_dir(mut self, path: &Path) -> Self {
        self.data_dir = Some(path.to_owned());
        self
    }

    /// Sets an environment variable of the process.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl Into<OsString>) -> Self {
        self.environment.push((name.into(), value.into()));
        self
    }

    /// The value of a configuration key, if the test has set one.
    pub(super) fn get(&self, key: &str) -> Option<&str> {
        self.sets
            .iter()
            .find(|(at, _)| at == key)
            .map(|(_, value)| value.as_str())
    }

    pub(super) fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }
}
