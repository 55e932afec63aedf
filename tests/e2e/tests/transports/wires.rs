//! What a test's client speaks MQTT over.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use quinn::crypto::rustls::QuicClientConfig;
use quinn::{Connection, Endpoint, RecvStream, SendStream};
use robustmq_e2e::{Broker, Wire};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};
use tokio::runtime::Runtime;
use tungstenite::client::IntoClientRequest;
use tungstenite::http::HeaderValue;
use tungstenite::{Message, WebSocket};

use crate::certificates;

/// How long anything may take before a test gives up.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// TLS.
pub(crate) struct Tls(pub(crate) StreamOwned<ClientConnection, TcpStream>);

impl Tls {
    /// Connects and shakes hands.
    pub(crate) fn open(address: SocketAddr, config: Arc<ClientConfig>) -> io::Result<Self> {
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        let name = ServerName::try_from("localhost").map_err(io::Error::other)?;
        let mut connection = ClientConnection::new(config, name).map_err(io::Error::other)?;
        while connection.is_handshaking() {
            connection.complete_io(&mut stream)?;
        }
        Ok(Self(StreamOwned::new(connection, stream)))
    }
}

impl Read for Tls {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.0.read(into)
    }
}

impl Write for Tls {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl Wire for Tls {
    fn set_patience(&mut self, patience: Duration) -> io::Result<()> {
        self.0.sock.set_patience(patience)
    }
}

/// WebSocket over another wire: one binary message for each write.
pub(crate) struct Ws<W> {
    socket: WebSocket<W>,
    pending: Vec<u8>,
    /// The code of the broker's close frame.
    pub(crate) closed: Option<u16>,
}

impl<W: Wire> Ws<W> {
    /// Upgrades a connection.
    pub(crate) fn open(stream: W, address: SocketAddr) -> Self {
        let url = format!("ws://{address}/mqtt");
        let mut request = url.into_client_request().expect("a request");
        let protocol = HeaderValue::from_static("mqtt");
        request
            .headers_mut()
            .insert("Sec-WebSocket-Protocol", protocol);
        let (socket, _) = tungstenite::client(request, stream)
            .unwrap_or_else(|error| panic!("no upgrade: {error}"));
        Self {
            socket,
            pending: Vec::new(),
            closed: None,
        }
    }
}

impl<W: Wire> Read for Ws<W> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.pending.is_empty() {
            match self.socket.read() {
                Ok(Message::Binary(message)) => self.pending = message.to_vec(),
                Ok(Message::Close(frame)) => {
                    self.closed = frame.map(|frame| frame.code.into());
                    return Ok(0);
                }
                Ok(_) => {}
                Err(tungstenite::Error::Io(error)) => return Err(error),
                Err(_) => return Ok(0),
            }
        }
        let count = self.pending.len().min(into.len());
        into[..count].copy_from_slice(&self.pending[..count]);
        self.pending.drain(..count);
        Ok(count)
    }
}

impl<W: Wire> Write for Ws<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let message = Message::Binary(bytes.to_vec().into());
        self.socket.send(message).map_err(io::Error::other)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.socket.flush().map_err(io::Error::other)
    }
}

impl<W: Wire> Wire for Ws<W> {
    fn set_patience(&mut self, patience: Duration) -> io::Result<()> {
        self.socket.get_mut().set_patience(patience)
    }
}

/// QUIC: a connection with one stream.
pub(crate) struct Quic {
    pub(crate) runtime: Runtime,
    pub(crate) endpoint: Endpoint,
    pub(crate) connection: Connection,
    pub(crate) send: SendStream,
    pub(crate) receive: RecvStream,
    patience: Duration,
}

impl Quic {
    pub(crate) fn open(address: SocketAddr, tls: Arc<ClientConfig>) -> io::Result<Self> {
        Self::open_as(address, tls, b"mqtt")
    }

    /// With another name of the protocol.
    pub(crate) fn open_as(
        address: SocketAddr,
        tls: Arc<ClientConfig>,
        alpn: &[u8],
    ) -> io::Result<Self> {
        let (runtime, endpoint, connection) = Self::connect(address, tls, alpn)?;
        let (send, receive) = runtime.block_on(connection.open_bi())?;
        Ok(Self {
            runtime,
            endpoint,
            connection,
            send,
            receive,
            patience: PATIENCE,
        })
    }

    /// A connection without a stream.
    pub(crate) fn connect(
        address: SocketAddr,
        tls: Arc<ClientConfig>,
        alpn: &[u8],
    ) -> io::Result<(Runtime, Endpoint, Connection)> {
        let config = Self::config(&tls, alpn)?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()?;
        let local = SocketAddr::new(address.ip(), 0);
        let (endpoint, connection) = runtime.block_on(async {
            let endpoint = Endpoint::client(local)?;
            let connecting = endpoint
                .connect_with(config, address, "localhost")
                .map_err(io::Error::other)?;
            Ok::<_, io::Error>((endpoint, connecting.await?))
        })?;
        Ok((runtime, endpoint, connection))
    }

    /// What a connection needs.
    pub(crate) fn config(tls: &ClientConfig, alpn: &[u8]) -> io::Result<quinn::ClientConfig> {
        let mut tls = tls.clone();
        tls.alpn_protocols = vec![alpn.to_vec()];
        let tls = QuicClientConfig::try_from(tls).map_err(io::Error::other)?;
        Ok(quinn::ClientConfig::new(Arc::new(tls)))
    }

    /// Goes on from another port, as behind a router that has forgotten it.
    pub(crate) fn change_address(&self) {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port");
        let _runtime = self.runtime.enter();
        self.endpoint.rebind(socket).expect("another socket");
    }
}

impl Drop for Quic {
    fn drop(&mut self) {
        self.connection.close(0u32.into(), b"");
        // The broker must hear of it before the socket is gone.
        let idle = async { tokio::time::timeout(PATIENCE, self.endpoint.wait_idle()).await };
        let _ = self.runtime.block_on(idle);
    }
}

impl Read for Quic {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let (receive, patience) = (&mut self.receive, self.patience);
        let read = async { tokio::time::timeout(patience, receive.read(into)).await };
        match self.runtime.block_on(read) {
            Err(_) => Err(io::ErrorKind::TimedOut.into()),
            Ok(Ok(count)) => Ok(count.unwrap_or(0)),
            Ok(Err(error)) => Err(error.into()),
        }
    }
}

impl Write for Quic {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Self { runtime, send, .. } = self;
        Ok(runtime.block_on(send.write(bytes))?)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Wire for Quic {
    fn set_patience(&mut self, patience: Duration) -> io::Result<()> {
        self.patience = patience;
        Ok(())
    }
}

/// A wire of each kind to a broker that uses its own certificate.
pub(crate) fn tls(broker: &Broker) -> Tls {
    let config = certificates::client(&certificates::self_signed(broker), None);
    Tls::open(broker.listener("tls:default"), config).expect("a TLS connection")
}

pub(crate) fn ws(broker: &Broker) -> Ws<TcpStream> {
    let address = broker.listener("ws:default");
    let stream = TcpStream::connect(address).expect("a connection");
    Ws::open(stream, address)
}

pub(crate) fn wss(broker: &Broker) -> Ws<Tls> {
    let address = broker.listener("wss:default");
    let config = certificates::client(&certificates::self_signed(broker), None);
    let stream = Tls::open(address, config).expect("a TLS connection");
    Ws::open(stream, address)
}

pub(crate) fn quic(broker: &Broker) -> Quic {
    let config = certificates::client(&certificates::self_signed(broker), None);
    Quic::open(broker.listener("quic:default"), config).expect("a QUIC connection")
}
