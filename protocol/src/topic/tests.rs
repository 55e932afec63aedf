//! Syntax and matching of Topic Filters; tree and automaton against the one
//! definition.

use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

/// Filter, name, whether they match.
const CASES: &[(&str, &str, bool)] = &[
    ("sport/tennis/player1/#", "sport/tennis/player1", true),
    (
        "sport/tennis/player1/#",
        "sport/tennis/player1/ranking",
        true,
    ),
    (
        "sport/tennis/player1/#",
        "sport/tennis/player1/score/wimbledon",
        true,
    ),
    ("sport/#", "sport", true),
    ("sport/#", "sport/", true),
    ("sport/#", "sports", false),
    ("#", "sport", true),
    ("#", "/", true),
    ("#", "$SYS/x", false),
    ("+", "sport", true),
    ("+", "sport/", false),
    ("+", "/finance", false),
    ("+", "$SYS", false),
    ("+/+", "/finance", true),
    ("/+", "/finance", true),
    ("sport/+", "sport", false),
    ("sport/+", "sport/", true),
    ("sport/tennis/+", "sport/tennis/player1", true),
    ("sport/tennis/+", "sport/tennis/player1/ranking", false),
    ("+/tennis/#", "sport/tennis", true),
    ("+/tennis/#", "sport/tennis/a/b", true),
    ("+/monitor/Clients", "$SYS/monitor/Clients", false),
    ("$SYS/#", "$SYS", true),
    ("$SYS/#", "$SYS/a", true),
    ("$SYS/monitor/+", "$SYS/monitor/Clients", true),
    ("a/+", "a/$b", true),
    ("a/#", "a/$b", true),
    ("+/a", "b$/a", true),
    ("ACCOUNTS", "Accounts", false),
    ("/finance", "finance", false),
    ("a//b", "a//b", true),
    ("a/+/b", "a//b", true),
    ("a/+/b", "a/b", false),
    ("a/+/+/b", "a//b", false),
    ("/#", "/a", true),
    ("/#", "a", false),
    ("//#", "/", true),
    ("+/#", "a", true),
    ("+/#", "/a", true),
    ("+/+/#", "a", false),
    ("é/+", "é/ü", true),
];

#[test]
fn matching_follows_the_table() {
    for (filter, name, expected) in CASES {
        assert_eq!(matches(filter, name), *expected, "{filter} {name}");
        assert_eq!(
            Filter::parse(filter).map(|parsed| parsed.matches(name)),
            Ok(*expected)
        );
        let shared = format!("$share/group/{filter}");
        assert_eq!(
            Filter::parse(&shared).map(|parsed| parsed.matches(name)),
            Ok(*expected)
        );
    }
}

#[test]
fn tree_follows_the_table() {
    for (filter, name, expected) in CASES {
        let mut tree = SubscriptionTree::new();
        tree.insert(filter, 1, ());
        assert_eq!(
            found(&tree, name),
            vec![1; usize::from(*expected)],
            "{filter} {name}"
        );
    }
}

#[test]
fn automaton_follows_the_table() {
    for (filter, name, expected) in CASES {
        let automaton = FilterAutomaton::parse(filter).unwrap();
        assert_eq!(
            automaton.matches(name.as_bytes()),
            *expected,
            "{filter} {name}"
        );
        let prefixed = automaton.with_prefix(b"a+/#\0");
        let key = [b"a+/#\0", name.as_bytes()].concat();
        assert_eq!(prefixed.matches(&key), *expected, "{filter} {name}");
        assert!(
            !prefixed.matches(name.as_bytes()),
            "without its prefix: {filter} {name}"
        );
    }
}

#[test]
fn mqtt_4_7_0_1_wildcards_must_not_stand_in_a_topic_name() {
    for name in ["+", "#", "a/+", "a+b", "#/a"] {
        assert_eq!(
            validate_topic_name(name),
            Err(TopicError::WildcardInName),
            "{name}"
        );
    }
}

#[test]
fn mqtt_4_7_1_1_multi_level_wildcard_is_the_whole_last_level() {
    for filter in [
        "sport/tennis#",
        "sport/tennis/#/ranking",
        "#/",
        "##",
        "a#",
        "#a",
    ] {
        assert_eq!(
            Filter::parse(filter).err(),
            Some(TopicError::MultiLevelWildcard),
            "{filter}"
        );
    }
    for filter in ["#", "sport/tennis/#", "/#", "+/#"] {
        assert!(Filter::parse(filter).is_ok(), "{filter}");
    }
}

