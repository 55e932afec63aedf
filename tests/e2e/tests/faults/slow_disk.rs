//! A disk slower than its publishers.

use std::collections::HashSet;
use std::io::{ErrorKind, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use robustmq_e2e::{Broker, Client, Connect, Received};
use robustmq_protocol::codec::{self, Packet};
use robustmq_protocol::{PacketId, ProtocolVersion, QoS};

use super::{on_strange_disk, publish};

/// Bytes of a message.
const PAYLOAD_BYTES: usize = 64 * 1024;

/// Messages until every buffer on the way is full, and all messages.
const FIRST_MESSAGES: u16 = 1_200;
const MESSAGES: u16 = 3_600;

/// How long a publisher's socket must have taken nothing to count as held back.
const HELD_BACK: Duration = Duration::from_millis(50);

fn packet(number: u16) -> Vec<u8> {
    let mut payload = vec![0; PAYLOAD_BYTES];
    let mut state = u64::from(number);
    for chunk in payload.chunks_mut(8) {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(97);
        chunk.copy_from_slice(&state.to_be_bytes()[..chunk.len()]);
    }
    let mut publish = publish("t", QoS::AtLeastOnce, false, &payload);
    publish.packet_id = PacketId::new(number);
    let mut bytes = Vec::new();
    codec::encode(&mut bytes, ProtocolVersion::V5, &Packet::Publish(publish))
        .expect("the packet is valid");
    bytes
}

/// Writes as much as the socket takes; whether it was held back on the way.
fn press(stream: &mut TcpStream, bytes: &[u8]) -> bool {
    let (mut written, mut held_back) = (0, false);
    let mut last = Instant::now();
    while written < bytes.len() {
        match stream.write(&bytes[written..]) {
            Ok(count) => {
                written += count;
                last = Instant::now();
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                held_back |= last.elapsed() > HELD_BACK;
                std::thread::sleep(Duration::from_millis(1));
            }
            Err(error) => panic!("{error}"),
        }
    }
    held_back
}

#[test]
fn a_publisher_faster_than_the_disk_is_held_back_and_memory_does_not_grow() {
    let directory = tempfile::tempdir().expect("a directory");
    let flag = directory.path().join("slow");
    let launch = on_strange_disk(directory.path(), "SLOW_SYNC", &flag);
    let broker = Broker::start_in(launch, &["storage.tail_cache_size=4MB"]);
    let (client, _) = Client::accepted(broker.address(), &Connect::new("fast"));
    let mut stream = client.stream().try_clone().expect("a second handle");
    stream.set_nonblocking(true).expect("a socket can");
    std::fs::write(&flag, b"").expect("the disk gets slow");
    let mut held_back = 0;
    let mut press_all = |numbers: std::ops::RangeInclusive<u16>| {
        for number in numbers {
            held_back += u32::from(press(&mut stream, &packet(number)));
        }
        broker.resident_bytes()
    };
    // Every buffer on the way is full, then comes twice as much again.
    let full = press_all(1..=FIRST_MESSAGES);
    let later = press_all(FIRST_MESSAGES + 1..=MESSAGES);
    let grown = later.saturating_sub(full);
    assert!(held_back > 3, "nothing held the publisher back");
    assert!(grown < 64 << 20, "memory grew by {grown} bytes");
    std::fs::remove_file(&flag).expect("the disk is fast again");
    stream.set_nonblocking(false).expect("a socket can");
    let mut client = client;
    let mut missing: HashSet<u16> = (1..=MESSAGES).collect();
    while !missing.is_empty() {
        match client.receive().expect("the broker answers") {
            Received::PubAck(packet_id, reason, _) if !reason.is_error() => {
                assert!(missing.remove(&packet_id.get()), "acknowledged twice");
            }
            other => panic!("no PUBACK: {other:?}"),
        }
    }
}
