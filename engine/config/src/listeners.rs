//! Listeners: `[listeners.<kind>.<name>]`, one section per kind, composed of the keys that kinds share.
//!
//! **Not here**: checks over several keys ([`crate::validate`]) and what a listener does with its keys
//! (`robustmq-broker`).

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use crate::DEFAULT_LISTENER;
use crate::literal::TimeSpan;
use crate::schema::{Section, choice, section};
use crate::setting::{Fault, Literal};

choice! {
    /// Whether TLS clients show a certificate.
    pub enum ClientCertificate {
        /// They are not asked for one.
        None = "none",
        /// They may; one that is shown must be good.
        Optional = "optional",
        /// They must.
        Required = "required",
    }
}

choice! {
    /// The part of a client certificate that names the client.
    pub enum CertificateName {
        /// Nothing of it.
        Disabled = "disabled",
        /// The Common Name of its subject.
        Cn = "cn",
        /// Its whole subject, as RFC 4514 writes it.
        Dn = "dn",
    }
}

choice! {
    /// A version of TLS.
    pub enum TlsVersion {
        /// TLS 1.2.
        V1_2 = "1.2",
        /// TLS 1.3.
        V1_3 = "1.3",
    }
}

/// What bounds the connections of a listener of any kind.
#[derive(Debug, Clone, PartialEq)]
pub struct ListenerLimits {
    /// Most connections.
    pub max_connections: u32,
    /// Most connections before their CONNECT.
    pub max_handshakes: u32,
    /// Time for everything before MQTT.
    pub handshake_timeout: TimeSpan,
    /// Time from there to the end of CONNECT, where it differs from `mqtt.idle_timeout`.
    pub idle_timeout: Option<TimeSpan>,
}

/// What a listener needs for TLS.
#[derive(Debug, Clone, PartialEq)]
pub struct TlsKeys {
    /// Chain of certificates; `None` = the self-signed one.
    pub certfile: Option<PathBuf>,
    /// Its private key.
    pub keyfile: Option<PathBuf>,
    /// Authorities that client certificates are checked against.
    pub cacertfile: Option<PathBuf>,
    /// Whether clients show a certificate.
    pub client_certificate: ClientCertificate,
    /// What of it is the user name.
    pub peer_cert_as_username: CertificateName,
    /// What of it is the client identifier.
    pub peer_cert_as_clientid: CertificateName,
    /// Oldest version.
    pub tls_version_min: TlsVersion,
    /// How often the files are looked at for a change.
    pub cert_check_interval: TimeSpan,
}

