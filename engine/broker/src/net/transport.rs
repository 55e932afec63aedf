//! What a connection runs over.

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

/// A bidirectional byte stream: TCP, TLS, WebSocket, QUIC. What is written may
/// stay with the transport until it is flushed; shutting it down delivers all
/// that was written and then says goodbye in the transport's way.
pub(crate) trait Transport: AsyncRead + AsyncWrite + Unpin + Send + 'static {
    /// The client has said who it is: bounds for strangers no longer hold.
    fn opened(&mut self) {}
}

impl Transport for TcpStream {}
impl<S: Transport> Transport for TlsStream<S> {}
