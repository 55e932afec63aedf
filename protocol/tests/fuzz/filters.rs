//! Topic filters and names: one definition of matching, three ways to compute it.

use robustmq_protocol::topic::{
    self, Filter, FilterAutomaton, ReplayFilter, SubscriptionTree, has_wildcard,
};

/// Matching as section 4.7 words it, without an eye on speed.
fn naive(filter: &str, name: &str) -> bool {
    if name.starts_with('$') && (filter.starts_with('#') || filter.starts_with('+')) {
        return false;
    }
    let filter: Vec<&str> = filter.split('/').collect();
    let name: Vec<&str> = name.split('/').collect();
    for (place, level) in filter.iter().enumerate() {
        match (*level, name.get(place)) {
            ("#", _) => return true,
            ("+", Some(_)) => {}
            (level, Some(found)) if level == *found => {}
            _ => return false,
        }
    }
    filter.len() == name.len()
}

/// Lines: the first is a name, the others are filters.
fn check(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    let mut lines = text.lines();
    let name = lines.next().unwrap_or_default();
    let is_name = !name.is_empty() && !has_wildcard(name) && !name.contains('\0');
    let mut tree = SubscriptionTree::new();
    let mut expected = Vec::new();
    for (number, line) in lines.enumerate() {
        // Whatever it says, it is said without a panic.
        if let Err(error) = ReplayFilter::parse(line) {
            assert!(!error.to_string().is_empty());
        }
        let Ok(filter) = Filter::parse(line) else {
            continue;
        };
        if filter.group().is_some() || !is_name {
            continue;
        }
        let matches = naive(line, name);
        assert_eq!(filter.matches(name), matches, "{line} {name}");
        assert_eq!(topic::matches(line, name), matches, "{line} {name}");
        let automaton = FilterAutomaton::parse(line).expect("a valid filter");
        assert_eq!(automaton.matches(name.as_bytes()), matches, "{line} {name}");
        tree.insert(line, number, ());
        if matches {
            expected.push(number);
        }
    }
    let mut found = Vec::new();
    tree.matches(name, &mut |number, ()| found.push(*number));
    found.sort_unstable();
    if is_name {
        assert_eq!(found, expected, "{text}");
    }
}

#[test]
fn filters() {
    robustmq_fuzzing::run("filters", check);
}
