//! Topic aliases towards the client, seen with the client's eyes.

use std::collections::HashMap;

use super::*;

fn with_aliases(topic_alias_max: u16) -> Outbound {
    Outbound::new(OutboundLimits {
        topic_alias_max,
        ..limits(1, 1)
    })
}

#[test]
fn a_topic_is_announced_once_and_then_used() {
    let mut outbound = with_aliases(1);
    assert_eq!(outbound.alias_for("sensor/1"), AliasUse::Announce(1));
    assert_eq!(outbound.alias_for("sensor/1"), AliasUse::Use(1));
    outbound.forget_alias(1);
    assert_eq!(outbound.alias_for("sensor/1"), AliasUse::Announce(1));
}

#[test]
fn mqtt_3_1_2_27_a_client_that_takes_none_gets_none() {
    let mut outbound = with_aliases(0);
    assert_eq!(outbound.alias_for("sensor/1"), AliasUse::None);
    outbound.forget_alias(1);
}

#[test]
fn topics_not_worth_it_or_too_long_get_none() {
    let mut outbound = with_aliases(10);
    let longest = "x".repeat(4_096);
    let longer = "x".repeat(4_097);
    assert_eq!(outbound.alias_for("abc"), AliasUse::None);
    assert_eq!(outbound.alias_for(&longer), AliasUse::None);
    assert!(matches!(
        outbound.alias_for(&longest),
        AliasUse::Announce(_)
    ));
}

#[test]
fn a_topic_in_use_outlives_topics_seen_once() {
    let mut outbound = with_aliases(4);
    for _ in 0..4 {
        outbound.alias_for("often/seen");
    }
    for n in 0..1_000 {
        outbound.alias_for(&format!("once/{n}"));
        let used = outbound.alias_for("often/seen");
        assert!(matches!(used, AliasUse::Use(_)), "pushed out after {n}");
    }
}

#[test]
fn a_topic_no_longer_used_gives_its_place_up() {
    let mut outbound = with_aliases(1);
    for _ in 0..100 {
        outbound.alias_for("yesterday");
    }
    let answers: Vec<AliasUse> = (0..5).map(|_| outbound.alias_for("today")).collect();
    // After three misses, and not before.
    let (none, announce) = (AliasUse::None, AliasUse::Announce(1));
    assert_eq!(answers, [none, none, none, announce, AliasUse::Use(1)]);
}

#[test]
fn mqtt_3_1_2_26_the_client_understands_every_publish() {
    for alias_max in [1, 2, 3, 4, 5, 7, 16, 65_535] {
        let mut outbound = with_aliases(alias_max);
        let mut client: HashMap<u16, String> = HashMap::new();
        let mut used = 0;
        let mut state = 1_u32;
        for _ in 0..5_000 {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let topic = format!("topic/{}", (state >> 16) % 40);
            match outbound.alias_for(&topic) {
                AliasUse::None => {}
                AliasUse::Announce(alias) => {
                    assert!((1..=alias_max).contains(&alias));
                    client.insert(alias, topic);
                }
                AliasUse::Use(alias) => {
                    used += 1;
                    assert_eq!(client.get(&alias), Some(&topic));
                }
            }
        }
        assert!(used > 0, "{alias_max} aliases and none ever used");
        assert!(client.len() <= usize::from(alias_max));
    }
}
