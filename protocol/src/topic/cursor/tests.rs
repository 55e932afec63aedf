use super::*;
use crate::topic::Moment;

fn parts(full: &str) -> (Option<&str>, &str, Option<ReplayPosition>, &str) {
    let parsed = CursorFilter::parse(full).expect(full);
    (
        parsed.group,
        parsed.name,
        parsed.start,
        parsed.filter.as_str(),
    )
}

#[test]
fn every_form_is_taken_apart() {
    assert_eq!(
        parts("$cursor/orders/a/+/#"),
        (None, "orders", None, "a/+/#")
    );
    let hour = ReplayPosition::Time(Moment::AgoMs(3_600_000));
    assert_eq!(
        parts("$cursor/orders@-1h/a"),
        (None, "orders", Some(hour), "a")
    );
    assert_eq!(
        parts("$share/g/$cursor/orders@earliest/#"),
        (Some("g"), "orders", Some(ReplayPosition::Earliest), "#")
    );
    let token = ReplayPosition::Offset("3-17-0".to_owned());
    assert_eq!(parts("$cursor/o@o:3-17-0//"), (None, "o", Some(token), "/"));
}

#[test]
fn what_is_no_cursor_is_refused_with_its_reason() {
    fn error(full: &str) -> CursorError {
        CursorFilter::parse(full).expect_err(full)
    }
    for form in ["$cursor/", "$cursor/name", "$cursor", "a/b", "$share/g/a"] {
        assert_eq!(error(form), CursorError::Form, "{form}");
    }
    for name in ["$cursor//a", "$cursor/@-1h/a", "$cursor/a\u{7}b/a"] {
        assert!(matches!(error(name), CursorError::Name(_)), "{name}");
    }
    let long = format!("$cursor/{}/a", "n".repeat(CURSOR_NAME_BYTES_MAX + 1));
    assert!(matches!(error(&long), CursorError::Name(_)));
    for start in ["soon", "", "last:3", "at:-1h", "-1h@-2h"] {
        let full = format!("$cursor/n@{start}/a");
        assert!(matches!(error(&full), CursorError::Start(_)), "{full}");
    }
    for filter in [
        "$cursor/n/a#",
        "$cursor/n/",
        "$cursor/+/a+",
        "$share//$cursor/n/a",
    ] {
        assert!(matches!(error(filter), CursorError::Filter(_)), "{filter}");
    }
    let twice = error("$cursor/n/$share/g/a");
    assert_eq!(twice, CursorError::Filter(TopicError::ShareName));
}

#[test]
fn only_cursors_are_meant_as_cursors() {
    assert!(CursorFilter::is_cursor("$cursor/x"));
    assert!(CursorFilter::is_cursor("$share/g/$cursor/n/a"));
    for other in [
        "$cursors/x/a",
        "a/$cursor/n/a",
        "$share/g/a",
        "$share/$cursor/n",
    ] {
        assert!(!CursorFilter::is_cursor(other), "{other}");
    }
}
