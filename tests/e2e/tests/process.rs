//! The broker as a process: how it starts, refuses to start, and ends.

use std::net::TcpListener;
use std::time::Duration;

use robustmq_e2e::{Broker, Client, Connect, Received};
use robustmq_protocol::codec::{Publish, PublishProperties};
use robustmq_protocol::{PacketId, QoS, ReasonCode};

#[test]
fn an_interrupt_ends_it_in_order() {
    let mut broker = Broker::start(&[]);
    let (mut client, _) = Client::accepted(broker.address(), &Connect::new("c"));
    let (status, time) = broker.stop();
    assert!(status.success(), "{status}: {}", broker.log());
    assert!(time < Duration::from_secs(5), "{time:?}");
    assert_eq!(
        client.receive().ok(),
        Some(Received::Disconnect(ReasonCode::ServerShuttingDown))
    );
}

#[test]
fn an_orderly_end_needs_no_repair_at_the_next_start() {
    let mut broker = Broker::start(&[]);
    let (mut client, _) = Client::accepted(broker.address(), &Connect::new("c"));
    store(&mut client, "t", b"x");
    drop(client);
    broker.stop();
    broker.restart();
    broker.stop();
    let log = broker.log();
    assert!(!log.contains("WARN") && !log.contains("ERROR"), "{log}");
}

fn store(client: &mut Client, topic: &str, payload: &[u8]) {
    let publish = Publish {
        dup: false,
        qos: QoS::AtLeastOnce,
        retain: false,
        topic,
        packet_id: Some(PacketId::MIN),
        properties: PublishProperties::default(),
        payload,
    };
    client.publish(&publish).expect("PUBLISH is sent");
    assert!(matches!(client.receive(), Ok(Received::PubAck(..))));
}

fn refused(data: &std::path::Path, sets: &[&str]) -> String {
    match Broker::try_start(data, sets) {
        Ok(_) => panic!("the broker must not start"),
        Err(failed) => {
            assert!(!failed.status.success());
            failed.stderr
        }
    }
}

#[test]
fn a_wrong_key_is_named_with_the_nearest_right_one() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let text = refused(directory.path(), &["mqtt.max_packet_sise=1MB"]);
    assert!(
        text.contains("max_packet_sise") && text.contains("max_packet_size"),
        "{text}"
    );
}

#[test]
fn a_locked_data_directory_is_refused() {
    let broker = Broker::start(&[]);
    let text = refused(&broker.data(), &[]);
    assert!(text.contains("in use") || text.contains("locked"), "{text}");
    assert!(text.contains("node.data_dir"), "{text}");
}

#[test]
fn a_port_in_use_is_refused_with_the_way_out() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("its address");
    let set = format!("listeners.tcp.default.bind={address}");
    let text = refused(directory.path(), &[&set]);
    assert!(
        text.contains(&address.to_string()) && text.contains("bind"),
        "{text}"
    );
}

#[test]
fn a_data_directory_of_a_later_version_is_refused() {
    let mut broker = Broker::start(&[]);
    broker.stop();
    std::fs::write(broker.data().join("FORMAT"), "9999\n").expect("the file is written");
    let text = refused(&broker.data(), &[]);
    assert!(text.contains("9999") && text.contains("newer"), "{text}");
}

#[test]
fn an_unusable_data_directory_is_refused() {
    let text = refused(std::path::Path::new("/proc/robustmq"), &[]);
    assert!(
        text.contains("/proc/robustmq") && text.contains("node.data_dir"),
        "{text}"
    );
}

#[test]
fn anonymous_clients_are_kept_to_loopback_unless_allowed() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let text = refused(directory.path(), &["listeners.tcp.default.bind=0.0.0.0:0"]);
    assert!(text.contains("auth.anonymous"), "{text}");
}

#[test]
fn a_damaged_byte_costs_only_what_it_hit_and_is_reported() {
    let mut broker = Broker::start(&["storage.segment_size=1MB", "storage.compression=none"]);
    let (mut subscriber, _) = Client::accepted(broker.address(), &Connect::persistent("s"));
    subscriber.subscribe("t", QoS::AtMostOnce);
    drop(subscriber);
    let (mut client, _) = Client::accepted(broker.address(), &Connect::new("c"));
    let payload = |number: u32| format!("message-{number:04}-{}", "x".repeat(2000)).into_bytes();
    for number in 0..700 {
        store(&mut client, "t", &payload(number));
    }
    drop(client);
    broker.stop();
    broker.flip_bit(b"message-0100-");
    broker.restart();
    let (mut subscriber, present) = Client::accepted(broker.address(), &Connect::persistent("s"));
    assert!(present);
    let mut numbers = Vec::new();
    while numbers.last() != Some(&699) {
        match subscriber.receive().expect("the rest is delivered") {
            Received::Publish(message) => {
                let text = String::from_utf8_lossy(&message.payload).into_owned();
                numbers.push(text[8..12].parse::<u32>().expect("a number"));
            }
            other => panic!("{other:?}"),
        }
    }
    let expected: Vec<u32> = (0..700).filter(|number| *number != 100).collect();
    assert_eq!(numbers, expected);
    broker.stop();
    assert!(broker.log().contains("damaged"), "{}", broker.log());
}

#[test]
fn a_subscriber_that_does_not_read_costs_no_memory() {
    let broker = Broker::start(&["storage.tail_cache_size=4MB"]);
    let mut stuck = Vec::new();
    for number in 0..20 {
        let client_id = format!("stuck-{number}");
        let (mut client, _) = Client::accepted(broker.address(), &Connect::new(&client_id));
        client.subscribe("t", QoS::AtMostOnce);
        stuck.push(client);
    }
    let (mut client, _) = Client::accepted(broker.address(), &Connect::new("c"));
    let payload = vec![b'x'; 64 * 1024];
    for _ in 0..64 {
        store(&mut client, "t", &payload);
    }
    let before = broker.resident_bytes();
    for _ in 0..1_600 {
        store(&mut client, "t", &payload);
    }
    let grown = broker.resident_bytes().saturating_sub(before);
    // 100 MB were published to 20 readers that do not read.
    assert!(grown < 32 << 20, "memory grew by {grown} bytes");
    let Received::Publish(first) = stuck[0].receive().expect("it reads at last") else {
        panic!("no message")
    };
    assert_eq!(first.payload.len(), payload.len());
}