/// Gathers the groups of keys that a kind of listener has, then declares it as a section.
macro_rules! listener {
    (@ {$($head:tt)*} {$($keys:tt)*}) => {
        section! { $($head)* { $($keys)* } }
    };
    (@ {$($head:tt)*} {$($keys:tt)*} proxy $($groups:ident)*) => {
        listener! { @ {$($head)*} { $($keys)*
            /// True where a proxy stands before the listener: every connection must begin with a header of the
            /// PROXY protocol, version 1 or 2, whose source address counts as the client's.
            proxy_protocol: bool = false;
        } $($groups)* }
    };
    (@ {$($head:tt)*} {$($keys:tt)*} tls $($groups:ident)*) => {
        listener! { @ {$($head)*} { $($keys)*
            /// Certificate chain of the broker, PEM, its own certificate first. `self-signed` uses the one that
            /// the broker makes once, `tls/self-signed.crt` in its data directory.
            certfile: Option<PathBuf> = None, none "self-signed";
            /// Private key of that certificate, PEM.
            keyfile: Option<PathBuf> = None, none "self-signed";
            /// Authorities that client certificates are checked against, PEM.
            cacertfile: Option<PathBuf> = None, none "none";
            /// Whether clients must or may show a certificate.
            client_certificate: ClientCertificate = ClientCertificate::None;
            /// What of a client's certificate replaces its user name.
            peer_cert_as_username: CertificateName = CertificateName::Disabled;
            /// What of a client's certificate replaces its client identifier.
            peer_cert_as_clientid: CertificateName = CertificateName::Disabled;
            /// How often the files are looked at; changed ones hold for new connections, without a restart.
            cert_check_interval: TimeSpan = TimeSpan::from_secs(10),
                range TimeSpan::from_millis(50)..=TimeSpan::from_secs(86_400);
        } $($groups)* }
    };
    (@ {$($head:tt)*} {$($keys:tt)*} version $($groups:ident)*) => {
        listener! { @ {$($head)*} { $($keys)*
            /// Oldest version of TLS that is spoken.
            tls_version_min: TlsVersion = TlsVersion::V1_2;
        } $($groups)* }
    };
    (@ {$($head:tt)*} {$($keys:tt)*} path $($groups:ident)*) => {
        listener! { @ {$($head)*} { $($keys)*
            /// Path of the URL under which MQTT is served.
            path: String = "/mqtt".to_owned();
        } $($groups)* }
    };
    (
        $(#[doc = $text:literal])+
        pub struct $name:ident on $port:literal: $($groups:ident)*
    ) => {
        listener! { @ { $(#[doc = $text])+ pub struct $name } {
            /// Address and port to listen on. Other addresses than loopback need `auth.anonymous`.
            bind: SocketAddr = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), $port);
            /// False keeps the listener closed.
            enabled: bool = true;
            /// Most connections of this listener; further ones are closed as soon as they are accepted.
            /// `limits.connections_max` holds over all listeners.
            max_connections: u32 = 18_000, range 1..=10_000_000;
            /// Most connections whose CONNECT has not come yet, and never more than half of `max_connections`.
            /// Further ones wait; the oldest gives way once it has had a quarter of `handshake_timeout`.
            max_handshakes: u32 = 1_000, range 1..=1_000_000;
            /// Time for everything before MQTT: PROXY header, TLS, WebSocket upgrade, QUIC.
            handshake_timeout: TimeSpan = TimeSpan::from_secs(10),
                range TimeSpan::from_millis(100)..=TimeSpan::from_secs(3600);
            /// Time from there to the end of CONNECT; `inherit` is `mqtt.idle_timeout`.
            idle_timeout: Option<TimeSpan> = None,
                range TimeSpan::from_millis(100)..=TimeSpan::from_secs(3600), none "inherit";
        } $($groups)* }

        impl $name {
            /// What bounds its connections.
            pub fn limits(&self) -> ListenerLimits {
                ListenerLimits {
                    max_connections: self.max_connections,
                    max_handshakes: self.max_handshakes,
                    handshake_timeout: self.handshake_timeout,
                    idle_timeout: self.idle_timeout,
                }
            }
        }
    };
}

listener! {
    /// A TCP listener. `<name>` is free to choose (lower-case letters, digits, `-`, `_`); several of every kind
    /// may exist. Without any, one named `default` listens on 127.0.0.1:1883.
    pub struct TcpListener on 1883: proxy
}

listener! {
    /// A listener for MQTT over TLS. Without any, one named `default` listens on 127.0.0.1:8883.
    pub struct TlsListener on 8883: proxy tls version
}

listener! {
    /// A listener for MQTT over WebSocket. Without any, one named `default` listens on 127.0.0.1:8083.
    pub struct WsListener on 8083: path proxy
}

listener! {
    /// A listener for MQTT over WebSocket over TLS. Without any, one named `default` listens on 127.0.0.1:8084.
    pub struct WssListener on 8084: path proxy tls version
}

listener! {
    /// A listener for MQTT over QUIC (UDP, ALPN `mqtt`, TLS 1.3). Without any, one named `default` listens on
    /// 127.0.0.1:14567.
    pub struct QuicListener on 14567: tls
}

section! {
    /// A listener of the HTTP interface (REST). Every request needs a key, so it may be bound to any
    /// address. Without any, one named `default` listens on 127.0.0.1:18083.
    pub struct HttpListener {
        /// Address and port to listen on.
        bind: SocketAddr = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 18083);
        /// False keeps the listener closed.
        enabled: bool = true;
        /// Most connections of this listener; further ones wait to be accepted.
        max_connections: u32 = 512, range 1..=100_000;
    }
}

macro_rules! with_tls {
    ($name:ident, $listener:ident => $version:expr) => {
        impl $name {
            /// What it needs for TLS.
            pub fn tls(&self) -> TlsKeys {
                let $listener = self;
                TlsKeys {
                    certfile: self.certfile.clone(),
                    keyfile: self.keyfile.clone(),
                    cacertfile: self.cacertfile.clone(),
                    client_certificate: self.client_certificate,
                    peer_cert_as_username: self.peer_cert_as_username,
                    peer_cert_as_clientid: self.peer_cert_as_clientid,
                    tls_version_min: $version,
                    cert_check_interval: self.cert_check_interval,
                }
            }
        }
    };
}

