//! The reference and the sample agree with the code.

use super::loaded;
use crate::{Config, reference_markdown, sample_toml, sections};

#[test]
fn the_sample_is_valid_and_changes_nothing() {
    assert_eq!(loaded(&sample_toml()), Config::default());
}

#[test]
fn the_sample_with_everything_switched_on_is_the_default_configuration() {
    let uncommented: String = sample_toml()
        .lines()
        .map(|line| match line.strip_prefix('#') {
            // Prose has a space after the mark, keys and headers have none.
            Some(key) if !key.starts_with(' ') => format!("{key}\n"),
            _ => format!("{line}\n"),
        })
        .collect();
    let mut config = loaded(&uncommented);
    assert_eq!(
        config.storage.policy.len(),
        1,
        "the sample shows one policy"
    );
    config.storage.policy.clear();
    assert_eq!(config.api.key.len(), 1, "the sample shows one key");
    config.api.key.clear();
    assert_eq!(config.mqtt.rewrite.len(), 1, "the sample shows one rule");
    config.mqtt.rewrite.clear();
    assert_eq!(config.mqtt.auto_subscribe.len(), 1, "and one subscription");
    config.mqtt.auto_subscribe.clear();
    assert_eq!(config, Config::default());
}

#[test]
fn every_key_is_in_both_with_its_default() {
    let (markdown, sample) = (reference_markdown(), sample_toml());
    for section in sections() {
        for key in &section.keys {
            assert!(
                markdown.contains(&format!("| `{}` |", key.name)),
                "{}",
                key.name
            );
            assert!(
                !key.text.is_empty() && !key.accepts.is_empty(),
                "{}",
                key.name
            );
            let place = format!("{}.{}", section.path, key.name);
            let is_list = sections()
                .iter()
                .any(|list| list.is_list && list.path == place);
            if !is_list {
                assert!(
                    sample.contains(&format!("#{} = ", key.name)),
                    "{}",
                    key.name
                );
            }
        }
    }
    assert!(markdown.contains("| `max_session_expiry` | `\"infinity\"` |"));
}

#[test]
fn tables_of_the_reference_have_four_columns() {
    for row in reference_markdown()
        .lines()
        .filter(|line| line.starts_with('|'))
    {
        assert_eq!(row.replace("\\|", "").matches('|').count(), 5, "{row}");
    }
}
