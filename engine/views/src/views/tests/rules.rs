use super::*;
use crate::rule::Rule;
use crate::state::RuleChange;

fn change(name: &str, definition: Option<&'static str>) -> RuleChange {
    RuleChange {
        name: name.to_owned(),
        definition: definition.map(|text| text.as_bytes().into()),
    }
}

fn changed(family: &str, changes: &[RuleChange]) -> SampleRecord {
    let body = StateBody::RulesChanged {
        family: family.to_owned(),
        changes: changes.to_vec(),
    };
    SampleRecord::state("", &body)
}

fn told(bench: &Bench) -> Vec<String> {
    let rules = bench.views.rules().expect("memory can be read");
    let text = |rule: Rule| {
        let definition = String::from_utf8(rule.definition.to_vec()).expect("text");
        format!("{}/{}={definition}", rule.family, rule.name)
    };
    rules.into_iter().map(text).collect()
}

#[test]
fn rules_are_made_changed_and_removed_by_family_and_name() {
    let mut bench = Bench::new();
    assert_eq!(bench.views.rules_version(), 0);
    bench.append(&[
        changed("b", &[change("2", Some("two")), change("1", Some("one"))]),
        changed("a", &[change("1", Some("other"))]),
    ]);
    assert_eq!(told(&bench), ["a/1=other", "b/1=one", "b/2=two"]);
    let version = bench.views.rules_version();
    assert!(version > 0);
    bench.append(&[SampleRecord::retained("t", "x")]);
    assert_eq!(bench.views.rules_version(), version, "no rule has changed");
    bench.append(&[changed("b", &[change("1", None), change("2", Some("too"))])]);
    assert_eq!(told(&bench), ["a/1=other", "b/2=too"]);
    assert!(bench.views.rules_version() > version);
}

#[test]
fn a_family_is_not_the_beginning_of_another() {
    let mut bench = Bench::new();
    bench.append(&[
        changed("a", &[change("bc", Some("x"))]),
        changed("ab", &[change("c", Some("y"))]),
    ]);
    bench.append(&[changed("a", &[change("bc", None)])]);
    assert_eq!(told(&bench), ["ab/c=y"]);
}
