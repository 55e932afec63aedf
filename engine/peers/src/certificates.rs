//! Makes the certificates by which nodes of a cluster know each other.
//!
//! A certificate names its node: `node-7.robustmq.internal` in the subject
//! alternative names, and `cluster.robustmq.internal` in those of all. These
//! names are never looked up anywhere; they say who someone is, not where.
//!
//! **Invariants**
//! 1. A key never leaves the folder, and only its owner may read it.
//! 2. A key that is there already is used, never overwritten; a certificate only by a renewal.
//! 3. A file is there whole or not at all, a key before its certificate.
//!
//! **Not here**: reading certificates for TLS (`tls`).

use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, DnValue,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use yasna::tags::{TAG_PRINTABLESTRING, TAG_UTF8STRING};

/// The name in the certificates of all nodes.
pub const CLUSTER_NAME: &str = "cluster.robustmq.internal";

const DAY: Duration = Duration::from_secs(86_400);

/// How long a cluster's authority is good for.
const AUTHORITY_DAYS: u32 = 20 * 365;

/// Clocks of machines differ.
const CLOCK_SKEW: Duration = Duration::from_secs(3600);

/// The name in the certificate of one node.
#[must_use]
pub fn node_name(node: u64) -> String {
    format!("node-{node}.robustmq.internal")
}

/// Files of one node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeFiles {
    /// Which node.
    pub node: u64,
    /// Its certificate.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
    /// False if its certificate was there already and is kept.
    pub is_new: bool,
    /// False if its key was there already; it is kept then.
    pub key_is_new: bool,
}

/// What [`issue`] found or made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issued {
    /// The certificate of the cluster's authority, needed by every node.
    pub authority: PathBuf,
    /// Its key, needed only to make more certificates.
    pub authority_key: PathBuf,
    /// False if both were there already.
    pub authority_is_new: bool,
    /// The nodes', in the order asked for.
    pub nodes: Vec<NodeFiles>,
}

/// Why certificates could not be made.
#[derive(Debug, thiserror::Error)]
pub enum CertificatesError {
    /// A file cannot be read or written.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// One of a pair is there without the other.
    #[error(
        "{} is there, {} is not: bring the missing one back, or remove both to have them made anew",
        present.display(), missing.display()
    )]
    Half {
        /// The one.
        present: PathBuf,
        /// The other.
        missing: PathBuf,
    },
    /// A file that is there is of no use.
    #[error(
        "{}: {problem}. Give a certificate and its key in PEM, or remove both to have them made anew",
        path.display()
    )]
    Unusable {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// A certificate could not be made.
    #[error("the certificate cannot be made: {0}")]
    Make(#[from] rcgen::Error),
}

/// Makes certificates for `nodes` in `folder`, and the authority that signs them if there is none yet. A
/// node that has a certificate keeps it.
///
/// # Errors
/// [`CertificatesError`]; what was made before it stays.
pub fn issue(folder: &Path, nodes: &[u64], days: u32) -> Result<Issued, CertificatesError> {
    make(folder, nodes, days, false)
}

/// As [`issue`], but nodes that have a certificate get a new one for the same key.
///
/// # Errors
/// [`CertificatesError`]; what was made before it stays.
pub fn renew(folder: &Path, nodes: &[u64], days: u32) -> Result<Issued, CertificatesError> {
    make(folder, nodes, days, true)
}

fn make(
    folder: &Path,
    nodes: &[u64],
    days: u32,
    is_renewal: bool,
) -> Result<Issued, CertificatesError> {
    std::fs::create_dir_all(folder).map_err(|source| CertificatesError::File {
        path: folder.to_owned(),
        source,
    })?;
    let authority = folder.join("ca.pem");
    let authority_key = folder.join("ca-key.pem");
    let authority_is_new = !is_there(&authority, &authority_key)?;
    if authority_is_new {
        make_authority(&authority, &authority_key)?;
    }
    let signer = read_authority(&authority, &authority_key)?;
    let mut made = Vec::new();
    for node in nodes {
        let certificate = folder.join(format!("node-{node}.pem"));
        let key = folder.join(format!("node-{node}-key.pem"));
        let is_new = !is_there(&certificate, &key)? || is_renewal;
        let key_is_new = !key.exists();
        if is_new {
            sign(*node, days, &signer, &certificate, &key)?;
        }
        made.push(NodeFiles {
            node: *node,
            certificate,
            key,
            is_new,
            key_is_new,
        });
    }
    Ok(Issued {
        authority,
        authority_key,
        authority_is_new,
        nodes: made,
    })
}

fn sign(
    node: u64,
    days: u32,
    authority: &Authority,
    certificate: &Path,
    key: &Path,
) -> Result<(), CertificatesError> {
    let pair = key_pair(key)?;
    let mut parameters = CertificateParams::new(vec![node_name(node), CLUSTER_NAME.to_owned()])?;
    parameters.distinguished_name = named(&format!("RobustMQ node {node}"));
    parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    parameters.extended_key_usages = vec![
        ExtendedKeyUsagePurpose::ServerAuth,
        ExtendedKeyUsagePurpose::ClientAuth,
    ];
    parameters.use_authority_key_identifier_extension = authority.has_key_identifier;
    limit(&mut parameters, days);
    let signed = parameters.signed_by(&pair, &authority.issuer)?;
    store(certificate, &signed.pem(), 0o644)
}

/// True if both files are there, false if none is.
fn is_there(certificate: &Path, key: &Path) -> Result<bool, CertificatesError> {
    match (certificate.exists(), key.exists()) {
        (true, true) => Ok(true),
        (false, false) => Ok(false),
        // A key is stored first: a run that was cut short left it, and it is used.
        (false, true) => Ok(false),
        (true, false) => Err(CertificatesError::Half {
            present: certificate.to_owned(),
            missing: key.to_owned(),
        }),
    }
}

fn make_authority(certificate: &Path, key: &Path) -> Result<(), CertificatesError> {
    let pair = key_pair(key)?;
    let mut parameters = CertificateParams::new(Vec::new())?;
    // Its own name, so that certificates of two clusters are told apart.
    let serial = parameters.key_identifier(&pair);
    let serial: String = serial
        .iter()
        .take(4)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    parameters.distinguished_name = named(&format!("RobustMQ cluster authority {serial}"));
    parameters.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    limit(&mut parameters, AUTHORITY_DAYS);
    let signed = parameters.self_signed(&pair)?;
    store(certificate, &signed.pem(), 0o644)
}

/// Who signs.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    /// Its certificate calls its key as certificates signed here would. An authority that was made elsewhere
    /// may call it otherwise; then they do not call it at all, which is allowed.
    has_key_identifier: bool,
}

