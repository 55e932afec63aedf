//! What the checks look at: the files under version control and cargo's view of the crates.

use std::collections::BTreeSet;
use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use serde::Deserialize;

/// A text file of the repository.
#[derive(Debug, Clone)]
pub(crate) struct File {
    /// Path from the root, with `/`.
    pub(crate) path: String,
    pub(crate) text: String,
}

/// Everything the checks look at.
#[derive(Debug)]
pub(crate) struct Workspace {
    /// Text files, tracked or about to be.
    pub(crate) files: Vec<File>,
    /// Every path, text or not, and every folder that holds one.
    pub(crate) paths: BTreeSet<String>,
    pub(crate) packages: Vec<Package>,
}

/// A crate as `cargo metadata` tells it.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Package {
    pub(crate) name: String,
    pub(crate) version: String,
    /// SPDX expression.
    pub(crate) license: Option<String>,
    /// `None` for crates of the workspace.
    pub(crate) source: Option<String>,
    pub(crate) dependencies: Vec<Dependency>,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Dependency {
    pub(crate) name: String,
    /// Set for dependencies by path, thus of the workspace.
    pub(crate) path: Option<PathBuf>,
}

impl Package {
    pub(crate) fn is_member(&self) -> bool {
        self.source.is_none()
    }
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

/// The root of the workspace, two folders above this crate. Asked for at run time:
/// a build may be shared by several checkouts.
pub(crate) fn root() -> &'static Path {
    static ROOT: LazyLock<PathBuf> = LazyLock::new(|| {
        let manifest = env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| ".".into());
        let manifest = PathBuf::from(manifest);
        manifest
            .ancestors()
            .nth(2)
            .map_or_else(|| manifest.clone(), Path::to_path_buf)
    });
    &ROOT
}

impl Workspace {
    /// Reads the working tree; needs `git` and `cargo`.
    pub(crate) fn read() -> Result<Workspace, String> {
        let listed = output(
            "git",
            &[
                "ls-files",
                "-z",
                "--cached",
                "--others",
                "--exclude-standard",
            ],
        )?;
        let mut files = Vec::new();
        let mut paths = BTreeSet::new();
        for path in listed.split('\0').filter(|path| !path.is_empty()) {
            let on_disk = root().join(path);
            // Listed but deleted in the working tree.
            if !on_disk.is_file() {
                continue;
            }
            paths.extend(
                Path::new(path)
                    .ancestors()
                    .filter_map(Path::to_str)
                    .map(str::to_owned),
            );
            let bytes = std::fs::read(&on_disk).map_err(|error| format!("{path}: {error}"))?;
            if let Ok(text) = String::from_utf8(bytes) {
                files.push(File {
                    path: path.to_owned(),
                    text,
                });
            }
        }
        let metadata = output("cargo", &["metadata", "--format-version", "1", "--locked"])?;
        let metadata: Metadata =
            serde_json::from_str(&metadata).map_err(|error| format!("cargo metadata: {error}"))?;
        Ok(Workspace {
            files,
            paths,
            packages: metadata.packages,
        })
    }

    /// The Rust files.
    pub(crate) fn rust_files(&self) -> impl Iterator<Item = &File> {
        self.files.iter().filter(|file| file.path.ends_with(".rs"))
    }

    /// The text of a file that must exist.
    pub(crate) fn text(&self, path: &str) -> Result<&str, String> {
        self.files
            .iter()
            .find(|file| file.path == path)
            .map(|file| file.text.as_str())
            .ok_or_else(|| format!("{path} is missing"))
    }
}

fn output(program: &str, arguments: &[&str]) -> Result<String, String> {
    let command = format!("{program} {}", arguments.join(" "));
    let output = Command::new(program)
        .args(arguments)
        .current_dir(root())
        .output()
        .map_err(|error| format!("{command}: {error}"))?;
    if !output.status.success() {
        return Err(format!(
            "{command}: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        ));
    }
    String::from_utf8(output.stdout).map_err(|_| format!("{command}: output is not UTF-8"))
}
