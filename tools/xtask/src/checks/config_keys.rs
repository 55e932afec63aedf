//! A configuration key that nothing reads would be a promise without effect.

use robustmq_config::SectionDoc;

use crate::Finding;
use crate::rust_source::mask;
use crate::workspace::File;

/// Code that declares or documents keys, but does not act on them.
const NOT_READERS: [&str; 3] = ["engine/config/", "tools/", "tests/"];

/// Keys that readers get through one resolved view.
const BOUNDS: [&str; 3] = ["retention_time", "retention_bytes", "retention_messages"];

pub(super) fn check<'a>(
    sections: &[SectionDoc],
    files: impl Iterator<Item = &'a File>,
) -> Vec<Finding> {
    let code: Vec<String> = files
        .filter(|file| {
            !NOT_READERS
                .iter()
                .any(|prefix| file.path.starts_with(prefix))
        })
        .filter(|file| !file.path.ends_with("tests.rs") && !file.path.contains("/tests/"))
        .map(|file| mask(&file.text))
        .collect();
    let is_read = |word: &str| code.iter().any(|text| reads_field(text, word));
    let mut findings = Vec::new();
    for section in sections {
        for key in &section.keys {
            let reader = match (section.path, key.name) {
                ("storage.policy", _) | ("storage", "policy") => "retention_by_filter",
                ("storage", name) if BOUNDS.contains(&name) => "retention_default",
                (_, name) => name,
            };
            if !is_read(reader) {
                let place = format!("{}.{}", section.path, key.name);
                let message =
                    format!("no code of the broker reads it (`.{reader}`): wire it or remove it");
                findings.push(Finding::new(place, message));
            }
        }
    }
    findings
}

/// True if `.word` stands in the code as a whole word.
fn reads_field(masked: &str, word: &str) -> bool {
    let is_word = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    masked.match_indices(word).any(|(at, _)| {
        let bytes = masked.as_bytes();
        at > 0
            && bytes[at - 1] == b'.'
            && bytes.get(at + word.len()).is_none_or(|byte| !is_word(byte))
    })
}