fn read_authority(certificate: &Path, key: &Path) -> Result<Authority, CertificatesError> {
    let unusable = |path: &Path, problem: String| CertificatesError::Unusable {
        path: path.to_owned(),
        problem,
    };
    let pair = read_key(key)?;
    let read = CertificateDer::from_pem_file(certificate)
        .map_err(|error| unusable(certificate, error.to_string()))?;
    let parsed = webpki::EndEntityCert::try_from(&read)
        .map_err(|error| unusable(certificate, error.to_string()))?;
    let subject = rustls::DistinguishedName::in_sequence(parsed.subject());
    let mut parameters = CertificateParams::new(Vec::new())?;
    parameters.distinguished_name = subject_of(subject.as_ref())
        .map_err(|error| unusable(certificate, format!("its subject cannot be read: {error}")))?;
    parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let identifier = parameters.key_identifier(&pair);
    let mut parts = read.windows(identifier.len());
    Ok(Authority {
        has_key_identifier: parts.any(|part| part == identifier),
        issuer: Issuer::new(parameters, pair),
    })
}

/// The subject as it will stand as issuer, byte for byte.
fn subject_of(subject: &[u8]) -> Result<DistinguishedName, yasna::ASN1Error> {
    let invalid = || yasna::ASN1Error::new(yasna::ASN1ErrorKind::Invalid);
    let attributes = yasna::parse_der(subject, |reader| {
        reader.collect_sequence_of(|reader| {
            reader.collect_set_of(|reader| {
                reader.read_sequence(|reader| {
                    let kind = reader.next().read_oid()?;
                    let value = match reader.next().read_tagged_der()? {
                        value if value.tag() == TAG_UTF8STRING => {
                            let text = String::from_utf8(value.value().to_vec());
                            DnValue::Utf8String(text.map_err(|_| invalid())?)
                        }
                        value if value.tag() == TAG_PRINTABLESTRING => {
                            let text = std::str::from_utf8(value.value()).map_err(|_| invalid())?;
                            DnValue::PrintableString(text.try_into().map_err(|_| invalid())?)
                        }
                        _ => return Err(invalid()),
                    };
                    Ok((kind, value))
                })
            })
        })
    })?;
    let mut name = DistinguishedName::new();
    for (kind, value) in attributes.into_iter().flatten() {
        name.push(DnType::from_oid(kind.components()), value);
    }
    Ok(name)
}

fn named(common_name: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, common_name);
    name
}

fn limit(parameters: &mut CertificateParams, days: u32) {
    let since_epoch = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    let now = rcgen::date_time_ymd(1970, 1, 1) + Duration::from_secs(since_epoch.as_secs());
    parameters.not_before = now - CLOCK_SKEW;
    parameters.not_after = now + DAY * days;
}

/// The key in a file, made if there is none.
fn key_pair(path: &Path) -> Result<KeyPair, CertificatesError> {
    if path.exists() {
        return read_key(path);
    }
    let pair = KeyPair::generate()?;
    store(path, &pair.serialize_pem(), 0o600)?;
    Ok(pair)
}

fn read_key(path: &Path) -> Result<KeyPair, CertificatesError> {
    let text = std::fs::read_to_string(path).map_err(|source| CertificatesError::File {
        path: path.to_owned(),
        source,
    })?;
    KeyPair::from_pem(&text).map_err(|error| CertificatesError::Unusable {
        path: path.to_owned(),
        problem: error.to_string(),
    })
}

fn store(path: &Path, content: &str, mode: u32) -> Result<(), CertificatesError> {
    write_whole(path, content.as_bytes(), mode).map_err(|source| CertificatesError::File {
        path: path.to_owned(),
        source,
    })
}

fn write_whole(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    let unfinished = path.with_extension("unfinished");
    // One that is left over could have another mode.
    match std::fs::remove_file(&unfinished) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut options = std::fs::OpenOptions::new();
    let mut file = options
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(&unfinished)?;
    file.write_all(content)?;
    file.sync_all()?;
    std::fs::rename(&unfinished, path)
}

#[cfg(test)]
mod tests;
