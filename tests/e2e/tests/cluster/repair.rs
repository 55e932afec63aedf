//! What is damaged on one node's disk comes back from the others.

use robustmq_e2e::{Broker, Client, Cluster, Connect, Http};
use robustmq_protocol::QoS;

use crate::{next, publish_anywhere, text};

const MESSAGES: usize = 40;

fn cluster() -> Cluster {
    let cluster = Cluster::start(3, &["storage.compression=none"]);
    let addresses = cluster.addresses();
    for number in 0..MESSAGES {
        let (topic, payload) = (format!("n/{number}"), format!("message-{number:04}"));
        publish_anywhere(&addresses, "p", &topic, &payload);
    }
    cluster.wait_until("all nodes have everything", |cluster| {
        let status = cluster.status(0);
        let nodes = status["nodes"].as_array().cloned().unwrap_or_default();
        nodes
            .iter()
            .all(|one| one["lag_batches"] == 0 || one["lag_batches"].is_null())
            && nodes.len() == 3
    });
    cluster
}

fn metrics(node: &Broker) -> String {
    let answer = Http::new(node.http(), Some(&node.api_key())).get("/metrics");
    assert_eq!(answer.status, 200);
    answer.text().to_string()
}

fn history(node: &Broker) -> Vec<String> {
    let (mut client, _) = Client::accepted(node.address(), &Connect::new("historian"));
    client.subscribe("$replay/earliest/n/#", QoS::AtLeastOnce);
    let mut found: Vec<String> = (0..MESSAGES).map(|_| text(&next(&mut client))).collect();
    found.sort();
    found
}

#[test]
fn a_flipped_bit_of_a_message_is_repaired_from_another_node() {
    let mut cluster = cluster();
    let expected: Vec<String> = (0..MESSAGES).map(|n| format!("message-{n:04}")).collect();
    cluster.node_mut(1).stop();
    for number in [3, 17] {
        cluster
            .node(1)
            .flip_bit(format!("message-{number:04}").as_bytes());
    }
    cluster.node_mut(1).restart();
    assert_eq!(history(cluster.node(1)), expected);
    let log = cluster.node(1).log();
    assert!(
        log.contains("a damaged batch was repaired from another node"),
        "{log}"
    );
    let metrics = metrics(cluster.node(1));
    assert!(
        metrics.contains("robustmq_log_repairs_total 2"),
        "{metrics}"
    );
    assert!(
        metrics.contains("robustmq_group_leader{shard=\"0\"}"),
        "{metrics}"
    );
    // It is on this node's own disk again: nobody needs to be asked.
    cluster.node_mut(1).kill_and_restart();
    assert_eq!(history(cluster.node(1)), expected);
    let log = cluster.node(1).log();
    assert!(!log.contains("was repaired"), "{log}");
}

#[test]
fn a_node_waits_for_others_with_what_its_views_lack() {
    let mut cluster = cluster();
    let lasting = Connect {
        will: None,
        ..Connect::persistent("lasting-session")
    };
    let (mut client, _) = Client::accepted(cluster.node(0).address(), &lasting);
    client.subscribe("n/#", QoS::AtLeastOnce);
    drop(client);
    publish_anywhere(&cluster.addresses(), "p", "n/last", "for the session");
    for node in 0..3 {
        cluster.node_mut(node).stop();
    }
    cluster.node(2).flip_bit(b"lasting-session");
    std::fs::remove_dir_all(cluster.node(2).data().join("views")).expect("it is there");
    std::thread::scope(|scope| {
        for node in cluster.nodes_mut() {
            scope.spawn(|| node.restart());
        }
    });
    let (mut client, present) = Client::accepted(cluster.node(2).address(), &lasting);
    assert!(present, "the session was rebuilt from the log");
    // The node of the subscription may not have had the last messages yet when
    // it began.
    while text(&next(&mut client)) != "for the session" {}
}
