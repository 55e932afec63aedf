//! Certificates and the names in them.

use rcgen::{CertificateParams, DistinguishedName as Name, DnType, KeyPair};
use robustmq_config::QuicListener;

use super::*;

fn certificate(attributes: &[(DnType, &str)]) -> CertificateDer<'static> {
    let mut parameters = CertificateParams::default();
    parameters.distinguished_name = Name::new();
    for (kind, value) in attributes {
        parameters.distinguished_name.push(kind.clone(), *value);
    }
    let pair = KeyPair::generate().expect("a key");
    let made = parameters.self_signed(&pair).expect("a certificate");
    made.der().clone()
}

fn keys(username: CertificateName, client_id: CertificateName) -> TlsKeys {
    TlsKeys {
        peer_cert_as_username: username,
        peer_cert_as_clientid: client_id,
        ..QuicListener::default().tls()
    }
}

#[test]
fn names_are_taken_as_asked_for() {
    let shown = [certificate(&[
        (DnType::CountryName, "DE"),
        (DnType::OrganizationName, "Example, Inc."),
        (DnType::CommonName, "meter-7"),
    ])];
    let keys = keys(CertificateName::Dn, CertificateName::Cn);
    let identity = Identity::new(&keys, Some(&shown)).expect("it has them");
    assert_eq!(identity.client_id.as_deref(), Some("meter-7"));
    assert_eq!(
        identity.username.as_deref(),
        Some("CN=meter-7,O=Example\\, Inc.,C=DE")
    );
}

#[test]
fn nothing_is_taken_where_nothing_is_asked_for_or_shown() {
    let off = keys(CertificateName::Disabled, CertificateName::Disabled);
    let shown = [certificate(&[(DnType::CommonName, "meter-7")])];
    let identity = Identity::new(&off, Some(&shown)).expect("nothing is needed");
    assert_eq!(identity, Identity::default());
    let on = keys(CertificateName::Cn, CertificateName::Cn);
    let identity = Identity::new(&on, None).expect("nothing is shown");
    assert_eq!(identity, Identity::default());
}

#[test]
fn a_certificate_without_the_name_is_refused() {
    let asked = keys(CertificateName::Cn, CertificateName::Disabled);
    for attributes in [
        &[(DnType::OrganizationName, "Example")][..],
        &[(DnType::CommonName, "with\0nul")],
    ] {
        let shown = [certificate(attributes)];
        assert!(Identity::new(&asked, Some(&shown)).is_err());
    }
    let garbage = [CertificateDer::from(vec![0x30, 0x03, 1, 2, 3])];
    assert!(Identity::new(&asked, Some(&garbage)).is_err());
}
