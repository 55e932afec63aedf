//! Nodes that are started at once find each other.

use std::net::{SocketAddr, ToSocketAddrs};

use robustmq_e2e::{Client, Cluster, Connect, free_place};
use robustmq_protocol::QoS;

use crate::{next, publish_anywhere, text};

/// Waits until every node counts on all of them, and uses the cluster.
fn is_one_cluster(cluster: &Cluster) {
    let nodes = cluster.len();
    let voters: Vec<usize> = (1..=nodes).collect();
    let voters = serde_json::json!(voters);
    cluster.wait_until("they are one cluster", |cluster| {
        (0..nodes).all(|node| {
            let status = cluster.status(node);
            let shards = status["shards"].as_array().cloned().unwrap_or_default();
            status["nodes"].as_array().map(Vec::len) == Some(nodes)
                && !shards.is_empty()
                && shards.iter().all(|shard| shard["voters"] == voters)
        })
    });
    let last = cluster.node(nodes - 1).address();
    let (mut client, _) = Client::accepted(last, &Connect::new("c"));
    client.subscribe("t", QoS::AtLeastOnce);
    publish_anywhere(&[cluster.node(0).address()], "p", "t", "to another node");
    assert_eq!(text(&next(&mut client)), "to another node");
}

#[test]
fn three_nodes_started_at_once_find_each_other_by_a_list() {
    let places = [free_place(), free_place(), free_place()];
    let list = places.map(|place| place.to_string());
    is_one_cluster(&Cluster::discovering(&places, &list, &[]));
}

/// Every address of a name, as for a headless service: here `localhost`, which may
/// have an IPv4 and an IPv6 address.
#[test]
fn nodes_started_at_once_find_each_other_by_a_name() {
    let port = free_place().port();
    let found = ("localhost", port).to_socket_addrs();
    let mut places: Vec<SocketAddr> = found.into_iter().flatten().collect();
    places.sort();
    places.dedup();
    // Not among the addresses of the name: they find, and are not found.
    for host in 2..=3 {
        places.push(SocketAddr::from(([127, 0, 0, host], port)));
    }
    let name = [format!("dns:localhost:{port}")];
    is_one_cluster(&Cluster::discovering(&places, &name, &[]));
}
