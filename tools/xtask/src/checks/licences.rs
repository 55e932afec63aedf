//! Every crate that is linked has a licence that may be combined with Apache-2.0.

use serde::Deserialize;

use super::LICENCES;
use crate::Finding;
use crate::spdx;
use crate::workspace::Package;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Licences {
    /// SPDX names that any crate may have.
    allowed: Vec<String>,
    #[serde(default)]
    exception: Vec<Exception>,
}

/// A licence that is fine for one crate only.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Exception {
    #[serde(rename = "crate")]
    package: String,
    licence: String,
    reason: String,
}

pub(super) fn check(text: &str, packages: &[Package]) -> Result<Vec<Finding>, String> {
    let licences: Licences =
        toml::from_str(text).map_err(|error| format!("{LICENCES}: {error}"))?;
    let mut findings = Vec::new();
    for package in packages.iter().filter(|package| !package.is_member()) {
        let place = format!("{} {}", package.name, package.version);
        let Some(expression) = &package.license else {
            findings.push(Finding::new(
                place,
                format!("names no licence; see {LICENCES}"),
            ));
            continue;
        };
        let excepted = |name: &str| {
            let mut exceptions = licences.exception.iter();
            exceptions
                .any(|exception| exception.package == package.name && exception.licence == name)
        };
        let allowed =
            |name: &str| licences.allowed.iter().any(|allowed| allowed == name) || excepted(name);
        match spdx::satisfied(expression, &allowed) {
            Ok(true) => {}
            Ok(false) => {
                findings.push(Finding::new(
                    place,
                    format!("licence `{expression}` is not in {LICENCES}"),
                ));
            }
            Err(error) => findings.push(Finding::new(place, error)),
        }
    }
    for exception in &licences.exception {
        let is_used = packages
            .iter()
            .any(|package| package.name == exception.package);
        if !is_used || exception.reason.trim().is_empty() {
            let message = format!(
                "exception for `{}` is unused or has no reason",
                exception.package
            );
            findings.push(Finding::new(LICENCES, message));
        }
    }
    Ok(findings)
}
