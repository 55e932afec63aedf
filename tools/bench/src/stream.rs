//! What a connection runs over: TCP, or TLS on it.
//!
//! **Invariants**
//! 1. With TLS, a read may leave something behind that no edge of epoll tells of:
//!    [`Stream::keeps`] says so, and reading goes on until it would wait.
//! 2. What TLS has taken and not passed on counts as output.

use std::io::{self, IoSlice, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, RootCertStore, SignatureScheme,
    StreamOwned,
};

use crate::error::BenchError;

/// How all connections of a run use TLS.
#[derive(Clone, Debug)]
pub(crate) struct TlsPlan {
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
}

impl TlsPlan {
    /// Trusts the certificates of `authorities`, or any where there are none.
    pub(crate) fn new(host: &str, authorities: Option<&Path>) -> Result<Self, BenchError> {
        let provider = Arc::new(ring::default_provider());
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| BenchError::Tls(error.to_string()))?;
        let config = match authorities {
            Some(path) => {
                let at = |error: String| BenchError::Tls(format!("{}: {error}", path.display()));
                let mut roots = RootCertStore::empty();
                let found = CertificateDer::pem_file_iter(path);
                for certificate in found.map_err(|error| at(error.to_string()))? {
                    let certificate = certificate.map_err(|error| at(error.to_string()))?;
                    roots
                        .add(certificate)
                        .map_err(|error| at(error.to_string()))?;
                }
                if roots.is_empty() {
                    return Err(at("there is no certificate in it".to_owned()));
                }
                builder.with_root_certificates(roots)
            }
            None => builder
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(Anyone(provider))),
        };
        let name = ServerName::try_from(host.to_owned())
            .map_err(|error| BenchError::Tls(format!("{host}: {error}")))?;
        Ok(Self {
            config: Arc::new(config.with_no_client_auth()),
            name,
        })
    }
}

/// Trusts everybody; the handshake must still be signed with the key of the
/// certificate.
#[derive(Debug)]
struct Anyone(Arc<CryptoProvider>);

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _certificate: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let known = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, known)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let known = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, known)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// A connection's bytes, without waiting.
pub(crate) enum Stream {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Stream {
    pub(crate) fn new(socket: TcpStream, tls: Option<&TlsPlan>) -> Result<Self, BenchError> {
        let Some(plan) = tls else {
            return Ok(Self::Plain(socket));
        };
        let client = ClientConnection::new(Arc::clone(&plan.config), plan.name.clone())
            .map_err(|error| BenchError::Tls(error.to_string()))?;
        Ok(Self::Tls(Box::new(StreamOwned::new(client, socket))))
    }

    pub(crate) fn socket(&self) -> &TcpStream {
        match self {
            Self::Plain(socket) => socket,
            Self::Tls(stream) => &stream.sock,
        }
    }

    /// Whether a read may leave something behind, and may make room to write.
    pub(crate) fn keeps(&self) -> bool {
        matches!(self, Self::Tls(_))
    }

    /// Whether something written has not been passed on.
    pub(crate) fn wants_write(&self) -> bool {
        match self {
            Self::Plain(_) => false,
            Self::Tls(stream) => stream.conn.wants_write(),
        }
    }

    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.read(buffer),
            // Who closes without a word closes all the same.
            Self::Tls(stream) => match stream.read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(0),
                done => done,
            },
        }
    }

    /// Writes as much as can be written of two pieces.
    pub(crate) fn write(&mut self, pieces: [&[u8]; 2]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => match pieces {
                [[], piece] | [piece, []] => socket.write(piece),
                _ => socket.write_vectored(&pieces.map(IoSlice::new)),
            },
            Self::Tls(stream) => {
                let [first, second] = pieces;
                if first.is_empty() && second.is_empty() {
                    stream.flush()?;
                    return Ok(0);
                }
                let count = stream.write(first)?;
                if count < first.len() || second.is_empty() {
                    return Ok(count);
                }
                match stream.write(second) {
                    Ok(more) => Ok(count + more),
                    Err(_) if count > 0 => Ok(count),
                    Err(error) => Err(error),
                }
            }
        }
    }
}
