//! Who a client is by its certificate.

use robustmq_config::{CertificateName, TlsKeys};
use rustls::DistinguishedName;
use rustls::pki_types::CertificateDer;
use yasna::models::ObjectIdentifier;
use yasna::tags::{TAG_BMPSTRING, TAG_UTF8STRING};
use yasna::{ASN1Error, ASN1ErrorKind, BERReader};

/// What an MQTT text may measure.
const TEXT_BYTES_MAX: usize = 65_535;

/// Names of attributes as RFC 4514 writes them, and a few that are common.
const ATTRIBUTES: [(&[u64], &str); 10] = [
    (&[2, 5, 4, 3], "CN"),
    (&[2, 5, 4, 5], "serialNumber"),
    (&[2, 5, 4, 6], "C"),
    (&[2, 5, 4, 7], "L"),
    (&[2, 5, 4, 8], "ST"),
    (&[2, 5, 4, 9], "STREET"),
    (&[2, 5, 4, 10], "O"),
    (&[2, 5, 4, 11], "OU"),
    (&[0, 9, 2342, 19_200_300, 100, 1, 1], "UID"),
    (&[0, 9, 2342, 19_200_300, 100, 1, 25], "DC"),
];

/// What a certificate says about a client, to take the place of what the client
/// says itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) username: Option<String>,
    pub(crate) client_id: Option<String>,
}

/// A certificate without what it should say.
#[derive(Debug, thiserror::Error)]
#[error("the client's certificate has no usable {0}")]
pub(crate) struct Nameless(CertificateName);

impl Identity {
    /// As a listener's keys ask for it. A client that showed no certificate is
    /// who it says it is.
    pub(crate) fn new(
        keys: &TlsKeys,
        certificates: Option<&[CertificateDer<'_>]>,
    ) -> Result<Self, Nameless> {
        let Some(certificate) = certificates.and_then(<[_]>::first) else {
            return Ok(Self::default());
        };
        let name = |wanted: CertificateName| match wanted {
            CertificateName::Disabled => Ok(None),
            _ => named(certificate, wanted)
                .filter(|name| is_text(name))
                .map(Some)
                .ok_or(Nameless(wanted)),
        };
        Ok(Self {
            username: name(keys.peer_cert_as_username)?,
            client_id: name(keys.peer_cert_as_clientid)?,
        })
    }
}

fn is_text(name: &str) -> bool {
    !name.is_empty() && name.len() <= TEXT_BYTES_MAX && !name.contains(char::is_control)
}

fn named(certificate: &CertificateDer<'_>, wanted: CertificateName) -> Option<String> {
    let certificate = webpki::EndEntityCert::try_from(certificate).ok()?;
    let subject = DistinguishedName::in_sequence(certificate.subject());
    let parts = attributes(subject.as_ref()).ok()?;
    let common_name = ATTRIBUTES[0].0;
    match wanted {
        CertificateName::Disabled => None,
        // The most specific one stands last.
        CertificateName::Cn => parts
            .into_iter()
            .flatten()
            .rfind(|(kind, _)| kind.components() == common_name)
            .map(|(_, value)| value),
        CertificateName::Dn => Some(written(&parts)),
    }
}

type Attribute = (ObjectIdentifier, String);

/// The subject: a sequence of sets of attributes, the most specific one last.
fn attributes(subject: &[u8]) -> Result<Vec<Vec<Attribute>>, ASN1Error> {
    yasna::parse_der(subject, |reader| {
        reader.collect_sequence_of(|reader| {
            reader.collect_set_of(|reader| {
                reader.read_sequence(|reader| {
                    let kind = reader.next().read_oid()?;
                    let value = text(reader.next())?;
                    Ok((kind, value))
                })
            })
        })
    })
}

fn text(reader: BERReader<'_, '_>) -> Result<String, ASN1Error> {
    match reader.lookahead_tag()? {
        TAG_UTF8STRING => reader.read_utf8string(),
        TAG_BMPSTRING => reader.read_bmp_string(),
        // The other kinds of text are ASCII, or nearly so.
        _ => {
            let value = reader.read_tagged_der()?;
            let text = std::str::from_utf8(value.value());
            text.map(str::to_owned)
                .map_err(|_| ASN1Error::new(ASN1ErrorKind::Invalid))
        }
    }
}

/// As RFC 4514 writes it: the most specific attribute first.
fn written(parts: &[Vec<Attribute>]) -> String {
    let parts = parts.iter().rev().map(|together| {
        let together = together.iter().map(|(kind, value)| {
            let known = ATTRIBUTES.iter().find(|(id, _)| kind.components() == *id);
            let kind = known.map_or_else(|| kind.to_string(), |(_, name)| (*name).to_owned());
            format!("{kind}={}", escaped(value))
        });
        together.collect::<Vec<_>>().join("+")
    });
    parts.collect::<Vec<_>>().join(",")
}

fn escaped(value: &str) -> String {
    let last = value.len().saturating_sub(1);
    let mut out = String::with_capacity(value.len());
    for (at, character) in value.char_indices() {
        let at_an_end = character == ' ' && (at == 0 || at == last);
        let leads = character == '#' && at == 0;
        if at_an_end || leads || "\"+,;<>\\=".contains(character) {
            out.push('\\');
        }
        out.push(character);
    }
    out
}

#[cfg(test)]
mod tests;
