//! Certificates in a folder.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::*;

#[test]
fn keys_are_for_their_owner_and_what_is_there_is_kept() {
    let folder = tempfile::tempdir().expect("a folder");
    let first = issue(folder.path(), &[1, 2], 30).expect("certificates");
    assert!(first.authority_is_new && first.nodes.iter().all(|node| node.is_new));
    for key in [
        &first.authority_key,
        &first.nodes[0].key,
        &first.nodes[1].key,
    ] {
        let mode = fs::metadata(key).expect("the key").permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{}", key.display());
    }
    let before = fs::read(&first.nodes[0].certificate).expect("a certificate");
    let again = issue(folder.path(), &[1, 3], 30).expect("certificates");
    assert!(!again.authority_is_new);
    assert_eq!(
        [false, true],
        [again.nodes[0].is_new, again.nodes[1].is_new]
    );
    assert_eq!(
        fs::read(&again.nodes[0].certificate).expect("a certificate"),
        before
    );
    let left: Vec<_> = fs::read_dir(folder.path()).expect("the folder").collect();
    assert_eq!(left.len(), 8, "{left:?}");
}

#[test]
fn a_run_that_was_cut_short_goes_on_with_its_key() {
    let folder = tempfile::tempdir().expect("a folder");
    let first = issue(folder.path(), &[1], 30).expect("certificates");
    let key = fs::read(&first.nodes[0].key).expect("a key");
    fs::remove_file(&first.nodes[0].certificate).expect("removed");
    let again = issue(folder.path(), &[1], 30).expect("certificates");
    assert!(again.nodes[0].is_new);
    assert_eq!(fs::read(&again.nodes[0].key).expect("a key"), key);
}

#[test]
fn a_renewal_makes_a_new_certificate_for_the_same_key() {
    let folder = tempfile::tempdir().expect("a folder");
    let first = issue(folder.path(), &[1], 30).expect("certificates");
    let read = |path: &Path| fs::read(path).expect("a file");
    let node = &first.nodes[0];
    let (certificate, key) = (read(&node.certificate), read(&node.key));
    let again = renew(folder.path(), &[1], 60).expect("certificates");
    assert!(again.nodes[0].is_new && !again.authority_is_new);
    assert_ne!(read(&node.certificate), certificate);
    assert_eq!(read(&node.key), key);
}

#[test]
fn half_of_a_pair_is_not_taken_for_none() {
    let folder = tempfile::tempdir().expect("a folder");
    let first = issue(folder.path(), &[1], 30).expect("certificates");
    fs::remove_file(&first.authority_key).expect("removed");
    let error = issue(folder.path(), &[2], 30).expect_err("it is refused");
    assert!(matches!(error, CertificatesError::Half { .. }), "{error}");
    fs::write(&first.authority_key, "nonsense").expect("written");
    let error = issue(folder.path(), &[2], 30).expect_err("it is refused");
    assert!(error.to_string().contains("ca-key.pem"), "{error}");
}

#[test]
fn an_authority_of_someone_else_is_used_as_it_is() {
    let folder = tempfile::tempdir().expect("a folder");
    let pair = KeyPair::generate().expect("a key");
    let mut parameters = CertificateParams::new(Vec::new()).expect("parameters");
    let mut name = DistinguishedName::new();
    name.push(
        DnType::CountryName,
        DnValue::PrintableString("AT".try_into().expect("a text")),
    );
    name.push(DnType::OrganizationName, "Über uns");
    name.push(DnType::CommonName, "Our own");
    parameters.distinguished_name = name;
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let signed = parameters.self_signed(&pair).expect("a certificate");
    fs::write(folder.path().join("ca.pem"), signed.pem()).expect("written");
    fs::write(folder.path().join("ca-key.pem"), pair.serialize_pem()).expect("written");
    let issued = issue(folder.path(), &[1], 30).expect("certificates");
    assert!(!issued.authority_is_new);
    let leaf = CertificateDer::from_pem_file(&issued.nodes[0].certificate).expect("a certificate");
    let leaf = webpki::EndEntityCert::try_from(&leaf).expect("a certificate");
    let authority = CertificateDer::from_pem_file(&issued.authority).expect("a certificate");
    let authority = webpki::EndEntityCert::try_from(&authority).expect("a certificate");
    assert_eq!(leaf.issuer(), authority.subject());
}
