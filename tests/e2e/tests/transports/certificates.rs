//! Authorities and what they sign, and TLS clients that trust them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair,
};
use robustmq_e2e::Broker;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use tempfile::TempDir;

/// Signs certificates.
pub(crate) struct Authority {
    directory: TempDir,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate with its key, in files.
pub(crate) struct Pair {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
}

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let mut parameters = parameters(name);
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let certificate = parameters.self_signed(&key).expect("a certificate");
        write(&directory.path().join("authority.crt"), &certificate.pem());
        Self {
            directory,
            issuer: Issuer::new(parameters, key),
        }
    }

    /// Its own certificate.
    pub(crate) fn certificate(&self) -> PathBuf {
        self.directory.path().join("authority.crt")
    }

    /// For a broker on this machine.
    pub(crate) fn server(&self, name: &str) -> Pair {
        let mut parameters = parameters(name);
        parameters.subject_alt_names =
            CertificateParams::new(["localhost".to_owned(), "127.0.0.1".to_owned()])
                .expect("names")
                .subject_alt_names;
        parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        self.sign(&parameters, name)
    }

    /// For a client.
    pub(crate) fn client(&self, name: &str) -> Pair {
        let mut parameters = parameters(name);
        parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.sign(&parameters, name)
    }

    fn sign(&self, parameters: &CertificateParams, name: &str) -> Pair {
        let key = KeyPair::generate().expect("a key");
        let signed = parameters.signed_by(&key, &self.issuer);
        let pair = Pair {
            certificate: self.directory.path().join(format!("{name}.crt")),
            key: self.directory.path().join(format!("{name}.key")),
        };
        write(&pair.certificate, &signed.expect("a certificate").pem());
        write(&pair.key, &key.serialize_pem());
        pair
    }
}

fn parameters(name: &str) -> CertificateParams {
    let mut parameters = CertificateParams::default();
    parameters.distinguished_name = DistinguishedName::new();
    parameters.distinguished_name.push(DnType::CommonName, name);
    parameters
}

fn write(path: &Path, text: &str) {
    std::fs::write(path, text).expect("the file is written");
}

/// The certificate that a broker without any makes.
pub(crate) fn self_signed(broker: &Broker) -> PathBuf {
    broker.data().join("tls/self-signed.crt")
}

/// A client that trusts one certificate and shows another one, or none.
pub(crate) fn client(trusted: &Path, shown: Option<&Pair>) -> Arc<ClientConfig> {
    client_of_versions(trusted, shown, rustls::DEFAULT_VERSIONS)
}

pub(crate) fn client_of_versions(
    trusted: &Path,
    shown: Option<&Pair>,
    versions: &[&'static SupportedProtocolVersion],
) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    let trusted = CertificateDer::from_pem_file(trusted).expect("a certificate");
    roots.add(trusted).expect("a usable certificate");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .expect("known versions")
        .with_root_certificates(roots);
    let config = match shown {
        None => builder.with_no_client_auth(),
        Some(pair) => {
            let certificate = CertificateDer::from_pem_file(&pair.certificate);
            let key = PrivateKeyDer::from_pem_file(&pair.key).expect("a key");
            let chain = vec![certificate.expect("a certificate")];
            builder.with_client_auth_cert(chain, key).expect("a pair")
        }
    };
    Arc::new(config)
}
