//! Checks over several keys.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use crate::Config;
use crate::error::{ConfigError, Origin};
use crate::listeners::{CertificateName, ClientCertificate, Enabled, TlsKeys};
use crate::load::Origins;
use crate::rules::{AUTO_SUBSCRIPTIONS_MAX, REWRITES_MAX};
use crate::sections::Anonymous;
use crate::setting::Setting;

/// Appends every problem that only shows when all sources are read.
pub(crate) fn check(config: &Config, origins: &Origins, errors: &mut Vec<ConfigError>) {
    let mut report = |key: &str, value: String, problem: &str, remedy: String| {
        errors.push(ConfigError {
            origin: origin_of(origins, key),
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
    check_rules(config, &mut report);
    check_storage(config, &mut report);
    check_cluster(config, &mut report);
}

/// Nodes that an epoch of a connection can name.
const CLUSTER_NODE_ID_MAX: u64 = 1023;

fn check_cluster(config: &Config, report: &mut Report<'_>) {
    let cluster = &config.cluster;
    if !cluster.enabled {
        return;
    }
    let files = [
        ("ca", &cluster.ca),
        ("certificate", &cluster.certificate),
        ("key", &cluster.key),
    ];
    for (key, file) in files {
        if file.is_none() {
            report(
                &format!("cluster.{key}"),
                "none".to_owned(),
                "nodes know each other by certificates, and this one has none",
                format!(
                    "make them with `robust-ctl cluster certificates --out DIR --node {}` and name the file here",
                    config.node.id
                ),
            );
        }
    }
    if config.node.id > CLUSTER_NODE_ID_MAX {
        report(
            "node.id",
            config.node.id.to_string(),
            "too high for a node of a cluster",
            format!("give the node a number from 1 to {CLUSTER_NODE_ID_MAX}"),
        );
    }
    if cluster.bind.ip().is_unspecified() && cluster.advertise.is_none() {
        report(
            "cluster.advertise",
            "bind".to_owned(),
            "other nodes cannot come to the address that cluster.bind names",
            "say where they reach this node: advertise = \"10.0.0.1:7083\"".to_owned(),
        );
    }
    if cluster.election_timeout.duration() < cluster.heartbeat_interval.duration() * 3 {
        report(
            "cluster.election_timeout",
            cluster.election_timeout.show(None),
            "shorter than three heartbeats: every delay would look like a leader that is gone",
            "set it to three times cluster.heartbeat_interval or more".to_owned(),
        );
    }
}

/// Where a key was set: a key of a table of a list where the list was.
fn origin_of(origins: &Origins, key: &str) -> Origin {
    let list = key.split_once('[').map_or(key, |(list, _)| list);
    origins.get(list).cloned().unwrap_or(Origin::Default)
}

type Report<'a> = dyn FnMut(&str, String, &str, String) + 'a;

fn check_listeners(config: &Config, report: &mut Report<'_>) {
    let mut taken: BTreeMap<(bool, SocketAddr), String> = BTreeMap::new();
    for Enabled { kind, name, bind } in config.listeners.enabled() {
        let key = format!("listeners.{kind}.{name}.bind");
        let is_mqtt = kind != "http";
        if is_mqtt && config.auth.anonymous == Anonymous::Loopback && !bind.ip().is_loopback() {
            report(
                &key,
                bind.show(None),
                "reachable from other machines, but nobody is authenticated",
                "bind to 127.0.0.1 or [::1]; or, to let every client that reaches this address publish \
                 and subscribe, set auth.anonymous = \"everywhere\""
                    .to_owned(),
            );
        }
        // Port 0 asks the system for any free port, as often as wanted.
        if bind.port() == 0 {
            continue;
        }
        // A port of UDP is not in the way of one of TCP.
        let place = (kind == "quic", bind);
        if let Some(other) = taken.insert(place, format!("{kind}.{name}")) {
            report(
                &key,
                bind.show(None),
                &format!("listener `{other}` has the same address"),
                format!("give listener `{kind}.{name}` an address or port of its own"),
            );
        }
    }
    for (kind, name, keys) in config.listeners.enabled_tls() {
        check_tls(&format!("listeners.{kind}.{name}"), &keys, report);
    }
    let ws = config.listeners.ws.iter();
    let ws = ws.map(|(name, on)| ("ws", name, on.enabled, &on.path));
    let wss = config.listeners.wss.iter();
    let wss = wss.map(|(name, on)| ("wss", name, on.enabled, &on.path));
    for (kind, name, enabled, path) in ws.chain(wss) {
        let allowed = |c: char| c.is_ascii_graphic() && !matches!(c, '?' | '#' | '%');
        if enabled && !(path.starts_with('/') && path.chars().all(allowed)) {
            report(
                &format!("listeners.{kind}.{name}.path"),
                path.show(None),
                "not the path of a URL",
                "begin it with `/` and leave out spaces, `?`, `#` and `%`: path = \"/mqtt\""
                    .to_owned(),
            );
        }
    }
}

fn check_tls(section: &str, keys: &TlsKeys, report: &mut Report<'_>) {
    let pairs = [
        ("certfile", &keys.certfile, "keyfile", &keys.keyfile),
        ("keyfile", &keys.keyfile, "certfile", &keys.certfile),
    ];
    for (key, file, other, its) in pairs {
        if file.is_some() && its.is_none() {
            report(
                &format!("{section}.{key}"),
                file.show(Some("self-signed")),
                &format!("{section}.{other} is missing"),
                format!("give {other} too: certificate and private key belong together"),
            );
        }
    }
    let files = [
        ("certfile", &keys.certfile),
        ("keyfile", &keys.keyfile),
        ("cacertfile", &keys.cacertfile),
    ];
    for (key, file) in files {
        if let Some(path) = file
            && let Err(error) = std::fs::File::open(path)
        {
            report(
                &format!("{section}.{key}"),
                path.show(None),
                &format!("the file cannot be read: {error}"),
                "check the path and its permissions".to_owned(),
            );
        }
    }
    let asks = keys.client_certificate != ClientCertificate::None;
    if asks && keys.cacertfile.is_none() {
        report(
            &format!("{section}.client_certificate"),
            keys.client_certificate.show(None),
            "there is no authority to check client certificates against",
            "give cacertfile, the certificates of the authorities that sign those of clients"
                .to_owned(),
        );
    }
    let names = [
        ("peer_cert_as_username", keys.peer_cert_as_username),
        ("peer_cert_as_clientid", keys.peer_cert_as_clientid),
    ];
    for (key, name) in names {
        if !asks && name != CertificateName::Disabled {
            report(
                &format!("{section}.{key}"),
                name.show(None),
                "clients are not asked for a certificate",
                "set client_certificate = \"required\" (or \"optional\")".to_owned(),
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

fn check_rules(config: &Config, report: &mut Report<'_>) {
    let mqtt = &config.mqtt;
    for (index, rule) in mqtt.rewrite.iter().enumerate() {
        if let Err(fault) = rule.compile() {
            let value = match fault.key {
                "re" => &rule.re,
                "source_topic" => &rule.source_topic,
                _ => &rule.dest_topic,
            };
            let key = format!("mqtt.rewrite[{index}].{}", fault.key);
            report(&key, value.show(None), &fault.problem, fault.remedy);
        }
    }
    for (index, rule) in mqtt.auto_subscribe.iter().enumerate() {
        if let Err(fault) = rule.compile() {
            let key = format!("mqtt.auto_subscribe[{index}].{}", fault.key);
            report(&key, rule.topic.show(None), &fault.problem, fault.remedy);
        }
        let mut known = mqtt.auto_subscribe[..index].iter();
        if known.any(|other| other.topic == rule.topic) {
            let key = format!("mqtt.auto_subscribe[{index}].topic");
            let remedy = "leave one of them out".to_owned();
            report(&key, rule.topic.show(None), "there twice", remedy);
        }
    }
    let counts = [
        ("mqtt.rewrite", mqtt.rewrite.len(), REWRITES_MAX),
        (
            "mqtt.auto_subscribe",
            mqtt.auto_subscribe.len(),
            AUTO_SUBSCRIPTIONS_MAX,
        ),
    ];
    for (key, count, count_max) in counts {
        if count > count_max {
            let remedy = format!("give at most {count_max}");
            report(key, format!("{count} tables"), "too many", remedy);
        }
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
