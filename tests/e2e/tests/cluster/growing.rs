//! Nodes join, leave, and are refused.

use std::process::Command;

use robustmq_e2e::{Broker, Client, Cluster, Connect, Received, binary};
use robustmq_protocol::QoS;

use crate::{next, publish, text};

#[test]
fn a_node_that_was_alone_grows_to_three_without_losing_its_history_or_its_clients() {
    let mut cluster = Cluster::alone(&[]);
    let (mut client, _) = Client::accepted(cluster.node(0).address(), &Connect::new("early"));
    client.subscribe("live/#", QoS::AtLeastOnce);
    let early = publish("history/1", QoS::AtLeastOnce, "before anybody joined");
    client.publish(&early).expect("it runs");
    assert!(matches!(client.receive(), Ok(Received::PubAck(..))));
    cluster.grow();
    cluster.grow();
    // The connection has not noticed anything.
    let (mut far, _) = Client::accepted(cluster.node(2).address(), &Connect::new("far"));
    let live = publish("live/1", QoS::AtLeastOnce, "from the third node");
    far.publish(&live).expect("it runs");
    assert!(matches!(far.receive(), Ok(Received::PubAck(..))));
    assert_eq!(text(&next(&mut client)), "from the third node");
    // What was written before is everywhere.
    far.subscribe("$replay/earliest..latest/history/#", QoS::AtLeastOnce);
    assert_eq!(text(&next(&mut far)), "before anybody joined");
}

#[test]
fn a_node_leaves_and_the_others_go_on() {
    leave(0, 2);
}

#[test]
fn the_node_that_leads_the_metadata_leaves_too() {
    leave(0, 0);
}

/// Has a node taken out, asked at another or at itself.
fn leave(asked: usize, gone: usize) {
    let mut cluster = Cluster::start(3, &[]);
    let id = (gone + 1).to_string();
    let left = cluster.ctl(asked, &["leave", &id]);
    assert!(left.status.success(), "{left:?}");
    let stays: Vec<usize> = (0..3).filter(|node| *node != gone).collect();
    let ids: Vec<usize> = stays.iter().map(|node| node + 1).collect();
    let voters = serde_json::json!(ids);
    cluster.wait_until("nobody counts on it", |cluster| {
        let status = cluster.status(stays[0]);
        let nodes = status["nodes"].as_array().map_or(0, Vec::len);
        let shards = status["shards"].as_array().cloned().unwrap_or_default();
        nodes == 2 && shards.iter().all(|shard| shard["voters"] == voters)
    });
    cluster.node_mut(gone).kill();
    let (mut client, _) = Client::accepted(cluster.node(stays[1]).address(), &Connect::new("c"));
    for shard in 0..20 {
        let topic = format!("t/{shard}");
        let publish = publish(&topic, QoS::AtLeastOnce, "x");
        client.publish(&publish).expect("it runs");
        assert!(matches!(client.receive(), Ok(Received::PubAck(..))));
    }
    let again = cluster.ctl(stays[0], &["leave", &id]);
    assert_eq!(again.status.code(), Some(2), "{again:?}");
    let text = String::from_utf8_lossy(&again.stderr).into_owned();
    assert!(text.contains(&format!("there is no node {id}")), "{text}");
}

#[test]
fn a_node_comes_back_at_another_address() {
    let mut cluster = Cluster::start(3, &[]);
    cluster.node_mut(2).stop();
    cluster.move_node(2);
    cluster.node_mut(2).restart();
    let address = cluster.place(2).to_string();
    cluster.wait_until("everybody knows the new address", |cluster| {
        (0..3).all(|node| {
            let status = cluster.status(node);
            let nodes = status["nodes"].as_array().cloned().unwrap_or_default();
            nodes.len() == 3 && nodes[2]["address"] == address && nodes[2]["state"] == "up"
        })
    });
    // The others find it there when they are the ones who come back.
    cluster.node_mut(0).kill_and_restart();
    cluster.node_mut(1).kill_and_restart();
    cluster.wait_until("all are connected", |cluster| {
        (0..3).all(|node| cluster.ctl(node, &["status"]).status.success())
    });
    let (mut client, _) = Client::accepted(cluster.node(2).address(), &Connect::new("c"));
    let publish = publish("t", QoS::AtLeastOnce, "x");
    client.publish(&publish).expect("it runs");
    assert!(matches!(client.receive(), Ok(Received::PubAck(..))));
}

