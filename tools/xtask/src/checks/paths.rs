//! No file names a folder that exists on one machine only.

use crate::Finding;
use crate::rust_source::line_of;
use crate::workspace::File;

/// Folders of single machines; spelt in parts, or this file would be a finding.
const MACHINE_FOLDERS: [&str; 3] = [
    concat!("/", "root"),
    concat!("/", "work"),
    concat!("/", "home"),
];

pub(super) fn check(files: &[File]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in files {
        for folder in MACHINE_FOLDERS {
            for (at, _) in file.text.match_indices(folder) {
                if stands_alone(file.text.as_bytes(), at, at + folder.len()) {
                    let place = format!("{}:{}", file.path, line_of(&file.text, at));
                    findings.push(Finding::new(
                        place,
                        format!("names a folder of one machine (`{folder}`)"),
                    ));
                }
            }
        }
    }
    findings
}

/// True where an absolute path starts: not inside a longer path and not a longer name.
fn stands_alone(bytes: &[u8], start: usize, end: usize) -> bool {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"_-./+#$}>*".contains(&byte);
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
    let begins = start == 0 || !is_part(bytes[start - 1]);
    begins && bytes.get(end).is_none_or(|byte| !is_name(*byte))
}
