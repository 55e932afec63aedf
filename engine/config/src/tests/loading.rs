//! Sources, precedence and types.

use std::path::Path;

use super::{load, loaded};
use crate::{
    Anonymous, ByteSize, Compression, Config, DEFAULT_LISTENER, Durability, Engine, LoadOptions,
    LogFormat, LogLevel, Retain, TimeSpan,
};

#[test]
fn without_any_source_the_defaults_hold() {
    let config = Config::load(LoadOptions::default()).expect("defaults are valid");
    assert_eq!(config, Config::default());
    assert_eq!(
        config.listeners.tcp[DEFAULT_LISTENER].bind.to_string(),
        "127.0.0.1:1883"
    );
    assert_eq!(config.mqtt.max_packet_size, ByteSize::from_mb(1));
    assert_eq!(config.mqtt.session_expiry, Some(TimeSpan::from_secs(7_200)));
    assert_eq!(config.mqtt.max_session_expiry, None);
    assert_eq!(config.storage.durability, Durability::Quorum);
    assert_eq!(config.auth.anonymous, Anonymous::Loopback);
}

#[test]
fn an_empty_file_changes_nothing() {
    assert_eq!(loaded(""), Config::default());
    assert_eq!(
        loaded("[mqtt]\n[listeners]\n[listeners.tcp]\n"),
        Config::default()
    );
}

#[test]
fn every_type_reads_from_the_file() {
    let config = loaded(
        r#"
        [node]
        id = 7
        name = "seven"
        data_dir = "/var/lib/seven"
        [mqtt]
        max_packet_size = "2MB"
        keepalive_multiplier = 2
        retain_available = false
        session_expiry = "infinity"
        server_keepalive = "60s"
        max_topic_alias = 0x10
        [storage]
        engine = "segment"
        durability = "leader"
        compression = "zstd"
        retention_bytes = "10GB"
        retention_messages = 1_000
        [log]
        level = "debug"
        format = "json"
        "#,
    );
    assert_eq!(config.node.id, 7);
    assert_eq!(config.node.data_dir, Path::new("/var/lib/seven"));
    assert_eq!(config.mqtt.keepalive_multiplier, 2.0);
    assert!(!config.mqtt.retain_available);
    assert_eq!(config.mqtt.session_expiry, None);
    assert_eq!(config.mqtt.server_keepalive, Some(TimeSpan::from_secs(60)));
    assert_eq!(config.mqtt.max_topic_alias, 16);
    assert_eq!(config.storage.engine, Engine::Segment);
    assert_eq!(config.storage.durability, Durability::Leader);
    assert_eq!(config.storage.compression, Compression::Zstd);
    assert_eq!(
        config.storage.retention_bytes,
        Some(ByteSize::from_mb(10 * 1024))
    );
    assert_eq!(config.storage.retention_messages, Some(1_000));
    assert_eq!(
        (config.log.level, config.log.format),
        (LogLevel::Debug, LogFormat::Json)
    );
}

#[test]
fn later_sources_win_key_by_key() {
    let text = "[mqtt]\nmax_qos = 0\nmax_inflight = 10\nmax_await_rel = 11\n";
    let env = [
        ("ROBUSTMQ__MQTT__MAX_QOS", "1"),
        ("ROBUSTMQ__MQTT__MAX_INFLIGHT", "20"),
    ];
    let config = load(text, &env, &["mqtt.max_qos=2"]).expect("valid");
    assert_eq!(config.mqtt.max_qos, 2, "--set over environment over file");
    assert_eq!(config.mqtt.max_inflight, 20, "environment over file");
    assert_eq!(config.mqtt.max_await_rel, 11, "file over default");
    assert_eq!(config.mqtt.receive_maximum, 1_024, "default");
}

#[test]
fn of_two_arguments_the_last_wins() {
    let config = load("", &[], &["mqtt.max_qos=1", "mqtt.max_qos = 0"]).expect("valid");
    assert_eq!(config.mqtt.max_qos, 0);
}

