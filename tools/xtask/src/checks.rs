//! The house checks. Each is a function from what it looks at to findings, so that its test can show it
//! failing on a bad example.

mod clauses;
mod config_keys;
mod dependencies;
mod layers;
mod licences;
mod links;
mod names;
mod paths;
mod sizes;
mod words;

#[cfg(test)]
mod tests;

use crate::Finding;
use crate::workspace::Workspace;

/// A file that a check is configured by.
const LAYERS: &str = "docs/layers.toml";
const EXCEPTIONS: &str = "docs/house-exceptions.toml";
const LICENCES: &str = "docs/licences.toml";
const DEPENDENCIES: &str = "docs/dependencies.md";

/// Runs all checks.
///
/// # Errors
/// A file that configures a check is missing or broken.
pub(crate) fn run(workspace: &Workspace) -> Result<Vec<Finding>, String> {
    let mut findings = Vec::new();
    findings.extend(layers::check(workspace.text(LAYERS)?, &workspace.packages)?);
    findings.extend(layers::check_lints(workspace)?);
    findings.extend(sizes::check(
        workspace.text(EXCEPTIONS)?,
        workspace.rust_files(),
    )?);
    findings.extend(words::check(workspace.rust_files()));
    findings.extend(names::check(&workspace.packages, workspace.rust_files()));
    findings.extend(paths::check(&workspace.files));
    findings.extend(licences::check(
        workspace.text(LICENCES)?,
        &workspace.packages,
    )?);
    findings.extend(dependencies::check(
        workspace.text(DEPENDENCIES)?,
        &workspace.packages,
    ));
    findings.extend(links::check(&workspace.files, &workspace.paths));
    findings.extend(clauses::check(
        workspace.text(clauses::PAGE)?,
        workspace.rust_files(),
    ));
    findings.extend(config_keys::check(
        &robustmq_config::sections(),
        workspace.rust_files(),
    ));
    findings.sort();
    findings.dedup();
    Ok(findings)
}
