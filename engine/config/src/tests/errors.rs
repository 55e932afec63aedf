//! What is refused, and how it is said.

use super::{load, refused};
use crate::{Config, LoadOptions, Origin};

fn line(origin: &Origin) -> usize {
    match origin {
        Origin::File { line, .. } => *line,
        other => panic!("not of the file: {other}"),
    }
}

#[test]
fn an_unknown_key_names_line_value_and_nearest_key() {
    let errors = refused("[mqtt]\nmax_qos = 1\nmax_paket_size = \"1MB\"\n");
    assert_eq!(errors.len(), 1);
    assert_eq!(errors[0].key, "mqtt.max_paket_size");
    assert_eq!(errors[0].value.as_deref(), Some("\"1MB\""));
    assert_eq!(
        errors[0].suggestion.as_deref(),
        Some("mqtt.max_packet_size")
    );
    assert_eq!(line(&errors[0].origin), 3);
    let text = errors[0].to_string();
    assert!(
        text.contains("robustmq.toml:3: mqtt.max_paket_size = \"1MB\": no such key"),
        "{text}"
    );
    assert!(
        text.contains("did you mean `mqtt.max_packet_size`?"),
        "{text}"
    );
}

#[test]
fn suggestions_find_other_sections_and_keep_quiet_when_nothing_is_near() {
    for (text, suggestion) in [
        ("max_qos = 1\n", Some("mqtt.max_qos")),
        ("[mqt]\nmax_qos = 1\n", Some("mqtt.max_qos")),
        ("[storage]\nmax_qos = 1\n", Some("mqtt.max_qos")),
        (
            "[storage]\nretention_tiem = \"1d\"\n",
            Some("storage.retention_time"),
        ),
        (
            "[listeners.tcp.six]\nbnid = \"[::1]:1883\"\n",
            Some("listeners.tcp.six.bind"),
        ),
        (
            "[listener.tcp.six]\nbind = \"[::1]:1883\"\n",
            Some("listeners.tcp.six.bind"),
        ),
        (
            "[[storage.policy]]\nfilter = \"#\"\nretention_byte = \"1GB\"\n",
            Some("storage.policy[0].retention_bytes"),
        ),
        ("[slow_subs]\nenable = true\n", None),
        ("[mqtt]\nzzzzzzzz = 1\n", None),
    ] {
        let errors = refused(text);
        assert_eq!(errors.len(), 1, "{text}");
        assert_eq!(errors[0].suggestion.as_deref(), suggestion, "{text}");
    }
}

#[test]
fn a_hostile_key_costs_no_comparison_and_gets_no_suggestion() {
    let errors = refused(&format!("[mqtt]\n{} = 1\n", "a".repeat(100_000)));
    assert_eq!(errors[0].suggestion, None);
}

#[test]
fn all_problems_of_all_sources_are_reported_at_once() {
    let text = "[mqtt]\nmax_qos = 3\nfoo = 1\n[listeners.tcp.public]\nbind = \"0.0.0.0:1\"\n";
    let env = [
        ("ROBUSTMQ__LOG__LEVEL", "loud"),
        ("ROBUSTMQ__LOG__COLOUR", "red"),
    ];
    let errors = load(text, &env, &["storage.shards=x", "nonsense"]).expect_err("many");
    let seen: Vec<String> = errors
        .iter()
        .map(|error| format!("{}|{}", error.origin, error.key))
        .collect();
    assert_eq!(errors.len(), 7, "{seen:?}");
    for key in [
        "mqtt.max_qos",
        "mqtt.foo",
        "listeners.tcp.public.bind",
        "log.level",
        "log.colour",
        "storage.shards",
    ] {
        assert!(
            errors.iter().any(|error| error.key == key),
            "{key} in {seen:?}"
        );
    }
    assert!(
        errors
            .iter()
            .any(|error| error.origin == Origin::Environment("ROBUSTMQ__LOG__LEVEL".to_owned()))
    );
    assert!(
        errors
            .iter()
            .any(|error| error.origin == Origin::Argument("nonsense".to_owned()))
    );
    assert!(errors.iter().all(|error| !error.remedy.is_empty()));
}

#[test]
fn a_bad_value_is_an_error_even_where_a_later_source_overrides_it() {
    let errors =
        load("[mqtt]\nmax_qos = 9\n", &[], &["mqtt.max_qos=1"]).expect_err("file is wrong");
    assert_eq!(errors.len(), 1);
    assert_eq!(line(&errors[0].origin), 2);
}

#[test]
fn mistakes_in_the_toml_do_not_hide_others() {
    let errors =
        refused("[mqtt]\nmax_qos = 7\nretain_available = = true\n[log]\nlevel = \"loud\"\n");
    assert!(
        errors
            .iter()
            .any(|error| error.problem.contains("TOML") && line(&error.origin) == 3)
    );
    assert!(
        errors.iter().any(|error| error.key == "mqtt.max_qos"),
        "{errors:?}"
    );
    assert!(
        errors.iter().any(|error| error.key == "log.level"),
        "{errors:?}"
    );
}

