//! Links between our own pages lead somewhere.

use std::collections::BTreeSet;

use crate::Finding;
use crate::workspace::File;

pub(super) fn check(files: &[File], paths: &BTreeSet<String>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in files.iter().filter(|file| file.path.ends_with(".md")) {
        for (line, target) in links(&file.text) {
            if is_broken(&file.path, target, files, paths) {
                let place = format!("{}:{line}", file.path);
                findings.push(Finding::new(
                    place,
                    format!("link to `{target}` leads nowhere"),
                ));
            }
        }
    }
    findings
}

/// Line (1-based) and target of every `[text](target)` outside code.
fn links(text: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    let mut in_code = false;
    for (index, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            in_code = !in_code;
        }
        if in_code {
            continue;
        }
        // Every second part is inside backticks; a link's text may be, its target is not.
        for (at, _) in line.match_indices("](") {
            let is_in_code = line[..at].matches('`').count() % 2 == 1;
            if let Some((target, _)) = line[at + 2..].split_once(')')
                && !is_in_code
            {
                found.push((index + 1, target));
            }
        }
    }
    found
}

fn is_broken(from: &str, target: &str, files: &[File], paths: &BTreeSet<String>) -> bool {
    if target.contains("://") || target.starts_with("mailto:") {
        return false;
    }
    let (path, anchor) = target.split_once('#').unwrap_or((target, ""));
    let Some(resolved) = resolve(from, path) else {
        return true;
    };
    if !paths.contains(&resolved) {
        return true;
    }
    let page = files.iter().find(|file| file.path == resolved);
    let is_page = resolved.ends_with(".md") && !anchor.is_empty();
    is_page && !page.is_some_and(|page| anchors(&page.text).contains(anchor))
}

/// `path` as seen from the folder of `from`, from the root; `None` above the root.
fn resolve(from: &str, path: &str) -> Option<String> {
    if path.is_empty() {
        return Some(from.to_owned());
    }
    let mut parts: Vec<&str> = from.split('/').collect();
    parts.pop();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

/// Anchors of headings: lower case, spaces as `-`, other punctuation left out.
fn anchors(text: &str) -> BTreeSet<String> {
    let headings = text.lines().filter(|line| line.starts_with('#'));
    headings
        .map(|line| {
            let title = line.trim_start_matches('#').trim().to_lowercase();
            let kept = title
                .chars()
                .filter(|c| c.is_alphanumeric() || " -_".contains(*c));
            kept.map(|c| if c == ' ' { '-' } else { c }).collect()
        })
        .collect()
}
