//! Keys: who may ask, and for what.
//!
//! Secrets are kept as argon2id hashes; one that was found right is remembered
//! by its SHA-256, so that the price of argon2 is paid once.
//!
//! **Invariants**
//! 1. What guesses cost the broker is bounded, however many come at once: one
//!    thread hashes, few wait for it, and the rest is told to come again. Keys
//!    that were used before, and the local one, never wait.

mod hasher;

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use argon2::Argon2;
use argon2::password_hash::PasswordHasher;
use argon2::password_hash::phc::PasswordHash;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, header};
use axum::middleware::Next;
use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use parking_lot::Mutex;
use robustmq_config::{ApiKey, LOCAL_KEY, Role};
use sha2::{Digest, Sha256};

use self::hasher::Hasher;
use crate::App;
use crate::error::ApiError;

/// File in the data directory that holds the key of this run.
const LOCAL_FILE: &str = "api-key";

/// Bytes of a secret that the broker makes.
const SECRET_BYTES: usize = 32;

/// A refused key is logged at most so often.
const LOG_EVERY: Duration = Duration::from_secs(10);

/// Letters of a refused name that are logged.
const LOGGED_LETTERS_MAX: usize = 64;

/// Why there are no keys.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// The system gives no random bytes.
    #[error("no random bytes for the key of the HTTP interface: {0}")]
    Random(getrandom::Error),
    /// The file of the local key cannot be written.
    #[error("the key of the HTTP interface cannot be written to {path}: {source}")]
    File {
        /// Which file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The thread that hashes cannot be started.
    #[error("no thread for the keys of the HTTP interface: {0}")]
    Thread(io::Error),
    /// A hash in the configuration is none.
    #[error(
        "api.key `{0}`: secret_hash is no argon2id hash: give what `robustmq hash-secret` prints for the secret"
    )]
    Hash(String),
}

type Sum = [u8; 32];

struct Key {
    name: String,
    role: Role,
    /// As configured; none for the local key, whose sum is known.
    hash: Option<String>,
    /// The sum of the secret, once it was found right.
    sum: Mutex<Option<Sum>>,
}

/// All keys.
pub struct Keys {
    keys: Vec<Key>,
    local: PathBuf,
    logged: Mutex<Option<Instant>>,
    hasher: Hasher,
}

/// What a name and a secret are worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Worth {
    /// They open what this role may do.
    Role(Role),
    /// They open nothing.
    Nothing,
    /// Too many others are being looked at.
    Busy,
}

fn sum(secret: &str) -> Sum {
    Sha256::digest(secret.as_bytes()).into()
}

/// Hashes a secret for `secret_hash`.
///
/// # Errors
/// When the system gives no random bytes.
pub fn hash_secret(secret: &str) -> Result<String, String> {
    let hash = Argon2::default().hash_password(secret.as_bytes());
    hash.map(|hash| hash.to_string())
        .map_err(|error| error.to_string())
}

impl Keys {
    /// Takes the configured keys, and makes the one of this run: whoever can
    /// read the data directory can read the data already.
    ///
    /// # Errors
    /// [`KeysError`].
    pub fn new(configured: &[ApiKey], data_dir: &Path) -> Result<Self, KeysError> {
        let hasher = Hasher::start().map_err(KeysError::Thread)?;
        Self::with(configured, data_dir, hasher)
    }