#[test]
fn a_node_that_lost_its_data_is_not_taken_for_the_one_it_was() {
    let mut cluster = Cluster::start(3, &[]);
    cluster.node_mut(2).kill();
    let data = cluster.node(2).data();
    std::fs::remove_dir_all(&data).expect("it is there");
    cluster.node_mut(2).restart();
    let place = cluster.place(0).to_string();
    let refused = cluster.ctl(2, &["join", &place]);
    assert_eq!(refused.status.code(), Some(2), "{refused:?}");
    let text = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(text.contains("known with another data directory"), "{text}");
    assert!(text.contains("robust-ctl cluster leave 3"), "{text}");
}

#[test]
fn a_node_with_records_of_its_own_does_not_join() {
    let mut cluster = Cluster::alone(&[]);
    let node = cluster.add();
    let (mut client, _) = Client::accepted(cluster.node(node).address(), &Connect::new("c"));
    let own = publish("own/1", QoS::AtLeastOnce, "x");
    client.publish(&own).expect("it runs");
    assert!(matches!(client.receive(), Ok(Received::PubAck(..))));
    let refused = cluster.ctl(node, &["join", &cluster.place(0).to_string()]);
    assert_eq!(refused.status.code(), Some(2), "{refused:?}");
    let text = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(text.contains("holds records of its own"), "{text}");
}

#[test]
fn a_certificate_of_another_authority_is_refused() {
    let cluster = Cluster::alone(&[]);
    let stranger = Cluster::alone(&[]);
    let mut other = Command::new(binary("robust-ctl"));
    let foreign = tempfile::tempdir().expect("a temporary directory");
    other
        .args(["cluster", "certificates", "--out"])
        .arg(foreign.path())
        .args(["--node", "2"]);
    assert!(other.output().expect("it starts").status.success());
    let file = |name: &str| foreign.path().join(name).display().to_string();
    let sets = [
        "cluster.enabled=true".to_owned(),
        "node.id=2".to_owned(),
        "cluster.bind=127.0.0.1:0".to_owned(),
        format!("cluster.ca={}", file("ca.pem")),
        format!("cluster.certificate={}", file("node-2.pem")),
        format!("cluster.key={}", file("node-2-key.pem")),
    ];
    let sets: Vec<&str> = sets.iter().map(String::as_str).collect();
    let broker = Broker::start(&sets);
    let mut join = Command::new(binary("robust-ctl"));
    join.arg("--server")
        .arg(format!("http://{}", broker.http()))
        .args(["--api-key", &broker.api_key(), "cluster", "join"])
        .arg(cluster.place(0).to_string());
    let refused = join.output().expect("it starts");
    assert_eq!(refused.status.code(), Some(2), "{refused:?}");
    assert_eq!(cluster.status(0)["nodes"].as_array().map(Vec::len), Some(1));
    drop(stranger);
}

/// Another cluster of the same authority: only the number of the cluster tells.
#[test]
fn a_node_of_another_cluster_is_refused() {
    let mut cluster = Cluster::alone(&[]);
    cluster.grow();
    let other = cluster.add();
    let last = cluster.add();
    let place = cluster.place(other).to_string();
    let joined = cluster.ctl(last, &["join", &place]);
    assert!(joined.status.success(), "{joined:?}");
    let refused = cluster.ctl(last, &["join", &cluster.place(0).to_string()]);
    assert_eq!(refused.status.code(), Some(2), "{refused:?}");
    let told = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(told.contains("cluster"), "{told}");
    let nodes = |node| cluster.status(node)["nodes"].as_array().map(Vec::len);
    assert_eq!([nodes(0), nodes(1), nodes(other)], [Some(2); 3]);
}
