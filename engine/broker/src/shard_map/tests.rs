use super::*;

#[test]
fn placement_is_stable_across_versions() {
    let map = ShardMap::new(8);
    // Recorded values: a change would orphan the history of every topic.
    let placed: Vec<u32> = ["sensors/1/temp", "a", "", "/", "sport/tennis"]
        .into_iter()
        .map(|topic| map.topic(DEFAULT_NAMESPACE, topic).0)
        .collect();
    assert_eq!(placed, RECORDED);
}

const RECORDED: [u32; 5] = [3, 5, 7, 7, 4];

#[test]
fn topics_spread_over_all_shards() {
    let map = ShardMap::new(8);
    let mut counts = [0u32; 8];
    for number in 0..8_000 {
        counts[map
            .topic(DEFAULT_NAMESPACE, &format!("plant/{number}/state"))
            .0 as usize] += 1;
    }
    assert!(
        counts.iter().all(|count| (700..1300).contains(count)),
        "{counts:?}"
    );
}

#[test]
fn namespaces_do_not_run_into_names() {
    assert_ne!(
        fnv1a(fnv1a(FNV_OFFSET, b"ab") ^ 0xff, b"c"),
        fnv1a(fnv1a(FNV_OFFSET, b"a") ^ 0xff, b"bc")
    );
}
