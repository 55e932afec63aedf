//! Lasting sessions whose clients are away.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use robustmq_e2e::{Broker, Client, Connect, Received};
use robustmq_protocol::codec::{Publish, PublishProperties};
use robustmq_protocol::{PacketId, QoS, ReasonCode};

use crate::Scale;
use crate::load::{bench, processor_s, start};
use crate::report::{Line, grouped};

/// Clients at a time.
const THREADS: usize = 64;

/// Publishes on their way.
const WINDOW: u64 = 64;

fn topic(session: u64, filter: u64) -> String {
    format!("away/{session}/{filter}")
}

/// Does `work` for every session, many at a time.
fn each(sessions: u64, work: impl Fn(u64) + Sync) {
    let next = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                loop {
                    let session = next.fetch_add(1, Ordering::Relaxed);
                    if session >= sessions {
                        return;
                    }
                    work(session);
                }
            });
        }
    });
}

fn name(session: u64) -> String {
    format!("away-{session}")
}

/// Makes sessions with subscriptions, and leaves them.
fn make(broker: &Broker, sessions: u64, filters: u64) {
    each(sessions, |session| {
        let name = name(session);
        let (mut client, _) = Client::accepted(broker.address(), &Connect::persistent(&name));
        for number in 0..filters {
            let granted = client.subscribe(&topic(session, number), QoS::AtLeastOnce);
            assert!(granted.iter().all(|code| !code.is_error()), "{granted:?}");
        }
        client.disconnect(ReasonCode::Success).expect("it leaves");
    });
}

/// One QoS 1 message for each session.
fn publish(broker: &Broker, sessions: u64) {
    let (mut client, _) = Client::accepted(broker.address(), &Connect::new("publisher"));
    let mut waiting = 0;
    for session in 0..sessions {
        let topic = topic(session, 0);
        let publish = Publish {
            dup: false,
            qos: QoS::AtLeastOnce,
            retain: false,
            topic: &topic,
            packet_id: PacketId::new((session % 65_535) as u16 + 1),
            properties: PublishProperties::default(),
            payload: b"something for who is away",
        };
        client.publish(&publish).expect("it is sent");
        waiting += 1;
        if waiting == WINDOW || session + 1 == sessions {
            for _ in 0..waiting {
                let answer = client.receive().expect("it is answered");
                assert!(matches!(answer, Received::PubAck(..)), "{answer:?}");
            }
            waiting = 0;
        }
    }
}

/// Every client comes back for its message; how many got it.
fn fetch(broker: &Broker, sessions: u64) -> u64 {
    let got = AtomicU64::new(0);
    each(sessions, |session| {
        let name = name(session);
        let connect = Connect {
            clean_start: false,
            ..Connect::persistent(&name)
        };
        let (mut client, present) = Client::accepted(broker.address(), &connect);
        assert!(present, "the session is there");
        if let Ok(Received::Publish(message)) = client.receive() {
            assert_eq!(message.topic, topic(session, 0));
            got.fetch_add(1, Ordering::Relaxed);
        }
        client.disconnect(ReasonCode::Success).expect("it leaves");
    });
    got.into_inner()
}

fn per(bytes: u64, count: u64) -> String {
    format!("{} B", grouped(bytes / count))
}

/// Sessions with a subscription and a message each.
pub(crate) fn away(scale: Scale) -> Result<Vec<Line>, String> {
    let sessions = scale.of(100_000);
    let broker = start(&[]);
    // What the first sessions bring is not theirs.
    make(&broker, sessions / 10, 1);
    let before = broker.resident_bytes();
    let since = Instant::now();
    make(&broker, sessions, 1);
    let made = since.elapsed().as_secs_f64();
    let grown = broker.resident_bytes().saturating_sub(before);
    publish(&broker, sessions);
    let since = Instant::now();
    let got = fetch(&broker, sessions);
    let fetched = since.elapsed().as_secs_f64();
    if got != sessions {
        return Err(format!("{got} of {sessions} sessions got their message"));
    }
    let count = grouped(sessions);
    let new = sessions - sessions / 10;
    Ok(vec![
        Line::new(
            format!("resident memory per lasting session that is away, of {count}"),
            per(grown, new),
        )
        .target("≤ 400 B"),
        Line::new(
            format!("{count} sessions made, each: connect, subscribe, disconnect"),
            format!("{made:.1} s"),
        ),
        Line::new(
            format!("{count} sessions come back for one message each"),
            format!("{fetched:.1} s, all of them got it"),
        ),
    ])
}

/// A million subscriptions of many sessions, and what matching costs then.
pub(crate) fn million(scale: Scale) -> Result<Vec<Line>, String> {
    const FILTERS: u64 = 10;
    let sessions = scale.of(100_000);
    let messages = scale.of(1_000_000).max(50_000);
    let broker = start(&["storage.compression=none"]);
    let arguments = format!("fan-in --topics 1000 --messages {messages}");
    let alone = processor_s(&bench(&broker, &arguments)?["run"])?;
    let before = broker.resident_bytes();
    make(&broker, sessions, FILTERS);
    let grown = broker.resident_bytes().saturating_sub(before);
    let beside = processor_s(&bench(&broker, &arguments)?["run"])?;
    let count = grouped(sessions * FILTERS);
    let sessions_count = grouped(sessions);
    Ok(vec![
        Line::new(
            format!("processor time of a QoS 0 message to one of 8 000 topics, without and with {count} subscriptions of {sessions_count} sessions"),
            format!("{alone:.2} and {beside:.2} µs"),
        )
        .target("the same"),
        Line::new(
            format!("resident memory for {count} subscriptions, each"),
            per(grown, sessions * FILTERS),
        ),
    ])
}
