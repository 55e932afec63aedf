//! Delayed messages while who leads their shards changes.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use robustmq_e2e::{Client, Cluster, Connect, Http};
use robustmq_protocol::QoS;
use serde_json::Value;

use crate::{next, publish_anywhere, text};

fn http(cluster: &Cluster, node: usize) -> Http {
    let node = cluster.node(node);
    Http::new(node.http(), Some(&node.api_key()))
}

fn waiting(cluster: &Cluster, node: usize) -> Value {
    http(cluster, node)
        .get("/api/v5/mqtt/delayed/messages?limit=1000")
        .json()
}

fn count(cluster: &Cluster, node: usize) -> Option<u64> {
    waiting(cluster, node)["meta"]["count"].as_u64()
}

/// Payloads of everything that was ever published to a filter, sorted.
fn published(cluster: &Cluster, node: usize, filter: &str) -> Vec<String> {
    let path = format!("/api/v5/history/messages?filter={filter}&limit=10000");
    let page = http(cluster, node).get(&path).json();
    let messages = page["data"].as_array().cloned().unwrap_or_default();
    let payloads = messages.iter().filter_map(|one| one["payload"].as_str());
    let mut payloads: Vec<String> = payloads.map(str::to_owned).collect();
    payloads.sort();
    payloads
}

/// All nodes are killed in turn while messages become due, so that the lead of
/// every shard moves in the middle of it.
#[test]
fn what_is_due_while_leaders_change_is_published_exactly_once() {
    let mut cluster = Cluster::start(3, &[]);
    let addresses = cluster.addresses();
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let start = now.expect("it is after 1970").as_secs() + 3;
    let mut sent = Vec::new();
    for number in 0..180u64 {
        let topic = format!("$delayed/{}/d/{}", start + number / 10, number % 16);
        let payload = format!("{number:03}");
        publish_anywhere(&addresses, "p", &topic, &payload);
        sent.push(payload);
    }
    for victim in 0..3 {
        cluster.node_mut(victim).kill();
        // The others elect leaders and go on.
        std::thread::sleep(Duration::from_millis(2_500));
        cluster.node_mut(victim).restart();
        cluster.wait_until("all nodes are there", |cluster| {
            cluster.ctl(0, &["status"]).status.success()
        });
    }
    for node in 0..3 {
        cluster.wait_until("nothing waits", |cluster| count(cluster, node) == Some(0));
        assert_eq!(published(&cluster, node, "d/%23"), sent, "node {node}");
    }
}

#[test]
fn what_waits_is_listed_and_cancelled_on_every_node() {
    let cluster = Cluster::start(3, &[]);
    let addresses = cluster.addresses();
    for number in 0..12 {
        let topic = format!("$delayed/3600/c/{number}");
        publish_anywhere(&addresses[..1], "p", &topic, "later");
    }
    for node in 0..3 {
        cluster.wait_until("the node knows of them", |cluster| {
            count(cluster, node) == Some(12 - 4 * node as u64)
        });
        let listed = waiting(&cluster, node);
        let listed = listed["data"].as_array().cloned().unwrap_or_default();
        for one in listed.iter().take(4) {
            let id = one["msgid"].as_str().expect("an id");
            let path = format!("/api/v5/mqtt/delayed/messages/{id}");
            let answer = http(&cluster, node).ask("DELETE", &path, &[], "");
            assert_eq!(answer.status, 204, "{id}: {}", answer.text());
        }
    }
    for node in 0..3 {
        cluster.wait_until("nothing waits", |cluster| count(cluster, node) == Some(0));
    }
}

#[test]
fn a_subscriber_on_another_node_gets_it_when_it_is_due() {
    let cluster = Cluster::start(3, &[]);
    let (mut subscriber, _) = Client::accepted(cluster.node(2).address(), &Connect::new("s"));
    subscriber.subscribe("e/#", QoS::AtLeastOnce);
    for number in 0..8 {
        let topic = format!("$delayed/1/e/{number}");
        publish_anywhere(&cluster.addresses()[..2], "p", &topic, &number.to_string());
    }
    let mut found: Vec<String> = (0..8).map(|_| text(&next(&mut subscriber))).collect();
    found.sort();
    let expected: Vec<String> = (0..8).map(|number| number.to_string()).collect();
    assert_eq!(found, expected);
}