with_tls!(TlsListener, listener => listener.tls_version_min);
with_tls!(WssListener, listener => listener.tls_version_min);
with_tls!(QuicListener, _listener => TlsVersion::V1_3);

/// Listeners by kind and name.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Listeners {
    /// `[listeners.tcp.<name>]`
    pub tcp: BTreeMap<String, TcpListener>,
    /// `[listeners.tls.<name>]`
    pub tls: BTreeMap<String, TlsListener>,
    /// `[listeners.ws.<name>]`
    pub ws: BTreeMap<String, WsListener>,
    /// `[listeners.wss.<name>]`
    pub wss: BTreeMap<String, WssListener>,
    /// `[listeners.quic.<name>]`
    pub quic: BTreeMap<String, QuicListener>,
    /// `[listeners.http.<name>]`
    pub http: BTreeMap<String, HttpListener>,
}

/// A listener that is not switched off, whatever its kind.
pub(crate) struct Enabled<'a> {
    pub(crate) kind: &'static str,
    pub(crate) name: &'a str,
    pub(crate) bind: SocketAddr,
}

impl Listeners {
    /// A listener named `default` of every kind that has none.
    pub(crate) fn add_defaults(&mut self) {
        fn add<L: Default>(listeners: &mut BTreeMap<String, L>) {
            if listeners.is_empty() {
                listeners.insert(DEFAULT_LISTENER.to_owned(), L::default());
            }
        }
        add(&mut self.tcp);
        add(&mut self.tls);
        add(&mut self.ws);
        add(&mut self.wss);
        add(&mut self.quic);
        add(&mut self.http);
    }

    /// Every listener that will listen.
    pub(crate) fn enabled(&self) -> Vec<Enabled<'_>> {
        let mut enabled = Vec::new();
        macro_rules! add {
            ($($kind:ident)+) => {
                $( for (name, listener) in self.$kind.iter().filter(|(_, on)| on.enabled) {
                    enabled.push(Enabled { kind: stringify!($kind), name, bind: listener.bind });
                } )+
            };
        }
        add!(tcp tls ws wss quic http);
        enabled
    }

    /// The keys for TLS of every listener that has them and will listen.
    pub(crate) fn enabled_tls(&self) -> Vec<(&'static str, &str, TlsKeys)> {
        let mut enabled = Vec::new();
        macro_rules! add {
            ($($kind:ident)+) => {
                $( for (name, listener) in self.$kind.iter().filter(|(_, on)| on.enabled) {
                    enabled.push((stringify!($kind), name.as_str(), listener.tls()));
                } )+
            };
        }
        add!(tls wss quic);
        enabled
    }

    /// Sets a key of the listener of that kind and name, which is made with defaults if this is its first
    /// key; without a key it only has to exist. `None` for a kind that is none.
    pub(crate) fn assign(
        &mut self,
        [kind, name]: [&str; 2],
        key: Option<&str>,
        literal: &Literal,
    ) -> Option<Result<(), Vec<Fault>>> {
        Some(match kind {
            "tcp" => set(&mut self.tcp, name, key, literal),
            "tls" => set(&mut self.tls, name, key, literal),
            "ws" => set(&mut self.ws, name, key, literal),
            "wss" => set(&mut self.wss, name, key, literal),
            "quic" => set(&mut self.quic, name, key, literal),
            "http" => set(&mut self.http, name, key, literal),
            _ => return None,
        })
    }
}

/// Whether `[listeners.<kind>]` may stand in a file.
pub(crate) fn is_kind(kind: &str) -> bool {
    matches!(kind, "tcp" | "tls" | "ws" | "wss" | "quic" | "http")
}

/// Longest listener name in bytes.
const NAME_BYTES_MAX: usize = 64;

fn set<L: Section>(
    listeners: &mut BTreeMap<String, L>,
    name: &str,
    key: Option<&str>,
    literal: &Literal,
) -> Result<(), Vec<Fault>> {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
    if name.is_empty() || name.len() > NAME_BYTES_MAX || !name.chars().all(allowed) {
        return Err(crate::setting::invalid(
            literal,
            format!("`{name}` is not a name of a listener"),
            "use up to 64 lower-case letters, digits, `-` and `_`",
        ));
    }
    let listener = listeners.entry(name.to_owned()).or_default();
    key.map_or(Ok(()), |key| listener.set(key, literal))
}
