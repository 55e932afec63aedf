//! Keeps log lines about the same thing apart in time.

use std::time::{Duration, Instant};

use hashbrown::HashMap;
use parking_lot::Mutex;

/// How long a line is not repeated.
const REPEAT_INTERVAL: Duration = Duration::from_secs(60);

/// Lines that are remembered.
const REMEMBERED_MAX: usize = 1024;

/// What was logged of late.
#[derive(Debug, Default)]
pub(crate) struct Notices {
    logged: Mutex<HashMap<String, Instant>>,
}

impl Notices {
    /// True if `line` was not logged of late; it counts as logged from now on.
    pub(crate) fn is_due(&self, line: String) -> bool {
        let now = Instant::now();
        let mut logged = self.logged.lock();
        if logged.len() >= REMEMBERED_MAX {
            logged.retain(|_, at| now.duration_since(*at) < REPEAT_INTERVAL);
        }
        if logged.len() >= REMEMBERED_MAX {
            // Whoever makes up ever new lines gets no line of its own.
            return false;
        }
        match logged.get(&line) {
            Some(at) if now.duration_since(*at) < REPEAT_INTERVAL => false,
            _ => {
                logged.insert(line, now);
                true
            }
        }
    }
}
