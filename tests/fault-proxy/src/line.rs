//! One connection through the proxy: a reader and a writer for each direction.
//!
//! **Invariants**
//! 1. A line that was ended has no handle of its sockets left within a moment:
//!    only closing the last one sends the reset.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use socket2::SockRef;

use crate::Way;

/// Bytes held per direction.
const HELD_BYTES_MAX: usize = 4 * 1024 * 1024;

const READ_BYTES: usize = 64 * 1024;

/// A throttled link lets through this much of a second at once.
const SLICE: Duration = Duration::from_millis(20);

/// How often a writer looks at the settings while its socket takes nothing.
const LOOK_INTERVAL: Duration = Duration::from_millis(10);

/// See the module.
#[derive(Debug)]
pub(crate) struct Line {
    is_over: AtomicBool,
    /// Directions that are not done.
    open: AtomicUsize,
    queues: [Queue; 2],
    /// To wake the readers.
    streams: Mutex<Option<[TcpStream; 2]>>,
}

/// What is on its way in one direction.
#[derive(Debug, Default)]
struct Queue {
    held: Mutex<Held>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Held {
    chunks: VecDeque<(Instant, Chunk)>,
    bytes: usize,
}

#[derive(Debug)]
enum Chunk {
    Bytes(Vec<u8>),
    End,
    Reset,
}

/// Closing the last handle sends a reset instead of an end.
pub(crate) fn reset_on_close(stream: &TcpStream) {
    let _ = SockRef::from(stream).set_linger(Some(Duration::ZERO));
}

impl Line {
    pub(crate) fn start(
        near: TcpStream,
        far: TcpStream,
        ways: &[Arc<Way>; 2],
        seed: u64,
    ) -> io::Result<Arc<Self>> {
        for stream in [&near, &far] {
            stream.set_nodelay(true)?;
            stream.set_write_timeout(Some(LOOK_INTERVAL))?;
        }
        let ends = [
            [near.try_clone()?, far.try_clone()?],
            [far.try_clone()?, near.try_clone()?],
        ];
        let line = Arc::new(Self {
            is_over: AtomicBool::new(false),
            open: AtomicUsize::new(2),
            queues: Default::default(),
            streams: Mutex::new(Some([near, far])),
        });
        for (direction, [from, to]) in ends.into_iter().enumerate() {
            let (reading, writing) = (Arc::clone(&line), Arc::clone(&line));
            let (way, its) = (Arc::clone(&ways[direction]), Arc::clone(&ways[direction]));
            thread::spawn(move || reading.read(direction, from, &way, seed));
            thread::spawn(move || writing.write(direction, to, &its));
        }
        Ok(line)
    }

    pub(crate) fn is_over(&self) -> bool {
        self.is_over.load(Ordering::SeqCst)
    }

    /// Resets both ends; what is held is gone.
    pub(crate) fn end(&self) {
        self.is_over.store(true, Ordering::SeqCst);
        if let Some(streams) = self.streams.lock().take() {
            for stream in streams {
                reset_on_close(&stream);
                // Wakes the reader and says nothing to the other end.
                let _ = stream.shutdown(Shutdown::Read);
            }
        }
        self.look();
    }

    /// Settings have changed.
    pub(crate) fn look(&self) {
        for queue in &self.queues {
            // Not between a writer's look and its wait.
            drop(queue.held.lock());
            queue.changed.notify_all();
        }
    }

    fn read(&self, direction: usize, mut from: TcpStream, way: &Way, seed: u64) {
        let mut buffer = vec![0; READ_BYTES];
        let mut chance = (seed ^ ((direction as u64) << 32)) | 1;
        let mut due = Instant::now();
        loop {
            let chunk = match from.read(&mut buffer) {
                _ if self.is_over() => return,
                Ok(0) => Chunk::End,
                Ok(bytes) => Chunk::Bytes(buffer[..bytes].to_vec()),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(_) => Chunk::Reset,
            };
            let faults = way.faults.read().clone();
            chance ^= chance << 13;
            chance ^= chance >> 7;
            chance ^= chance << 17;
            let jitter = faults
                .jitter
                .mul_f64((chance >> 40) as f64 / (1_u64 << 24) as f64);
            due = due.max(Instant::now() + faults.latency + jitter);
            let is_last = !matches!(chunk, Chunk::Bytes(_));
            self.hold(direction, due, chunk);
            if is_last {
                return;
            }
        }
    }

    fn hold(&self, direction: usize, due: Instant, chunk: Chunk) {
        let queue = &self.queues[direction];
        let mut held = queue.held.lock();
        while held.bytes > HELD_BYTES_MAX && !self.is_over() {
            queue.changed.wait(&mut held);
        }
        held.bytes += chunk.len();
        held.chunks.push_back((due, chunk));
        queue.changed.notify_all();
    }

    fn write(&self, direction: usize, mut to: TcpStream, way: &Way) {
        while let Some(chunk) = self.next(direction, way) {
            match chunk {
                Chunk::Bytes(bytes) => {
                    if self.pass(&mut to, &bytes, way).is_err() {
                        // That end is gone: the other one is to hear of it on the way back.
                        self.hold(1 - direction, Instant::now(), Chunk::Reset);
                        return;
                    }
                }
                Chunk::End => {
                    let _ = to.shutdown(Shutdown::Write);
                    if self.open.fetch_sub(1, Ordering::SeqCst) == 1 {
                        self.is_over.store(true, Ordering::SeqCst);
                        self.streams.lock().take();
                    }
                    return;
                }
                Chunk::Reset => {
                    self.end();
                    return;
                }
            }
        }
    }

    /// What is due next, when the link is not cut; `None` when it is over.
    fn next(&self, direction: usize, way: &Way) -> Option<Chunk> {
        let queue = &self.queues[direction];
        let mut held = queue.held.lock();
        while !self.is_over() {
            let is_cut = way.faults.read().is_cut;
            match held.chunks.front() {
                Some((due, _)) if !is_cut && *due > Instant::now() => {
                    let due = *due;
                    queue.changed.wait_until(&mut held, due);
                }
                Some(_) if !is_cut => {
                    let (_, chunk) = held.chunks.pop_front()?;
                    held.bytes -= chunk.len();
                    queue.changed.notify_all();
                    return Some(chunk);
                }
                _ => queue.changed.wait(&mut held),
            }
        }
        None
    }

    fn pass(&self, to: &mut TcpStream, mut bytes: &[u8], way: &Way) -> io::Result<()> {
        while !bytes.is_empty() && !self.is_over() {
            let faults = way.faults.read().clone();
            if faults.is_cut {
                thread::sleep(LOOK_INTERVAL);
                continue;
            }
            let mut slice = bytes;
            if let Some(rate) = faults.bytes_per_second {
                let most = (rate as f64 * SLICE.as_secs_f64()).ceil() as usize;
                slice = &bytes[..bytes.len().min(most.max(1))];
            }
            match to.write(slice) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(written) => {
                    way.bytes.fetch_add(written as u64, Ordering::SeqCst);
                    bytes = &bytes[written..];
                    if let Some(rate) = faults.bytes_per_second {
                        thread::sleep(Duration::from_secs_f64(written as f64 / rate.max(1) as f64));
                    }
                }
                // It takes nothing at the moment.
                Err(error) if is_passing(&error) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

impl Chunk {
    fn len(&self) -> usize {
        match self {
            Self::Bytes(bytes) => bytes.len(),
            Self::End | Self::Reset => 0,
        }
    }
}

fn is_passing(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted
    )
}