#[test]
fn mqtt_4_7_1_2_single_level_wildcard_is_a_whole_level() {
    for filter in ["sport+", "+sport", "a/b+/c", "++"] {
        assert_eq!(
            Filter::parse(filter).err(),
            Some(TopicError::SingleLevelWildcard),
            "{filter}"
        );
    }
    for filter in ["+", "+/tennis/#", "sport/+/player1", "/+", "+/"] {
        assert!(Filter::parse(filter).is_ok(), "{filter}");
    }
}

#[test]
fn mqtt_4_7_2_1_wildcard_in_front_does_not_match_dollar_topics() {
    for filter in ["#", "+", "+/#", "+/monitor"] {
        assert!(!matches(filter, "$SYS/monitor"), "{filter}");
        assert!(!matches(filter, "$SYS"), "{filter}");
    }
}

#[test]
fn mqtt_4_7_3_1_topic_names_and_filters_are_not_empty() {
    assert_eq!(validate_topic_name(""), Err(TopicError::Empty));
    assert_eq!(Filter::parse("").err(), Some(TopicError::Empty));
    assert_eq!(
        Filter::parse("$share/group/").err(),
        Some(TopicError::Empty)
    );
    assert_eq!(validate_topic_name("/"), Ok(()));
}

#[test]
fn mqtt_4_7_3_2_topic_names_and_filters_hold_no_null_character() {
    assert_eq!(validate_topic_name("a\0b"), Err(TopicError::NullCharacter));
    assert_eq!(
        Filter::parse("a\0/#").err(),
        Some(TopicError::NullCharacter)
    );
}

#[test]
fn mqtt_4_7_3_3_topic_names_and_filters_are_no_longer_than_65535_bytes() {
    let longest = "a".repeat(TOPIC_BYTES_MAX);
    assert_eq!(validate_topic_name(&longest), Ok(()));
    assert!(Filter::parse(&longest).is_ok());
    let longer = longest + "a";
    assert_eq!(validate_topic_name(&longer), Err(TopicError::TooLong));
    assert_eq!(Filter::parse(&longer).err(), Some(TopicError::TooLong));
}

#[test]
fn mqtt_4_7_3_4_matching_compares_characters_without_normalising() {
    // The same letter, composed and decomposed.
    assert!(!matches("\u{e9}", "e\u{301}"));
    assert!(matches("e\u{301}", "e\u{301}"));
}

#[test]
fn mqtt_4_8_2_1_shared_subscription_has_a_share_name() {
    for filter in ["$share/", "$share/group", "$share//a"] {
        assert_eq!(
            Filter::parse(filter).err(),
            Some(TopicError::ShareName),
            "{filter}"
        );
    }
    let filter = Filter::parse("$share/group/a/#").unwrap();
    assert_eq!((filter.group(), filter.path()), (Some("group"), "a/#"));
    assert_eq!(filter.as_str(), "$share/group/a/#");
    assert!(filter.has_wildcard());
    assert_eq!(filter.level_count(), 2);
}

#[test]
fn mqtt_4_8_2_2_share_name_holds_no_wildcard_and_is_followed_by_a_filter() {
    for filter in ["$share/a+/b", "$share/#/b", "$share/+/b"] {
        assert_eq!(
            Filter::parse(filter).err(),
            Some(TopicError::ShareName),
            "{filter}"
        );
    }
    let filter = Filter::parse("$share/group//a").unwrap();
    assert_eq!((filter.group(), filter.path()), (Some("group"), "/a"));
}

#[test]
fn dollar_share_without_slash_is_an_ordinary_filter() {
    let filter = Filter::parse("$shared/a").unwrap();
    assert_eq!((filter.group(), filter.path()), (None, "$shared/a"));
}

fn found<V>(tree: &SubscriptionTree<u32, V>, name: &str) -> Vec<u32> {
    let mut keys = Vec::new();
    tree.matches(name, &mut |key, _| keys.push(*key));
    keys.sort_unstable();
    keys
}

#[test]
fn tree_replaces_and_gives_back() {
    let mut tree = SubscriptionTree::new();
    for filter in ["a/b", "a/+", "#"] {
        assert_eq!(tree.insert(filter, 1, "old"), None);
        assert_eq!(tree.insert(filter, 1, "new"), Some("old"));
        assert_eq!(tree.get(filter, &1), Some(&"new"));
        assert_eq!(tree.get(filter, &2), None);
    }
    assert_eq!(tree.len(), 3);
    assert_eq!(tree.remove("a/+", &2), None);
    assert_eq!(tree.remove("a/c", &1), None);
    assert_eq!(tree.remove("a/+/c", &1), None);
    assert_eq!(tree.remove("a/#", &1), None);
    assert_eq!(tree.remove("a/+", &1), Some("new"));
    assert_eq!(found(&tree, "a/b"), [1, 1], "the other two stay");
    assert_eq!(tree.len(), 2);
}

