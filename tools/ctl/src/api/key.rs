//! Which key to ask with.

use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::error::CtlError;

/// Where a broker leaves the key of its run.
const FILE: &str = "api-key";

/// The `Authorization` of a key that was given, or else of the one in the data
/// directory.
pub(super) fn authorization(given: Option<&str>, data_dir: &Path) -> Result<String, CtlError> {
    let path = data_dir.join(FILE);
    let key = match given {
        Some(key) => key.to_owned(),
        None => std::fs::read_to_string(&path)
            .map_err(|source| CtlError::NoKey { path, source })?
            .trim()
            .to_owned(),
    };
    if !key.contains(':') {
        return Err(CtlError::Key);
    }
    Ok(format!("Basic {}", STANDARD.encode(key)))
}
