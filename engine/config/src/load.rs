//! From sources to a [`Config`]: layers applied in order, then checks over several keys.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::error::{ConfigError, ConfigErrors, Origin};
use crate::file;
use crate::listeners::is_kind;
use crate::schema::Section;
use crate::setting::{Fault, FaultKind, Literal, LiteralValue};
use crate::{Config, DEFAULT_LISTENER, reference, suggest, validate};

/// Environment variables with this prefix are configuration; the rest of the name is the key with `__`
/// for each dot: `ROBUSTMQ__MQTT__MAX_QOS=1`.
pub const ENVIRONMENT_PREFIX: &str = "ROBUSTMQ__";

/// The sources beside the defaults.
#[derive(Debug, Clone, Default)]
pub struct LoadOptions {
    /// The configuration file; `None` reads none.
    pub file: Option<PathBuf>,
    /// Environment variables; those without [`ENVIRONMENT_PREFIX`] are ignored.
    pub env: Vec<(String, String)>,
    /// Arguments of `--set`, each `section.key=value`.
    pub sets: Vec<String>,
}

impl LoadOptions {
    /// With the environment of this process. Bytes that are not UTF-8 are replaced, so that a variable
    /// with such a value is reported as a bad value and not overlooked.
    pub fn with_process_env(file: Option<PathBuf>, sets: Vec<String>) -> Self {
        let text = |text: std::ffi::OsString| text.to_string_lossy().into_owned();
        let env = std::env::vars_os().map(|(name, value)| (text(name), text(value)));
        let env = env.filter(|(name, _)| name.starts_with(ENVIRONMENT_PREFIX));
        LoadOptions {
            file,
            env: env.collect(),
            sets,
        }
    }
}

/// One assignment of one source.
struct Assignment {
    origin: Origin,
    path: Vec<String>,
    literal: Literal,
}

/// Where each key that any source set got its final value.
pub(crate) type Origins = BTreeMap<String, Origin>;

pub(crate) fn load(options: LoadOptions) -> Result<Config, ConfigErrors> {
    let mut errors = Vec::new();
    let mut assignments = Vec::new();
    if let Some(path) = &options.file {
        read_file(path, &mut assignments, &mut errors);
    }
    read_environment(options.env, &mut assignments);
    read_arguments(options.sets, &mut assignments, &mut errors);

    let mut config = Config::without_listeners();
    let mut origins = Origins::new();
    for assignment in assignments {
        match config.assign(&assignment.path, &assignment.literal) {
            Ok(()) => {
                origins.insert(assignment.path.join("."), assignment.origin);
            }
            Err(faults) => {
                errors.extend(faults.into_iter().map(|fault| explain(fault, &assignment)));
            }
        }
    }
    config.listeners.add_defaults();
    validate::check(&config, &origins, &mut errors);
    if errors.is_empty() {
        Ok(config)
    } else {
        Err(ConfigErrors(errors))
    }
}

fn read_file(path: &Path, out: &mut Vec<Assignment>, errors: &mut Vec<ConfigError>) {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) => {
            errors.push(ConfigError {
                origin: Origin::File {
                    path: path.to_owned(),
                    line: 0,
                },
                key: String::new(),
                value: None,
                problem: format!("cannot be read: {error}"),
                suggestion: None,
                remedy: "check the path and its permissions, or start without a file".to_owned(),
            });
            return;
        }
    };
    let (entries, syntax_errors) = file::parse(&text);
    errors.extend(syntax_errors.into_iter().map(|error| ConfigError {
        origin: Origin::File {
            path: path.to_owned(),
            line: error.line,
        },
        key: String::new(),
        value: None,
        problem: format!("not valid TOML: {}", error.message),
        suggestion: None,
        remedy: "write `key = value` under a `[section]`, texts in double quotes".to_owned(),
    }));
    out.extend(entries.into_iter().map(|entry| Assignment {
        origin: Origin::File {
            path: path.to_owned(),
            line: entry.literal.line.unwrap_or(0),
        },
        path: entry.path,
        literal: entry.literal,
    }));
}

fn read_environment(env: Vec<(String, String)>, out: &mut Vec<Assignment>) {
    let mut settings: Vec<Assignment> = env
        .into_iter()
        .filter_map(|(name, value)| {
            let key = name.strip_prefix(ENVIRONMENT_PREFIX)?.to_ascii_lowercase();
            let path = key.split("__").map(str::to_owned).collect();
            Some(Assignment {
                path,
                literal: untyped(value),
                origin: Origin::Environment(name),
            })
        })
        .collect();
    // The environment has no order of its own; errors should.
    settings.sort_by(|a, b| a.path.cmp(&b.path));
    out.extend(settings);
}

fn read_arguments(sets: Vec<String>, out: &mut Vec<Assignment>, errors: &mut Vec<ConfigError>) {
    for set in sets {
        match set.split_once('=') {
            Some((key, value)) => out.push(Assignment {
                path: key.trim().split('.').map(str::to_owned).collect(),
                literal: untyped(value.trim().to_owned()),
                origin: Origin::Argument(set.clone()),
            }),
            None => errors.push(ConfigError {
                origin: Origin::Argument(set),
                key: String::new(),
                value: None,
                problem: "no `=`".to_owned(),
                suggestion: None,
                remedy: "write --set section.key=value, for example --set mqtt.max_qos=1"
                    .to_owned(),
            }),
        }
    }
}

