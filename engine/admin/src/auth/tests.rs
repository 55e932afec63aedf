use std::os::unix::fs::PermissionsExt;

use super::*;

fn configured(name: &str, secret: &str, role: Role) -> ApiKey {
    ApiKey {
        name: name.to_owned(),
        secret_hash: hash_secret(secret).expect("there are random bytes"),
        role,
    }
}

#[test]
fn a_configured_key_is_known_by_its_secret_alone() {
    let directory = tempfile::tempdir().expect("a directory");
    let grafana = configured("grafana", "secret", Role::Viewer);
    let keys = Keys::new(&[grafana], directory.path()).expect("keys");
    for _ in 0..2 {
        assert_eq!(keys.role("grafana", "secret"), Some(Role::Viewer));
        assert_eq!(keys.role("grafana", "Secret"), None);
        assert_eq!(keys.role("other", "secret"), None);
        assert_eq!(keys.role("local", ""), None);
    }
}

#[test]
fn the_local_key_is_new_every_time_private_and_gone_at_the_end() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join(LOCAL_FILE);
    let read = || std::fs::read_to_string(&path).expect("the file is there");
    let keys = Keys::new(&[], directory.path()).expect("keys");
    let first = read();
    let mode = std::fs::metadata(&path).expect("it is there").permissions();
    assert_eq!(mode.mode() & 0o777, 0o600);
    let (name, secret) = first.trim().split_once(':').expect("name and secret");
    assert_eq!(keys.role(name, secret), Some(Role::Administrator));
    drop(keys);
    assert!(!path.exists());
    let keys = Keys::new(&[], directory.path()).expect("keys");
    assert_ne!(read(), first);
    assert_eq!(keys.role(name, secret), None);
}

#[test]
fn what_is_no_hash_stops_the_start() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut key = configured("grafana", "secret", Role::Viewer);
    key.secret_hash = "$argon2id$nonsense".to_owned();
    let Err(error) = Keys::new(&[key], directory.path()) else {
        panic!("it was taken");
    };
    assert!(error.to_string().contains("hash-secret"), "{error}");
}

#[test]
fn only_basic_credentials_are_read() {
    let read = |value: &str| {
        let mut headers = HeaderMap::new();
        headers.insert(header::AUTHORIZATION, value.parse().expect("a header"));
        basic(&headers)
    };
    let pair = |name: &str, secret: &str| Some((name.to_owned(), secret.to_owned()));
    assert_eq!(
        read(&format!("Basic {}", STANDARD.encode("a:b:c"))),
        pair("a", "b:c")
    );
    assert_eq!(
        read(&format!("basic {}", STANDARD.encode("a:"))),
        pair("a", "")
    );
    assert_eq!(read(&format!("Bearer {}", STANDARD.encode("a:b"))), None);
    assert_eq!(read(&format!("Basic {}", STANDARD.encode("ab"))), None);
    assert_eq!(read("Basic %%%"), None);
}

#[test]
fn roles_may_what_they_are_for() {
    assert!(may(Role::Administrator, &Method::DELETE));
    assert!(may(Role::Viewer, &Method::GET));
    assert!(!may(Role::Viewer, &Method::POST));
    assert!(!may(Role::Publisher, &Method::GET));
}