#[test]
fn tree_keeps_many_subscribers_of_one_filter() {
    for filter in ["a", "+"] {
        let mut tree = SubscriptionTree::new();
        for key in 0..1000 {
            assert_eq!(tree.insert(filter, key, key), None);
        }
        for key in (0..1000).filter(|key| key % 3 != 0) {
            assert_eq!(tree.remove(filter, &key), Some(key));
            assert_eq!(tree.remove(filter, &key), None);
        }
        let left: Vec<u32> = (0..1000).step_by(3).collect();
        assert_eq!(found(&tree, "a"), left);
        assert!(left.iter().all(|key| tree.get(filter, key) == Some(key)));
    }
}

#[test]
fn tree_shrinks_when_subscriptions_go() {
    let mut tree = SubscriptionTree::new();
    let filters = |n: u32| [format!("a/{n}/b"), format!("a/{n}/+"), format!("b/{n}/c/#")];
    for n in 0..10_000 {
        filters(n)
            .iter()
            .for_each(|filter| assert!(tree.insert(filter, n, ()).is_none()));
    }
    let full = tree.capacity();
    for n in 0..10_000 {
        filters(n)
            .iter()
            .for_each(|filter| assert!(tree.remove(filter, &n).is_some()));
    }
    assert!(tree.is_empty());
    assert_eq!(tree.node_count(), 0);
    assert!(
        tree.capacity() < full / 100,
        "{} of {full} places kept",
        tree.capacity()
    );
}

#[test]
fn tree_takes_the_deepest_filter_there_can_be() {
    let deepest = "/".repeat(TOPIC_BYTES_MAX - 1) + "+";
    let mut tree = SubscriptionTree::new();
    tree.insert(&deepest, 1, ());
    assert_eq!(found(&tree, &"/".repeat(TOPIC_BYTES_MAX - 1)), [1]);
    assert_eq!(tree.node_count(), TOPIC_BYTES_MAX);
    assert_eq!(tree.remove(&deepest, &1), Some(()));
    assert_eq!(tree.node_count(), 0);
    tree.insert(&deepest, 1, ());
    drop(tree);
}

#[test]
fn automaton_tells_what_can_and_must_match() {
    let automaton = FilterAutomaton::parse("a/+/#").unwrap();
    let after = |name: &str| {
        name.bytes().fold(automaton.start(), |state, byte| {
            automaton.accept(&state, byte)
        })
    };
    for (name, is, can, always) in [
        ("", false, true, false),
        ("a", false, true, false),
        ("b", false, false, false),
        ("a/", true, true, false),
        ("a/x", true, true, false),
        ("a/x/", true, true, true),
        ("a/x/y", true, true, true),
    ] {
        let state = after(name);
        assert_eq!(automaton.is_match(&state), is, "{name}");
        assert_eq!(automaton.can_match(&state), can, "{name}");
        assert_eq!(automaton.will_always_match(&state), always, "{name}");
    }
}

#[test]
fn automaton_of_everything_is_not_sure_before_the_first_byte() {
    let automaton = FilterAutomaton::parse("#").unwrap().with_prefix(b"x\0");
    let start = automaton.start();
    assert!(!automaton.will_always_match(&start));
    let state = [b'x', 0]
        .iter()
        .fold(start, |state, byte| automaton.accept(&state, *byte));
    assert!(!automaton.will_always_match(&state));
    assert!(automaton.will_always_match(&automaton.accept(&state, b's')));
    assert!(!automaton.can_match(&automaton.accept(&state, b'$')));
}

#[test]
fn automaton_without_wildcard_is_one_name() {
    let automaton = FilterAutomaton::parse("$share/g/a/b")
        .unwrap()
        .with_prefix(b"n#\0");
    assert_eq!(automaton.exact(), Some(&b"n#\0a/b"[..]));
    assert_eq!(FilterAutomaton::parse("a/+").unwrap().exact(), None);
    assert_eq!(
        FilterAutomaton::parse("a/#b").err(),
        Some(TopicError::MultiLevelWildcard)
    );
}

/// Few different levels, so that filters and names meet.
fn level() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["", "a", "b", "ab", "$", "$a", "é"])
}

fn not_empty(text: String) -> String {
    if text.is_empty() { "a".into() } else { text }
}

