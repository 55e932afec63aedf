//! Who of a group gets a message.

use super::*;

/// Publishes numbers from several clients to several topics; what three members
/// get, as (topic number, publisher number) pairs.
fn spread(strategy: &str) -> Vec<Vec<String>> {
    let broker = Broker::start(&[&format!("shared_subscription.strategy={strategy}")]);
    let mut members: Vec<Client> = (0..3).map(|n| clean(&broker, &format!("m{n}"))).collect();
    for member in &mut members {
        subscribe(member, "$share/g/a/#");
    }
    for publisher in 0..6 {
        let mut client = clean(&broker, &format!("p{publisher}"));
        for topic in 0..10 {
            let payload = format!("{topic} {publisher}");
            store(&mut client, &format!("a/{topic}"), &payload);
        }
    }
    let mut members: Vec<&mut Client> = members.iter_mut().collect();
    let found = drain(&mut members, 60);
    let all = sorted(found.clone());
    assert_eq!(all.len(), 60);
    assert!(all.windows(2).all(|pair| pair[0] != pair[1]), "each once");
    found
}

/// Whether what has one key went to one member only.
fn is_parted_by(found: &[Vec<String>], key: usize) -> bool {
    let of = |payload: &String| payload.split(' ').nth(key).map(str::to_owned);
    let keys: Vec<std::collections::BTreeSet<_>> = found
        .iter()
        .map(|found| found.iter().map(of).collect())
        .collect();
    let count: usize = keys.iter().map(std::collections::BTreeSet::len).sum();
    let distinct: std::collections::BTreeSet<_> = keys.iter().flatten().collect();
    count == distinct.len()
}

#[test]
fn round_robin_gives_everybody_the_same() {
    let found = spread("round_robin");
    assert!(found.iter().all(|found| found.len() == 20), "{found:?}");
}

#[test]
fn random_gives_everybody_some() {
    for strategy in ["random", "local"] {
        let found = spread(strategy);
        assert!(found.iter().all(|found| found.len() >= 5), "{found:?}");
    }
}

#[test]
fn sticky_stays_with_one() {
    let found = spread("sticky");
    assert!(found.iter().any(|found| found.len() == 60), "{found:?}");
}

#[test]
fn hashes_part_by_their_key() {
    let found = spread("hash_topic");
    assert!(is_parted_by(&found, 0), "{found:?}");
    let found = spread("hash_clientid");
    assert!(is_parted_by(&found, 1), "{found:?}");
}

#[test]
fn least_inflight_passes_over_who_does_not_acknowledge() {
    let broker = Broker::start(&["shared_subscription.strategy=least_inflight"]);
    let (mut busy, mut idle) = (clean(&broker, "busy"), clean(&broker, "idle"));
    subscribe(&mut busy, "$share/g/a");
    subscribe(&mut idle, "$share/g/a");
    let mut publisher = clean(&broker, "p");
    let mut idle_has = 0;
    let mut busy_has = Vec::new();
    for number in numbers(0..20) {
        store(&mut publisher, "a", &number);
        // One acknowledges at once, the other one never.
        let start = Instant::now();
        loop {
            assert!(start.elapsed() < PATIENCE, "{number} comes to nobody");
            if let Some(came) = message(&mut idle, Duration::from_millis(20)) {
                acknowledge(&mut idle, &came);
                idle_has += 1;
                break;
            }
            if let Some(came) = message(&mut busy, Duration::from_millis(20)) {
                busy_has.push(text(&came));
                break;
            }
        }
    }
    assert!(busy_has.len() <= 2, "{busy_has:?}");
    assert!(idle_has >= 18);
}
