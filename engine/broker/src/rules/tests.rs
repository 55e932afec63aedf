//! What names become, and what is made for whom.

use robustmq_config::{AutoSubscribe, RewriteAction, RewriteRule};

use super::auto_subscribe::{AutoSubscriptions, Connecting};
use super::rewrite::{Invalid, Rewrites, Who, published};

const WHO: Who<'static> = Who {
    client_id: "c1",
    user_name: Some("ann"),
};

fn rule(action: RewriteAction, source: &str, re: &str, dest: &str) -> RewriteRule {
    RewriteRule {
        action,
        source_topic: source.to_owned(),
        dest_topic: dest.to_owned(),
        re: re.to_owned(),
    }
}

fn rules(rules: &[RewriteRule]) -> Rewrites {
    Rewrites::new(rules, std::iter::empty())
}

fn all(source: &str, re: &str, dest: &str) -> Rewrites {
    rules(&[rule(RewriteAction::All, source, re, dest)])
}

fn name(rewrites: &Rewrites, name: &str) -> Result<String, Invalid> {
    published(rewrites, name, WHO).map(|name| name.into_owned())
}

fn filter(rewrites: &Rewrites, filter: &str) -> Result<String, Invalid> {
    let becomes = rewrites.filter(filter, WHO);
    becomes.map(|becomes| becomes.unwrap_or_else(|| filter.to_owned()))
}

/// The examples that EMQX's documentation has.
#[test]
fn the_last_rule_whose_filter_matches_decides() {
    let rewrites = rules(&[
        rule(RewriteAction::All, "y/+/z/#", r"^y/(.+)/z/(.+)$", "y/z/$2"),
        rule(RewriteAction::All, "x/#", r"^x/y/(.+)$", "z/y/x/$1"),
        rule(RewriteAction::All, "x/y/+", r"^x/y/(\d+)$", "z/y/$1"),
    ]);
    for (given, becomes) in [
        ("y/a/z/b", "y/z/b"),
        ("y/def", "y/def"),
        ("x/1/2", "x/1/2"),
        ("x/y/2", "z/y/2"),
        // The last rule's pattern does not match: earlier ones are not asked.
        ("x/y/z", "x/y/z"),
        ("x/y/z/1", "z/y/x/z/1"),
    ] {
        assert_eq!(name(&rewrites, given).as_deref(), Ok(becomes), "{given}");
        assert_eq!(filter(&rewrites, given).as_deref(), Ok(becomes), "{given}");
    }
}

#[test]
fn the_tenth_group_is_not_the_first_and_a_zero() {
    let rewrites = all(
        "#",
        "^(.)(.)(.)(.)(.)(.)(.)(.)(.)(.)$",
        "$10/$1/${clientid}/${username}/$",
    );
    assert_eq!(name(&rewrites, "abcdefghij").as_deref(), Ok("j/a/c1/ann/$"));
}

#[test]
fn what_is_filled_in_is_no_placeholder() {
    let rewrites = all("#", "^(.+)$", "$1/${username}");
    assert_eq!(
        name(&rewrites, "a/${clientid}").as_deref(),
        Ok("a/${clientid}/ann")
    );
    let nobody = Who {
        client_id: "c1",
        user_name: None,
    };
    let becomes = published(&rewrites, "a", nobody).expect("a name");
    assert_eq!(becomes, "a/${username}", "as EMQX leaves it");
}

#[test]
fn rules_are_for_publishing_or_for_subscribing() {
    let rewrites = rules(&[
        rule(RewriteAction::Publish, "a/#", "^a/(.+)$", "p/$1"),
        rule(RewriteAction::Subscribe, "a/#", "^a/(.+)$", "s/$1"),
    ]);
    assert_eq!(name(&rewrites, "a/1").as_deref(), Ok("p/1"));
    assert_eq!(filter(&rewrites, "a/1").as_deref(), Ok("s/1"));
}

#[test]
fn behind_a_prefix_the_filter_itself_is_rewritten() {
    let rewrites = all("a/#", "^a/(.+)$", "b/$1");
    for (given, becomes) in [
        ("$share/g/a/+", "$share/g/b/+"),
        ("$queue/a/1", "$queue/b/1"),
        ("$exclusive/a/1", "$exclusive/b/1"),
        ("$replay/-1h/a/#", "$replay/-1h/b/#"),
        ("$share/g/$cursor/jobs/a/#", "$share/g/$cursor/jobs/b/#"),
        ("$SYS/a/1", "$SYS/a/1"),
        ("$share/a/c", "$share/a/c"),
    ] {
        assert_eq!(filter(&rewrites, given).as_deref(), Ok(becomes), "{given}");
    }
    assert_eq!(
        name(&rewrites, "$delayed/5/a/1").as_deref(),
        Ok("$delayed/5/b/1")
    );
    assert_eq!(name(&rewrites, "$delayed").as_deref(), Ok("$delayed"));
}

#[test]
fn a_client_cannot_widen_a_filter_by_what_it_is_called() {
    let rewrites = all("inbox", "^inbox$", "clients/${clientid}/inbox");
    let wild = Who {
        client_id: "+",
        user_name: None,
    };
    assert_eq!(rewrites.filter("inbox", wild), Err(Invalid));
    assert_eq!(published(&rewrites, "inbox", wild), Err(Invalid));
    let automatic = AutoSubscriptions::new(
        &[
            AutoSubscribe {
                topic: "clients/${clientid}/${host}".to_owned(),
                ..AutoSubscribe::default()
            },
            AutoSubscribe {
                topic: "users/${username}".to_owned(),
                ..AutoSubscribe::default()
            },
            AutoSubscribe {
                topic: "news/#".to_owned(),
                ..AutoSubscribe::default()
            },
        ],
        std::iter::empty(),
    );
    let of = |client_id, user_name| {
        let who = Connecting {
            client_id,
            user_name,
            host: "::1",
        };
        automatic
            .of(who)
            .map(|(filter, _)| filter)
            .collect::<Vec<_>>()
    };
    let some = |filter: &str| Some(filter.to_owned());
    assert_eq!(
        of("c1", Some("ann")),
        [some("clients/c1/::1"), some("users/ann"), some("news/#")]
    );
    assert_eq!(of("a#", Some("+")), [None, None, some("news/#")]);
    assert_eq!(
        of("c1", None),
        [some("clients/c1/::1"), None, some("news/#")]
    );
}

#[test]
fn what_is_no_topic_is_refused() {
    let rewrites = all("a/#", "^a/(.*)$", "$1");
    assert_eq!(name(&rewrites, "a/"), Err(Invalid));
    assert_eq!(filter(&rewrites, "a/"), Err(Invalid));
    let wild = all("a", "^a$", "b/#");
    assert_eq!(name(&wild, "a"), Err(Invalid));
    assert_eq!(filter(&wild, "a").as_deref(), Ok("b/#"));
}
