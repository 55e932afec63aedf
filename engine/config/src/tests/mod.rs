//! Tests of the crate, by subject.

mod errors;
mod literals;
mod loading;
mod reference;

use std::path::PathBuf;

use crate::{Config, ConfigError, LoadOptions};

/// A file that lives as long as the test.
struct Source {
    _dir: tempfile::TempDir,
    path: PathBuf,
}

fn file(text: &str) -> Source {
    let dir = tempfile::tempdir().expect("a temp folder");
    let path = dir.path().join("robustmq.toml");
    std::fs::write(&path, text).expect("the file is written");
    Source { _dir: dir, path }
}

fn load(text: &str, env: &[(&str, &str)], sets: &[&str]) -> Result<Config, Vec<ConfigError>> {
    let source = file(text);
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    Config::load(LoadOptions {
        file: Some(source.path.clone()),
        env: env.iter().map(owned).collect(),
        sets: sets.iter().map(|set| (*set).to_owned()).collect(),
    })
    .map_err(|errors| errors.0)
}

fn loaded(text: &str) -> Config {
    match load(text, &[], &[]) {
        Ok(config) => config,
        Err(errors) => panic!("{errors:?}"),
    }
}

fn refused(text: &str) -> Vec<ConfigError> {
    match load(text, &[], &[]) {
        Ok(_) => panic!("accepted: {text}"),
        Err(errors) => errors,
    }
}
