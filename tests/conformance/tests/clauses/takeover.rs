//! One client identifier, two connections (3.1.4).

use std::sync::Barrier;

use robustmq_conformance::{
    Broker, Client, Connect, Heard, Packet, Props, Version, Will, property,
};

use robustmq_conformance::client::PATIENCE;

use super::{BOTH, publisher};

#[test]
fn mqtt5_3_1_4_3_the_older_connection_is_told_and_closed() {
    let broker = Broker::start();
    for (old, new) in [
        (Version::V5, Version::V5),
        (Version::V5, Version::V311),
        (Version::V311, Version::V5),
        (Version::V311, Version::V311),
    ] {
        let mut first = Client::connect(&broker, &Connect::new(old, "same")).0;
        let mut second = Client::connect(&broker, &Connect::new(new, "same")).0;
        first.expect_end((old == Version::V5).then_some(0x8e));
        second.ping();
    }
}

#[test]
fn a_lasting_session_moves_to_the_newer_connection() {
    let broker = Broker::start();
    for version in BOTH {
        let (mut first, _) = Client::lasting(&broker, version, "moving");
        first.subscribe("t", 1);
        let mut sender = publisher(&broker);
        sender.publish_1("t", "in flight");
        let message = first.message();
        let (mut second, present) = Client::lasting(&broker, version, "moving");
        assert!(present);
        let again = second.message();
        assert!(again.dup);
        assert_eq!((again.id, again.text()), (message.id, message.text()));
        second.ack(robustmq_conformance::AckKind::PubAck, again.id);
        sender.publish_1("t", "live");
        assert_eq!(second.take().text(), "live");
        second.unsubscribe(&["t"]);
        second.disconnect();
    }
}

#[test]
fn mqtt5_3_1_4_3_takeover_with_a_clean_start_sends_the_will() {
    let broker = Broker::start();
    let mut watcher = Client::v5(&broker, "watcher");
    watcher.subscribe("will", 1);
    let _first = Client::connect(
        &broker,
        &Connect::v5("same").will(Will::new("will", "of the first")),
    )
    .0;
    let _second = Client::connect(
        &broker,
        &Connect::v5("same").will(Will::new("will", "of the second")),
    )
    .0;
    assert_eq!(watcher.take().text(), "of the first");
    watcher.expect_silence();
}

#[test]
fn mqtt5_3_1_3_9_takeover_within_the_delay_sends_no_will() {
    let broker = Broker::start();
    let mut watcher = Client::v5(&broker, "watcher");
    watcher.subscribe("will", 1);
    let will = Will {
        props: Props::new().four(property::WILL_DELAY, 60),
        ..Will::new("will", "never")
    };
    let connect = Connect::lasting(Version::V5, "same");
    let mut first = Client::connect(&broker, &connect.clone().will(will)).0;
    let (_second, present, _) = Client::connect(&broker, &connect);
    assert!(present);
    first.expect_end(Some(0x8e));
    watcher.expect_silence();
}

#[test]
fn a_disconnect_with_will_after_takeover_is_too_late() {
    let broker = Broker::start();
    let mut first = Client::v5(&broker, "same");
    let mut second = Client::v5(&broker, "same");
    second.subscribe("t", 1);
    // The first may still write; nobody listens to it.
    let _closed = first.try_send(
        &robustmq_conformance::Publish::new("t", "ghost")
            .qos(1, 1)
            .bytes(Version::V5),
    );
    first.expect_end(Some(0x8e));
    second.expect_silence();
}

#[test]
fn of_many_at_once_exactly_one_stays() {
    let broker = Broker::start();
    for version in BOTH {
        let barrier = Barrier::new(16);
        let clients: Vec<Client> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..16)
                .map(|_| {
                    scope.spawn(|| {
                        barrier.wait();
                        let mut client = Client::open(&broker, version);
                        client.send(&Connect::lasting(version, "crowd").bytes());
                        client
                    })
                })
                .collect();
            threads
                .into_iter()
                .map(|thread| thread.join().expect("it can connect"))
                .collect()
        });
        let mut alive = 0;
        for mut client in clients {
            let mut heard = client.hear(PATIENCE);
            if matches!(heard, Heard::Packet(Packet::ConnAck { .. })) {
                let _closed = client.try_send(&[0xc0, 0]);
                heard = client.hear(PATIENCE);
            }
            match heard {
                Heard::Packet(Packet::PingResp) => {
                    // Answered before it was taken over, or the one that stays.
                    let _closed = client.try_send(&[0xc0, 0]);
                    alive += usize::from(client.hear(PATIENCE) == Heard::Packet(Packet::PingResp));
                }
                Heard::Packet(Packet::Disconnect { code: 0x8e, .. }) | Heard::Closed => {}
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(alive, 1);
    }
}
