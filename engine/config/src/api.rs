//! Who may use the HTTP interface: `[[api.key]]`.

use crate::schema::{choice, section};
use crate::setting::{Fault, Literal, invalid};
use crate::tables::ListedSection;

/// Longest name of a key in bytes.
const NAME_BYTES_MAX: usize = 64;

/// The name of the key that the broker itself makes at every start.
pub const LOCAL_KEY: &str = "local";

choice! {
    /// What a key may do.
    pub enum Role {
        /// Everything.
        Administrator = "administrator",
        /// Look at everything, change nothing.
        Viewer = "viewer",
        /// Publish, and nothing else.
        Publisher = "publisher",
    }
}

section! {
    /// A key for the HTTP interface: its name and its secret are given as user and password (Basic).
    pub struct ApiKey {
        /// Its name. Required; `local` is the broker's own.
        name: String = String::new();
        /// What `robustmq hash-secret` prints for its secret. Required.
        secret_hash: String = String::new();
        /// What it may do.
        role: Role = Role::Viewer;
    }
}

section! {
    /// The HTTP interface.
    pub struct Api {
        /// Keys beside the one that the broker makes at every start and writes to `api-key` in its data
        /// directory.
        key: Vec<ApiKey> = Vec::new();
    }
}

impl ListedSection for ApiKey {
    const PATH: &'static str = "api.key";
    const EXAMPLE: &'static str =
        "{ name = \"grafana\", secret_hash = \"$argon2id$…\", role = \"viewer\" }";
    const REQUIRED: &'static [(&'static str, &'static str)] = &[
        ("name", "give the key a name: name = \"grafana\""),
        (
            "secret_hash",
            "give what `robustmq hash-secret` prints for the secret",
        ),
    ];

    fn check(&self, key: &str, literal: &Literal) -> Result<(), Vec<Fault>> {
        match key {
            "name" => check_name(&self.name, literal),
            "secret_hash" if !self.secret_hash.starts_with("$argon2id$") => Err(invalid(
                literal,
                "not a hash of a secret",
                "give what `robustmq hash-secret` prints for the secret",
            )),
            _ => Ok(()),
        }
    }
}

fn check_name(name: &str, literal: &Literal) -> Result<(), Vec<Fault>> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let fits = (1..=NAME_BYTES_MAX).contains(&name.len()) && name.chars().all(allowed);
    if fits && name != LOCAL_KEY {
        return Ok(());
    }
    Err(invalid(
        literal,
        "not a name of a key",
        "use up to 64 letters, digits, `-`, `_` and `.`; `local` is the broker's own",
    ))
}
