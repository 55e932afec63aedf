//! The store's contract, step by step.

use std::ops::ControlFlow;
use std::sync::Arc;

use crate::store::{KeyRange, KvRead, KvStore, WriteBatch};

/// A key and its value.
type Pair = (Vec<u8>, Vec<u8>);

/// Runs the whole suite; `open` gives an empty store each time.
///
/// # Panics
/// When the store breaks a promise.
pub fn check_store(open: &mut dyn FnMut() -> Arc<dyn KvStore>) {
    reads_what_was_written(&*open());
    later_operations_win(&*open());
    ranges_are_removed(&*open());
    scans_are_ordered_and_bounded(&*open());
    scans_end_early(&*open());
    scans_may_write(&*open());
    snapshots_stand_still(&*open());
    snapshots_outlive_each_other(&*open());
    large_scans_see_one_state(&*open());
    flushing_changes_nothing(&*open());
}

/// Everything in a range, in the order it was visited.
///
/// # Panics
/// When the store fails.
#[must_use]
pub fn pairs(store: &dyn KvRead, range: KeyRange) -> Vec<Pair> {
    let mut found = Vec::new();
    let scanned = store.scan(range, &mut |key, value| {
        found.push((key.to_vec(), value.to_vec()));
        ControlFlow::Continue(())
    });
    scanned.expect("the store can be scanned");
    found
}

fn keys(store: &dyn KvRead, range: KeyRange) -> Vec<String> {
    let text = |(key, _): Pair| String::from_utf8(key).expect("the keys of these tests are texts");
    pairs(store, range).into_iter().map(text).collect()
}

fn all() -> KeyRange {
    KeyRange::prefix([])
}

fn put(store: &dyn KvStore, pairs: &[(&str, &str)]) {
    let mut batch = WriteBatch::new();
    for (key, value) in pairs {
        batch.put(*key, *value);
    }
    store.write(batch).expect("the store can be written");
}

fn get(store: &dyn KvRead, key: &str) -> Option<String> {
    let value = store.get(key.as_bytes()).expect("the store can be read");
    value.map(|value| String::from_utf8(value.to_vec()).expect("the values are texts"))
}

fn reads_what_was_written(store: &dyn KvStore) {
    assert_eq!(get(store, "a"), None);
    put(store, &[("a", "1"), ("b", ""), ("", "empty key")]);
    assert_eq!(get(store, "a").as_deref(), Some("1"));
    assert_eq!(get(store, "b").as_deref(), Some(""));
    assert_eq!(get(store, "").as_deref(), Some("empty key"));
    assert_eq!(get(store, "aa"), None);
}

fn later_operations_win(store: &dyn KvStore) {
    let mut batch = WriteBatch::new();
    batch.put("a", "1");
    batch.put("a", "2");
    batch.put("b", "1");
    batch.delete("b");
    batch.delete("c");
    batch.put("c", "1");
    store.write(batch).expect("the store can be written");
    assert_eq!(keys(store, all()), ["a", "c"]);
    assert_eq!(get(store, "a").as_deref(), Some("2"));
    store
        .write(WriteBatch::new())
        .expect("no operations are fine");
}

fn ranges_are_removed(store: &dyn KvStore) {
    put(
        store,
        &[("a", ""), ("ab", ""), ("b", ""), ("b\u{1}", ""), ("c", "")],
    );
    let mut batch = WriteBatch::new();
    batch.put("ac", "");
    batch.delete_range(KeyRange::prefix("a"));
    batch.put("ad", "");
    batch.delete_range(KeyRange::prefix("x").up_to(b"a".to_vec()));
    store.write(batch).expect("the store can be written");
    assert_eq!(keys(store, all()), ["ad", "b", "b\u{1}", "c"]);
    let mut batch = WriteBatch::new();
    batch.delete_range(KeyRange::prefix([]).starting_at(b"b\x01".to_vec()));
    store.write(batch).expect("the store can be written");
    assert_eq!(keys(store, all()), ["ad", "b"]);
}

fn scans_are_ordered_and_bounded(store: &dyn KvStore) {
    put(
        store,
        &[("b", ""), ("a/b", ""), ("a", ""), ("a0", ""), ("a/", "")],
    );
    assert_eq!(keys(store, all()), ["a", "a/", "a/b", "a0", "b"]);
    assert_eq!(keys(store, KeyRange::prefix("a/")), ["a/", "a/b"]);
    assert_eq!(
        keys(store, KeyRange::prefix("a").after(b"a/")),
        ["a/b", "a0"]
    );
    assert_eq!(
        keys(store, KeyRange::prefix("a").up_to(b"a/b".to_vec())),
        ["a", "a/"]
    );
    assert_eq!(
        keys(store, KeyRange::prefix("a").starting_at(b"c".to_vec())),
        [""; 0]
    );
    let mut batch = WriteBatch::new();
    batch.put([0xff], "");
    batch.put([0xff, 0xff, 1], "");
    store.write(batch).expect("the store can be written");
    assert_eq!(pairs(store, KeyRange::prefix([0xff])).len(), 2);
    assert_eq!(pairs(store, KeyRange::prefix([0xff, 0xff])).len(), 1);
}

