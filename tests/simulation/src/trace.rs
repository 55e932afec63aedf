//! What has happened, for the report, and its fingerprint, for the proof that
//! the same seed gives the same run.

use std::collections::VecDeque;
use std::fmt;

use parking_lot::Mutex;
use tokio::time::Instant;

/// Events kept for the report.
const KEPT_MAX: usize = 120;

/// The events of a run. They come in one after the other.
pub(crate) struct Trace {
    start: Instant,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    hash: crc32fast::Hasher,
    events: u64,
    kept: VecDeque<String>,
    failure: Option<String>,
}

impl Trace {
    pub(crate) fn new() -> Self {
        Self {
            start: Instant::now(),
            state: Mutex::default(),
        }
    }

    /// Milliseconds since the run began.
    pub(crate) fn now_ms(&self) -> u64 {
        self.start.elapsed().as_millis() as u64
    }

    /// Notes an event worth a line in the report.
    pub(crate) fn note(&self, event: fmt::Arguments<'_>) {
        let line = format!("{:>7} ms  {event}", self.now_ms());
        tracing::info!("{line}");
        let mut state = self.state.lock();
        state.hash.update(line.as_bytes());
        state.events += 1;
        if state.kept.len() == KEPT_MAX {
            state.kept.pop_front();
        }
        state.kept.push_back(line);
    }

    /// Notes an event by numbers alone.
    pub(crate) fn count(&self, numbers: &[u64]) {
        let now = self.now_ms();
        let mut state = self.state.lock();
        state.events += 1;
        for number in [now].iter().chain(numbers) {
            state.hash.update(&number.to_le_bytes());
        }
    }

    /// An invariant is broken; the first one counts.
    pub(crate) fn fail(&self, reason: fmt::Arguments<'_>) {
        self.note(format_args!("BROKEN: {reason}"));
        self.state
            .lock()
            .failure
            .get_or_insert_with(|| reason.to_string());
    }

    pub(crate) fn failure(&self) -> Option<String> {
        self.state.lock().failure.clone()
    }

    /// The fingerprint of all events, and how many they were.
    pub(crate) fn fingerprint(&self) -> (u32, u64) {
        let state = self.state.lock();
        (state.hash.clone().finalize(), state.events)
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        self.state.lock().kept.iter().cloned().collect()
    }
}
