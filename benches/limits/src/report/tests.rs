use super::{Line, grouped, replace, table};

#[test]
fn a_table_takes_the_place_of_the_one_before() {
    let once = replace("# Page\n\ntext\n", &table(&[Line::new("a", "1")]));
    let twice = replace(&once, &table(&[Line::new("b", "2").target("≤ 3")]));
    assert!(once.contains("| a | 1 |  |"), "{once}");
    assert!(twice.contains("| b | 2 | ≤ 3 |"), "{twice}");
    assert!(
        !twice.contains("| a |") && twice.starts_with("# Page"),
        "{twice}"
    );
    assert_eq!(twice.matches("begin: written").count(), 1);
}

#[test]
fn digits_are_grouped_by_three() {
    for (number, text) in [
        (0, "0"),
        (999, "999"),
        (1000, "1 000"),
        (1_234_567, "1 234 567"),
    ] {
        assert_eq!(grouped(number), text);
    }
}