fn scans_end_early(store: &dyn KvStore) {
    put(store, &[("a", ""), ("b", ""), ("c", "")]);
    let mut seen = 0;
    let scanned = store.scan(all(), &mut |_, _| {
        seen += 1;
        if seen == 2 {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    });
    scanned.expect("the store can be scanned");
    assert_eq!(seen, 2, "a scan ends when it is told to");
}

fn scans_may_write(store: &dyn KvStore) {
    put(store, &[("a", "1"), ("b", "1")]);
    let mut seen = Vec::new();
    let scanned = store.scan(all(), &mut |key, value| {
        let mut batch = WriteBatch::new();
        batch.delete(key);
        batch.put("b", "2");
        batch.put("z", "2");
        store.write(batch).expect("a visitor may write");
        seen.push((key.to_vec(), value.to_vec()));
        ControlFlow::Continue(())
    });
    scanned.expect("the store can be scanned");
    let expected = [
        (b"a".to_vec(), b"1".to_vec()),
        (b"b".to_vec(), b"1".to_vec()),
    ];
    assert_eq!(
        seen, expected,
        "a scan sees the store as it was at its start"
    );
    // The last visit removed `b` and then set it again.
    assert_eq!(keys(store, all()), ["b", "z"]);
}

fn snapshots_stand_still(store: &dyn KvStore) {
    put(store, &[("a", "1"), ("b", "1"), ("c", "1")]);
    let snapshot = store.snapshot();
    put(store, &[("a", "2"), ("d", "2")]);
    let mut batch = WriteBatch::new();
    batch.delete("b");
    batch.delete_range(KeyRange::prefix("c"));
    store.write(batch).expect("the store can be written");
    assert_eq!(get(&*snapshot, "a").as_deref(), Some("1"));
    assert_eq!(get(&*snapshot, "b").as_deref(), Some("1"));
    assert_eq!(get(&*snapshot, "d"), None);
    assert_eq!(keys(&*snapshot, all()), ["a", "b", "c"]);
    assert_eq!(keys(store, all()), ["a", "d"]);
    assert_eq!(get(store, "a").as_deref(), Some("2"));
}

fn snapshots_outlive_each_other(store: &dyn KvStore) {
    put(store, &[("k", "1")]);
    let first = store.snapshot();
    put(store, &[("k", "2")]);
    let second = store.snapshot();
    let third = store.snapshot();
    let mut batch = WriteBatch::new();
    batch.delete("k");
    store.write(batch).expect("the store can be written");
    let fourth = store.snapshot();
    put(store, &[("k", "4")]);
    drop(second);
    assert_eq!(get(&*first, "k").as_deref(), Some("1"));
    assert_eq!(get(&*third, "k").as_deref(), Some("2"));
    drop(first);
    assert_eq!(get(&*third, "k").as_deref(), Some("2"));
    assert_eq!(get(&*fourth, "k"), None);
    drop(third);
    assert_eq!(keys(&*fourth, all()), [""; 0]);
    drop(fourth);
    assert_eq!(get(store, "k").as_deref(), Some("4"));
}

fn large_scans_see_one_state(store: &dyn KvStore) {
    let mut batch = WriteBatch::new();
    for number in 0..2_000u32 {
        batch.put(number.to_be_bytes(), "before");
    }
    store.write(batch).expect("the store can be written");
    let mut seen = 0u32;
    let scanned = store.scan(all(), &mut |key, value| {
        assert_eq!(key, seen.to_be_bytes(), "no key is missed");
        assert_eq!(value, b"before", "a scan sees one state");
        if seen.is_multiple_of(100) {
            let mut batch = WriteBatch::new();
            batch.put((seen + 700).to_be_bytes(), "after");
            batch.delete((seen + 50).to_be_bytes());
            store.write(batch).expect("a visitor may write");
        }
        seen += 1;
        ControlFlow::Continue(())
    });
    scanned.expect("the store can be scanned");
    assert_eq!(seen, 2_000);
}

fn flushing_changes_nothing(store: &dyn KvStore) {
    store.flush().expect("an empty store can be flushed");
    put(store, &[("a", "1")]);
    store.flush().expect("the store can be flushed");
    put(store, &[("b", "1")]);
    assert_eq!(keys(store, all()), ["a", "b"]);
}
