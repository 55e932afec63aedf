//! A TCP proxy on loopback that does to connections what bad networks do: slow
//! them down, throttle them, cut one direction or both, reset them.
//!
//! A cut holds bytes back as TCP does with a lost link: nothing is closed and
//! nothing is lost, and what was held arrives when the link is back, unless
//! one end has given up by then. Connections made meanwhile are accepted, for
//! that is the kernel's doing, and then nothing comes through.
//!
//! **Invariants**
//! 1. Bytes arrive as they were sent and in order, or not at all.
//! 2. What is held is bounded per direction; over it, the sender is held up.
//!
//! **Not here**: faults of machines and disks; killing processes.

mod line;

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use parking_lot::{Mutex, RwLock};

use line::Line;

/// Time to reach the target.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Pause when the system has no more files for a connection.
const FULL_PAUSE: Duration = Duration::from_millis(10);

/// Where bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From those who connect to the target.
    ToTarget,
    /// From the target to those who connect.
    FromTarget,
}

/// What a direction suffers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// Nothing gets through.
    pub is_cut: bool,
    /// How much later everything arrives.
    pub latency: Duration,
    /// How much later still, by chance, at most. Order is kept.
    pub jitter: Duration,
    /// How much gets through.
    pub bytes_per_second: Option<u64>,
}

impl Faults {
    /// A link that is cut.
    #[must_use]
    pub fn cut() -> Self {
        Self {
            is_cut: true,
            ..Self::default()
        }
    }

    /// A slow link.
    #[must_use]
    pub fn latency(latency: Duration) -> Self {
        Self {
            latency,
            ..Self::default()
        }
    }

    /// A narrow link.
    #[must_use]
    pub fn throttled(bytes_per_second: u64) -> Self {
        Self {
            bytes_per_second: Some(bytes_per_second),
            ..Self::default()
        }
    }
}

/// What went through so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Passed {
    /// Connections that were forwarded so far.
    pub connections: u64,
    /// Bytes that reached the target.
    pub bytes_to_target: u64,
    /// Bytes that came back.
    pub bytes_from_target: u64,
}

/// Settings and counters of one direction, for all connections.
#[derive(Debug, Default)]
pub(crate) struct Way {
    pub(crate) faults: RwLock<Faults>,
    pub(crate) bytes: AtomicU64,
}

#[derive(Debug)]
struct Inside {
    target: RwLock<SocketAddr>,
    ways: [Arc<Way>; 2],
    refuses: AtomicBool,
    is_over: AtomicBool,
    accepted: AtomicU64,
    seed: AtomicU64,
    lines: Mutex<Vec<Arc<Line>>>,
}

/// A proxy in front of one target; it ends with this value, and its connections
/// with it.
#[derive(Debug)]
pub struct FaultProxy {
    address: SocketAddr,
    inside: Arc<Inside>,
}

impl FaultProxy {
    /// Listens on a free port of loopback.
    ///
    /// # Errors
    /// No port is free.
    pub fn start(target: SocketAddr) -> io::Result<Self> {
        Self::start_at(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), target)
    }

    /// Listens on `bind`.
    ///
    /// # Errors
    /// The address is taken.
    pub fn start_at(bind: SocketAddr, target: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(bind)?;
        let address = listener.local_addr()?;
        let inside = Arc::new(Inside {
            target: RwLock::new(target),
            ways: [Arc::default(), Arc::default()],
            refuses: AtomicBool::new(false),
            is_over: AtomicBool::new(false),
            accepted: AtomicU64::new(0),
            seed: AtomicU64::new(0x9e37_79b9_7f4a_7c15),
            lines: Mutex::default(),
        });
        let accepting = Arc::clone(&inside);
        thread::spawn(move || accepting.accept(&listener));
        Ok(Self { address, inside })
    }

    /// Where to connect.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Sends later connections to another target, for one that came back elsewhere.
    pub fn set_target(&self, target: SocketAddr) {
        *self.inside.target.write() = target;
    }

    /// Makes the chances of jitter those of a seed.
    pub fn set_seed(&self, seed: u64) {
        self.inside.seed.store(seed | 1, Ordering::SeqCst);
    }

    /// What one direction suffers from now on, on all connections.
    pub fn set(&self, direction: Direction, faults: Faults) {
        *self.inside.ways[direction as usize].faults.write() = faults;
        for line in self.inside.lines.lock().iter() {
            line.look();
        }
    }

    /// What both directions suffer from now on.
    pub fn set_both(&self, faults: Faults) {
        self.set(Direction::ToTarget, faults.clone());
        self.set(Direction::FromTarget, faults);
    }

    /// A perfect link again.
    pub fn heal(&self) {
        self.inside.refuses.store(false, Ordering::SeqCst);
        self.set_both(Faults::default());
    }

    /// Resets all connections (RST, both ends); new ones are welcome.
    pub fn reset(&self) {
        for line in self.inside.lines.lock().drain(..) {
            line.end();
        }
    }

    /// Resets all connections, and new ones at once, until it is healed.
    pub fn refuse(&self) {
        self.inside.refuses.store(true, Ordering::SeqCst);
        self.reset();
    }

    /// Connections that are forwarded now.
    #[must_use]
    pub fn connections(&self) -> usize {
        let mut lines = self.inside.lines.lock();
        lines.retain(|line| !line.is_over());
        lines.len()
    }

    /// What went through.
    #[must_use]
    pub fn passed(&self) -> Passed {
        let bytes = |direction| {
            let way: &Way = &self.inside.ways[direction as usize];
            way.bytes.load(Ordering::SeqCst)
        };
        Passed {
            connections: self.inside.accepted.load(Ordering::SeqCst),
            bytes_to_target: bytes(Direction::ToTarget),
            bytes_from_target: bytes(Direction::FromTarget),
        }
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.inside.is_over.store(true, Ordering::SeqCst);
        self.reset();
        // Wakes the one that accepts.
        let _ = TcpStream::connect_timeout(&self.address, CONNECT_TIMEOUT);
    }
}

impl Inside {
    fn accept(self: &Arc<Self>, listener: &TcpListener) {
        for near in listener.incoming() {
            if self.is_over.load(Ordering::SeqCst) {
                return;
            }
            match near {
                Ok(near) => {
                    let inside = Arc::clone(self);
                    // The target may be slow to accept.
                    thread::spawn(move || inside.forward(near));
                }
                Err(_) => thread::sleep(FULL_PAUSE),
            }
        }
    }

    fn connect(&self) -> io::Result<TcpStream> {
        let target = *self.target.read();
        TcpStream::connect_timeout(&target, CONNECT_TIMEOUT)
    }

    fn forward(&self, near: TcpStream) {
        let far = match self.refuses.load(Ordering::SeqCst) {
            true => None,
            false => self.connect().ok(),
        };
        let Some(far) = far else {
            line::reset_on_close(&near);
            return;
        };
        let seed = self.seed.fetch_add(0x2545_f491_4f6c_dd1d, Ordering::SeqCst) | 1;
        let Ok(line) = Line::start(near, far, &self.ways, seed) else {
            return;
        };
        let mut lines = self.lines.lock();
        lines.retain(|line| !line.is_over());
        lines.push(Arc::clone(&line));
        drop(lines);
        self.accepted.fetch_add(1, Ordering::SeqCst);
        // One that came while everything was reset.
        if self.is_over.load(Ordering::SeqCst) || self.refuses.load(Ordering::SeqCst) {
            line.end();
        }
    }
}
