use std::fs;
use std::path::PathBuf;

use robustmq_views::testing::{self, Chance, CrashingStore};
use robustmq_views::{KeyRange, KvRead, KvStore, WriteBatch};

use super::*;

fn directory() -> tempfile::TempDir {
    tempfile::tempdir().expect("a temporary directory can be made")
}

fn open(path: &Path) -> RocksStore {
    RocksStore::open(path).expect("the store can be opened")
}

fn put(store: &RocksStore, key: &str, value: &[u8]) {
    let mut batch = WriteBatch::new();
    batch.put(key, value);
    store.write(batch).expect("the store can be written");
}

fn get(store: &RocksStore, key: &str) -> Option<Vec<u8>> {
    let value = store.get(key.as_bytes()).expect("the store can be read");
    value.map(|value| value.to_vec())
}

/// A directory with one flushed key.
fn filled() -> tempfile::TempDir {
    let directory = directory();
    let store = open(directory.path());
    put(&store, "k", b"v");
    store.flush().expect("the store can be flushed");
    directory
}

/// A copy as a crash would leave it. The store removes old files in the
/// background: a copy that met one of them half way would name files that are
/// not there, so it is made again.
fn copy(from: &Path, to: &Path) {
    assert!(
        try_copy(from, to).is_ok(),
        "nobody changes the files meanwhile"
    );
}

fn try_copy(from: &Path, to: &Path) -> std::io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            try_copy(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

/// Names and lengths of the files of a database.
fn listing(directory: &Path) -> std::io::Result<Vec<(PathBuf, u64)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory.join("db"))? {
        let entry = entry?;
        found.push((entry.path(), entry.metadata()?.len()));
    }
    found.sort();
    Ok(found)
}

/// Copies files that the database may be changing: until nothing has changed
/// while they were copied, so that the copy is of one moment.
fn copy_of_one_moment(from: &Path, to: &Path) {
    loop {
        fs::create_dir_all(to).expect("a directory");
        let copied = listing(from).and_then(|before| {
            try_copy(from, to)?;
            Ok(listing(from)? == before)
        });
        if matches!(copied, Ok(true)) {
            return;
        }
        fs::remove_dir_all(to).expect("the copy can be removed");
    }
}

#[test]
fn the_store_keeps_its_contract() {
    let directory = directory();
    let mut number = 0;
    testing::check_store(&mut || {
        number += 1;
        Arc::new(open(&directory.path().join(number.to_string())))
    });
}

#[test]
fn what_was_flushed_is_there_after_a_restart() {
    let directory = filled();
    assert_eq!(get(&open(directory.path()), "k"), Some(b"v".to_vec()));
}

#[test]
fn missing_parent_directories_are_made() {
    let directory = directory();
    let path = directory.path().join("a/b");
    put(&open(&path), "k", b"v");
}

/// A snapshot outlives the handle it was taken from.
#[test]
fn a_snapshot_keeps_the_database_alive() {
    let directory = filled();
    let store = open(directory.path());
    let snapshot = store.snapshot();
    put(&store, "k", b"w");
    drop(store);
    let value = snapshot.get(b"k").expect("the snapshot can be read");
    assert_eq!(value.as_deref(), Some(&b"v"[..]));
}

#[test]
fn views_of_another_version_are_removed() {
    for other in [
        "robustmq views 0\n",
        "robustmq views 11\n",
        "",
        "\u{0}nonsense",
    ] {
        let directory = filled();
        fs::write(directory.path().join("FORMAT"), other).expect("the file can be written");
        let store = open(directory.path());
        assert_eq!(get(&store, "k"), None, "{other:?}");
        put(&store, "k", b"w");
        store.flush().expect("the store can be flushed");
        drop(store);
        assert_eq!(
            get(&open(directory.path()), "k"),
            Some(b"w".to_vec()),
            "{other:?}"
        );
    }
}

#[test]
fn views_without_a_version_are_removed() {
    let directory = filled();
    fs::remove_file(directory.path().join("FORMAT")).expect("the file is there");
    assert_eq!(get(&open(directory.path()), "k"), None);
}

/// A start that was interrupted while removing goes on with it.
#[test]
fn a_removal_that_was_interrupted_is_finished() {
    let directory = filled();
    let database = directory.path().join("db");
    copy(&database, &directory.path().join("db.discarded"));
    fs::remove_file(directory.path().join("FORMAT")).expect("the file is there");
    assert_eq!(get(&open(directory.path()), "k"), None);
    assert!(!directory.path().join("db.discarded").exists());
}

