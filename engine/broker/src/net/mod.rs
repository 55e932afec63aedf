//! Listeners: where connections come in.
//!
//! Whatever they come over, one `connection` serves them: it is generic over
//! the [`Transport`], so plain TCP pays nothing for the others.

mod door;
mod handshakes;
mod proxy;
mod quic;
mod socket;
mod streams;
mod tls;
mod transport;
mod websocket;

use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::sync::Arc;

use quinn::Endpoint;
use robustmq_config::{Config, ListenerLimits, TlsKeys};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::broker::{Broker, StartError};
use door::Door;
pub(crate) use handshakes::Place;
use streams::{Encrypted, Framed, Layers, Plain};
use tls::Tls;
pub use tls::certificates::TlsError;
pub(crate) use tls::identity::Identity;
pub(crate) use transport::Transport;
use websocket::MessageBounds;

/// Messages of a WebSocket client may hold several packets: as many of the
/// largest as this, and at least [`MESSAGE_BYTES_MIN`].
const PACKETS_PER_MESSAGE: usize = 2;

/// What a WebSocket message may always hold.
const MESSAGE_BYTES_MIN: usize = 1 << 20;

/// Where a listener listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listening {
    /// Its kind in the configuration: `tcp`, `tls`, `ws`, `wss`, `quic`.
    pub kind: &'static str,
    /// Its name.
    pub name: String,
    /// Its address.
    pub address: SocketAddr,
    /// The path of its URL, for WebSocket.
    pub path: String,
}

impl Listening {
    /// Where clients connect.
    pub fn url(&self) -> String {
        let scheme = match self.kind {
            "tcp" => "mqtt",
            "tls" => "mqtts",
            kind => kind,
        };
        format!("{scheme}://{}{}", self.address, self.path)
    }
}

/// A bound listener that does not accept yet.
pub(crate) struct Bound {
    listening: Listening,
    limits: ListenerLimits,
    kind: Kind,
}

enum Kind {
    Tcp(Stream),
    Tls(Stream, Arc<Tls>),
    Ws(Stream),
    Wss(Stream, Arc<Tls>),
    Quic(UdpSocket, Arc<Tls>),
}

struct Stream {
    listener: TcpListener,
    behind_proxy: bool,
}

/// Listeners at work.
pub(crate) struct Doors {
    pub(crate) listening: Vec<Listening>,
    tasks: Vec<JoinHandle<()>>,
    endpoints: Vec<Endpoint>,
}

/// Binds every listener that is not switched off.
///
/// # Errors
/// What the system says of an address, or what is wrong with a certificate.
pub(crate) fn bind(config: &Config) -> Result<Vec<Bound>, StartError> {
    let mut bound = Vec::new();
    let listeners = &config.listeners;
    for (name, on) in listeners.tcp.iter().filter(|(_, on)| on.enabled) {
        let (stream, listening) = stream("tcp", name, on.bind, on.proxy_protocol)?;
        bound.push((listening, on.limits(), Kind::Tcp(stream)));
    }
    for (name, on) in listeners.tls.iter().filter(|(_, on)| on.enabled) {
        let (stream, listening) = stream("tls", name, on.bind, on.proxy_protocol)?;
        let tls = tls(config, &listening, on.tls(), &[])?;
        bound.push((listening, on.limits(), Kind::Tls(stream, tls)));
    }
    for (name, on) in listeners.ws.iter().filter(|(_, on)| on.enabled) {
        let (stream, mut listening) = stream("ws", name, on.bind, on.proxy_protocol)?;
        listening.path.clone_from(&on.path);
        bound.push((listening, on.limits(), Kind::Ws(stream)));
    }
    for (name, on) in listeners.wss.iter().filter(|(_, on)| on.enabled) {
        let (stream, mut listening) = stream("wss", name, on.bind, on.proxy_protocol)?;
        listening.path.clone_from(&on.path);
        let tls = tls(config, &listening, on.tls(), &[])?;
        bound.push((listening, on.limits(), Kind::Wss(stream, tls)));
    }
    for (name, on) in listeners.quic.iter().filter(|(_, on)| on.enabled) {
        let socket = socket::udp(on.bind).and_then(|socket| {
            let address = socket.local_addr()?;
            Ok((socket, address))
        });
        let (socket, address) = socket.map_err(refused("quic", name, on.bind))?;
        let listening = listening("quic", name, address);
        let tls = tls(config, &listening, on.tls(), &[quic::ALPN])?;
        bound.push((listening, on.limits(), Kind::Quic(socket, tls)));
    }
    let bound = bound.into_iter().map(|(listening, limits, kind)| Bound {
        listening,
        limits,
        kind,
    });
    Ok(bound.collect())
}

fn stream(
    kind: &'static str,
    name: &str,
    bind: SocketAddr,
    behind_proxy: bool,
) -> Result<(Stream, Listening), StartError> {
    let socket = socket::tcp(bind).and_then(|listener| {
        let address = listener.local_addr()?;
        Ok((listener, address))
    });
    let (listener, address) = socket.map_err(refused(kind, name, bind))?;
    let stream = Stream {
        listener,
        behind_proxy,
    };
    Ok((stream, listening(kind, name, address)))
}

