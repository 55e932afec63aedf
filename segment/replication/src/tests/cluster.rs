//! Three nodes, each with its own log, in one process: what is acknowledged is
//! on a majority, stays, and is there once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::nodes::{Nodes, PATIENCE, Running};

fn assert_all_there(found: &[String], acknowledged: &[String]) {
    let mut rest = found.iter();
    for payload in acknowledged {
        assert!(
            rest.any(|one| one == payload),
            "{payload} is missing or out of order in {found:?}"
        );
    }
    let mut once = found.to_vec();
    once.sort();
    once.dedup();
    assert_eq!(once.len(), found.len(), "nothing is there twice: {found:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_loss_of_any_one_node_loses_nothing_and_repeats_nothing() {
    let mut nodes = Nodes::cluster([2, 3]).await;
    let mut acknowledged = Vec::new();
    for round in 0..6 {
        let leader = nodes.leader().await;
        // The leader, and then one of those that follow.
        let victim = if round % 2 == 0 {
            leader
        } else {
            leader % 3 + 1
        };
        // Whoever the client is connected to stays; it may lead or follow.
        let through = (1..=3).find(|id| *id != victim).expect("there are three");
        for number in 0..20 {
            let payload = format!("{round}/{number}");
            nodes.running[&through].store(&payload).await;
            acknowledged.push(payload);
        }
        let under_way: Vec<_> = (20..30)
            .map(|number| {
                let payload = format!("{round}/{number}");
                let outcome = nodes.running[&through].push(&payload);
                (payload, outcome)
            })
            .collect();
        nodes.kill(victim).await;
        for (payload, outcome) in under_way {
            let outcome = tokio::time::timeout(PATIENCE, outcome).await;
            let outcome = outcome.expect("in time").expect("it ends");
            outcome.expect("its node lives, so it is stored");
            acknowledged.push(payload);
        }
        nodes.run(victim, false).await;
        let found = nodes.wait_for_the_same().await;
        assert_all_there(&found, &acknowledged);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_is_cut_off_acknowledges_nothing_and_gives_way() {
    let nodes = Nodes::cluster([2, 3]).await;
    nodes.running[&1].store("before").await;
    let old = nodes.leader().await;
    nodes.network.cut_off.lock().insert(old);
    let mut held_back = nodes.running[&old].push("held back");
    let other = nodes.leader().await;
    assert_ne!(other, old);
    nodes.running[&other].store("after").await;
    let early = tokio::time::timeout(Duration::from_millis(500), &mut held_back).await;
    assert!(early.is_err(), "on a minority nothing is acknowledged");
    nodes.network.cut_off.lock().clear();
    let late = tokio::time::timeout(PATIENCE, held_back).await;
    let late = late.expect("in time").expect("it ends");
    late.expect("it is stored as soon as the node is back");
    let found = nodes.wait_for_the_same().await;
    assert_eq!(found, ["before", "after", "held back"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_nodes_hear_of_every_batch_in_the_same_order() {
    let nodes = Nodes::cluster([2, 3]).await;
    let mut outcomes = Vec::new();
    for number in 0..300 {
        let through = number % 3 + 1;
        outcomes.push(nodes.running[&through].push(&format!("{through}/{number}")));
    }
    for outcome in outcomes {
        let outcome = tokio::time::timeout(PATIENCE, outcome).await;
        outcome.expect("in time").expect("it ends").expect("stored");
    }
    let found = nodes.wait_for_the_same().await;
    assert_eq!(found.len(), 300);
    for through in 1..=3 {
        let prefix = format!("{through}/");
        let own = found.iter().filter_map(|one| one.strip_prefix(&prefix));
        let own: Vec<u64> = own
            .map(|number| number.parse().expect("a number"))
            .collect();
        assert!(own.is_sorted(), "each node's in its order: {own:?}");
    }
    for (id, running) in &nodes.running {
        let told = running.committed.0.lock();
        let told = told.iter().filter(|one| one.shard() == super::SHARD);
        let told: Vec<u64> = told.map(|one| one.index()).collect();
        assert!(told.is_sorted_by(|a, b| a < b), "node {id}: each once");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_of_two_shrinks_to_one_and_grows_again() {
    let mut nodes = Nodes::cluster([2]).await;
    nodes.running[&2].store("two").await;
    let leaves = |running: &Running| running.status().voters.len() == 2;
    assert!(leaves(&nodes.running[&1]));
    for shard in (0..=2).map(robustmq_record::ShardId) {
        loop {
            let one = &nodes.running[&1].groups;
            if one.remove(shard, 2).await.is_ok() {
                break;
            }
            let two = &nodes.running[&2].groups;
            // Refused where the other one leads.
            let _ = two.transfer(shard, 1).await;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    nodes.kill(2).await;
    nodes.running[&1].store("one").await;
    nodes.run(3, false).await;
    nodes.add(3).await;
    nodes.running[&3].store("three").await;
    let found = nodes.wait_for_the_same().await;
    assert_eq!(found, ["two", "one", "three"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_looks_at_a_group_holds_nobody_up() {
    let nodes = Nodes::cluster([2, 3]).await;
    let is_over = Arc::new(AtomicBool::new(false));
    let lookers: Vec<_> = (0..2)
        .map(|_| {
            let groups = Arc::clone(&nodes.running[&1].groups);
            let is_over = Arc::clone(&is_over);
            std::thread::spawn(move || {
                while !is_over.load(Ordering::Relaxed) {
                    assert!(!groups.status().is_empty());
                }
            })
        })
        .collect();
    for number in 0..3000 {
        let payload = number.to_string();
        let stored = nodes.running[&1].store(&payload);
        let stored = tokio::time::timeout(PATIENCE, stored).await;
        assert!(stored.is_ok(), "it stands still at {number}");
    }
    is_over.store(true, Ordering::Relaxed);
    for looker in lookers {
        looker.join().expect("it looks on");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_that_comes_alone_is_not_forgotten_while_leaders_change() {
    let nodes = Nodes::cluster([2, 3]).await;
    let shard = nodes.running[&1].status().shard;
    for round in 0..60 {
        let old = nodes.leader().await;
        let heir = old % 3 + 1;
        let groups = Arc::clone(&nodes.running[&old].groups);
        let transfer = tokio::spawn(async move { groups.transfer(shard, heir).await });
        // Nothing else wakes anybody afterwards.
        let payload = round.to_string();
        let stored = nodes.running[&(round % 3 + 1)].push(&payload);
        let stored = tokio::time::timeout(PATIENCE, stored).await;
        let stored = stored.expect("in time").expect("it ends");
        stored.expect("all nodes live, so it is stored");
        // Refused when the lead has moved on already.
        let _ = transfer.await.expect("it ends");
    }
    let found = nodes.wait_for_the_same().await;
    let expected: Vec<String> = (0..60).map(|round| round.to_string()).collect();
    assert_eq!(found, expected);
}
