//! TLS between nodes: both show a certificate of the cluster's authority.
//!
//! **Invariants**
//! 1. TLS 1.3 with certificates on both sides; nothing is resumed, so that a
//!    certificate that is no longer good ends with its connection.
//! 2. Certificates that were replaced on disk are used for new connections,
//!    without a restart. Files that cannot be used leave the former ones at
//!    work.
//!
//! **Not here**: making certificates (`certificates`).

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use parking_lot::Mutex;
use rustls::client::Resumption;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::{
    AlertDescription, CertificateError, ClientConfig, CommonState, RootCertStore, ServerConfig,
};

use crate::certificates::node_name;
use crate::error::TlsError;

/// What is spoken over these connections, so that no other service is mistaken for a node.
const ALPN: &[u8] = b"robustmq-peers";

/// What to do about most of it.
const MAKE: &str =
    "Make certificates of all nodes with one authority: robust-ctl cluster certificates";

/// By what a node is known.
#[derive(Clone, Debug)]
pub struct TlsFiles {
    /// Certificates of the cluster's authority, in PEM.
    pub ca: PathBuf,
    /// Certificate of this node, in PEM.
    pub certificate: PathBuf,
    /// Its key, in PEM.
    pub key: PathBuf,
}

/// Settings for both ends.
#[derive(Clone)]
pub(crate) struct Ends {
    pub(crate) server: Arc<ServerConfig>,
    pub(crate) client: Arc<ClientConfig>,
}

type Stamp = Option<(SystemTime, u64)>;

struct Current {
    ends: Ends,
    stamps: [Stamp; 3],
    looked_at: Instant,
}

/// The settings, kept up with their files.
pub(crate) struct Tls {
    node: u64,
    files: TlsFiles,
    check_interval: Duration,
    current: Mutex<Current>,
}

impl Tls {
    pub(crate) fn new(
        node: u64,
        files: TlsFiles,
        check_interval: Duration,
    ) -> Result<Self, TlsError> {
        let stamps = stamps(&files);
        let current = Current {
            ends: read(node, &files)?,
            stamps,
            looked_at: Instant::now(),
        };
        Ok(Self {
            node,
            files,
            check_interval,
            current: Mutex::new(current),
        })
    }

    /// The settings for a new connection.
    pub(crate) fn ends(&self) -> Ends {
        let mut current = self.current.lock();
        if current.looked_at.elapsed() >= self.check_interval {
            current.looked_at = Instant::now();
            let stamps = stamps(&self.files);
            if stamps != current.stamps {
                current.stamps = stamps;
                match read(self.node, &self.files) {
                    Ok(ends) => {
                        current.ends = ends;
                        tracing::info!("new certificates are used between nodes");
                    }
                    Err(error) => tracing::error!(
                        %error,
                        "certificates between nodes were replaced by some that cannot be used; \
                         the former ones stay at work"
                    ),
                }
            }
        }
        current.ends.clone()
    }
}

fn stamps(files: &TlsFiles) -> [Stamp; 3] {
    [&files.ca, &files.certificate, &files.key].map(|path| {
        let metadata = std::fs::metadata(path).ok()?;
        Some((metadata.modified().ok()?, metadata.len()))
    })
}

fn unusable(path: &Path, problem: impl Into<String>, remedy: &'static str) -> TlsError {
    TlsError {
        path: path.to_owned(),
        problem: problem.into(),
        remedy,
    }
}

fn read(node: u64, files: &TlsFiles) -> Result<Ends, TlsError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut roots = RootCertStore::empty();
    for certificate in read_certificates(&files.ca)? {
        roots
            .add(certificate)
            .map_err(|error| unusable(&files.ca, error.to_string(), MAKE))?;
    }
    let roots = Arc::new(roots);
    let chain = read_certificates(&files.certificate)?;
    if !is_for(chain.first(), &node_name(node)) {
        let problem = format!("it is not a certificate of node {node}");
        return Err(unusable(
            &files.certificate,
            problem,
            "Give the certificate made for this node.id: robust-ctl cluster certificates --node ID",
        ));
    }
    let key = || {
        PrivateKeyDer::from_pem_file(&files.key).map_err(|error| {
            let problem = format!("no private key can be read from it: {error}");
            unusable(&files.key, problem, MAKE)
        })
    };
    let mismatch = |error: rustls::Error| {
        let problem = format!("it cannot be used with {}: {error}", files.key.display());
        unusable(&files.certificate, problem, MAKE)
    };
    let verifier =
        WebPkiClientVerifier::builder_with_provider(Arc::clone(&roots), Arc::clone(&provider))
            .build()
            .map_err(|error| unusable(&files.ca, error.to_string(), MAKE))?;
    let mut server = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(mismatch)?
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain.clone(), key()?)
        .map_err(mismatch)?;
    server.alpn_protocols = vec![ALPN.to_vec()];
    server.session_storage = Arc::new(NoServerSessionStorage {});
    server.send_tls13_tickets = 0;
    let mut client = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(mismatch)?
        .with_root_certificates(roots)
        .with_client_auth_cert(chain, key()?)
        .map_err(mismatch)?;
    client.alpn_protocols = vec![ALPN.to_vec()];
    client.resumption = Resumption::disabled();
    Ok(Ends {
        server: Arc::new(server),
        client: Arc::new(client),
    })
}