fn listening(kind: &'static str, name: &str, address: SocketAddr) -> Listening {
    Listening {
        kind,
        name: name.to_owned(),
        address,
        path: String::new(),
    }
}

fn refused(
    kind: &'static str,
    name: &str,
    address: SocketAddr,
) -> impl Fn(io::Error) -> StartError {
    move |source| StartError::Bind {
        kind,
        name: name.to_owned(),
        address,
        source,
    }
}

fn tls(
    config: &Config,
    listening: &Listening,
    keys: TlsKeys,
    alpn: &[&[u8]],
) -> Result<Arc<Tls>, StartError> {
    let tls = Tls::new(keys, &config.node.data_dir, alpn).map_err(|source| StartError::Tls {
        kind: listening.kind,
        name: listening.name.clone(),
        source,
    })?;
    if let Some(certificate) = tls.self_signed() {
        let listener = format!("{}:{}", listening.kind, listening.name);
        tracing::info!(
            listener,
            certificate = %certificate.display(),
            "the broker's self-signed certificate is in use, which clients must be told to trust: set certfile and keyfile for another one"
        );
    }
    Ok(Arc::new(tls))
}

impl Doors {
    /// Opens listeners, until `stop` turns true.
    pub(crate) fn open(
        broker: &Arc<Broker>,
        bound: Vec<Bound>,
        stop: &watch::Receiver<bool>,
    ) -> Result<Self, StartError> {
        let mut doors = Self {
            listening: Vec::new(),
            tasks: Vec::new(),
            endpoints: Vec::new(),
        };
        for bound in bound {
            let listening = bound.listening.clone();
            doors.open_one(broker, bound, stop).map_err(refused(
                listening.kind,
                &listening.name,
                listening.address,
            ))?;
            doors.listening.push(listening);
        }
        Ok(doors)
    }

    fn open_one(
        &mut self,
        broker: &Arc<Broker>,
        bound: Bound,
        stop: &watch::Receiver<bool>,
    ) -> io::Result<()> {
        let Bound {
            listening,
            limits,
            kind,
        } = bound;
        let name = format!("{}:{}", listening.kind, listening.name);
        let door = Arc::new(Door::new(Arc::clone(broker), name, &limits));
        let path: Arc<str> = listening.path.into();
        match kind {
            Kind::Tcp(stream) => self.serve(&door, stream, Plain, stop)?,
            Kind::Tls(stream, tls) => {
                self.watch(&door, &tls, |_| {}, stop);
                self.serve(&door, stream, Encrypted(tls), stop)?;
            }
            Kind::Ws(stream) => self.serve(&door, stream, framed(broker, Plain, path), stop)?,
            Kind::Wss(stream, tls) => {
                self.watch(&door, &tls, |_| {}, stop);
                let layers = framed(broker, Encrypted(tls), path);
                self.serve(&door, stream, layers, stop)?;
            }
            Kind::Quic(socket, tls) => {
                let endpoint = quic::endpoint(socket, &tls)?;
                let changed = endpoint.clone();
                let on_change = move |config| match quic::settings(config) {
                    Ok(settings) => changed.set_server_config(Some(settings)),
                    Err(error) => tracing::warn!(%error, "QUIC cannot use the changed certificate"),
                };
                self.watch(&door, &tls, on_change, stop);
                self.endpoints.push(endpoint.clone());
                let serve = quic::serve(door, tls, endpoint, stop.clone());
                self.tasks.push(tokio::spawn(serve));
            }
        }
        Ok(())
    }

    fn serve<L: Layers>(
        &mut self,
        door: &Arc<Door>,
        stream: Stream,
        layers: L,
        stop: &watch::Receiver<bool>,
    ) -> io::Result<()> {
        let listener = tokio::net::TcpListener::from_std(stream.listener)?;
        let behind_proxy = stream.behind_proxy;
        let door = Arc::clone(door);
        let serve = streams::serve(door, listener, behind_proxy, layers, stop.clone());
        self.tasks.push(tokio::spawn(serve));
        Ok(())
    }

    fn watch(
        &mut self,
        door: &Door,
        tls: &Arc<Tls>,
        on_change: impl Fn(Arc<rustls::ServerConfig>) + Send + Sync + 'static,
        stop: &watch::Receiver<bool>,
    ) {
        let listener = door.listener().to_owned();
        let watch = Arc::clone(tls).watch(listener, on_change, stop.clone());
        self.tasks.push(tokio::spawn(watch));
    }

    /// Waits until nobody is let in any more.
    pub(crate) async fn closed(&mut self) {
        for task in self.tasks.drain(..) {
            // One that failed lets nobody in either.
            let _ = task.await;
        }
    }

    /// Lets the last packets leave, after all connections have ended.
    pub(crate) async fn finish(&self) {
        for endpoint in &self.endpoints {
            quic::finish(endpoint).await;
        }
    }
}

fn framed<L>(broker: &Broker, under: L, path: Arc<str>) -> Framed<L> {
    let packet_bytes_max = broker.limits.packet_size_max as usize;
    Framed {
        under,
        path,
        bounds: MessageBounds {
            before_connect: broker.limits.connect_size_max as usize,
            after_connect: packet_bytes_max
                .saturating_mul(PACKETS_PER_MESSAGE)
                .max(MESSAGE_BYTES_MIN),
        },
        counters: Arc::clone(&broker.counters),
    }
}
