//! What a thread has counted.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::histogram::Histogram;

/// Counts and times of one thread, or of all of them together.
#[derive(Clone, Default)]
pub(crate) struct Tally {
    /// From the time in the payload to its arrival.
    pub(crate) latency: Histogram,
    /// From the time in the payload to PUBACK, or to PUBCOMP.
    pub(crate) acknowledgement: Histogram,
    /// From the beginning of a connection to CONNACK (and SUBACK).
    pub(crate) opening: Histogram,
    pub(crate) sent: u64,
    pub(crate) acknowledged: u64,
    /// Duplicates and messages of others included.
    pub(crate) received: u64,
    /// The same three within the measured time.
    pub(crate) measured: Measured,
    /// What was sent, times those that it reaches.
    pub(crate) expected: u64,
    /// Different messages that arrived.
    pub(crate) distinct: u64,
    pub(crate) duplicates: u64,
    pub(crate) disordered: u64,
    pub(crate) foreign: u64,
    /// Acknowledgements that refuse a message.
    pub(crate) refused: u64,
    /// Connections that are open, or were closed as planned.
    pub(crate) opened: u64,
    /// Connections that ended otherwise.
    pub(crate) broken: u64,
    pub(crate) first_error: Option<String>,
    /// When the last message arrived.
    pub(crate) arrival_ns: u64,
    /// When the last connection was open.
    pub(crate) opened_ns: u64,
    /// When the last acknowledgement came.
    pub(crate) acknowledged_ns: u64,
    /// When the last message was handed over to be written.
    pub(crate) sent_ns: u64,
    /// The smallest window a broker has granted, if smaller than asked for.
    pub(crate) window_granted: Option<u16>,
}

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Measured {
    pub(crate) sent: u64,
    pub(crate) acknowledged: u64,
    pub(crate) received: u64,
}

impl Tally {
    pub(crate) fn fail(&mut self, why: impl Into<String>) {
        self.broken += 1;
        self.first_error.get_or_insert_with(|| why.into());
    }

    pub(crate) fn merge(&mut self, other: Self) {
        self.latency.merge(&other.latency);
        self.acknowledgement.merge(&other.acknowledgement);
        self.opening.merge(&other.opening);
        self.sent += other.sent;
        self.acknowledged += other.acknowledged;
        self.received += other.received;
        self.measured.sent += other.measured.sent;
        self.measured.acknowledged += other.measured.acknowledged;
        self.measured.received += other.measured.received;
        self.expected += other.expected;
        self.distinct += other.distinct;
        self.duplicates += other.duplicates;
        self.disordered += other.disordered;
        self.foreign += other.foreign;
        self.refused += other.refused;
        self.opened += other.opened;
        self.broken += other.broken;
        self.first_error = self.first_error.take().or(other.first_error);
        self.arrival_ns = self.arrival_ns.max(other.arrival_ns);
        self.opened_ns = self.opened_ns.max(other.opened_ns);
        self.acknowledged_ns = self.acknowledged_ns.max(other.acknowledged_ns);
        self.sent_ns = self.sent_ns.max(other.sent_ns);
        self.window_granted = match (self.window_granted, other.window_granted) {
            (Some(one), Some(two)) => Some(one.min(two)),
            (one, two) => one.or(two),
        };
    }
}

/// What a thread lets others see while it works.
#[derive(Default)]
pub(crate) struct Gauges {
    pub(crate) sent: AtomicU64,
    pub(crate) acknowledged: AtomicU64,
    pub(crate) received: AtomicU64,
    pub(crate) expected: AtomicU64,
    /// Connections that are done with opening, well or not.
    pub(crate) settled: AtomicU64,
    pub(crate) opened: AtomicU64,
    /// Publishers that have something to send or wait for an acknowledgement.
    pub(crate) busy: AtomicU64,
}

impl Gauges {
    pub(crate) fn show(&self, tally: &Tally, busy: u64) {
        self.sent.store(tally.sent, Ordering::Relaxed);
        self.acknowledged
            .store(tally.acknowledged, Ordering::Relaxed);
        self.received.store(tally.received, Ordering::Relaxed);
        self.expected.store(tally.expected, Ordering::Relaxed);
        self.opened.store(tally.opened, Ordering::Relaxed);
        self.settled
            .store(tally.opened + tally.broken, Ordering::Relaxed);
        // Last: whoever sees nobody busy sees all of the above.
        self.busy.store(busy, Ordering::Release);
    }
}