    fn with(configured: &[ApiKey], data_dir: &Path, hasher: Hasher) -> Result<Self, KeysError> {
        let mut keys = Vec::with_capacity(configured.len() + 1);
        for key in configured {
            if PasswordHash::new(&key.secret_hash).is_err() {
                return Err(KeysError::Hash(key.name.clone()));
            }
            keys.push(Key {
                name: key.name.clone(),
                role: key.role,
                hash: Some(key.secret_hash.clone()),
                sum: Mutex::new(None),
            });
        }
        let mut bytes = [0; SECRET_BYTES];
        getrandom::fill(&mut bytes).map_err(KeysError::Random)?;
        let secret = URL_SAFE_NO_PAD.encode(bytes);
        let local = data_dir.join(LOCAL_FILE);
        let text = format!("{LOCAL_KEY}:{secret}\n");
        write_private(&local, &text).map_err(|source| KeysError::File {
            path: local.clone(),
            source,
        })?;
        keys.push(Key {
            name: LOCAL_KEY.to_owned(),
            role: Role::Administrator,
            hash: None,
            sum: Mutex::new(Some(sum(&secret))),
        });
        Ok(Self {
            keys,
            local,
            logged: Mutex::new(None),
            hasher,
        })
    }

    /// What a name and a secret are worth.
    async fn worth(&self, name: &str, secret: &str) -> Worth {
        let Some(key) = self.keys.iter().find(|key| key.name == name) else {
            return Worth::Nothing;
        };
        let given = sum(secret);
        // Sums of secrets: how long comparing them takes tells nothing.
        if *key.sum.lock() == Some(given) {
            return Worth::Role(key.role);
        }
        let Some(hash) = &key.hash else {
            return Worth::Nothing;
        };
        match self.hasher.is_right(hash, secret).await {
            Some(true) => {
                *key.sum.lock() = Some(given);
                Worth::Role(key.role)
            }
            Some(false) => Worth::Nothing,
            None => Worth::Busy,
        }
    }

    fn log_refusal(&self, name: &str) {
        let mut logged = self.logged.lock();
        if logged.is_none_or(|last| last.elapsed() >= LOG_EVERY) {
            *logged = Some(Instant::now());
            let name: String = name.chars().take(LOGGED_LETTERS_MAX).collect();
            tracing::warn!(
                key = name,
                "a key of the HTTP interface was refused: its name or its secret is wrong"
            );
        }
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        // It opens nothing any more; whether it is still there matters little.
        let _ = std::fs::remove_file(&self.local);
    }
}

/// Writes a file that only its owner can read, all of it or nothing.
fn write_private(path: &Path, text: &str) -> io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    let temporary = path.with_extension("new");
    match std::fs::remove_file(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => (),
    }
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&temporary)?;
    file.write_all(text.as_bytes())?;
    std::fs::rename(&temporary, path)
}

/// Name and secret as `Authorization: Basic` gives them.
fn basic(headers: &HeaderMap) -> Option<(String, String)> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, rest) = value.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let text = String::from_utf8(STANDARD.decode(rest.trim()).ok()?).ok()?;
    let (name, secret) = text.split_once(':')?;
    Some((name.to_owned(), secret.to_owned()))
}

/// Lets a request through whose key may make it.
pub(crate) async fn require_key(
    State(app): State<App>,
    request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    let Some((name, secret)) = basic(request.headers()) else {
        return Err(ApiError::unauthorized(
            "give a key: Authorization: Basic with its name and secret. The file api-key in the broker's data directory holds one; [[api.key]] in the configuration makes others",
        ));
    };
    let role = match app.keys.worth(&name, &secret).await {
        Worth::Role(role) => role,
        Worth::Nothing => {
            app.keys.log_refusal(&name);
            return Err(ApiError::unauthorized(
                "the name or the secret of the key is wrong",
            ));
        }
        Worth::Busy => {
            return Err(ApiError::too_many_requests(
                "too many secrets are being checked: try again in a second",
            ));
        }
    };
    if !may(role, request.method()) {
        return Err(ApiError::forbidden(format!(
            "the key `{name}` is a {}'s and may not do this",
            role.as_str()
        )));
    }
    Ok(next.run(request).await)
}

fn may(role: Role, method: &Method) -> bool {
    match role {
        Role::Administrator => true,
        Role::Viewer => method == Method::GET || method == Method::HEAD,
        // Nothing publishes over HTTP yet.
        Role::Publisher => false,
    }
}

#[cfg(test)]
mod tests;
