//! Checks over several keys.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use crate::Config;
use crate::error::{ConfigError, Origin};
use crate::load::Origins;
use crate::sections::{Anonymous, TcpListener};
use crate::setting::Setting;

/// Appends every problem that only shows when all sources are read.
pub(crate) fn check(config: &Config, origins: &Origins, errors: &mut Vec<ConfigError>) {
    let mut report = |key: &str, value: String, problem: &str, remedy: String| {
        errors.push(ConfigError {
            origin: origins.get(key).cloned().unwrap_or(Origin::Default),
            key: key.to_owned(),
            value: Some(value),
            problem: problem.to_owned(),
            suggestion: None,
            remedy,
        });
    };
    check_listeners(config, &mut report);
    check_keys(config, &mut report);
    check_mqtt(config, &mut report);
    check_storage(config, &mut report);
}

type Report<'a> = dyn FnMut(&str, String, &str, String) + 'a;

fn check_listeners(config: &Config, report: &mut Report<'_>) {
    let enabled: BTreeMap<&String, &TcpListener> = config
        .listeners
        .tcp
        .iter()
        .filter(|(_, listener)| listener.enabled)
        .collect();
    for (name, listener) in enabled {
        if config.auth.anonymous == Anonymous::Loopback && !listener.bind.ip().is_loopback() {
            report(
                &format!("listeners.tcp.{name}.bind"),
                listener.bind.show(None),
                "reachable from other machines, but nobody is authenticated",
                "bind to 127.0.0.1 or [::1]; or, to let every client that reaches this address publish \
                 and subscribe, set auth.anonymous = \"everywhere\""
                    .to_owned(),
            );
        }
    }
    let tcp = config.listeners.tcp.iter().filter(|(_, on)| on.enabled);
    let http = config.listeners.http.iter().filter(|(_, on)| on.enabled);
    let tcp = tcp.map(|(name, listener)| ("tcp", name, listener.bind));
    let http = http.map(|(name, listener)| ("http", name, listener.bind));
    let mut taken: BTreeMap<SocketAddr, String> = BTreeMap::new();
    for (kind, name, bind) in tcp.chain(http) {
        // Port 0 asks the system for any free port, as often as wanted.
        if bind.port() == 0 {
            continue;
        }
        if let Some(other) = taken.insert(bind, name.clone()) {
            report(
                &format!("listeners.{kind}.{name}.bind"),
                bind.show(None),
                &format!("listener `{other}` has the same address"),
                format!("give listener `{name}` an address or port of its own"),
            );
        }
    }
}

fn check_keys(config: &Config, report: &mut Report<'_>) {
    let mut known = BTreeSet::new();
    for key in &config.api.key {
        if !known.insert(&key.name) {
            report(
                "api.key",
                key.name.clone(),
                "two keys have the same name",
                "give every key a name of its own".to_owned(),
            );
        }
    }
}

fn check_mqtt(config: &Config, report: &mut Report<'_>) {
    let mqtt = &config.mqtt;
    if let (Some(usual), Some(most)) = (mqtt.session_expiry, mqtt.max_session_expiry)
        && usual > most
    {
        report(
            "mqtt.session_expiry",
            mqtt.session_expiry.show(Some("infinity")),
            "longer than mqtt.max_session_expiry",
            format!("give at most {most}, or raise mqtt.max_session_expiry"),
        );
    }
    if mqtt.session_expiry.is_none()
        && let Some(most) = mqtt.max_session_expiry
    {
        report(
            "mqtt.session_expiry",
            mqtt.session_expiry.show(Some("infinity")),
            "longer than mqtt.max_session_expiry",
            format!("give at most {most}, or set mqtt.max_session_expiry = \"infinity\""),
        );
    }
    if let Some(keepalive) = mqtt.server_keepalive
        && keepalive.duration().subsec_millis() != 0
    {
        report(
            "mqtt.server_keepalive",
            mqtt.server_keepalive.show(Some("client")),
            "MQTT counts keep alive in whole seconds",
            "give a whole number of seconds".to_owned(),
        );
    }
}

fn check_storage(config: &Config, report: &mut Report<'_>) {
    let storage = &config.storage;
    if u64::from(storage.shards) * (1 << 16) > storage.segment_size.bytes() {
        let least = u64::from(storage.shards) * 64;
        report(
            "storage.segment_size",
            storage.segment_size.show(None),
            "too small for so many shards",
            format!(
                "give at least {least}KB (64KB for each of {} shards)",
                storage.shards
            ),
        );
    }
}
