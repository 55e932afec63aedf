//! What happened, counted.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counters of all connections since the start.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) bytes_in: AtomicU64,
    pub(crate) bytes_out: AtomicU64,
    pub(crate) frames_in: AtomicU64,
    pub(crate) frames_out: AtomicU64,
    pub(crate) writes: AtomicU64,
    pub(crate) connections: AtomicU64,
    pub(crate) connections_lost: AtomicU64,
    pub(crate) dials_failed: AtomicU64,
    pub(crate) refused: AtomicU64,
    pub(crate) handshakes_dropped: AtomicU64,
    pub(crate) busy: AtomicU64,
}

impl Counters {
    pub(crate) fn add(counter: &AtomicU64, more: usize) {
        counter.fetch_add(more as u64, Ordering::Relaxed);
    }
}

/// One node as it stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PeerState {
    /// Which one.
    pub node: u64,
    /// There is a connection.
    pub is_connected: bool,
    /// Requests that wait to be sent.
    pub queued: usize,
    /// Requests that were sent and have no answer yet.
    pub in_flight: usize,
    /// Why there is no connection, if one was tried.
    pub last_error: Option<String>,
}

/// A look at all connections.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Bytes of frames that came.
    pub bytes_in: u64,
    /// Bytes of frames that left.
    pub bytes_out: u64,
    /// Frames that came.
    pub frames_in: u64,
    /// Frames that left.
    pub frames_out: u64,
    /// Times that frames were handed over for sending, several at once.
    pub writes: u64,
    /// Connections that came about, in either direction.
    pub connections: u64,
    /// Connections that were lost, other than by a shutdown of this node.
    pub connections_lost: u64,
    /// Dials that led to no connection.
    pub dials_failed: u64,
    /// Nodes that were refused here.
    pub refused: u64,
    /// Connections that were closed because too many handshakes were under way.
    pub handshakes_dropped: u64,
    /// Requests that were not taken because too many waited.
    pub busy: u64,
    /// The nodes that were ever spoken to, by their number.
    pub peers: Vec<PeerState>,
}

impl Counters {
    pub(crate) fn read(&self, peers: Vec<PeerState>) -> Stats {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Stats {
            bytes_in: read(&self.bytes_in),
            bytes_out: read(&self.bytes_out),
            frames_in: read(&self.frames_in),
            frames_out: read(&self.frames_out),
            writes: read(&self.writes),
            connections: read(&self.connections),
            connections_lost: read(&self.connections_lost),
            dials_failed: read(&self.dials_failed),
            refused: read(&self.refused),
            handshakes_dropped: read(&self.handshakes_dropped),
            busy: read(&self.busy),
            peers,
        }
    }
}
