use std::sync::Arc;

use robustmq_record::{Batch, ShardId, Term};

use super::TailCache;
use crate::testing::{builder, some_payloads};

fn batch(shard: u32, index: u64) -> Arc<Batch> {
    let builder = builder(&some_payloads(index, 1, 100), 1);
    Arc::new(builder.finish(ShardId(shard), index, Term(1)))
}

fn held(cache: &TailCache, shard: u32, end: u64) -> Vec<u64> {
    (0..end)
        .filter(|&index| cache.get(ShardId(shard), index).is_some())
        .collect()
}

#[test]
fn the_oldest_of_all_shards_go_first_and_bytes_stay_below_the_limit() {
    let size = batch(0, 1).memory_bytes();
    let cache = TailCache::new(2, 5 * size + size / 2);
    for index in 1..=4 {
        cache.push(batch(0, index));
        cache.push(batch(1, index));
        assert!(cache.bytes() <= 5 * size + size / 2);
    }
    assert_eq!(
        (held(&cache, 0, 9), held(&cache, 1, 9)),
        (vec![3, 4], vec![2, 3, 4])
    );
    assert_eq!(cache.bytes(), 5 * size);
}

#[test]
fn one_batch_is_held_even_if_it_is_larger() {
    let cache = TailCache::new(1, 1);
    for index in 1..=3 {
        cache.push(batch(0, index));
        assert_eq!(held(&cache, 0, 9), [index]);
    }
    assert_eq!(cache.bytes(), batch(0, 3).memory_bytes());
}

#[test]
fn after_a_hole_only_what_is_behind_it_is_held() {
    let cache = TailCache::new(1, usize::MAX);
    for index in [1, 2, 5, 6] {
        cache.push(batch(0, index));
    }
    assert_eq!(held(&cache, 0, 9), [5, 6]);
    assert_eq!(cache.bytes(), 2 * batch(0, 5).memory_bytes());
}

#[test]
fn truncated_batches_are_gone_and_others_take_their_place() {
    let cache = TailCache::new(2, usize::MAX);
    for index in 1..=5 {
        cache.push(batch(0, index));
        cache.push(batch(1, index));
    }
    cache.truncate(ShardId(0), 3);
    assert_eq!(
        (held(&cache, 0, 9), held(&cache, 1, 9).len()),
        (vec![1, 2], 5)
    );
    cache.push(batch(0, 3));
    assert_eq!(held(&cache, 0, 9), [1, 2, 3]);
    cache.truncate(ShardId(0), 1);
    cache.push(batch(0, 1));
    assert_eq!(held(&cache, 0, 9), [1]);
    assert_eq!(cache.bytes(), 6 * batch(0, 1).memory_bytes());
}

#[test]
fn visits_begin_where_they_are_asked_to_and_end_when_told() {
    let cache = TailCache::new(1, usize::MAX);
    (3..=8).for_each(|index| cache.push(batch(0, index)));
    let visit = |index, count| {
        let mut seen = Vec::new();
        let found = cache.visit(ShardId(0), index, |batch| {
            seen.push(batch.index());
            seen.len() < count
        });
        (found, seen)
    };
    assert_eq!(visit(5, 2), (true, vec![5, 6]));
    assert_eq!(visit(7, 9), (true, vec![7, 8]));
    assert_eq!(visit(2, 9), (false, vec![]));
    assert_eq!(visit(9, 9), (false, vec![]));
}

#[test]
fn what_retention_has_removed_is_forgotten() {
    let size = batch(0, 1).memory_bytes();
    let cache = TailCache::new(2, usize::MAX);
    for index in 1..=4 {
        cache.push(batch(0, index));
        cache.push(batch(1, index));
    }
    cache.forget(ShardId(0), 3);
    assert_eq!(
        (held(&cache, 0, 9), held(&cache, 1, 9)),
        (vec![3, 4], vec![1, 2, 3, 4])
    );
    assert_eq!(cache.bytes(), 6 * size);
    cache.forget(ShardId(0), 9);
    cache.push(batch(0, 5));
    assert_eq!(held(&cache, 0, 9), [5]);
}
