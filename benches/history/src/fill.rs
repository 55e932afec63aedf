//! Putting something into the log.

use std::io::Write;
use std::time::Instant;

use robustmq_e2e::{Broker, Client, Received};
use robustmq_protocol::codec::{Packet, Publish, PublishProperties};
use robustmq_protocol::{PacketId, QoS};

use crate::wire;

/// Connections that fill.
const CLIENTS: u64 = 4;

/// The rare topic, in a tree of its own.
pub(crate) const RARE_TOPIC: &str = "rare/topic";

/// Messages encoded before they are written.
const AT_A_TIME: u64 = 64;

/// What is in the log.
pub(crate) struct Filled {
    pub(crate) messages: u64,
    pub(crate) log_bytes: u64,
    pub(crate) mb_per_s: u64,
}

/// Bytes that do not compress, others for every message.
struct Noise(u64);

impl Noise {
    fn fill(&mut self, payload: &mut [u8]) {
        for part in payload.chunks_mut(8) {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            let bytes = self.0.to_le_bytes();
            part.copy_from_slice(&bytes[..part.len()]);
        }
    }
}

pub(crate) fn publish<'a>(topic: &'a str, payload: &'a [u8], qos: QoS) -> Packet<'a> {
    Packet::Publish(Publish {
        dup: false,
        qos,
        retain: false,
        topic,
        packet_id: (qos > QoS::AtMostOnce).then_some(PacketId::MIN),
        properties: PublishProperties::default(),
        payload,
    })
}

/// Fills the log with `size` bytes of payloads on many topics, and `rare`
/// messages of one topic among them.
pub(crate) fn fill(broker: &Broker, size: u64, payload: usize, rare: usize) -> Filled {
    let each = size / payload as u64 / CLIENTS;
    let rare_every = each / rare as u64;
    let start = Instant::now();
    std::thread::scope(|scope| {
        for number in 0..CLIENTS {
            let mut client = wire::connect(broker, &format!("fill-{number}"));
            // The first of them also publishes the rare ones.
            let every = if number == 0 {
                rare_every.max(1)
            } else {
                u64::MAX
            };
            scope.spawn(move || fill_one(&mut client, number, each, payload, every, rare as u64));
        }
    });
    let seconds = start.elapsed().as_secs_f64();
    let messages = each * CLIENTS + rare as u64;
    let bytes = messages * payload as u64;
    Filled {
        messages,
        log_bytes: bytes,
        mb_per_s: (bytes as f64 / seconds / f64::from(1 << 20)) as u64,
    }
}

fn fill_one(client: &mut Client, number: u64, count: u64, payload: usize, every: u64, rare: u64) {
    let mut noise = Noise(0x9e37_79b9_7f4a_7c15 + number);
    let mut bytes = vec![0; payload];
    let mut out = Vec::new();
    let mut rare_left = rare;
    for message in 0..count {
        noise.fill(&mut bytes);
        let topic = format!("load/{number}/{}", message % 97);
        encode(&mut out, &publish(&topic, &bytes, QoS::AtMostOnce));
        if every != u64::MAX && message % every == 0 && rare_left > 0 {
            rare_left -= 1;
            encode(&mut out, &publish(RARE_TOPIC, &bytes, QoS::AtMostOnce));
        }
        if message % AT_A_TIME == 0 {
            let mut stream = client.stream();
            stream.write_all(&out).expect("the broker takes it");
            out.clear();
        }
    }
    // What is acknowledged comes behind all that.
    encode(&mut out, &publish("end", b"", QoS::AtLeastOnce));
    let mut stream = client.stream();
    stream.write_all(&out).expect("the broker takes it");
    let answer = client.receive().expect("the broker answers");
    assert!(matches!(answer, Received::PubAck(..)), "{answer:?}");
}

fn encode(out: &mut Vec<u8>, packet: &Packet<'_>) {
    let version = robustmq_protocol::ProtocolVersion::V4;
    robustmq_protocol::codec::encode(out, version, packet).expect("it can be written");
}
