//! What happened, counted: nothing is dropped without a number that says so.

use std::sync::atomic::{AtomicU64, Ordering};

/// One counter.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds `count`.
    pub fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    /// The count so far.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {
        /// All counters of a broker.
        #[derive(Debug, Default)]
        pub struct Counters {
            $($(#[$doc])* pub $name: Counter,)*
        }

        impl Counters {
            /// Every counter by name.
            pub fn all(&self) -> Vec<(&'static str, u64)> {
                vec![$((stringify!($name), self.$name.get()),)*]
            }
        }
    };
}

counters! {
    /// Network connections accepted.
    connections_accepted,
    /// Network connections refused because of a limit.
    connections_refused,
    /// Handshakes (PROXY header, TLS, WebSocket upgrade, QUIC) that failed or took too long.
    handshakes_failed,
    /// Connections without a CONNECT yet that gave way to newer ones.
    handshakes_displaced,
    /// Connections closed because the client broke the protocol.
    protocol_errors,
    /// Publishes taken from clients and given to the log.
    publishes_accepted,
    /// Publishes refused with a reason code.
    publishes_rejected,
    /// Messages handed to clients.
    deliveries,
    /// Messages not sent because their expiry had passed.
    deliveries_expired,
    /// Messages not sent because they exceed the client's Maximum Packet Size.
    deliveries_too_large,
    /// Messages no longer there (retention or damage) when a session came for them.
    deliveries_missing,
    /// Times a session fell behind and went on reading from its cursor.
    lagged,
    /// Will messages published.
    wills_published,
    /// Topic names and filters of clients that a rule gave another name.
    topics_rewritten,
    /// Topic names and filters refused because what a rule made of them is none.
    topics_rewritten_invalid,
    /// Subscriptions that clients were given when they connected.
    auto_subscriptions,
    /// Subscriptions that could not be given to a client.
    auto_subscriptions_failed,
    /// Messages taken to be published later.
    messages_delayed,
    /// Messages refused because as many wait as may.
    messages_delayed_refused,
    /// Delayed messages that were published.
    messages_delayed_published,
    /// Delayed messages that were cancelled.
    messages_delayed_cancelled,
    /// Messages given to members of shared subscriptions.
    messages_shared,
    /// Of these, those that came back from members that left, to be given to others.
    messages_shared_returned,
    /// Sessions that expired.
    sessions_expired,
    /// Records removed because they were beyond retention.
    records_retired,
}
