//! Accepting connections: a bounded number, none that takes for ever to say
//! what it wants.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use robustmq_config::HttpListener;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

/// How long a client may take for the head of a request, from the connection or
/// from the answer before it: whoever says nothing gives up its place.
const HEAD_PATIENCE: Duration = Duration::from_secs(15);

/// Bytes of the head of a request.
const HEAD_BYTES_MAX: usize = 64 * 1024;

/// Header fields of a request.
const HEADERS_MAX: usize = 64;

/// How long what is being answered may go on when the broker stops.
const CLOSE_PATIENCE: Duration = Duration::from_secs(2);

/// Pause after the system refused a connection (too many open files).
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// What a client is told that finds no place.
const BUSY: &str =
    r#"{"code":"SERVICE_UNAVAILABLE","message":"too many connections: close some, or try again"}"#;

/// A listener that is bound and does not accept yet.
#[derive(Debug)]
pub struct Bound {
    /// Its name in the configuration.
    pub name: String,
    /// Its address, with the port the system chose if 0 was asked.
    pub address: SocketAddr,
    listener: std::net::TcpListener,
    connections_max: usize,
    head_patience: Duration,
}

/// A listener that cannot be bound.
#[derive(Debug, thiserror::Error)]
#[error(
    "listener http:{name} cannot listen on {address}: {source}. Another process may use the port: stop it, or set listeners.http.{name}.bind to another address (listeners.http.{name}.enabled = false goes without)"
)]
pub struct BindError {
    name: String,
    address: SocketAddr,
    source: io::Error,
}

/// Binds a listener.
///
/// # Errors
/// [`BindError`]: the address is in use, not allowed or not there.
pub fn bind(name: &str, listener: &HttpListener) -> Result<Bound, BindError> {
    let address = listener.bind;
    let bound = std::net::TcpListener::bind(address).and_then(|bound| {
        bound.set_nonblocking(true)?;
        Ok((bound.local_addr()?, bound))
    });
    let (address, bound) = bound.map_err(|source| BindError {
        name: name.to_owned(),
        address,
        source,
    })?;
    Ok(Bound {
        name: name.to_owned(),
        address,
        listener: bound,
        connections_max: listener.max_connections as usize,
        head_patience: HEAD_PATIENCE,
    })
}

/// Accepts connections until `stop` turns true, then waits for them to end.
pub(crate) async fn serve(bound: Bound, router: Router, mut stop: watch::Receiver<bool>) {
    let name = bound.name;
    let listener = match TcpListener::from_std(bound.listener) {
        Ok(listener) => listener,
        Err(error) => {
            tracing::error!(listener = name, %error, "the listener could not be started");
            return;
        }
    };
    let places = Arc::new(Semaphore::new(bound.connections_max));
    let graceful = GracefulShutdown::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stop.changed() => break,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(listener = name, %error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_RETRY).await;
                continue;
            }
        };
        match Arc::clone(&places).try_acquire_owned() {
            Ok(place) => handle(stream, place, bound.head_patience, &router, &graceful),
            Err(_) => {
                tracing::info!(listener = name, %peer, "connection refused: too many connections");
                refuse(stream);
            }
        }
    }
    drop(listener);
    let closed = tokio::time::timeout(CLOSE_PATIENCE, graceful.shutdown()).await;
    if closed.is_err() {
        tracing::debug!(listener = name, "connections did not end in time");
    }
}

/// Tells a client that there is no place. Only what fits into the socket at
/// once: nobody waits for a client that is not served.
fn refuse(stream: TcpStream) {
    if let Ok(mut stream) = stream.into_std() {
        let answer = format!(
            "HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\n\
             content-length: {}\r\nretry-after: 1\r\nconnection: close\r\n\r\n{BUSY}",
            BUSY.len()
        );
        // It is closed either way.
        let _ = stream.write(answer.as_bytes());
    }
}

fn handle(
    stream: TcpStream,
    place: OwnedSemaphorePermit,
    head_patience: Duration,
    router: &Router,
    graceful: &GracefulShutdown,
) {
    // Events are small, and whoever follows them waits for each.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "TCP_NODELAY could not be set");
    }
    let mut server = http1::Builder::new();
    server
        .timer(TokioTimer::new())
        .header_read_timeout(head_patience)
        .max_buf_size(HEAD_BYTES_MAX)
        .max_headers(HEADERS_MAX);
    let service = TowerToHyperService::new(router.clone());
    let connection = server.serve_connection(TokioIo::new(stream), service);
    let connection = graceful.watch(connection);
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "an HTTP connection ended");
        }
        drop(place);
    });
}

#[cfg(test)]
mod tests;
