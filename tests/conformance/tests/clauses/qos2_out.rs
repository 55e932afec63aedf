//! QoS 2 from the broker to a client, cut off at every step of the handshake (4.3.3, 4.4).

use robustmq_conformance::packet::raw;
use robustmq_conformance::{AckKind, Broker, Client, Heard, Packet, Version, differs_on_peer};

use robustmq_conformance::client::{PATIENCE, QUIET};

use super::{BOTH, publisher};

/// A broker with a lasting session `receiver` that has one message on its way.
fn one_on_its_way(broker: &Broker, version: Version) -> Client {
    let (mut client, _) = Client::lasting(broker, version, "receiver");
    client.subscribe("t", 2);
    publisher(broker).publish_2("t", "once");
    client
}

fn again(broker: &Broker, version: Version) -> Client {
    let (client, present) = Client::lasting(broker, version, "receiver");
    assert!(present);
    client
}

/// A killed broker may have forgotten a PUBCOMP: then it repeats the PUBREL, which does no harm.
fn finish_releases(client: &mut Client) {
    client.ping();
    while let Heard::Packet(packet) = client.hear(QUIET) {
        match packet {
            Packet::Ack(ack) if ack.kind == AckKind::PubRel => client.ack(AckKind::PubComp, ack.id),
            other => panic!("nothing but PUBREL was to come: {other:?}"),
        }
    }
}

/// Runs `case` for every version, and with the broker killed at the break.
fn with_every_break(case: impl Fn(&Broker, Version) -> Client, after: impl Fn(&mut Client, u16)) {
    let kills: &[bool] = if robustmq_conformance::broker::is_peer() {
        &[false]
    } else {
        &[false, true]
    };
    for kill in kills {
        let mut broker = Broker::start();
        for version in BOTH {
            let mut client = case(&broker, version);
            let id = client.next_id();
            client.cut();
            if *kill {
                broker.kill_9();
                broker.restart();
            }
            let mut client = again(&broker, version);
            after(&mut client, id);
            if *kill {
                finish_releases(&mut client);
            }
            client.expect_silence();
            client.disconnect();
            let mut client = again(&broker, version);
            client.expect_silence();
            client.unsubscribe(&["t"]);
            client.disconnect();
        }
    }
}

#[test]
fn mqtt5_4_4_0_1_cut_before_pubrec_repeats_the_publish() {
    let seen = std::cell::Cell::new(0);
    with_every_break(
        |broker, version| {
            let mut client = one_on_its_way(broker, version);
            let message = client.message();
            assert!(!message.dup);
            seen.set(message.id);
            client
        },
        |client, _| {
            let message = client.message();
            assert!(message.dup, "{message:?}");
            assert_eq!((message.id, message.text().as_str()), (seen.get(), "once"));
            client.ack(AckKind::PubRec, message.id);
            client.acked(AckKind::PubRel);
            client.ack(AckKind::PubComp, message.id);
        },
    );
}

#[test]
fn mqtt5_4_4_0_1_cut_after_pubrel_repeats_the_pubrel() {
    let seen = std::cell::Cell::new(0);
    with_every_break(
        |broker, version| {
            let mut client = one_on_its_way(broker, version);
            let message = client.message();
            client.ack(AckKind::PubRec, message.id);
            assert_eq!(client.acked(AckKind::PubRel).id, message.id);
            seen.set(message.id);
            client
        },
        |client, _| {
            // Not the PUBLISH: the client would take it for a new message.
            assert_eq!(client.acked(AckKind::PubRel).id, seen.get());
            client.ack(AckKind::PubComp, seen.get());
        },
    );
}

#[test]
fn mqtt5_4_3_3_nothing_comes_again_after_pubcomp() {
    with_every_break(
        |broker, version| {
            let mut client = one_on_its_way(broker, version);
            assert_eq!(client.take().text(), "once");
            client.ping();
            client
        },
        |_, _| {},
    );
}

