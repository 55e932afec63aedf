//! Drift of generated files.

use super::{differences, generated};

#[test]
fn a_changed_or_missing_file_is_drift_and_an_equal_one_is_not() {
    let text = || [("a.md", "new".to_owned())];
    assert_eq!(differences(text(), &|_| Some("new".to_owned())), []);
    assert_eq!(differences(text(), &|_| Some("old".to_owned())).len(), 1);
    assert_eq!(differences(text(), &|_| None).len(), 1);
}

#[test]
fn the_same_code_generates_the_same_text() {
    assert_eq!(generated(), generated());
}
