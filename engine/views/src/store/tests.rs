use super::*;

#[test]
fn a_prefix_ends_where_no_key_begins_with_it() {
    assert_eq!(KeyRange::prefix("ab").end.as_deref(), Some(&b"ac"[..]));
    assert_eq!(KeyRange::prefix([1, 0xff]).end.as_deref(), Some(&[2][..]));
    assert_eq!(KeyRange::prefix([0xff, 0xff]).end, None);
    assert_eq!(KeyRange::prefix([]).end, None);
}

#[test]
fn ranges_only_shrink() {
    let range = KeyRange::prefix("b");
    assert_eq!(range.clone().starting_at(b"a".to_vec()), range);
    assert_eq!(range.clone().up_to(b"x".to_vec()), range);
    assert_eq!(range.clone().after(b"b").start, b"b\0");
    assert!(range.clone().up_to(b"b".to_vec()).is_empty());
    assert!(range.starting_at(b"c".to_vec()).is_empty());
    assert!(!KeyRange::prefix([0xff]).is_empty());
}