/// A file and a part of the remedy it gets; each has exactly one error.
const WRONG_VALUES: &[(&str, &str)] = &[
    ("[node]\nid = \"1\"\n", "without quotes"),
    ("[node]\nid = -1\n", "from 0 to"),
    ("[node]\nid = 0\n", "from 1 to"),
    ("[node]\nname = 5\n", "double quotes"),
    ("[node]\nname = \"\"\n", "at least one character"),
    ("[mqtt]\nretain_available = \"yes\"\n", "true or false"),
    ("[mqtt]\nmax_qos = 3\n", "from 0 to 2"),
    ("[mqtt]\nmax_packet_size = 1048576\n", "in quotes"),
    ("[mqtt]\nmax_packet_size = \"257MB\"\n", "128B to 256MB"),
    ("[mqtt]\nsession_expiry = 15\n", "infinity"),
    ("[mqtt]\nidle_timeout = \"15\"\n", "15s"),
    ("[mqtt]\nkeepalive_multiplier = nan\n", "1.5"),
    ("[mqtt]\nkeepalive_multiplier = 0.5\n", "from 1 to 10"),
    (
        "[mqtt]\nserver_keepalive = \"1500ms\"\n",
        "whole number of seconds",
    ),
    ("[mqtt]\nmax_session_expiry = \"1h\"\n", "at most 1h"),
    (
        "[mqtt]\nmax_session_expiry = \"1h\"\nsession_expiry = \"infinity\"\n",
        "at most 1h",
    ),
    ("[mqtt]\nmessage_expiry = 1979-05-27\n", "none"),
    ("[storage]\nengine = \"s3\"\n", "`segment`"),
    ("[storage]\ndurability = \"maybe\"\n", "`quorum`"),
    ("[storage]\nretention_time = \"0s\"\n", "from 1s"),
    (
        "[storage]\nshards = 64\nsegment_size = \"1MB\"\n",
        "at least 4096KB",
    ),
    ("[storage]\npolicy = 5\n", "[[storage.policy]]"),
    ("[storage]\npolicy = [5]\n", "filter ="),
    ("[[storage.policy]]\nretention_time = \"1d\"\n", "filter ="),
    (
        "[[storage.policy]]\nfilter = \"a/#/b\"\n",
        "only for the rest",
    ),
    ("[[storage.policy]]\nfilter = \"a+\"\n", "one whole level"),
    (
        "[listeners.tcp.default]\nbind = \"1883\"\n",
        "127.0.0.1:1883",
    ),
    (
        "[listeners.tcp.default]\nbind = \"localhost:1883\"\n",
        "127.0.0.1:1883",
    ),
    (
        "[listeners.tcp.Public]\nbind = \"127.0.0.1:1883\"\n",
        "lower-case",
    ),
    (
        "[listeners.tcp.default]\nbind = \"0.0.0.0:1883\"\n",
        "auth.anonymous = \"everywhere\"",
    ),
    (
        "[listeners.tcp.default]\nbind = \"[::]:1883\"\n",
        "auth.anonymous = \"everywhere\"",
    ),
    ("[listeners.tcp.a]\n[listeners.tcp.b]\n", "of its own"),
    ("mqtt = 5\n", "[mqtt]"),
];

#[test]
fn values_of_the_wrong_type_or_out_of_range_are_refused_with_the_remedy() {
    for (text, remedy) in WRONG_VALUES {
        let errors = refused(text);
        let said = errors
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join("\n");
        assert_eq!(errors.len(), 1, "{text}: {said}");
        assert!(said.contains(remedy), "{text}: {said}");
        assert!(
            matches!(errors[0].origin, Origin::File { .. } | Origin::Default),
            "{text}"
        );
    }
}

#[test]
fn engines_of_later_versions_are_told_from_nonsense() {
    let planned = refused("[storage]\nengine = \"rocksdb\"\n");
    assert!(planned[0].problem.contains("not available in this version"));
    let nonsense = refused("[storage]\nengine = \"floppy\"\n");
    assert!(nonsense[0].problem.contains("not one of the choices"));
}

#[test]
fn a_fault_inside_a_policy_names_its_own_line() {
    let errors = refused(
        "[[storage.policy]]\nfilter = \"a\"\n\n[[storage.policy]]\nfilter = \"b\"\nretention_time = \"x\"\n",
    );
    assert_eq!(errors[0].key, "storage.policy[1].retention_time");
    assert_eq!(line(&errors[0].origin), 6);
}

#[test]
fn a_missing_file_is_an_error_that_names_it() {
    let path = std::path::PathBuf::from("no/such/robustmq.toml");
    let errors = Config::load(LoadOptions {
        file: Some(path),
        ..LoadOptions::default()
    })
    .expect_err("missing");
    let said = errors.to_string();
    assert!(said.contains("1 configuration error\n"), "{said}");
    assert!(
        said.contains("no/such/robustmq.toml: cannot be read"),
        "{said}"
    );
}

#[test]
fn bad_toml_of_any_length_is_an_error_and_not_a_panic() {
    let good = "[mqtt]\nmax_packet_size = \"1MB\"\n[[storage.policy]]\nfilter = \"\u{e4}/#\"\n";
    for end in (0..good.len()).filter(|end| good.is_char_boundary(*end)) {
        let _ = load(&good[..end], &[], &[]);
    }
    refused("[mqtt\nmax_qos = \"\u{0}");
}
