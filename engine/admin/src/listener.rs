//! Accepting connections: a bounded number, none that takes for ever to say
//! what it wants.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use robustmq_config::HttpListener;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

/// How long a client may take for the head of a request.
const HEAD_PATIENCE: Duration = Duration::from_secs(15);

/// How long what is being answered may go on when the broker stops.
const CLOSE_PATIENCE: Duration = Duration::from_secs(2);

/// Pause after the system refused a connection (too many open files).
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// A listener that is bound and does not accept yet.
#[derive(Debug)]
pub struct Bound {
    /// Its name in the configuration.
    pub name: String,
    /// Its address, with the port the system chose if 0 was asked.
    pub address: SocketAddr,
    listener: std::net::TcpListener,
    connections_max: usize,
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
            accepted = accept(&listener, &places) => accepted,
            _ = stop.changed() => break,
        };
        match accepted {
            Ok((stream, place)) => handle(stream, place, &router, &graceful),
            Err(error) => {
                tracing::warn!(listener = name, %error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_RETRY).await;
            }
        }
    }
    drop(listener);
    let closed = tokio::time::timeout(CLOSE_PATIENCE, graceful.shutdown()).await;
    if closed.is_err() {
        tracing::debug!(listener = name, "connections did not end in time");
    }
}

async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> io::Result<(TcpStream, OwnedSemaphorePermit)> {
    let place = Arc::clone(places)
        .acquire_owned()
        .await
        .map_err(io::Error::other)?;
    let (stream, _) = listener.accept().await?;
    Ok((stream, place))
}

fn handle(
    stream: TcpStream,
    place: OwnedSemaphorePermit,
    router: &Router,
    graceful: &GracefulShutdown,
) {
    let mut server = auto::Builder::new(TokioExecutor::new());
    server
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_PATIENCE);
    let service = TowerToHyperService::new(router.clone());
    let connection = server.serve_connection(TokioIo::new(stream), service);
    let connection = graceful.watch(connection.into_owned());
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "an HTTP connection ended");
        }
        drop(place);
    });
}
