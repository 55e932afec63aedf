//! Certificates and keys in files, and the one that the broker makes itself.

use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use robustmq_config::{ClientCertificate, TlsKeys, TlsVersion};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::{RootCertStore, ServerConfig};

/// Where the broker keeps its own certificate, in its data directory.
const SELF_SIGNED: [&str; 3] = ["tls", "self-signed.crt", "self-signed.key"];

/// Why TLS cannot be offered.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file is of no use.
    #[error("{key} = \"{}\": {problem}. {remedy}", path.display())]
    File {
        /// The key that names it.
        key: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
        /// What to do.
        remedy: &'static str,
    },
    /// The broker's own certificate could not be made.
    #[error("the self-signed certificate cannot be made: {0}. Give certfile and keyfile instead")]
    SelfSigned(String),
    /// The settings do not fit together.
    #[error("{0}")]
    Settings(String),
}

/// The files of a listener.
#[derive(Debug)]
pub(super) struct Files {
    pub(super) chain: PathBuf,
    key: PathBuf,
    authorities: Option<PathBuf>,
}

impl Files {
    /// As configured; where nothing is, the broker's own, made at need.
    pub(super) fn new(keys: &TlsKeys, data_dir: &Path) -> Result<Self, TlsError> {
        let (chain, key) = match (&keys.certfile, &keys.keyfile) {
            (Some(chain), Some(key)) => (chain.clone(), key.clone()),
            // The configuration is refused where only one is given.
            _ => self_signed(data_dir)?,
        };
        Ok(Self {
            chain,
            key,
            authorities: keys.cacertfile.clone(),
        })
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &PathBuf> {
        [&self.chain, &self.key]
            .into_iter()
            .chain(&self.authorities)
    }
}

/// Everything for the TLS side of a connection.
pub(super) fn server_config(
    keys: &TlsKeys,
    files: &Files,
    alpn: &[Vec<u8>],
) -> Result<ServerConfig, TlsError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let versions: &[_] = match keys.tls_version_min {
        TlsVersion::V1_2 => &[&rustls::version::TLS13, &rustls::version::TLS12],
        TlsVersion::V1_3 => &[&rustls::version::TLS13],
    };
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(versions)
        .map_err(|error| TlsError::Settings(error.to_string()))?;
    let verifier = match (keys.client_certificate, &files.authorities) {
        (ClientCertificate::None, _) | (_, None) => WebPkiClientVerifier::no_client_auth(),
        (asked, Some(path)) => client_verifier(path, asked, provider)?,
    };
    let chain = read_certificates("certfile", &files.chain)?;
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|error| TlsError::File {
        key: "keyfile",
        path: files.key.clone(),
        problem: format!("no private key can be read from it: {error}"),
        remedy: "Give an unencrypted private key in PEM",
    })?;
    let mut config = builder
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain, key)
        .map_err(|error| TlsError::File {
            key: "certfile",
            path: files.chain.clone(),
            problem: format!("certificate and key cannot be used together: {error}"),
            remedy: "Give the certificate that belongs to keyfile, its own certificate first",
        })?;
    config.alpn_protocols = alpn.to_vec();
    // Early data could be replayed by whoever has seen it: a second publish.
    config.max_early_data_size = 0;
    Ok(config)
}

fn client_verifier(
    path: &Path,
    asked: ClientCertificate,
    provider: Arc<rustls::crypto::CryptoProvider>,
) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
    let unusable = |problem: String| TlsError::File {
        key: "cacertfile",
        path: path.to_owned(),
        problem,
        remedy: "Give the certificates of the authorities that sign those of clients, in PEM",
    };
    let mut roots = RootCertStore::empty();
    for certificate in read_certificates("cacertfile", path)? {
        roots
            .add(certificate)
            .map_err(|error| unusable(error.to_string()))?;
    }
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
    let builder = match asked {
        ClientCertificate::Required => builder,
        _ => builder.allow_unauthenticated(),
    };
    builder.build().map_err(|error| unusable(error.to_string()))
}

fn read_certificates(
    key: &'static str,
    path: &Path,
) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let unusable = |problem| TlsError::File {
        key,
        path: path.to_owned(),
        problem,
        remedy: "Give certificates in PEM (-----BEGIN CERTIFICATE-----)",
    };
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect);
    let found: Vec<_> =
        read.map_err(|error| unusable(format!("no certificate can be read from it: {error}")))?;
    if found.is_empty() {
        return Err(unusable("there is no certificate in it".to_owned()));
    }
    Ok(found)
}

/// The broker's own certificate and key, made if there are none yet.
fn self_signed(data_dir: &Path) -> Result<(PathBuf, PathBuf), TlsError> {
    let [directory, chain, key] = SELF_SIGNED;
    let directory = data_dir.join(directory);
    let (chain, key) = (directory.join(chain), directory.join(key));
    if chain.exists() && key.exists() {
        return Ok((chain, key));
    }
    let failed = |error: &dyn std::fmt::Display| TlsError::SelfSigned(error.to_string());
    let names = ["localhost", "127.0.0.1", "::1"].map(str::to_owned);
    let mut parameters =
        rcgen::CertificateParams::new(names.to_vec()).map_err(|error| failed(&error))?;
    parameters.distinguished_name = rcgen::DistinguishedName::new();
    parameters
        .distinguished_name
        .push(rcgen::DnType::CommonName, "RobustMQ self-signed");
    parameters.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth];
    let pair = rcgen::KeyPair::generate().map_err(|error| failed(&error))?;
    let certificate = parameters
        .self_signed(&pair)
        .map_err(|error| failed(&error))?;
    std::fs::create_dir_all(&directory).map_err(|error| failed(&error))?;
    // The certificate last: with it there, both are whole.
    store(&key, pair.serialize_pem().as_bytes(), 0o600).map_err(|error| failed(&error))?;
    store(&chain, certificate.pem().as_bytes(), 0o644).map_err(|error| failed(&error))?;
    tracing::info!(
        certificate = %chain.display(),
        "a self-signed certificate for localhost was made for TLS, WSS and QUIC"
    );
    Ok((chain, key))
}

/// Writes a file that is there whole or not at all.
fn store(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    let unfinished = path.with_extension("unfinished");
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(mode);
    let mut file = options.open(&unfinished)?;
    file.write_all(content)?;
    file.sync_all()?;
    std::fs::rename(&unfinished, path)
}
