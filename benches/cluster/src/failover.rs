//! How long publishers wait when the leader of their shard is killed.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use robustmq_e2e::{Client, Cluster, Connect, Received};
use robustmq_protocol::codec::{Publish, PublishProperties};
use robustmq_protocol::{PacketId, QoS};

use crate::document::Row;

/// Topics, so that every shard has one.
const TOPICS: usize = 64;

/// How long a publish may take before the run is given up.
const PATIENCE: Duration = Duration::from_secs(30);

/// The longest wait for a PUBACK around a kill, in seconds; the median of all kills.
pub(crate) fn measure(kills: u32) -> Row {
    let mut cluster = Cluster::start(3, &[]);
    let mut waits = Vec::new();
    for kill in 0..kills as usize {
        let victim = kill % 3;
        let through = cluster.node((victim + 1) % 3).address();
        let publisher = std::thread::spawn(move || longest_wait(through));
        std::thread::sleep(Duration::from_millis(500));
        cluster.node_mut(victim).kill();
        waits.push(publisher.join().unwrap_or(f64::NAN));
        cluster.node_mut(victim).restart();
        cluster.wait_until("all nodes are there", |cluster| {
            cluster.ctl(0, &["status"]).status.success()
        });
        cluster.ctl(0, &["rebalance"]);
        std::thread::sleep(Duration::from_secs(2));
    }
    waits.sort_by(f64::total_cmp);
    Row {
        title:
            "longest wait for a PUBACK when a node is killed that leads a third of the shards, s"
                .to_owned(),
        one: None,
        three: waits.get(waits.len() / 2).copied(),
    }
}

/// Publishes for some seconds, one message after the other.
fn longest_wait(address: SocketAddr) -> f64 {
    let (mut client, _) = Client::accepted(address, &Connect::new("failover"));
    let (start, mut longest) = (Instant::now(), Duration::ZERO);
    for number in 0.. {
        if start.elapsed() > Duration::from_secs(6) {
            break;
        }
        let topic = format!("failover/{}", number % TOPICS);
        let publish = Publish {
            dup: false,
            qos: QoS::AtLeastOnce,
            retain: false,
            topic: &topic,
            packet_id: PacketId::new(1),
            properties: PublishProperties::default(),
            payload: b"x",
        };
        let asked = Instant::now();
        if client.publish(&publish).is_err() {
            return f64::NAN;
        }
        match client.poll(PATIENCE) {
            Ok(Some(Received::PubAck(_, reason, _))) if !reason.is_error() => {}
            _ => return f64::NAN,
        }
        longest = longest.max(asked.elapsed());
    }
    longest.as_secs_f64()
}
