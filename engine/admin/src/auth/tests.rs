use std::os::unix::fs::PermissionsExt;

use std::sync::Arc;

use super::hasher::{WAITING_MAX, work};
use super::*;

fn configured(name: &str, secret: &str, role: Role) -> ApiKey {
    ApiKey {
        name: name.to_owned(),
        secret_hash: hash_secret(secret).expect("there are random bytes"),
        role,
    }
}

fn keys(configured: &[ApiKey], directory: &tempfile::TempDir) -> Arc<Keys> {
    Arc::new(Keys::new(configured, directory.path()).expect("keys"))
}

fn local_secret(directory: &tempfile::TempDir) -> String {
    let text = std::fs::read_to_string(directory.path().join(LOCAL_FILE)).expect("the file");
    let (name, secret) = text.trim().split_once(':').expect("name and secret");
    assert_eq!(name, LOCAL_KEY);
    secret.to_owned()
}

#[tokio::test]
async fn a_configured_key_is_known_by_its_secret_alone() {
    let directory = tempfile::tempdir().expect("a directory");
    let grafana = configured("grafana", "secret", Role::Viewer);
    let keys = keys(&[grafana], &directory);
    for _ in 0..2 {
        for (name, secret, worth) in [
            ("grafana", "secret", Worth::Role(Role::Viewer)),
            ("grafana", "Secret", Worth::Nothing),
            ("other", "secret", Worth::Nothing),
            ("local", "", Worth::Nothing),
        ] {
            assert_eq!(keys.worth(name, secret).await, worth, "{name}:{secret}");
        }
    }
}

/// Keys that nobody checks until the receiver is worked off.
fn unchecked(
    configured: &[ApiKey],
    directory: &tempfile::TempDir,
) -> (Arc<Keys>, std::sync::mpsc::Receiver<hasher::Job>) {
    let (hasher, jobs) = Hasher::idle();
    let keys = Keys::with(configured, directory.path(), hasher).expect("keys");
    (Arc::new(keys), jobs)
}

/// Lets other tasks run until they wait for something.
async fn settle() {
    for _ in 0..2 * WAITING_MAX {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn guesses_in_crowds_are_put_off_and_known_keys_never_wait() {
    let directory = tempfile::tempdir().expect("a directory");
    let known = configured("known", "secret", Role::Viewer);
    let guessed = configured("guessed", "secret", Role::Viewer);
    let (keys, jobs) = unchecked(&[known, guessed], &directory);
    *keys.keys[0].sum.lock() = Some(sum("secret"));
    let mut guesses = tokio::task::JoinSet::new();
    for number in 0..WAITING_MAX {
        let keys = Arc::clone(&keys);
        guesses.spawn(async move { keys.worth("guessed", &number.to_string()).await });
    }
    settle().await;
    assert_eq!(keys.worth("guessed", "secret").await, Worth::Busy);
    let again = keys.worth("known", "secret").await;
    assert_eq!(again, Worth::Role(Role::Viewer));
    let local = keys.worth(LOCAL_KEY, &local_secret(&directory)).await;
    assert_eq!(local, Worth::Role(Role::Administrator));
    let worker = std::thread::spawn(move || work(&jobs));
    for worth in guesses.join_all().await {
        assert_eq!(worth, Worth::Nothing);
    }
    let last = keys.worth("guessed", "secret").await;
    assert_eq!(last, Worth::Role(Role::Viewer));
    drop(keys);
    worker.join().expect("it ends with the keys");
}

#[tokio::test]
async fn a_secret_whose_owner_hung_up_is_not_hashed() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut key = configured("k", "secret", Role::Viewer);
    // Hashing with so much work would take minutes.
    key.secret_hash = key.secret_hash.replace("t=2", "t=99999");
    let (keys, jobs) = unchecked(&[key], &directory);
    let asking = Arc::clone(&keys);
    let guess = tokio::spawn(async move { asking.worth("k", "guess").await });
    settle().await;
    guess.abort();
    assert!(guess.await.is_err_and(|error| error.is_cancelled()));
    drop(keys);
    work(&jobs);
}

#[tokio::test]
async fn the_local_key_is_new_every_time_private_and_gone_at_the_end() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join(LOCAL_FILE);
    let read = || std::fs::read_to_string(&path).expect("the file is there");
    let keys = self::keys(&[], &directory);
    let first = read();
    let mode = std::fs::metadata(&path).expect("it is there").permissions();
    assert_eq!(mode.mode() & 0o777, 0o600);
    let (name, secret) = first.trim().split_once(':').expect("name and secret");
    let worth = keys.worth(name, secret).await;
    assert_eq!(worth, Worth::Role(Role::Administrator));
    drop(keys);
    assert!(!path.exists());
    let keys = self::keys(&[], &directory);
    assert_ne!(read(), first);
    assert_eq!(keys.worth(name, secret).await, Worth::Nothing);
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
