//! Runs a check over a corpus of inputs and over seeded mutations of them, in a
//! plain test: no nightly compiler, no tool to install, the same on every machine.
//!
//! `ROBUSTMQ_FUZZ_ITERATIONS` sets the mutations per target,
//! `ROBUSTMQ_FUZZ_SEED` repeats a run. An input that fails is written to a file
//! and belongs into the corpus from then on.
//!
//! **Not here**: the targets, which stand beside what they test.

mod mutate;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};

pub use mutate::Chance;

use mutate::mutate;

/// Mutations of a plain test run.
const ITERATIONS: u64 = 200_000;

/// Longest input.
const INPUT_BYTES_MAX: usize = 64 * 1024;

/// An input and where it comes from.
struct Entry {
    name: String,
    bytes: Vec<u8>,
}

/// Runs `check` over every file of `tests/corpus/{corpus}` of the crate under
/// test, and over mutations of them.
///
/// # Panics
/// When the check panics, with how to repeat it; when the corpus is empty.
pub fn run(corpus: &str, check: impl Fn(&[u8])) {
    let entries = read(&folder(corpus));
    for entry in &entries {
        guarded(
            corpus,
            &format!("corpus file {}", entry.name),
            &entry.bytes,
            &check,
        );
    }
    let seed = setting("ROBUSTMQ_FUZZ_SEED").unwrap_or_else(|| u64::from(std::process::id()));
    let iterations = setting("ROBUSTMQ_FUZZ_ITERATIONS").unwrap_or(ITERATIONS);
    println!(
        "{corpus}: {} files, {iterations} mutations, ROBUSTMQ_FUZZ_SEED={seed}",
        entries.len()
    );
    let inputs: Vec<&[u8]> = entries.iter().map(|entry| entry.bytes.as_slice()).collect();
    for iteration in 0..iterations {
        let mut chance = Chance::new(seed, iteration);
        let mut input = inputs[chance.below(inputs.len())].to_vec();
        mutate(&mut input, &inputs, &mut chance);
        input.truncate(INPUT_BYTES_MAX);
        let origin = format!("mutation {iteration} of ROBUSTMQ_FUZZ_SEED={seed}");
        guarded(corpus, &origin, &input, &check);
    }
}

/// Where the corpus lies. Asked for when the test runs: a build may be shared
/// by several checkouts.
///
/// # Panics
/// Outside cargo.
#[must_use]
pub fn folder(corpus: &str) -> PathBuf {
    let manifest = std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo runs this");
    PathBuf::from(manifest).join("tests/corpus").join(corpus)
}

fn read(folder: &Path) -> Vec<Entry> {
    let listed =
        std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut entries: Vec<Entry> = listed
        .map(|file| {
            let path = file.expect("the folder can be listed").path();
            Entry {
                name: path.display().to_string(),
                bytes: std::fs::read(&path).expect("the file can be read"),
            }
        })
        .collect();
    assert!(!entries.is_empty(), "{} is empty", folder.display());
    // The same choices on every file system.
    entries.sort_by(|one, other| one.name.cmp(&other.name));
    entries
}

fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

fn guarded(corpus: &str, origin: &str, input: &[u8], check: &impl Fn(&[u8])) {
    let Err(panic) = catch_unwind(AssertUnwindSafe(|| check(input))) else {
        return;
    };
    let file = std::env::temp_dir().join(format!("{corpus}-{}.bin", std::process::id()));
    let kept = match std::fs::write(&file, input) {
        Ok(()) => format!(
            "kept as {}: add it to tests/corpus/{corpus}",
            file.display()
        ),
        Err(error) => format!("could not be kept: {error}"),
    };
    eprintln!("{corpus}: {origin} fails; {} bytes, {kept}", input.len());
    resume_unwind(panic);
}
