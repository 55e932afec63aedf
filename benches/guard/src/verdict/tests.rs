use super::{Costs, Verdict, judge};

fn costs() -> Costs {
    let text = "tolerance_percent = 20\n[rows]\nqos1 = 1000\n";
    toml::from_str(text).expect("the file is understood")
}

#[test]
fn a_row_may_differ_by_the_tolerance_and_no_more() {
    for (measured, verdict) in [
        (1000, Verdict::Expected),
        (1200, Verdict::Expected),
        (1201, Verdict::Dearer),
        (800, Verdict::Expected),
        (799, Verdict::Cheaper),
    ] {
        assert_eq!(judge(&costs(), "qos1", measured), Ok(verdict), "{measured}");
    }
}

#[test]
fn a_row_of_which_nothing_is_expected_fails() {
    let error = judge(&costs(), "qos9", 1).expect_err("there is no such row");
    assert!(error.contains("qos9"), "{error}");
}

#[test]
fn what_is_written_is_read_again() {
    let folder = std::env::temp_dir().join(format!("guard-{}", std::process::id()));
    let mut costs = costs();
    costs.rows.insert("connect".to_owned(), 42);
    costs.write(&folder).expect("it is written");
    let again = Costs::read(&folder);
    std::fs::remove_file(&folder).expect("it is removed");
    assert_eq!(again.expect("it is read").rows, costs.rows);
}
