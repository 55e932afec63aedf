//! How two nodes get to know each other.
//!
//! TLS proves that a certificate is of the cluster's authority; the greeting
//! says which node it is, and the certificate must name that node.
//!
//! **Not here**: which of several connections is used (`link`).

use std::io;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use rustls::CommonState;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, TlsConnector, TlsStream};

use crate::certificates::{CLUSTER_NAME, node_name};
use crate::frame::{FrameType, Header, Message, decode};
use crate::hello::{HELLO_BYTES_MAX, Hello, Purpose, Refusal, VERSION_MAX, VERSION_MIN};
use crate::peers::Inside;
use crate::tls;

/// What is in the kernel and has not left: small, so that urgent frames do not
/// wait behind it.
const UNSENT_BYTES_MAX: u32 = 128 * 1024;

/// Time for the other side to read why it was refused.
const REFUSAL_TIMEOUT: Duration = Duration::from_secs(1);

/// A stream that frames are read from.
pub(crate) struct Wire<S> {
    pub(crate) stream: S,
    /// Read, and not yet looked at.
    pub(crate) input: BytesMut,
}

/// The stream that is used.
pub(crate) type TlsWire = Wire<TlsStream<TcpStream>>;

/// Why there is no connection.
#[derive(Debug)]
pub(crate) enum Failed {
    /// The other side is refused here; it is to hear why.
    Refuse(String),
    /// The other side refuses this node.
    Refused(Refusal),
    /// It is not who or what it should be, by its certificate.
    Untrusted(String),
    /// No connection, or none any more.
    Broken(String),
}

