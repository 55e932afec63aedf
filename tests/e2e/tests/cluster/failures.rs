//! Nodes are killed, stopped and started while clients go on.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use robustmq_e2e::{Client, Cluster, Connect, Received};
use robustmq_protocol::QoS;
use rustix::process::Signal;

use crate::{PATIENCE, next, publish, publish_anywhere, text};

/// Everything that a wildcard finds in the history of a node.
fn history(cluster: &Cluster, node: usize, count: usize) -> Vec<String> {
    let (mut client, _) =
        Client::accepted(cluster.node(node).address(), &Connect::new("historian"));
    client.subscribe("$replay/earliest/n/#", QoS::AtLeastOnce);
    (0..count).map(|_| text(&next(&mut client))).collect()
}

#[test]
fn what_was_acknowledged_survives_the_loss_of_any_node() {
    let mut cluster = Cluster::start(3, &[]);
    let addresses = cluster.addresses();
    let mut acknowledged = Vec::new();
    for victim in 0..3 {
        cluster.node_mut(victim).kill();
        for number in 0..16 {
            let payload = format!("{victim}/{number}");
            publish_anywhere(&addresses, "p", &format!("n/{number}"), &payload);
            acknowledged.push(payload);
        }
        cluster.node_mut(victim).restart();
        cluster.wait_until("all nodes are there", |cluster| {
            cluster.ctl(0, &["status"]).status.success()
        });
    }
    for node in 0..3 {
        cluster.wait_until("the node has all of it", |cluster| {
            let status = cluster.status(node);
            let nodes = status["nodes"].as_array().cloned().unwrap_or_default();
            nodes.iter().all(|one| one["lag_batches"] == 0)
        });
        let found = history(&cluster, node, acknowledged.len());
        for payload in &acknowledged {
            assert!(found.contains(payload), "{payload} is lost on node {node}");
        }
    }
}

#[test]
fn all_nodes_killed_at_once_come_back_with_everything() {
    let mut cluster = Cluster::start(3, &[]);
    let addresses = cluster.addresses();
    for number in 0..32 {
        publish_anywhere(&addresses, "p", &format!("n/{number}"), &number.to_string());
    }
    for node in 0..3 {
        cluster.node_mut(node).kill();
    }
    for node in 0..3 {
        cluster.node_mut(node).restart();
    }
    publish_anywhere(&addresses, "p", "n/after", "after");
    let mut found = history(&cluster, 1, 33);
    found.sort();
    found.dedup();
    assert_eq!(found.len(), 33);
}

#[test]
fn clients_of_other_nodes_notice_a_stopped_leader_as_a_delay() {
    let cluster = Cluster::start(3, &["cluster.node_timeout=5s"]);
    let (mut client, _) = Client::accepted(cluster.node(0).address(), &Connect::new("c"));
    cluster.signal(2, Signal::STOP);
    let start = Instant::now();
    // Some of these topics belong to shards that the stopped node led.
    for number in 0..32 {
        let topic = format!("n/{number}");
        let publish = publish(&topic, QoS::AtLeastOnce, "x");
        client.publish(&publish).expect("it runs");
        match client.poll(PATIENCE).expect("the connection lasts") {
            Some(Received::PubAck(_, reason, _)) => assert!(!reason.is_error(), "{reason:?}"),
            other => panic!("instead of a PUBACK: {other:?}"),
        }
    }
    println!(
        "32 publishes around a stopped leader: {:?}",
        start.elapsed()
    );
    cluster.signal(2, Signal::CONT);
    cluster.wait_until("it is back", |cluster| {
        let status = cluster.status(2);
        let nodes = status["nodes"].as_array().cloned().unwrap_or_default();
        nodes.len() == 3 && nodes.iter().all(|node| node["state"] == "up")
    });
    let found = history(&cluster, 2, 32);
    assert_eq!(found.len(), 32);
}

#[test]
fn a_leader_that_is_stopped_hands_on_what_it_leads() {
    let mut cluster = Cluster::start(3, &[]);
    let (mut client, _) = Client::accepted(cluster.node(0).address(), &Connect::new("c"));
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let publishing = scope.spawn(|| {
            let mut longest = Duration::ZERO;
            for number in 0.. {
                if is_over.load(Ordering::Acquire) {
                    break;
                }
                let (topic, start) = (format!("n/{}", number % 32), Instant::now());
                let publish = publish(&topic, QoS::AtLeastOnce, "x");
                client.publish(&publish).expect("it runs");
                match client.poll(PATIENCE).expect("the connection lasts") {
                    Some(Received::PubAck(_, reason, _)) => {
                        assert!(!reason.is_error(), "{reason:?}");
                    }
                    other => panic!("instead of a PUBACK: {other:?}"),
                }
                longest = longest.max(start.elapsed());
            }
            longest
        });
        let (status, _) = cluster.node_mut(2).stop();
        // Nobody has waited for an election: it was handed on before the end.
        let shards = cluster.status(0)["shards"].as_array().cloned();
        is_over.store(true, Ordering::Release);
        let longest = publishing.join().expect("it ends well");
        assert!(status.success(), "{status}");
        let shards = shards.unwrap_or_default();
        assert!(!shards.is_empty());
        assert!(
            shards.iter().all(|shard| shard["leader"] != 3),
            "{shards:?}"
        );
        println!("a leader was stopped: a publish took {longest:?} at most");
    });
}
