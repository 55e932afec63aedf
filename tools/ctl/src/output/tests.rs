use super::{harmless, table};

#[test]
fn what_strangers_chose_moves_no_cursor() {
    for (text, is_document, shown) in [
        ("a/b ä€ \\ x", false, "a/b ä€ \\ x"),
        ("a\u{1b}[2Jb", false, "a\\u{1b}[2Jb"),
        ("a\u{9b}31mb", false, "a\\u{9b}31mb"),
        ("a\r\nb\tc", false, "a\\r\\nb\\tc"),
        ("a\r\nb", true, "a\\r\nb"),
    ] {
        assert_eq!(harmless(text.to_owned(), is_document), shown);
    }
}

#[test]
fn a_cell_of_a_table_stays_one_line() {
    let rows = vec![vec!["a\nforged  row".to_owned(), "\u{1b}c".to_owned()]];
    let table = table(&["topic", "client"], &[], rows).to_string();
    assert_eq!(table.lines().count(), 2, "{table}");
    assert!(table.contains("a\\nforged  row"), "{table}");
    assert!(!table.contains('\u{1b}'), "{table}");
}