impl From<io::Error> for Failed {
    fn from(error: io::Error) -> Self {
        // With TLS 1.3 the other side looks at this node's certificate when the handshake is done here.
        match error
            .get_ref()
            .is_some_and(|inner| inner.is::<rustls::Error>())
        {
            true => Self::Untrusted(tls::explain(&error, None)),
            false => Self::Broken(format!("the connection broke in the handshake: {error}")),
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    fn new(stream: S) -> Self {
        Self {
            stream,
            input: BytesMut::new(),
        }
    }

    pub(crate) async fn send(
        &mut self,
        frame_type: FrameType,
        kind: u16,
        body: &[u8],
    ) -> io::Result<()> {
        let mut out = BytesMut::new();
        Header::plain(frame_type, kind, body.len() as u32).encode(&mut out);
        out.extend_from_slice(body);
        self.stream.write_all(&out).await?;
        self.stream.flush().await
    }

    /// The next frame of the handshake.
    pub(crate) async fn receive(&mut self) -> Result<Message, Failed> {
        loop {
            let frame = decode(&mut self.input, HELLO_BYTES_MAX)
                .map_err(|error| Failed::Broken(error.to_string()))?;
            if let Some(frame) = frame {
                return Ok(Message {
                    header: frame.header,
                    body: frame.chunk,
                });
            }
            self.input.reserve(HELLO_BYTES_MAX);
            if self.stream.read_buf(&mut self.input).await? == 0 {
                return Err(Failed::Broken("it was closed in the handshake".to_owned()));
            }
        }
    }

    /// Tells the other side why it is refused, and closes.
    pub(crate) async fn refuse(mut self, refusal: &Refusal) {
        let told = async {
            let (kind, body) = refusal.encode();
            self.send(FrameType::Refusal, kind, &body).await?;
            self.stream.shutdown().await?;
            // Closing with something unread would take the refusal back.
            let mut rest = [0; 1024];
            while self.stream.read(&mut rest).await? > 0 {}
            Ok::<_, io::Error>(())
        };
        let _ = tokio::time::timeout(REFUSAL_TIMEOUT, told).await;
    }
}

fn tune(stream: &TcpStream) {
    let _ = stream.set_nodelay(true);
    let _ = socket2::SockRef::from(stream).set_tcp_notsent_lowat(UNSENT_BYTES_MAX);
}

/// Connects to `address` and says who may be there: `node`, or any of the
/// cluster.
pub(crate) async fn connect(
    inside: &Inside,
    address: &str,
    node: Option<u64>,
) -> Result<TlsWire, Failed> {
    let timeout = inside.limits.connect_timeout;
    let stream = tokio::time::timeout(timeout, connect_any(address))
        .await
        .map_err(|_| Failed::Broken(format!("{address}: no connection within {timeout:?}")))??;
    tune(&stream);
    let name = node.map_or_else(|| CLUSTER_NAME.to_owned(), node_name);
    let server_name = ServerName::try_from(name.clone())
        .map_err(|error| Failed::Broken(format!("{name}: {error}")))?;
    let connector = TlsConnector::from(inside.tls.ends().client);
    let stream = connector
        .connect(server_name, stream)
        .await
        .map_err(|error| tls_failure(&error, address, Some(&name)))?;
    if !tls::is_node(stream.get_ref().1) {
        return Err(Failed::Untrusted(format!(
            "{address}: what answers is no node: check address and port"
        )));
    }
    Ok(Wire::new(TlsStream::from(stream)))
}

/// All addresses of a name, one after the other.
async fn connect_any(address: &str) -> Result<TcpStream, Failed> {
    let broken = |error: io::Error| Failed::Broken(format!("{address}: {error}"));
    let mut last = Failed::Broken(format!("{address}: the name has no address"));
    for resolved in tokio::net::lookup_host(address).await.map_err(broken)? {
        match TcpStream::connect(resolved).await {
            Ok(stream) => return Ok(stream),
            Err(error) => last = broken(error),
        }
    }
    Err(last)
}

/// The TLS side of a connection that came.
pub(crate) async fn accept(inside: &Inside, stream: TcpStream) -> Result<TlsWire, Failed> {
    tune(&stream);
    let acceptor = TlsAcceptor::from(inside.tls.ends().server);
    let stream = acceptor
        .accept(stream)
        .await
        .map_err(|error| tls_failure(&error, "its handshake", None))?;
    if !tls::is_node(stream.get_ref().1) {
        return Err(Failed::Untrusted(
            "it does not ask for the protocol between nodes".to_owned(),
        ));
    }
    Ok(Wire::new(TlsStream::from(stream)))
}

fn tls_failure(error: &io::Error, place: &str, wanted: Option<&str>) -> Failed {
    let text = format!("{place}: {}", tls::explain(error, wanted));
    match error
        .get_ref()
        .is_some_and(|inner| inner.is::<rustls::Error>())
    {
        true => Failed::Untrusted(text),
        false => Failed::Broken(text),
    }
}

/// The greeting of the one who dialled.
pub(crate) async fn receive_hello(inside: &Inside, wire: &mut TlsWire) -> Result<Hello, Failed> {
    let message = wire.receive().await?;
    if message.header.frame_type != FrameType::Hello {
        return Err(Failed::Broken("it does not greet".to_owned()));
    }
    checked(inside, wire, &message.body, None)
}

/// The answer to a greeting. `node` is who should be there.
pub(crate) async fn receive_welcome(
    inside: &Inside,
    wire: &mut TlsWire,
    node: Option<u64>,
) -> Result<Hello, Failed> {
    let message = wire.receive().await?;
    match message.header.frame_type {
        FrameType::Welcome => checked(inside, wire, &message.body, node),
        FrameType::Refusal => {
            let refusal = Refusal::decode(message.header.kind, &message.body);
            Err(Failed::Refused(refusal))
        }
        _ => Err(Failed::Broken("it does not greet".to_owned())),
    }
}

/// Waits for the word of the deciding node that it uses this connection.
pub(crate) async fn receive_use(wire: &mut TlsWire) -> Result<(), Failed> {
    let message = wire.receive().await?;
    match message.header.frame_type {
        FrameType::Use => Ok(()),
        FrameType::Refusal => {
            let refusal = Refusal::decode(message.header.kind, &message.body);
            Err(Failed::Refused(refusal))
        }
        _ => Err(Failed::Broken("it does not greet to the end".to_owned())),
    }
}

fn checked(
    inside: &Inside,
    wire: &TlsWire,
    body: &Bytes,
    expected: Option<u64>,
) -> Result<Hello, Failed> {
    let hello = Hello::decode(body).map_err(|error| Failed::Refuse(error.to_string()))?;
    let connection: &CommonState = wire.stream.get_ref().1;
    check(inside, connection, &hello, expected).map_err(Failed::Refuse)?;
    Ok(hello)
}

/// Everything that both sides ask of each other. The text goes to both, so it
/// names the nodes.
fn check(
    inside: &Inside,
    connection: &CommonState,
    hello: &Hello,
    expected: Option<u64>,
) -> Result<(), String> {
    let (here, there) = (inside.node_id, hello.node_id);
    if hello.common_version().is_none() {
        let (oldest, newest) = hello.versions;
        return Err(format!(
            "node {there} speaks versions {oldest} to {newest} of the protocol between nodes, node \
             {here} speaks {VERSION_MIN} to {VERSION_MAX}: update the older one, release by release"
        ));
    }
    if there == here {
        return Err(format!(
            "both ends are node {here}: give every node its own node.id, and check the address"
        ));
    }
    if !tls::shows_node(connection, there) {
        return Err(format!(
            "the certificate of node {there} is not for node {there}: give it the one that was made \
             for its node.id (robust-ctl cluster certificates --node {there})"
        ));
    }
    if expected.is_some_and(|expected| expected != there) {
        return Err(format!(
            "node {} was expected at this address, node {there} is there: check the addresses",
            expected.unwrap_or_default()
        ));
    }
    if let (Some(ours), Some(theirs)) = (inside.roster.own_cluster_id(), &hello.cluster_id)
        && ours != *theirs
    {
        return Err(format!(
            "node {there} belongs to cluster {theirs}, node {here} to cluster {ours}: check \
             cluster.discovery and the addresses; a node that is to change its cluster starts there \
             with an empty data directory and a new node.id"
        ));
    }
    inside.roster.admit(hello)
}

impl Inside {
    /// What this node says of itself.
    pub(crate) fn hello(&self, purpose: Purpose, attempt: u64, is_used: bool) -> Bytes {
        let hello = Hello {
            node_id: self.node_id,
            cluster_id: self.roster.own_cluster_id(),
            incarnation: self.incarnation,
            address: self.advertise.clone(),
            software: concat!("robustmq ", env!("CARGO_PKG_VERSION")).to_owned(),
            purpose,
            versions: (VERSION_MIN, VERSION_MAX),
            run: self.run,
            attempt,
            is_used,
            body_bytes_max: u32::try_from(self.limits.body_bytes_max).unwrap_or(u32::MAX),
            in_flight_max: self.limits.in_flight_max,
            in_flight_bytes_max: self.limits.in_flight_bytes_max,
        };
        hello.encode()
    }
}
