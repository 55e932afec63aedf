//! Listeners on TCP: plain MQTT, TLS, WebSocket, and WebSocket over TLS.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::door::{Door, Raised};
use super::proxy;
use super::tls::Tls;
use super::tls::identity::Identity;
use super::transport::Transport;
use super::websocket::upgrade;
use super::websocket::{MessageBounds, WebSocket};
use crate::connection;
use crate::counters::Counters;

/// Pause after the system refused a connection (too many open files), so that
/// the refusal does not become a busy loop.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// What lies between TCP and MQTT.
pub(crate) trait Layers: Clone + Send + 'static {
    /// What MQTT runs over at last.
    type Stream: Transport;

    /// Puts them on a connection.
    fn raise(
        self,
        stream: TcpStream,
    ) -> impl Future<Output = io::Result<(Self::Stream, Identity)>> + Send;
}

/// Nothing.
#[derive(Clone)]
pub(crate) struct Plain;

/// TLS.
#[derive(Clone)]
pub(crate) struct Encrypted(pub(crate) Arc<Tls>);

/// WebSocket over what the other layers make.
#[derive(Clone)]
pub(crate) struct Framed<L> {
    pub(crate) under: L,
    pub(crate) path: Arc<str>,
    pub(crate) bounds: MessageBounds,
    pub(crate) counters: Arc<Counters>,
}

impl Layers for Plain {
    type Stream = TcpStream;

    async fn raise(self, stream: TcpStream) -> io::Result<(TcpStream, Identity)> {
        Ok((stream, Identity::default()))
    }
}

impl Layers for Encrypted {
    type Stream = TlsStream<TcpStream>;

    async fn raise(self, stream: TcpStream) -> io::Result<(Self::Stream, Identity)> {
        let Self(tls) = self;
        let stream = TlsAcceptor::from(tls.current()).accept(stream).await?;
        let shown = stream.get_ref().1.peer_certificates();
        let identity = Identity::new(&tls.keys, shown).map_err(io::Error::other)?;
        Ok((stream, identity))
    }
}

impl<L: Layers + Sync> Layers for Framed<L> {
    type Stream = WebSocket<L::Stream>;

    async fn raise(self, stream: TcpStream) -> io::Result<(Self::Stream, Identity)> {
        let (mut stream, identity) = self.under.raise(stream).await?;
        let read = upgrade::accept(&mut stream, &self.path).await?;
        let socket = WebSocket::new(stream, read, self.bounds, self.counters);
        Ok((socket, identity))
    }
}

/// Accepts connections until `stop` turns true.
pub(crate) async fn serve<L: Layers>(
    door: Arc<Door>,
    listener: TcpListener,
    behind_proxy: bool,
    layers: L,
    mut stop: watch::Receiver<bool>,
) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stop.changed() => return,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                let listener = door.listener();
                tracing::warn!(listener, %error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_RETRY).await;
                continue;
            }
        };
        let place = tokio::select! {
            place = door.enter() => place,
            _ = stop.changed() => return,
        };
        let Some(admission) = door.admit(peer) else {
            continue;
        };
        let broker = Arc::clone(&door.broker);
        let handshake = handshake(stream, peer, behind_proxy, layers.clone());
        let greeting = Box::pin(Arc::clone(&door).greet(handshake, peer, place));
        tokio::spawn(async move {
            // Its memory is given back before the connection begins.
            let greeted = greeting.await;
            if let Some(greeted) = greeted {
                connection::serve(broker, greeted).await;
            }
            drop(admission);
        });
    }
}

async fn handshake<L: Layers>(
    mut stream: TcpStream,
    peer: SocketAddr,
    behind_proxy: bool,
    layers: L,
) -> io::Result<Raised<L::Stream>> {
    let mut source = None;
    if behind_proxy {
        source = proxy::read(&mut stream).await?;
    }
    let (stream, identity) = layers.raise(stream).await?;
    Ok(Raised {
        stream,
        peer: source.unwrap_or(peer),
        identity,
    })
}
