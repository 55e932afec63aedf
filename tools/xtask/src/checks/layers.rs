//! Arrows point down: a crate depends only on what `docs/layers.toml` lists for it, and the pure crates do
//! not reach the outside world.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::LAYERS;
use crate::Finding;
use crate::workspace::{Package, Workspace};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Layers {
    /// Crate → crates of the workspace it may depend on.
    allowed: BTreeMap<String, Vec<String>>,
    pure: Pure,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Pure {
    /// Crates that know no tasks, files, clocks or sockets.
    crates: Vec<String>,
    /// External crates that would let those in.
    forbidden: Vec<String>,
}

pub(super) fn check(text: &str, packages: &[Package]) -> Result<Vec<Finding>, String> {
    let layers: Layers = toml::from_str(text).map_err(|error| format!("{LAYERS}: {error}"))?;
    let members: Vec<&Package> = packages
        .iter()
        .filter(|package| package.is_member())
        .collect();
    let mut findings = Vec::new();
    for package in &members {
        findings.extend(check_member(package, &layers));
    }
    let is_member = |name: &String| members.iter().any(|package| package.name == *name);
    let named = layers
        .allowed
        .iter()
        .flat_map(|(name, allowed)| allowed.iter().chain([name]));
    for name in named
        .chain(&layers.pure.crates)
        .filter(|name| !is_member(name))
    {
        findings.push(Finding::new(
            LAYERS,
            format!("names `{name}`, which is no crate of the workspace"),
        ));
    }
    Ok(findings)
}

fn check_member(package: &Package, layers: &Layers) -> Vec<Finding> {
    let Some(allowed) = layers.allowed.get(&package.name) else {
        return vec![Finding::new(
            LAYERS,
            format!("lists nothing for crate `{}`", package.name),
        )];
    };
    let is_pure = layers.pure.crates.contains(&package.name);
    let mut findings = Vec::new();
    for dependency in &package.dependencies {
        let name = &dependency.name;
        if dependency.path.is_some() && !allowed.contains(name) {
            let message = format!("depends on `{name}`, which {LAYERS} does not list for it");
            findings.push(Finding::new(&package.name, message));
        }
        if is_pure && layers.pure.forbidden.contains(name) {
            let message =
                format!("is pure, but depends on `{name}`; let the caller pass in what it gives");
            findings.push(Finding::new(&package.name, message));
        }
    }
    findings
}

/// Every crate takes part in the lints of the workspace.
pub(super) fn check_lints(workspace: &Workspace) -> Result<Vec<Finding>, String> {
    let manifests = workspace
        .files
        .iter()
        .filter(|file| file.path.ends_with("/Cargo.toml"));
    let mut findings = Vec::new();
    for file in manifests {
        let manifest: toml::Table =
            toml::from_str(&file.text).map_err(|error| format!("{}: {error}", file.path))?;
        let shared = manifest
            .get("lints")
            .and_then(|lints| lints.get("workspace"));
        if manifest.contains_key("package") && shared.and_then(toml::Value::as_bool) != Some(true) {
            findings.push(Finding::new(&file.path, "add [lints] workspace = true"));
        }
    }
    Ok(findings)
}
