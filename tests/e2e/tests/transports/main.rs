//! MQTT over TLS, WebSocket, WebSocket over TLS and QUIC: what every transport
//! must do, and what is peculiar to each.
//!
//! **Not here**: clients that others wrote (`tests/clients`).

mod certificates;
mod every;
mod listeners;
mod proxy;
mod quic;
mod slow;
mod tls;
mod websocket;
mod wires;

use std::path::Path;

use robustmq_e2e::Broker;

/// A broker with one listener of each kind, on free ports.
fn broker(more: &[&str]) -> Broker {
    let mut sets: Vec<String> = ["tls", "ws", "wss", "quic"]
        .map(|kind| format!("listeners.{kind}.default.bind=127.0.0.1:0"))
        .to_vec();
    sets.extend(more.iter().map(|set| (*set).to_owned()));
    let sets: Vec<&str> = sets.iter().map(String::as_str).collect();
    Broker::start(&sets)
}

/// `key=path`.
fn set(key: &str, path: &Path) -> String {
    format!("{key}={}", path.display())
}
