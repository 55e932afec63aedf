//! Memory of the subscribers of one filter.

use super::*;

fn places<V>(entries: &Entries<u32, V>) -> (usize, usize) {
    match entries {
        Entries::Many(many) => (
            many.list.capacity(),
            many.index
                .as_ref()
                .map_or(0, |index| index.places.capacity()),
        ),
        _ => (0, 0),
    }
}

#[test]
fn memory_goes_with_the_subscribers() {
    let mut entries = Entries::default();
    for key in 0..10_000 {
        entries.insert(key, ());
    }
    let (list, index) = places(&entries);
    assert!(list >= 10_000 && index >= 10_000);
    for key in 0..9_900 {
        assert_eq!(entries.remove(&key), Some(()));
    }
    let (list, index) = places(&entries);
    assert!(list <= 1_000 && index <= 1_000, "{list} {index}");
    for key in 9_900..9_999 {
        assert_eq!(entries.remove(&key), Some(()));
    }
    assert!(matches!(entries, Entries::One(9_999, ())));
    assert_eq!(entries.remove(&9_999), Some(()));
    assert!(entries.is_empty());
}

#[test]
fn the_index_comes_and_goes_with_the_length() {
    let mut entries = Entries::default();
    let indexed = |entries: &Entries<u32, ()>| places(entries).1 > 0;
    for key in 0..=SCANNED_MAX as u32 {
        assert!(!indexed(&entries), "{key}");
        entries.insert(key, ());
    }
    assert!(indexed(&entries));
    for key in 0..=SCANNED_MAX as u32 / 2 {
        assert!(indexed(&entries), "{key}");
        entries.remove(&key);
    }
    assert!(!indexed(&entries));
}
