//! No drawer for everything: a crate or module is called after what it is for.

use crate::Finding;
use crate::workspace::{File, Package};

/// Names that say nothing.
const EMPTY_NAMES: [&str; 8] = [
    "common",
    "util",
    "utils",
    "utilities",
    "shared",
    "helper",
    "helpers",
    "misc",
];

pub(super) fn check<'a>(
    packages: &[Package],
    files: impl Iterator<Item = &'a File>,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    for package in packages.iter().filter(|package| package.is_member()) {
        findings.extend(
            package
                .name
                .split(['-', '_'])
                .filter_map(|part| judge(&package.name, part)),
        );
    }
    for file in files {
        let parts = file.path.trim_end_matches(".rs").split('/');
        findings.extend(parts.filter_map(|part| judge(&file.path, part)));
    }
    findings
}

fn judge(place: &str, name: &str) -> Option<Finding> {
    EMPTY_NAMES.contains(&name).then(|| {
        Finding::new(
            place,
            format!("`{name}` says nothing: name it after what it is for"),
        )
    })
}
