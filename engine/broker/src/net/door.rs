//! What all listeners have in common: who is let in, how long a handshake may
//! take, and the way from there to the connection.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use robustmq_config::ListenerLimits;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::handshakes::{Handshakes, Place};
use super::tls::identity::Identity;
use super::transport::Transport;
use crate::broker::Broker;
use crate::connection::{self, Arrival, Greeted};

/// The bounds of one listener.
pub(crate) struct Door {
    pub(crate) broker: Arc<Broker>,
    /// Kind and name.
    listener: String,
    places: Arc<Semaphore>,
    handshakes: Arc<Handshakes>,
    handshake_timeout: Duration,
    idle_timeout: Duration,
}

/// The right to be connected, for as long as it is kept.
pub(crate) struct Admission {
    _listener: OwnedSemaphorePermit,
    _broker: OwnedSemaphorePermit,
}

/// A connection that is ready for MQTT.
pub(crate) struct Raised<S> {
    pub(crate) stream: S,
    pub(crate) peer: SocketAddr,
    pub(crate) identity: Identity,
}

impl Door {
    pub(crate) fn new(broker: Arc<Broker>, listener: String, limits: &ListenerLimits) -> Self {
        let connections_max = limits.max_connections as usize;
        // Who is only half connected must not keep all places from the others.
        let handshakes_max = (limits.max_handshakes as usize).min((connections_max / 2).max(1));
        let handshake_timeout = limits.handshake_timeout.duration();
        let idle_timeout = limits
            .idle_timeout
            .unwrap_or(broker.config.mqtt.idle_timeout);
        Self {
            listener,
            places: Arc::new(Semaphore::new(connections_max)),
            handshakes: Handshakes::new(
                handshakes_max,
                handshake_timeout,
                Arc::clone(&broker.counters),
            ),
            handshake_timeout,
            idle_timeout: idle_timeout.duration(),
            broker,
        }
    }

    /// Kind and name of the listener.
    pub(crate) fn listener(&self) -> &str {
        &self.listener
    }

    /// Whether many handshakes are going on.
    pub(crate) fn is_busy(&self) -> bool {
        self.handshakes.is_busy()
    }

    /// A place for a handshake, as soon as there is one.
    pub(crate) async fn enter(&self) -> Place {
        self.handshakes.enter().await
    }

    /// Lets a connection in, if there is room.
    pub(crate) fn admit(&self, peer: SocketAddr) -> Option<Admission> {
        let place = Arc::clone(&self.places).try_acquire_owned().ok();
        let Some((listener, all)) = place.zip(self.broker.admit()) else {
            self.broker.counters.connections_refused.add(1);
            let listener = &self.listener;
            tracing::info!(listener, %peer, "connection refused: too many connections");
            return None;
        };
        self.broker.counters.connections_accepted.add(1);
        Some(Admission {
            _listener: listener,
            _broker: all,
        })
    }

    /// Waits for everything before MQTT, within its time, and then for CONNECT.
    pub(crate) async fn greet<S: Transport>(
        self: Arc<Self>,
        handshake: impl Future<Output = io::Result<Raised<S>>>,
        peer: SocketAddr,
        mut place: Place,
    ) -> Option<Box<Greeted<S>>> {
        let handshake = tokio::time::timeout(self.handshake_timeout, handshake);
        let why = match place.hold(handshake).await {
            Some(Ok(Ok(raised))) => {
                let arrival = Arrival {
                    peer: raised.peer,
                    identity: raised.identity,
                    idle_timeout: self.idle_timeout,
                    place,
                };
                return connection::greet(&self.broker, raised.stream, arrival).await;
            }
            Some(Ok(Err(error))) => error.to_string(),
            Some(Err(_)) => "it took too long".to_owned(),
            None => {
                // Counted where it lost its place.
                self.log_give_up(peer, "it gave way to another one");
                return None;
            }
        };
        self.broker.counters.handshakes_failed.add(1);
        self.log_give_up(peer, &why);
        None
    }

    fn log_give_up(&self, peer: SocketAddr, why: &str) {
        let listener = &self.listener;
        tracing::info!(listener, %peer, why, "a handshake failed; connection closed");
    }
}
