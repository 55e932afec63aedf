//! Every dependency that a crate of ours names has a row with its reason.

use std::collections::{BTreeMap, BTreeSet};

use super::DEPENDENCIES;
use crate::Finding;
use crate::workspace::Package;

pub(super) fn check(text: &str, packages: &[Package]) -> Vec<Finding> {
    let mut users: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for package in packages.iter().filter(|package| package.is_member()) {
        for dependency in package
            .dependencies
            .iter()
            .filter(|dependency| dependency.path.is_none())
        {
            users
                .entry(&dependency.name)
                .or_default()
                .insert(&package.name);
        }
    }
    let rows = rows(text);
    let mut findings = Vec::new();
    for (name, users) in &users {
        match rows.get(name) {
            None => {
                let users = users.iter().copied().collect::<Vec<_>>().join(", ");
                let message =
                    format!("no row for `{name}` (used by {users}): say why it is needed");
                findings.push(Finding::new(DEPENDENCIES, message));
            }
            Some(cells) if cells.iter().any(|cell| cell.is_empty()) => {
                findings.push(Finding::new(
                    DEPENDENCIES,
                    format!("the row of `{name}` has an empty cell"),
                ));
            }
            Some(_) => {}
        }
    }
    for name in rows.keys().filter(|name| !users.contains_key(**name)) {
        findings.push(Finding::new(
            DEPENDENCIES,
            format!("`{name}` is no direct dependency: remove its row"),
        ));
    }
    findings
}

/// Rows whose first cell is a name in backticks; the value is the other cells.
fn rows(text: &str) -> BTreeMap<&str, Vec<&str>> {
    text.lines()
        .filter_map(|line| {
            let inner = line.trim().strip_prefix('|')?.strip_suffix('|')?;
            let mut cells = inner.split('|').map(str::trim);
            let name = cells.next()?.strip_prefix('`')?.strip_suffix('`')?;
            // Several names in one cell are system packages, in a table of their own.
            (!name.contains('`')).then(|| (name, cells.collect()))
        })
        .collect()
}
