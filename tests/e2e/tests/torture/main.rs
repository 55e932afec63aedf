//! Durable means durable: the broker is killed again and again while clients
//! publish and persistent subscribers come and go; nothing acknowledged may be
//! lost, QoS 2 arrives exactly once, order is kept, retained is the last value.
//!
//! `ROBUSTMQ_TORTURE_ROUNDS` sets the number of kills (50 by default),
//! `ROBUSTMQ_TORTURE_SEED` repeats a run's choices.

mod publisher;
mod subscriber;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use robustmq_e2e::{Broker, Client, Connect, Received};
use robustmq_protocol::QoS;
use robustmq_protocol::codec::Packet;

use publisher::Publisher;
use subscriber::Subscriber;

const PUBLISHERS: u32 = 4;
const SUBSCRIBERS: u32 = 3;

/// Acknowledgements between two kills, at least.
const ACKS_PER_ROUND: u64 = 40;

/// How long everything may take to arrive after the last kill.
const SETTLE: Duration = Duration::from_secs(120);

/// A small generator of numbers: the same seed, the same choices.
#[derive(Clone)]
pub(crate) struct Choices(u64);

impl Choices {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }
}

/// What the threads share.
pub(crate) struct Run {
    pub(crate) acked: AtomicU64,
    /// Publishers finish what they have begun and end.
    pub(crate) finish: AtomicBool,
    /// Subscribers end.
    pub(crate) end: AtomicBool,
}

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name)
        .ok()
        .and_then(|value| value.parse().ok())
        .unwrap_or(default)
}

#[test]
fn nothing_acknowledged_is_lost_over_many_kills() {
    let rounds = setting("ROBUSTMQ_TORTURE_ROUNDS", 50);
    let seed = setting("ROBUSTMQ_TORTURE_SEED", u64::from(std::process::id()));
    println!("repeat with: ROBUSTMQ_TORTURE_SEED={seed} ROBUSTMQ_TORTURE_ROUNDS={rounds}");
    let mut broker = Broker::start(&[
        "storage.segment_size=1MB",
        "storage.cursor_flush_interval=50ms",
    ]);
    let address = broker.address();
    let run = Arc::new(Run {
        acked: AtomicU64::new(0),
        finish: AtomicBool::new(false),
        end: AtomicBool::new(false),
    });
    // Sessions exist before the first message: from then on all is theirs.
    let subscribers: Vec<Subscriber> = (0..SUBSCRIBERS)
        .map(|number| {
            Subscriber::new(
                number,
                address,
                Choices::new(seed + 100 + u64::from(number)),
            )
        })
        .collect();
    let receiving: Vec<_> = subscribers
        .into_iter()
        .map(|subscriber| {
            let run = Arc::clone(&run);
            std::thread::spawn(move || subscriber.run(&run))
        })
        .collect();
    let publishing: Vec<_> = (0..PUBLISHERS)
        .map(|number| {
            let publisher = Publisher::new(number, address, Choices::new(seed + u64::from(number)));
            let run = Arc::clone(&run);
            std::thread::spawn(move || publisher.run(&run))
        })
        .collect();
    let mut choices = Choices::new(seed + 1_000);
    for round in 0..rounds {
        let target = run.acked.load(Ordering::Acquire) + ACKS_PER_ROUND + choices.below(400);
        let start = Instant::now();
        while run.acked.load(Ordering::Acquire) < target {
            assert!(
                start.elapsed() < SETTLE,
                "round {round}: publishers are stuck\n{}",
                broker.log()
            );
            std::thread::yield_now();
        }
        broker.kill_and_restart();
    }
    run.finish.store(true, Ordering::Release);
    let published: Vec<publisher::Published> = publishing
        .into_iter()
        .map(|thread| thread.join().expect("a publisher ends well"))
        .collect();
    check_retained(&broker, &published);
    settle(&broker, &published);
    run.end.store(true, Ordering::Release);
    for thread in receiving {
        let received = thread.join().expect("a subscriber ends well");
        received.check(&published);
    }
    println!(
        "{rounds} kills, {} acknowledged",
        run.acked.load(Ordering::Acquire)
    );
}

/// Publishes the word that tells subscribers that nothing follows. Each topic
/// gets it at its own QoS: order is promised per topic and QoS [MQTT-4.6.0-5].
fn settle(broker: &Broker, published: &[publisher::Published]) {
    assert_eq!(published.len(), PUBLISHERS as usize);
    let (mut client, _) = Client::accepted(broker.address(), &Connect::new("settler"));
    for number in 0..PUBLISHERS {
        for qos in [QoS::AtLeastOnce, QoS::ExactlyOnce] {
            let topic = publisher::topic(number, qos);
            let end = publisher::packet(&topic, qos, 1, false, b"end");
            client.publish(&end).expect("the broker runs");
            match client.receive().expect("the broker answers") {
                Received::PubAck(..) => {}
                Received::PubRec(packet_id, ..) => {
                    client
                        .ack(Packet::PubRel, packet_id)
                        .expect("the broker runs");
                    let end = client.receive().expect("the broker answers");
                    assert!(matches!(end, Received::PubComp(..)), "{end:?}");
                }
                other => panic!("no acknowledgement: {other:?}"),
            }
        }
    }
}

fn check_retained(broker: &Broker, published: &[publisher::Published]) {
    let (mut client, _) = Client::accepted(broker.address(), &Connect::new("retained"));
    for (number, sent) in published.iter().enumerate() {
        let topic = publisher::retained_topic(number as u32);
        client.subscribe(&topic, QoS::AtMostOnce);
        let Some(last) = sent.retained_last else {
            continue;
        };
        match client.receive().expect("the broker answers") {
            Received::Publish(message) => {
                let value: u64 = String::from_utf8_lossy(&message.payload)
                    .parse()
                    .expect("a number");
                assert_eq!(value, last, "retained = last acknowledged, on {topic}");
                assert!(message.retain);
            }
            other => panic!("no retained message on {topic}: {other:?}"),
        }
    }
}