fn topic_name() -> impl Strategy<Value = String> {
    vec(level(), 1..6).prop_map(|levels| not_empty(levels.join("/")))
}

fn topic_filter() -> impl Strategy<Value = String> {
    let level = prop_oneof![3 => level(), 2 => Just("+")];
    (vec(level, 0..6), any::<bool>()).prop_map(|(mut levels, multi)| {
        levels.extend(multi.then_some("#"));
        not_empty(levels.join("/"))
    })
}

proptest! {
    #[test]
    fn tree_agrees_with_the_definition(
        steps in vec((topic_filter(), 0u32..30, any::<bool>()), 1..200),
        names in vec(topic_name(), 1..20),
    ) {
        let mut tree = SubscriptionTree::new();
        let mut model = BTreeMap::new();
        for (at, (filter, key, add)) in steps.iter().enumerate() {
            if *add {
                prop_assert_eq!(
                    tree.insert(filter, *key, at),
                    model.insert((filter.clone(), *key), at)
                );
            } else {
                prop_assert_eq!(tree.remove(filter, key), model.remove(&(filter.clone(), *key)));
            }
        }
        prop_assert_eq!(tree.len(), model.len());
        for name in &names {
            let mut got = Vec::new();
            tree.matches(name, &mut |key, value| got.push((*key, *value)));
            got.sort_unstable();
            let mut expected: Vec<_> = model
                .iter()
                .filter(|((filter, _), _)| matches(filter, name))
                .map(|((_, key), value)| (*key, *value))
                .collect();
            expected.sort_unstable();
            prop_assert_eq!(got, expected, "{}", name);
        }
        for (filter, key) in model.keys() {
            prop_assert!(tree.remove(filter, key).is_some());
        }
        prop_assert_eq!(tree.node_count(), 0);
    }

    #[test]
    fn automaton_agrees_with_the_definition(filter in topic_filter(), name in topic_name()) {
        let automaton = FilterAutomaton::parse(&filter).unwrap().with_prefix(b"default\0");
        let key = [b"default\0", name.as_bytes()].concat();
        let expected = matches(&filter, &name);
        prop_assert_eq!(automaton.matches(&key), expected);
        let mut state = automaton.start();
        for byte in &key {
            prop_assert!(automaton.can_match(&state) || !expected);
            prop_assert!(!automaton.will_always_match(&state) || expected);
            state = automaton.accept(&state, *byte);
        }
    }

    /// `can_match` prunes exactly: from where it holds, some name matches.
    #[test]
    fn automaton_prunes_all_that_cannot_match(filter in topic_filter(), name in topic_name()) {
        let automaton = FilterAutomaton::parse(&filter).unwrap();
        let mut state = automaton.start();
        let mut read = String::new();
        for character in name.chars() {
            for byte in character.to_string().bytes() {
                state = automaton.accept(&state, byte);
            }
            read.push(character);
            prop_assert_eq!(automaton.can_match(&state), has_completion(&filter, &read), "{}", read);
            if automaton.will_always_match(&state) {
                prop_assert!(matches(&filter, &read) && matches(&filter, &(read.clone() + "x/y")));
            }
        }
    }

    #[test]
    fn filters_are_checked_as_their_levels_are(text in "[ab/+#$]{1,8}") {
        let levels: Vec<&str> = text.split('/').collect();
        let valid = levels.iter().enumerate().all(|(at, level)| match *level {
            "+" => true,
            "#" => at + 1 == levels.len(),
            other => !has_wildcard(other),
        });
        prop_assert_eq!(Filter::parse(&text).is_ok(), valid);
        prop_assert_eq!(FilterAutomaton::parse(&text).is_ok(), valid);
    }
}

/// Whether a name that starts with `read` matches: the level begun is finished
/// as the filter has it, then the filter's own levels follow.
fn has_completion(filter: &str, read: &str) -> bool {
    let plain = |level: &str| {
        if matches!(level, "+" | "#") {
            "x".into()
        } else {
            level.to_owned()
        }
    };
    let mut levels: Vec<String> = read.split('/').map(str::to_owned).collect();
    let begun = levels.len() - 1;
    let wanted: Vec<&str> = filter.split('/').collect();
    match wanted.get(begun) {
        Some(level) if level.starts_with(&levels[begun]) && !has_wildcard(level) => {
            levels[begun] = (*level).to_owned();
        }
        _ => {}
    }
    levels.extend(wanted.iter().skip(begun + 1).map(|level| plain(level)));
    let name = levels.join("/");
    matches(filter, &name) || matches(filter, read)
}
