//! What a process writes, line by line, while it writes.

use std::io::{BufRead, BufReader, Read};
use std::process::Child;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Captured standard output and standard error.
#[derive(Debug)]
pub(super) struct Output {
    lines: Arc<Lines>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Lines {
    written: Mutex<Written>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Written {
    out: Vec<String>,
    error: Vec<String>,
    ended: usize,
}

impl Lines {
    fn lock(&self) -> MutexGuard<'_, Written> {
        self.written
            .lock()
            .expect("nobody panics while holding lines")
    }
}

impl Output {
    /// Reads the pipes of `child` from now on.
    pub(super) fn capture(child: &mut Child) -> Self {
        let lines = Arc::new(Lines::default());
        let out = child.stdout.take().expect("standard output is piped");
        let error = child.stderr.take().expect("standard error is piped");
        let threads = vec![
            follow(out, Arc::clone(&lines), |written| &mut written.out),
            follow(error, Arc::clone(&lines), |written| &mut written.error),
        ];
        Self { lines, threads }
    }

    /// Waits until a line of either fits; `None` if the process ends or `patience` does before.
    pub(super) fn wait_for(&self, patience: Duration, fits: impl Fn(&str) -> bool) -> Option<()> {
        let end = Instant::now() + patience;
        let mut written = self.lines.lock();
        loop {
            if written
                .out
                .iter()
                .chain(&written.error)
                .any(|line| fits(line))
            {
                return Some(());
            }
            let left = end.saturating_duration_since(Instant::now());
            if written.ended == 2 || left.is_zero() {
                return None;
            }
            let waited = self.lines.changed.wait_timeout(written, left);
            written = waited.expect("nobody panics while holding lines").0;
        }
    }

    /// The first line of standard output that gives something.
    pub(super) fn find<T>(&self, take: impl Fn(&str) -> Option<T>) -> Option<T> {
        self.lines.lock().out.iter().find_map(|line| take(line))
    }

    /// Everything so far.
    pub(super) fn text(&self) -> String {
        let written = self.lines.lock();
        let lines = written.out.iter().chain(&written.error);
        lines.flat_map(|line| [line.as_str(), "\n"]).collect()
    }

    /// Lines of level WARN or ERROR, and panics, without those that contain an announced text.
    pub(super) fn complaints(&self, announced: &[String]) -> Vec<String> {
        let written = self.lines.lock();
        let bad = written.error.iter().filter(|line| {
            let is_bad =
                line.contains(" WARN ") || line.contains("ERROR ") || line.contains("panicked at");
            is_bad && !announced.iter().any(|text| line.contains(text))
        });
        bad.cloned().collect()
    }

    /// Waits until both pipes are closed. Call it when the process has ended.
    pub(super) fn finish(&mut self) {
        for thread in self.threads.drain(..) {
            thread.join().expect("reading lines does not panic");
        }
    }
}

fn follow(
    pipe: impl Read + Send + 'static,
    lines: Arc<Lines>,
    part: fn(&mut Written) -> &mut Vec<String>,
) -> JoinHandle<()> {
    std::thread::spawn(move || {
        let mut pipe = BufReader::new(pipe);
        let mut bytes = Vec::new();
        while matches!(pipe.read_until(b'\n', &mut bytes), Ok(count) if count > 0) {
            let line = String::from_utf8_lossy(&bytes).trim_end().to_owned();
            part(&mut lines.lock()).push(line);
            lines.changed.notify_all();
            bytes.clear();
        }
        lines.lock().ended += 1;
        lines.changed.notify_all();
    })
}
