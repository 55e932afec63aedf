//! The TCP listener.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};

use crate::broker::Broker;
use crate::connection;

/// Connections the kernel may hold that were not accepted yet.
const BACKLOG: i32 = 4096;

/// Pause after the system refused a connection (too many open files), so that
/// the refusal does not become a busy loop.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// A bound listener that does not accept yet.
#[derive(Debug)]
pub(crate) struct Bound {
    /// Its name in the configuration.
    pub(crate) name: String,
    /// The address it is bound to, with the port the system chose if 0 was asked.
    pub(crate) address: SocketAddr,
    listener: std::net::TcpListener,
    connections_max: usize,
}

/// Binds a listener.
///
/// # Errors
/// What the system says: address in use, permission denied, not available.
pub(crate) fn bind(name: &str, address: SocketAddr, connections_max: usize) -> io::Result<Bound> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    // A restarted broker must get its port back while old connections linger.
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    let listener: std::net::TcpListener = socket.into();
    let address = listener.local_addr()?;
    Ok(Bound {
        name: name.to_owned(),
        address,
        listener,
        connections_max,
    })
}

/// Accepts connections until `stop` turns true.
pub(crate) async fn serve(broker: Arc<Broker>, bound: Bound, mut stop: watch::Receiver<bool>) {
    let Bound {
        name,
        listener,
        connections_max,
        ..
    } = bound;
    let places = Arc::new(Semaphore::new(connections_max));
    let listener = match TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => {
            tracing::error!(listener = name, %error, "the listener could not be started");
            return;
        }
    };
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stop.changed() => return,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(listener = name, %error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_RETRY).await;
                continue;
            }
        };
        let place = Arc::clone(&places).try_acquire_owned().ok();
        let Some(admission) = place.zip(broker.admit()) else {
            broker.counters.connections_refused.add(1);
            tracing::info!(listener = name, %peer, "connection refused: too many connections");
            continue;
        };
        broker.counters.connections_accepted.add(1);
        // Answers are gathered before they are written; waiting for more helps nobody.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%peer, %error, "TCP_NODELAY could not be set");
        }
        let broker = Arc::clone(&broker);
        tokio::spawn(async move {
            connection::serve(broker, stream, peer).await;
            drop(admission);
        });
    }
}
