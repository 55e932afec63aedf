//! What waits for the writer, and how it is woken.
//!
//! **Invariants**
//! 1. A wake is never lost: the bit is set before the writer is looked for, and
//!    the writer says that it sleeps before it looks at the bits again.
//! 2. Commands wait in a queue of at most `commands_max`; more are refused.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use robustmq_record::{Batch, Purge, ShardId, Truncate, Vote};

use crate::error::AppendError;
use crate::shard_log::CommandCompletion;

/// Something for the writer to do besides taking batches.
pub(crate) enum Order {
    Entries(Vec<Arc<Batch>>),
    Vote(Vote),
    Truncate(Truncate),
    Purge(Purge),
    /// From now on entries come from Raft, which also says what is committed.
    HandOver,
    /// Go on to the next segment if this one has something older.
    Seal {
        before_ms: u64,
    },
}

/// An order and who waits for it.
pub(crate) struct Command {
    pub(crate) order: Order,
    pub(crate) completion: CommandCompletion,
}

#[derive(Default)]
struct Queue {
    commands: VecDeque<Command>,
    closed: bool,
}

pub(crate) struct Inbox {
    /// A bit per shard.
    woken: Vec<AtomicU64>,
    sleeping: AtomicBool,
    stopping: AtomicBool,
    queue: Mutex<Queue>,
    commands_max: usize,
    /// Called instead of ringing the bell, if nobody sleeps by it.
    rest: Mutex<Option<Call>>,
    bell: Condvar,
}

/// Called when there is something to do.
pub(crate) type Call = Box<dyn Fn() + Send + Sync>;

const WORD_BITS: usize = u64::BITS as usize;

impl Inbox {
    pub(crate) fn new(shards: u32, commands_max: usize) -> Self {
        let words = (shards as usize).div_ceil(WORD_BITS);
        Self {
            woken: (0..words).map(|_| AtomicU64::new(0)).collect(),
            sleeping: AtomicBool::new(false),
            stopping: AtomicBool::new(false),
            queue: Mutex::default(),
            commands_max,
            rest: Mutex::default(),
            bell: Condvar::new(),
        }
    }

    /// Notes that the shard's source has something.
    pub(crate) fn wake(&self, shard: ShardId) {
        if self.mark(shard) {
            self.ring();
        }
    }

    /// Notes the shard without waking; true if it was not noted yet.
    pub(crate) fn mark(&self, shard: ShardId) -> bool {
        let (word, bit) = (shard.0 as usize / WORD_BITS, shard.0 as usize % WORD_BITS);
        let before = self.woken[word].fetch_or(1 << bit, Ordering::SeqCst);
        before & (1 << bit) == 0
    }

    /// Queues a command, or completes it at once with the reason why not.
    pub(crate) fn push(&self, command: Command) {
        let refusal = {
            let mut queue = self.queue.lock();
            if queue.closed {
                AppendError::Shutdown
            } else if queue.commands.len() >= self.commands_max {
                AppendError::Busy
            } else {
                queue.commands.push_back(command);
                drop(queue);
                return self.ring();
            }
        };
        (command.completion)(Err(refusal));
    }

    fn ring(&self) {
        if self.sleeping.load(Ordering::SeqCst) {
            // The lock makes sure that the writer is waiting and not about to.
            let rest = self.rest.lock();
            match &*rest {
                Some(call) => call(),
                None => drop(self.bell.notify_one()),
            }
        }
    }

    /// There is no thread that rests: this is called from now on.
    pub(crate) fn call_instead(&self, call: Call) {
        *self.rest.lock() = Some(call);
        self.sleeping.store(true, Ordering::SeqCst);
        if self.has_something() {
            self.ring();
        }
    }

    /// Asks the writer to finish.
    pub(crate) fn stop(&self) {
        self.stopping.store(true, Ordering::SeqCst);
        let _rest = self.rest.lock();
        self.bell.notify_one();
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::SeqCst)
    }

    /// Takes all commands that wait.
    pub(crate) fn take_commands(&self) -> VecDeque<Command> {
        std::mem::take(&mut self.queue.lock().commands)
    }

    /// Takes what waits; later commands are refused.
    pub(crate) fn close(&self) -> VecDeque<Command> {
        let mut queue = self.queue.lock();
        queue.closed = true;
        std::mem::take(&mut queue.commands)
    }

    /// Whether nothing more is taken.
    pub(crate) fn is_closed(&self) -> bool {
        self.queue.lock().closed
    }

    /// Takes the shards that were noted into `shards`, which is cleared first.
    pub(crate) fn take_woken(&self, shards: &mut Vec<ShardId>) {
        shards.clear();
        for (place, word) in self.woken.iter().enumerate() {
            let mut bits = word.swap(0, Ordering::SeqCst);
            while bits != 0 {
                let bit = bits.trailing_zeros() as usize;
                shards.push(ShardId((place * WORD_BITS + bit) as u32));
                bits &= bits - 1;
            }
        }
    }

    fn has_something(&self) -> bool {
        self.is_stopping()
            || self
                .woken
                .iter()
                .any(|word| word.load(Ordering::SeqCst) != 0)
            || !self.queue.lock().commands.is_empty()
    }

    /// Waits until something is there, or until the time is over.
    pub(crate) fn rest(&self, time: Option<Duration>) {
        let mut rest = self.rest.lock();
        self.sleeping.store(true, Ordering::SeqCst);
        if !self.has_something() {
            match time {
                Some(time) => {
                    self.bell.wait_for(&mut rest, time);
                }
                None => self.bell.wait(&mut rest),
            }
        }
        self.sleeping.store(false, Ordering::SeqCst);
    }
}
