use std::sync::Arc;

use super::*;
use crate::testing::{self, Chance};

#[test]
fn the_store_keeps_its_contract() {
    testing::check_store(&mut || Arc::new(MemoryStore::new()));
}

/// Keys and values.
type Contents = Vec<(Vec<u8>, Vec<u8>)>;

fn random_batch(chance: &mut Chance) -> WriteBatch {
    let mut batch = WriteBatch::new();
    for _ in 0..=chance.below(3) {
        let key = vec![chance.below(6) as u8];
        match chance.below(6) {
            0 | 1 => batch.delete(key),
            2 => batch.delete_range(KeyRange::prefix([]).starting_at(key).up_to(vec![4])),
            _ => batch.put(key, vec![chance.below(256) as u8]),
        }
    }
    batch
}

/// Snapshots taken and dropped at random see what was there, and nothing is
/// kept once they are gone.
#[test]
fn snapshots_are_exact_and_leave_nothing_behind() {
    for seed in 0..300 {
        let mut chance = Chance::new(seed);
        let store = MemoryStore::new();
        let mut held: Vec<(Box<dyn KvRead>, Contents)> = Vec::new();
        for _ in 0..60 {
            store
                .write(random_batch(&mut chance))
                .expect("memory takes writes");
            if chance.once_in(3) {
                let contents = testing::pairs(&store, KeyRange::prefix([]));
                held.push((store.snapshot(), contents));
            }
            if !held.is_empty() && chance.once_in(4) {
                held.remove(chance.below(held.len() as u64) as usize);
            }
            for (snapshot, contents) in &held {
                let seen = testing::pairs(&**snapshot, KeyRange::prefix([]));
                assert_eq!(seen, *contents, "seed {seed}");
            }
        }
        drop(held);
        let live = testing::pairs(&store, KeyRange::prefix([])).len();
        assert_eq!(store.value_count(), live, "seed {seed}");
        assert!(store.read().superseded.is_empty(), "seed {seed}");
    }
}
