//! MQTT over QUIC: one bidirectional stream per connection, opened by the
//! client, with plain MQTT on it.
//!
//! A client may change its address (QUIC's connection migration); early data is
//! refused (`tls::certificates`).

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use quinn::crypto::rustls::QuicServerConfig;
use quinn::{Connection, Endpoint, EndpointConfig, Incoming, RecvStream, SendStream, VarInt};
use rustls::ServerConfig;
use rustls::pki_types::CertificateDer;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::watch;

use super::door::{Door, Raised};
use super::tls::Tls;
use super::tls::identity::Identity;
use super::transport::Transport;
use crate::connection;

/// The protocol's name in the TLS handshake.
pub(crate) const ALPN: &[u8] = b"mqtt";

/// Bytes of a connection that may be on their way in, or wait to be read.
const RECEIVE_BYTES_MAX: u32 = 256 * 1024;

/// Bytes of a connection that may be on their way out.
const SEND_BYTES_MAX: u64 = 256 * 1024;

/// Handshakes that may wait for their turn; further ones are refused.
const INCOMING_MAX: usize = 1024;

/// First packets of handshakes that wait, all together.
const INCOMING_BYTES_MAX: u64 = 8 << 20;

/// A client of which nothing is heard for so long is gone.
const SILENCE_MAX_MS: u32 = 60_000;

/// How often a silent client is asked: often enough to keep the place in a
/// router's table of addresses, and for clients that give up after 30 s.
const PROBE_INTERVAL: Duration = Duration::from_secs(15);

/// How long the last packets are given at the broker's end.
const FAREWELL: Duration = Duration::from_millis(500);

/// Nothing went wrong.
const NO_ERROR: VarInt = VarInt::from_u32(0);

/// Serves the sockets of one listener.
pub(crate) fn endpoint(socket: UdpSocket, tls: &Tls) -> io::Result<Endpoint> {
    Endpoint::new(
        EndpointConfig::default(),
        Some(settings(tls.current())?),
        socket,
        Arc::new(quinn::TokioRuntime),
    )
}

/// What holds for new connections.
pub(crate) fn settings(tls: Arc<ServerConfig>) -> io::Result<quinn::ServerConfig> {
    let crypto = QuicServerConfig::try_from(tls).map_err(io::Error::other)?;
    let mut transport = quinn::TransportConfig::default();
    transport
        .max_concurrent_bidi_streams(1u32.into())
        .max_concurrent_uni_streams(0u32.into())
        .datagram_receive_buffer_size(None)
        .stream_receive_window(RECEIVE_BYTES_MAX.into())
        .receive_window(RECEIVE_BYTES_MAX.into())
        .send_window(SEND_BYTES_MAX)
        .max_idle_timeout(Some(VarInt::from_u32(SILENCE_MAX_MS).into()))
        .keep_alive_interval(Some(PROBE_INTERVAL));
    let mut settings = quinn::ServerConfig::with_crypto(Arc::new(crypto));
    settings
        .transport_config(Arc::new(transport))
        .migration(true)
        .max_incoming(INCOMING_MAX)
        .incoming_buffer_size_total(INCOMING_BYTES_MAX);
    Ok(settings)
}

/// Lets connections in until `stop` turns true.
pub(crate) async fn serve(
    door: Arc<Door>,
    tls: Arc<Tls>,
    endpoint: Endpoint,
    mut stop: watch::Receiver<bool>,
) {
    loop {
        let incoming = tokio::select! {
            incoming = endpoint.accept() => incoming,
            _ = stop.changed() => return,
        };
        let Some(incoming) = incoming else { return };
        // Under pressure only those get a place that receive at the address
        // they claim to have.
        if !incoming.remote_address_validated() && incoming.may_retry() && door.is_busy() {
            // It can always be sent: it has just been asked.
            let _ = incoming.retry();
            continue;
        }
        let peer = incoming.remote_address();
        let place = tokio::select! {
            place = door.enter() => place,
            _ = stop.changed() => return,
        };
        let Some(admission) = door.admit(peer) else {
            incoming.refuse();
            continue;
        };
        let broker = Arc::clone(&door.broker);
        let handshake = handshake(Arc::clone(&tls), incoming, peer);
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

async fn handshake(
    tls: Arc<Tls>,
    incoming: Incoming,
    peer: SocketAddr,
) -> io::Result<Raised<QuicStream>> {
    let connection = incoming.await?;
    let (send, receive) = connection.accept_bi().await?;
    let shown = connection.peer_identity();
    let shown = shown.and_then(|shown| shown.downcast::<Vec<CertificateDer<'static>>>().ok());
    let identity =
        Identity::new(&tls.keys, shown.as_deref().map(Vec::as_slice)).map_err(io::Error::other)?;
    Ok(Raised {
        stream: QuicStream {
            connection,
            send,
            receive,
            farewell: None,
        },
        peer,
        identity,
    })
}

/// Ends what is left and gives the last packets time to leave.
pub(crate) async fn finish(endpoint: &Endpoint) {
    endpoint.close(NO_ERROR, b"");
    // Clients that do not answer are not waited for.
    let _ = tokio::time::timeout(FAREWELL, endpoint.wait_idle()).await;
}

type Farewell = Pin<Box<dyn Future<Output = ()> + Send + Sync>>;

/// The stream of a connection, and the connection with it.
pub(crate) struct QuicStream {
    connection: Connection,
    send: SendStream,
    receive: RecvStream,
    /// Ends when the client has all that was written.
    farewell: Option<Farewell>,
}

impl Transport for QuicStream {}

impl Drop for QuicStream {
    fn drop(&mut self) {
        self.connection.close(NO_ERROR, b"");
    }
}

impl AsyncRead for QuicStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        AsyncRead::poll_read(Pin::new(&mut self.receive), context, into)
    }
}

impl AsyncWrite for QuicStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        AsyncWrite::poll_write(Pin::new(&mut self.send), context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        AsyncWrite::poll_flush(Pin::new(&mut self.send), context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let farewell = this.farewell.get_or_insert_with(|| {
            // Closing the connection would throw away what is still on its way.
            let finished = this.send.finish();
            let stopped = this.send.stopped();
            Box::pin(async move {
                if finished.is_ok() {
                    // Lost or stopped: there is nobody to wait for any more.
                    let _ = stopped.await;
                }
            })
        });
        ready!(farewell.as_mut().poll(context));
        this.connection.close(NO_ERROR, b"");
        Poll::Ready(Ok(()))
    }
}