#[test]
fn mqtt5_4_3_3_cut_right_after_pubrec_goes_on_either_way() {
    let broker = Broker::start();
    for version in BOTH {
        let mut client = one_on_its_way(&broker, version);
        let message = client.message();
        client.ack(AckKind::PubRec, message.id);
        // The broker may have heard the PUBREC or not.
        client.cut();
        let mut client = again(&broker, version);
        match client.packet() {
            Packet::Publish(repeated) => {
                assert!(repeated.dup);
                assert_eq!(repeated.id, message.id);
                client.ack(AckKind::PubRec, message.id);
                client.acked(AckKind::PubRel);
            }
            Packet::Ack(ack) => assert_eq!((ack.kind, ack.id), (AckKind::PubRel, message.id)),
            other => panic!("{other:?}"),
        }
        client.ack(AckKind::PubComp, message.id);
        client.expect_silence();
        client.unsubscribe(&["t"]);
        client.disconnect();
    }
}

#[test]
fn mqtt5_4_3_3_pubrec_with_an_error_ends_the_exchange() {
    let broker = Broker::start();
    let mut client = one_on_its_way(&broker, Version::V5);
    let message = client.message();
    let [high, low] = message.id.to_be_bytes();
    client.send(&raw(0x50, &[high, low, 0x83]));
    client.expect_silence();
    publisher(&broker).publish_2("t", "next");
    assert_eq!(client.take().text(), "next");
    client.ping();
    client.cut();
    again(&broker, Version::V5).expect_silence();
}

#[test]
fn mqtt5_3_5_pubrec_of_nothing_is_answered() {
    let broker = Broker::start();
    let mut client = Client::v5(&broker, "receiver");
    client.ack(AckKind::PubRec, 321);
    match client.hear(PATIENCE) {
        // 0x92 Packet Identifier not found.
        Heard::Packet(Packet::Ack(ack)) => {
            assert_eq!((ack.kind, ack.id), (AckKind::PubRel, 321));
            assert!(
                robustmq_conformance::broker::is_peer() || ack.code == 0x92,
                "{ack:?}"
            );
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn mqtt5_4_3_3_a_mixed_window_comes_back_as_it_was() {
    if differs_on_peer("repeats PUBREL after the publishes") {
        return;
    }
    for kill in [false, true] {
        let mut broker = Broker::start();
        let (mut client, _) = Client::lasting(&broker, Version::V5, "receiver");
        client.subscribe("t", 2);
        let mut sender = publisher(&broker);
        for number in 0..6 {
            sender.publish_2("t", number.to_string());
        }
        let held: Vec<_> = (0..6).map(|_| client.message()).collect();
        // 0 is done, 1 and 2 are released, 3 to 5 are received only.
        for message in &held[..3] {
            client.ack(AckKind::PubRec, message.id);
            client.acked(AckKind::PubRel);
        }
        client.ack(AckKind::PubComp, held[0].id);
        client.ping();
        client.cut();
        if kill {
            broker.kill_9();
            broker.restart();
        }
        let mut client = again(&broker, Version::V5);
        let mut released = Vec::new();
        let mut repeated = Vec::new();
        while released.len() + repeated.len() < 5 {
            match client.packet() {
                // See `finish_releases`.
                Packet::Ack(ack) if kill && ack.id == held[0].id => {
                    assert_eq!(ack.kind, AckKind::PubRel);
                    client.ack(AckKind::PubComp, ack.id);
                }
                Packet::Ack(ack) if ack.kind == AckKind::PubRel => released.push(ack.id),
                Packet::Publish(message) => {
                    assert!(message.dup);
                    repeated.push((message.id, message.text()));
                }
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(released, [held[1].id, held[2].id]);
        let wanted: Vec<_> = held[3..]
            .iter()
            .map(|message| (message.id, message.text()))
            .collect();
        assert_eq!(repeated, wanted);
    }
}
