use super::SharedFilter;

#[test]
fn group_and_filter() {
    let parts =
        |full| SharedFilter::parse(full).map(|shared| (shared.group, shared.filter.as_str()));
    assert_eq!(parts("$share/g/a/#"), Ok(("g", "a/#")));
    assert_eq!(parts("$share/g//a"), Ok(("g", "/a")));
    assert_eq!(parts("$queue/a/+"), Ok(("$queue", "a/+")));
    let queue = SharedFilter::parse("$queue/a").unwrap();
    let spelled_out = SharedFilter::parse("$share/$queue/a").unwrap();
    assert_eq!(queue.name(), spelled_out.name());
}

#[test]
fn mqtt_4_8_2_1_and_2_a_share_name_has_no_wildcards_and_a_filter_follows_it() {
    for full in [
        "$share/g",
        "$share/g/",
        "$share//a",
        "$share/+/a",
        "$share/a#/b",
        "$queue/",
        "$queue/a#",
        "$share/g/$share/h/a",
        "$queue/$share/h/a",
        "a",
    ] {
        assert!(SharedFilter::parse(full).is_err(), "{full}");
    }
}

#[test]
fn what_is_a_shared_subscription() {
    for full in ["$share/g/a", "$queue/a", "$share/g", "$queue/"] {
        assert!(SharedFilter::is_shared(full), "{full}");
    }
    for full in ["a", "$shared/a", "$queue", "$share/g/$cursor/n/a"] {
        assert!(!SharedFilter::is_shared(full), "{full}");
    }
}
