//! A log without threads: whoever holds its stepper does what they would do,
//! when it wants to. For simulations, where one seed decides when a disk is
//! slow.
//!
//! **Invariants**
//! 1. Nothing is written but by the stepper.
//! 2. A stepper that is dropped is a machine that stops: what waits is refused,
//!    nothing is written any more.

use std::sync::Arc;
use std::time::Duration;

use crate::disk_log::{DiskLog, RecoveredLog, index, restock};
use crate::error::{AppendError, OpenError};
use crate::inbox::Inbox;
use crate::shard_log::{BatchSource, CommitSink};
use crate::state::LogState;
use crate::supply::Supply;
use crate::writer::{Chore, Sealed, Writer};

/// Chores done at once.
const CHORES_MAX: usize = 100;

/// Runs a log in place of its threads.
pub struct LogStepper {
    pub(crate) writer: Writer,
    pub(crate) inbox: Arc<Inbox>,
    pub(crate) state: Arc<LogState>,
    pub(crate) supply: Arc<Supply>,
    pub(crate) sealed: Arc<Sealed>,
}

impl RecoveredLog {
    /// As [`RecoveredLog::start`], but without threads: the stepper writes.
    ///
    /// # Errors
    /// When the first segment cannot be made.
    pub fn start_stepped(
        self,
        source: Arc<dyn BatchSource>,
        sink: Arc<dyn CommitSink>,
    ) -> Result<(DiskLog, LogStepper), OpenError> {
        let (log, writer) = DiskLog::put_together(self.assemble(source, sink)?);
        let stepper = LogStepper {
            writer,
            inbox: Arc::clone(&log.inbox),
            state: Arc::clone(&log.state),
            supply: Arc::clone(&log.supply),
            sealed: Arc::clone(&log.sealed),
        };
        Ok((log, stepper))
    }
}

impl LogStepper {
    /// Whom to call, from now on, when there is something to write.
    pub fn on_wake(&self, call: impl Fn() + Send + Sync + 'static) {
        self.inbox.call_instead(Box::new(call));
    }

    /// Writes and syncs what waits, as one round, and tells whoever waits for
    /// it; false if there was nothing.
    pub fn round(&mut self) -> bool {
        self.writer.round()
    }

    /// How long nothing must happen before [`LogStepper::idle`] has work.
    #[must_use]
    pub fn idle_after(&self) -> Option<Duration> {
        self.writer.idle_after()
    }

    /// Does what is due when nothing else is.
    pub fn idle(&mut self) {
        self.writer.idle();
    }

    /// Makes segment files ready and builds indexes.
    pub fn background(&self) {
        self.sealed.ring();
        for _ in 0..CHORES_MAX {
            match self.sealed.try_next() {
                Some(Chore::Restock) => restock(&self.supply),
                Some(Chore::Index(segment)) => drop(index(&self.state, &segment)),
                Some(Chore::Stop) | None => break,
            }
        }
    }

    /// Writes what waits and notes the orderly end.
    pub fn finish(mut self) {
        self.writer.finish();
    }
}

impl Drop for LogStepper {
    fn drop(&mut self) {
        for command in self.inbox.close() {
            (command.completion)(Err(AppendError::Shutdown));
        }
    }
}

impl std::fmt::Debug for LogStepper {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LogStepper").finish_non_exhaustive()
    }
}
