//! Files for the next segments, zeroed ahead by a thread of their own, so that
//! the writer does not wait for zeroing when a segment is full.

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;

use parking_lot::{Condvar, Mutex};

use crate::disk::{Disk, DiskFile};

const SPARE_SUFFIX: &str = ".spare";

/// Whether a file is a spare one.
pub(crate) fn is_spare_name(name: &str) -> bool {
    name.ends_with(SPARE_SUFFIX)
}

struct State {
    ready: Vec<String>,
    next_number: u64,
    stopped: bool,
    /// No room was found; tried again when a file is asked for.
    paused: bool,
}

struct Inner {
    disk: Arc<dyn Disk>,
    state: Mutex<State>,
    wanted: Condvar,
    segment_bytes: u64,
    count: usize,
    free_bytes_min: u64,
}

/// The spare files of a log.
pub(crate) struct Spares {
    inner: Arc<Inner>,
    thread: Option<JoinHandle<()>>,
}

impl Spares {
    /// Starts preparing; `found` are spare files left from the last run.
    pub(crate) fn start(
        disk: Arc<dyn Disk>,
        found: Vec<String>,
        segment_bytes: u64,
        count: usize,
        free_bytes_min: u64,
    ) -> io::Result<Self> {
        let mut spares = Self::idle(disk, segment_bytes, count, free_bytes_min);
        let number = |name: &String| u64::from_str_radix(name.split('.').next()?, 16).ok();
        spares.inner.state.lock().next_number = found.iter().filter_map(number).max().unwrap_or(0);
        for name in found {
            // A file of another size is of no use: the configuration changed.
            let fits = spares.inner.disk.open(&name)?.len()? == segment_bytes;
            if fits && spares.inner.state.lock().ready.len() < count {
                spares.inner.state.lock().ready.push(name);
            } else {
                spares.inner.disk.remove(&name)?;
            }
        }
        let inner = Arc::clone(&spares.inner);
        let thread = std::thread::Builder::new()
            .name("log-prepare".to_owned())
            .spawn(move || inner.prepare_ahead())?;
        spares.thread = Some(thread);
        Ok(spares)
    }

    fn idle(disk: Arc<dyn Disk>, segment_bytes: u64, count: usize, free_bytes_min: u64) -> Self {
        let state = State {
            ready: Vec::new(),
            next_number: 0,
            stopped: false,
            paused: false,
        };
        let inner = Inner {
            disk,
            state: Mutex::new(state),
            wanted: Condvar::new(),
            segment_bytes,
            count,
            free_bytes_min,
        };
        Self {
            inner: Arc::new(inner),
            thread: None,
        }
    }

    /// Turns a spare file into `name`, or makes a new one of at least
    /// `bytes_min` bytes; its name is durable when this returns.
    pub(crate) fn take(&self, name: &str, bytes_min: u64) -> io::Result<Arc<dyn DiskFile>> {
        let inner = &self.inner;
        if bytes_min <= inner.segment_bytes {
            let ready = {
                let mut state = inner.state.lock();
                state.paused = false;
                state.ready.pop()
            };
            inner.wanted.notify_one();
            if let Some(ready) = ready {
                inner.disk.rename(&ready, name)?;
                inner.disk.sync_dir()?;
                return inner.disk.open(name);
            }
        }
        let bytes = bytes_min.max(inner.segment_bytes);
        inner.check_room(bytes)?;
        let file = inner.disk.create(name, bytes)?;
        inner.disk.sync_dir()?;
        Ok(file)
    }

    /// Keeps a file that is no longer a segment, or removes it.
    pub(crate) fn recycle(&self, name: &str) -> io::Result<()> {
        let inner = &self.inner;
        let fits = inner.disk.open(name)?.len()? == inner.segment_bytes;
        let spare = {
            let mut state = inner.state.lock();
            (fits && state.ready.len() < inner.count).then(|| state.name())
        };
        let Some(spare) = spare else {
            inner.disk.remove(name)?;
            return inner.disk.sync_dir();
        };
        inner.disk.rename(name, &spare)?;
        inner.disk.sync_dir()?;
        inner.state.lock().ready.push(spare);
        Ok(())
    }

    /// Ends the thread.
    pub(crate) fn stop(&mut self) {
        self.inner.state.lock().stopped = true;
        self.inner.wanted.notify_one();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread that prepares segment files panicked");
        }
    }
}

impl State {
    fn name(&mut self) -> String {
        self.next_number += 1;
        format!("{:08x}{SPARE_SUFFIX}", self.next_number)
    }
}

impl Inner {
    fn check_room(&self, bytes: u64) -> io::Result<()> {
        let free = self.disk.free_bytes()?;
        if free < bytes.saturating_add(self.free_bytes_min) {
            return Err(io::Error::from(io::ErrorKind::StorageFull));
        }
        Ok(())
    }

    fn prepare_ahead(&self) {
        loop {
            let name = {
                let mut state = self.state.lock();
                while !state.stopped && (state.paused || state.ready.len() >= self.count) {
                    self.wanted.wait(&mut state);
                }
                if state.stopped {
                    return;
                }
                state.name()
            };
            let made = self
                .check_room(self.segment_bytes)
                .and_then(|()| self.disk.create(&name, self.segment_bytes))
                .and_then(|_| self.disk.sync_dir());
            let mut state = self.state.lock();
            match made {
                Ok(()) => state.ready.push(name),
                Err(error) => {
                    // Not fatal: the writer makes its own file, or says that
                    // there is no room.
                    tracing::info!(%error, "no segment file could be prepared ahead");
                    state.paused = true;
                }
            }
        }
    }
}