fn untyped(text: String) -> Literal {
    Literal {
        value: LiteralValue::Untyped(text),
        line: None,
    }
}

/// Turns a fault into an error with its place and, for an unknown key, the nearest known one.
fn explain(fault: Fault, assignment: &Assignment) -> ConfigError {
    let key = format!("{}{}", assignment.path.join("."), fault.at);
    let origin = match (&assignment.origin, fault.line) {
        (Origin::File { path, .. }, Some(line)) => Origin::File {
            path: path.clone(),
            line,
        },
        (origin, _) => origin.clone(),
    };
    let (problem, suggestion, remedy) = match fault.kind {
        FaultKind::Invalid { problem, remedy } => (problem, None, remedy),
        FaultKind::Unknown { known } => {
            let suggestion = suggest_key(&key, assignment, &known);
            (
                "no such key".to_owned(),
                suggestion,
                "docs/reference/configuration.md lists all keys".to_owned(),
            )
        }
    };
    ConfigError {
        origin,
        key,
        value: fault.value,
        problem,
        suggestion,
        remedy,
    }
}

fn suggest_key(key: &str, assignment: &Assignment, siblings: &[String]) -> Option<String> {
    // Siblings first: `[storage.policy]` keys live in a list, not in the table of all keys.
    let (parent, name) = key.rsplit_once('.').unwrap_or(("", key));
    let near = suggest::nearest(name, siblings.iter().map(String::as_str));
    if let Some(sibling) = near {
        return Some(if parent.is_empty() {
            sibling.to_owned()
        } else {
            format!("{parent}.{sibling}")
        });
    }
    let listener = assignment
        .path
        .get(2)
        .map_or(DEFAULT_LISTENER, String::as_str);
    let all: Vec<String> = reference::sections()
        .iter()
        .filter(|section| !section.is_list)
        .flat_map(|section| {
            section
                .keys
                .iter()
                .map(|key| format!("{}.{}", section.path, key.name))
        })
        .map(|key| key.replace("<name>", listener))
        .collect();
    suggest::nearest(key, all.iter().map(String::as_str)).map(str::to_owned)
}

impl Config {
    /// Sets one key of any section. The path decides the section; an empty table only has to exist.
    fn assign(&mut self, path: &[String], literal: &Literal) -> Result<(), Vec<Fault>> {
        let path: Vec<&str> = path.iter().map(String::as_str).collect();
        match path.as_slice() {
            ["listeners", kind, name] if is_empty_table(literal) => self
                .listeners
                .assign([kind, name], None, literal)
                .unwrap_or_else(|| Err(unknown_path(literal))),
            ["listeners", kind, name, key] => self
                .listeners
                .assign([kind, name], Some(key), literal)
                .unwrap_or_else(|| Err(unknown_path(literal))),
            ["listeners"] if is_empty_table(literal) => Ok(()),
            ["listeners", kind] if is_kind(kind) && is_empty_table(literal) => Ok(()),
            [section] => set_in(self, section, None, literal),
            [section, key] => set_in(self, section, Some(key), literal),
            _ => Err(unknown_path(literal)),
        }
    }
}

fn set_in(
    config: &mut Config,
    section: &str,
    key: Option<&str>,
    literal: &Literal,
) -> Result<(), Vec<Fault>> {
    match section {
        "node" => set_key(&mut config.node, section, key, literal),
        "api" => set_key(&mut config.api, section, key, literal),
        "auth" => set_key(&mut config.auth, section, key, literal),
        "mqtt" => set_key(&mut config.mqtt, section, key, literal),
        "delayed" => set_key(&mut config.delayed, section, key, literal),
        "shared_subscription" => set_key(&mut config.shared_subscription, section, key, literal),
        "limits" => set_key(&mut config.limits, section, key, literal),
        "storage" => set_key(&mut config.storage, section, key, literal),
        "cluster" => set_key(&mut config.cluster, section, key, literal),
        "log" => set_key(&mut config.log, section, key, literal),
        _ => Err(unknown_path(literal)),
    }
}

fn set_key<S: Section>(
    target: &mut S,
    section: &str,
    key: Option<&str>,
    literal: &Literal,
) -> Result<(), Vec<Fault>> {
    match key {
        Some(key) => target.set(key, literal),
        None if is_empty_table(literal) => Ok(()),
        None => Err(crate::setting::invalid(
            literal,
            "a section, not a value",
            format!("write [{section}] and its keys on lines below"),
        )),
    }
}

fn is_empty_table(literal: &Literal) -> bool {
    matches!(&literal.value, LiteralValue::Table(entries) if entries.is_empty())
}

fn unknown_path(literal: &Literal) -> Vec<Fault> {
    vec![Fault {
        at: String::new(),
        line: literal.line,
        value: Some(literal.shown()),
        kind: FaultKind::Unknown { known: Vec::new() },
    }]
}
