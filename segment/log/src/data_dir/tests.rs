use std::fs;

use super::{DataDir, DataDirError};

#[test]
fn a_directory_is_made_and_opened_again() {
    let parent = tempfile::tempdir().expect("a temporary directory");
    let path = parent.path().join("new/data");
    let opened = DataDir::open(&path).expect("opens");
    assert_eq!(
        (opened.path(), opened.log(), opened.views()),
        (&*path, path.join("log"), path.join("views"))
    );
    assert_eq!(
        fs::read_to_string(path.join("FORMAT")).expect("reads"),
        "1\n"
    );
    drop(opened);
    DataDir::open(&path).expect("opens again");
}

#[test]
fn a_locked_directory_names_who_has_it() {
    let parent = tempfile::tempdir().expect("a temporary directory");
    let _held = DataDir::open(parent.path()).expect("opens");
    let error = DataDir::open(parent.path()).expect_err("is locked");
    assert!(
        matches!(&error, DataDirError::Locked { pid, .. } if *pid == std::process::id().to_string()),
        "{error}"
    );
}

#[test]
fn a_newer_or_unreadable_format_is_refused() {
    for (text, newer) in [("2\n", true), ("two", false), ("", false), ("0\n", false)] {
        let parent = tempfile::tempdir().expect("a temporary directory");
        fs::write(parent.path().join("FORMAT"), text).expect("writes");
        let error = DataDir::open(parent.path()).expect_err("is refused");
        match error {
            DataDirError::Newer { found: 2, .. } => assert!(newer, "{text}"),
            DataDirError::Unreadable { .. } => assert!(!newer, "{text}"),
            other => panic!("{text}: {other}"),
        }
    }
}

#[test]
fn a_file_is_no_directory() {
    let parent = tempfile::tempdir().expect("a temporary directory");
    let path = parent.path().join("file");
    fs::write(&path, "x").expect("writes");
    let error = DataDir::open(&path).expect_err("is no directory");
    assert!(matches!(error, DataDirError::Unusable { .. }), "{error}");
}
