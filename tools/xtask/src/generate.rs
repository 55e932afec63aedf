//! Files that come from code, and whether they are up to date.

use std::path::Path;

use crate::Finding;
use crate::workspace::root;

/// Path from the root and contents of every generated file.
fn generated() -> [(&'static str, String); 2] {
    [
        (
            "docs/reference/configuration.md",
            robustmq_config::reference_markdown(),
        ),
        ("config/robustmq.toml", robustmq_config::sample_toml()),
    ]
}

/// Writes what differs.
///
/// # Errors
/// A file cannot be written.
pub(crate) fn write() -> Result<Vec<Finding>, String> {
    for (path, text) in generated() {
        let target = root().join(path);
        if std::fs::read_to_string(&target).is_ok_and(|current| current == text) {
            continue;
        }
        let folder = target.parent().unwrap_or(Path::new("."));
        std::fs::create_dir_all(folder)
            .and_then(|()| std::fs::write(&target, text))
            .map_err(|error| format!("{path}: {error}"))?;
        println!("wrote {path}");
    }
    Ok(Vec::new())
}

/// A finding for each file that [`write`] would change.
pub(crate) fn drift() -> Result<Vec<Finding>, String> {
    Ok(differences(generated(), &|path| {
        std::fs::read_to_string(root().join(path)).ok()
    }))
}

fn differences(
    generated: impl IntoIterator<Item = (&'static str, String)>,
    current: &dyn Fn(&str) -> Option<String>,
) -> Vec<Finding> {
    generated
        .into_iter()
        .filter(|(path, text)| current(path).as_ref() != Some(text))
        .map(|(path, _)| Finding::new(path, "differs from the code; run `cargo xtask generate`"))
        .collect()
}

#[cfg(test)]
mod tests;