#[test]
fn a_damaged_database_is_removed() {
    for name in ["CURRENT", "MANIFEST"] {
        let directory = filled();
        let found = database_file(directory.path(), |file| file.starts_with(name));
        fs::write(found, b"nonsense").expect("the file can be written");
        assert_eq!(get(&open(directory.path()), "k"), None, "{name}");
    }
}

#[test]
fn a_database_with_a_missing_file_is_removed() {
    for name in ["MANIFEST", ".sst"] {
        let directory = filled();
        let found = database_file(directory.path(), |file| file.contains(name));
        fs::remove_file(found).expect("the file is there");
        let store = open(directory.path());
        assert_eq!(get(&store, "k"), None, "{name}");
        put(&store, "k", b"w");
    }
}

/// Damage that shows only when it is read is an error now, and the next start
/// begins anew instead of meeting it again.
#[test]
fn damage_met_while_reading_condemns_the_database() {
    let directory = directory();
    let store = open(directory.path());
    // Several blocks, so that the damaged one is not read at opening.
    let mut chance = Chance::new(7);
    for number in 0..2_000 {
        let value: Vec<u8> = (0..100).map(|_| chance.below(256) as u8).collect();
        put(&store, &format!("{number:06}"), &value);
    }
    store.flush().expect("the store can be flushed");
    drop(store);
    let table = database_file(directory.path(), |file| file.ends_with(".sst"));
    let mut bytes = fs::read(&table).expect("the file can be read");
    bytes[20_000..20_064].fill(0x55);
    fs::write(&table, bytes).expect("the file can be written");

    let store = open(directory.path());
    let read = store.scan(KeyRange::prefix([]), &mut |_, _| ControlFlow::Continue(()));
    assert!(matches!(read, Err(KvError::Corrupt(_))), "{read:?}");
    drop(store);
    let store = open(directory.path());
    assert_eq!(get(&store, "000000"), None);
    put(&store, "000000", b"again");
}

fn database_file(directory: &Path, wanted: impl Fn(&str) -> bool) -> PathBuf {
    let entries = fs::read_dir(directory.join("db")).expect("the directory can be read");
    let mut paths = entries.map(|entry| entry.expect("the directory can be read").path());
    let named = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str());
        name.is_some_and(&wanted)
    };
    paths.find(named).expect("the database has such a file")
}

/// Views in use are not damaged views.
#[test]
fn a_database_in_use_is_left_alone() {
    let directory = filled();
    let store = open(directory.path());
    let second = RocksStore::open(directory.path());
    assert!(
        matches!(second, Err(KvError::Io(_))),
        "the lock is an error, not damage"
    );
    assert_eq!(get(&store, "k"), Some(b"v".to_vec()));
    drop(store);
    assert_eq!(get(&open(directory.path()), "k"), Some(b"v".to_vec()));
}

#[test]
fn a_place_that_is_no_directory_is_an_error() {
    let directory = directory();
    let path = directory.path().join("file");
    fs::write(&path, b"").expect("the file can be written");
    assert!(matches!(RocksStore::open(&path), Err(KvError::Io(_))));
}

/// The files as they are while the process lives are what a kill leaves.
struct KilledStore {
    directory: tempfile::TempDir,
    life: u32,
}

impl KilledStore {
    fn path(&self) -> PathBuf {
        self.directory.path().join(self.life.to_string())
    }
}

impl CrashingStore for KilledStore {
    fn open(&mut self) -> Arc<dyn KvStore> {
        Arc::new(open(&self.path()))
    }

    fn crash(&mut self, store: Arc<dyn KvStore>) {
        let before = self.path();
        self.life += 1;
        copy_of_one_moment(&before, &self.path());
        drop(store);
    }
}

#[test]
fn crashes_make_no_difference() {
    for seed in 0..12 {
        let directory = directory();
        testing::check_crashes(seed, &mut KilledStore { directory, life: 0 });
    }
}

#[test]
fn removed_segments_make_no_difference() {
    for seed in 0..6 {
        let directory = directory();
        let mut number = 0;
        testing::check_removal(seed, &mut || {
            number += 1;
            Arc::new(open(&directory.path().join(number.to_string())))
        });
    }
}

/// A batch that removes a range without an end, what it set itself included.
#[test]
fn a_range_without_an_end_covers_the_batch_itself() {
    let directory = filled();
    let store = open(directory.path());
    let mut batch = WriteBatch::new();
    batch.put("a", "");
    batch.put("m", "");
    batch.delete_range(KeyRange::prefix([]).starting_at(b"b".to_vec()));
    batch.put("z", "");
    store.write(batch).expect("the store can be written");
    let keys: Vec<_> = testing::pairs(&store, KeyRange::prefix([]))
        .into_iter()
        .map(|(key, _)| key)
        .collect();
    assert_eq!(keys, [b"a", b"z"]);
}