fn read_certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect);
    let found: Vec<_> = read.map_err(|error| {
        let problem = format!("no certificate can be read from it: {error}");
        unusable(path, problem, MAKE)
    })?;
    if found.is_empty() {
        return Err(unusable(path, "there is no certificate in it", MAKE));
    }
    Ok(found)
}

/// True if a certificate names `name` as one of its own.
fn is_for(certificate: Option<&CertificateDer<'_>>, name: &str) -> bool {
    let Some(certificate) = certificate else {
        return false;
    };
    let (Ok(parsed), Ok(name)) = (
        webpki::EndEntityCert::try_from(certificate),
        ServerName::try_from(name),
    ) else {
        return false;
    };
    parsed.verify_is_valid_for_subject_name(&name).is_ok()
}

/// True if the other end of a connection showed a certificate of `node`.
pub(crate) fn shows_node(connection: &CommonState, node: u64) -> bool {
    let certificates = connection.peer_certificates().unwrap_or_default();
    is_for(certificates.first(), &node_name(node))
}

/// True if the other end speaks what nodes speak.
pub(crate) fn is_node(connection: &CommonState) -> bool {
    connection.alpn_protocol() == Some(ALPN)
}

/// What went wrong in a TLS handshake, and what to do about it. `wanted` is
/// the name that was asked of the other side.
pub(crate) fn explain(error: &std::io::Error, wanted: Option<&str>) -> String {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
    let Some(inner) = inner else {
        return format!("the connection broke in the TLS handshake: {error}");
    };
    match inner {
        rustls::Error::InvalidCertificate(problem) => certificate_problem(problem, wanted),
        rustls::Error::NoCertificatesPresented => {
            format!("it shows no certificate. {MAKE}")
        }
        rustls::Error::AlertReceived(alert) => alert_problem(*alert),
        rustls::Error::InvalidMessage(_) | rustls::Error::NoApplicationProtocol => {
            "it does not speak the protocol between nodes: check the address and the port"
                .to_owned()
        }
        other => format!("TLS: {other}"),
    }
}

fn certificate_problem(problem: &CertificateError, wanted: Option<&str>) -> String {
    match problem {
        CertificateError::UnknownIssuer | CertificateError::BadSignature => format!(
            "its certificate is not of this cluster's authority. {MAKE}"
        ),
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "its certificate has expired: give that node a new one (robust-ctl cluster certificates)"
                .to_owned()
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "its certificate is not valid yet: check the clocks of both machines".to_owned()
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            let wanted = wanted.unwrap_or("this cluster");
            format!(
                "its certificate is not for {wanted}: another node answers at this address, \
                 or it uses the certificate of another one"
            )
        }
        other => format!("its certificate is not accepted: {other}. {MAKE}"),
    }
}

fn alert_problem(alert: AlertDescription) -> String {
    match alert {
        AlertDescription::UnknownCA | AlertDescription::DecryptError => {
            format!("it refuses this node's certificate as not of its cluster's authority. {MAKE}")
        }
        AlertDescription::CertificateExpired => "it refuses this node's certificate as expired: \
             make a new one (robust-ctl cluster certificates)"
            .to_owned(),
        AlertDescription::BadCertificate | AlertDescription::CertificateUnknown => {
            format!("it refuses this node's certificate. {MAKE}")
        }
        AlertDescription::NoApplicationProtocol => {
            "it does not speak the protocol between nodes: check the address and the port"
                .to_owned()
        }
        other => format!("it breaks off the TLS handshake: {other:?}"),
    }
}