#[test]
fn environment_reaches_any_key_and_ignores_foreign_variables() {
    let env = [
        ("PATH", "/bin"),
        ("ROBUSTMQ_HOME", "not ours"),
        ("ROBUSTMQ__LISTENERS__TCP__DEFAULT__BIND", "[::1]:2883"),
        ("ROBUSTMQ__MQTT__RECEIPT", "false"),
        ("ROBUSTMQ__MQTT__KEEPALIVE_MULTIPLIER", "3"),
        ("ROBUSTMQ__STORAGE__RETENTION_TIME", "unlimited"),
        ("ROBUSTMQ__NODE__NAME", "12"),
    ];
    let config = load("", &env, &[]).expect("valid");
    assert_eq!(
        config.listeners.tcp[DEFAULT_LISTENER].bind.to_string(),
        "[::1]:2883"
    );
    assert!(!config.mqtt.receipt);
    assert_eq!(config.mqtt.keepalive_multiplier, 3.0);
    assert_eq!(config.storage.retention_time, None);
    assert_eq!(config.node.name, "12");
}

#[test]
fn named_listeners_replace_the_default_one() {
    let config = loaded(
        "[listeners.tcp.inside]\nbind = \"127.0.0.1:1883\"\n\
         [listeners.tcp.six]\nbind = \"[::1]:1883\"\nmax_connections = 5\n",
    );
    let names: Vec<&str> = config.listeners.tcp.keys().map(String::as_str).collect();
    assert_eq!(names, ["inside", "six"]);
    assert_eq!(config.listeners.tcp["six"].max_connections, 5);
}

#[test]
fn an_empty_listener_table_is_a_listener_on_defaults() {
    let config = loaded("[listeners.tcp.plain]\n");
    assert_eq!(config.listeners.tcp["plain"], crate::TcpListener::default());
}

#[test]
fn policies_keep_their_order_and_inherit_what_they_leave_out() {
    let config = loaded(
        r##"
        [storage]
        retention_messages = 9
        [[storage.policy]]
        filter = "sensors/+/raw"
        retention_time = "1d"
        [[storage.policy]]
        filter = "#"
        retention_time = "unlimited"
        retention_bytes = "50GB"
        retention_messages = "unlimited"
        "##,
    );
    assert_eq!(config.storage.policy[0].retention_bytes, Retain::Inherit);
    let rules: Vec<_> = config.storage.retention_by_filter().collect();
    assert_eq!(rules[0].0, "sensors/+/raw");
    assert_eq!(rules[0].1.time, Some(TimeSpan::from_secs(86_400)));
    assert_eq!(rules[0].1.bytes, None);
    assert_eq!(rules[0].1.messages, Some(9));
    assert_eq!(rules[1].0, "#");
    assert_eq!(rules[1].1.time, None);
    assert_eq!(rules[1].1.messages, None);
    assert_eq!(config.storage.retention_default().messages, Some(9));
}

#[test]
fn policies_can_be_given_as_toml_outside_the_file() {
    let set = r#"storage.policy=[{ filter = "a/#", retention_messages = 3 }]"#;
    let config = load("", &[], &[set]).expect("valid");
    assert_eq!(config.storage.policy.len(), 1);
    assert_eq!(
        config.storage.policy[0].retention_messages,
        Retain::AtMost(3)
    );
}

#[test]
fn everywhere_allows_addresses_of_other_machines() {
    let config = loaded(
        "[auth]\nanonymous = \"everywhere\"\n[listeners.tcp.public]\nbind = \"0.0.0.0:1883\"\n",
    );
    assert!(config.listeners.tcp["public"].bind.ip().is_unspecified());
}

#[test]
fn a_disabled_listener_may_name_any_address() {
    let config = loaded("[listeners.tcp.public]\nbind = \"0.0.0.0:1883\"\nenabled = false\n");
    assert!(!config.listeners.tcp["public"].enabled);
}

#[test]
fn several_listeners_may_ask_for_any_free_port() {
    loaded(
        "[listeners.tcp.a]\nbind = \"127.0.0.1:0\"\n[listeners.tcp.b]\nbind = \"127.0.0.1:0\"\n",
    );
}
