//! Long tables on a terminal go through a pager, as git's do.

use std::io::{self, IsTerminal};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};

/// `--no-pager` was not given.
static IS_ALLOWED: AtomicBool = AtomicBool::new(true);

/// Says whether pagers may be used.
pub(crate) fn allow(is_allowed: bool) {
    IS_ALLOWED.store(is_allowed, Ordering::Relaxed);
}

/// A pager that runs.
pub(crate) struct Pager {
    child: Child,
}

impl Pager {
    /// Starts `$PAGER`, or `less` if there is no such variable; none where
    /// standard output is no terminal, or there is no pager.
    pub(crate) fn start() -> Option<(Self, ChildStdin)> {
        if !IS_ALLOWED.load(Ordering::Relaxed) || !io::stdout().is_terminal() {
            return None;
        }
        let pager = std::env::var("PAGER").unwrap_or_else(|_| "less".to_owned());
        let mut words = pager.split_whitespace();
        let program = words.next().filter(|program| *program != "cat")?;
        let mut command = Command::new(program);
        command.args(words).stdin(Stdio::piped());
        if std::env::var_os("LESS").is_none() {
            // Short output is printed and that is all; colours stay.
            command.env("LESS", "FRX");
        }
        let mut child = command.spawn().ok()?;
        let input = child.stdin.take()?;
        Some((Self { child }, input))
    }

    /// Waits until the reader has had enough.
    pub(crate) fn wait(mut self) {
        // How a pager ends is its own affair.
        let _ = self.child.wait();
    }
}
