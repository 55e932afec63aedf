//! QoS 2 from a client to the broker, cut off at every step of the handshake (4.3.3).
//!
//! Each case publishes one message and shows that it arrives exactly once.

use robustmq_conformance::{AckKind, Broker, Client, Publish, Version, differs_on_peer};

use super::BOTH;

/// What happens between two steps.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Break {
    Cut,
    Kill,
    Stop,
}

impl Break {
    fn all() -> &'static [Self] {
        // mosquitto keeps nothing when it is killed.
        let is_peer = robustmq_conformance::broker::is_peer();
        if is_peer {
            &[Self::Cut]
        } else {
            &[Self::Cut, Self::Kill, Self::Stop]
        }
    }

    fn happen(self, broker: &mut Broker, client: Client, version: Version) -> Client {
        client.cut();
        match self {
            Self::Cut => {}
            Self::Kill => {
                broker.kill_9();
                broker.restart();
            }
            Self::Stop => {
                assert!(broker.stop().status.success());
                broker.restart();
            }
        }
        let (client, present) = Client::lasting(broker, version, "sender");
        assert!(present, "{self:?}: the session is still there");
        client
    }
}

/// Runs `case` for every version and kind of break, then counts what has arrived.
fn exactly_once(case: impl Fn(&mut Broker, Break, Version)) {
    for what in Break::all() {
        let mut broker = Broker::start();
        let (mut receiver, _) = Client::lasting(&broker, Version::V5, "receiver");
        receiver.subscribe("t", 2);
        receiver.disconnect();
        for version in BOTH {
            case(&mut broker, *what, version);
            let (mut receiver, _) = Client::lasting(&broker, Version::V5, "receiver");
            assert_eq!(receiver.take().text(), "once", "{what:?} {version:?}");
            receiver.expect_silence();
            receiver.disconnect();
        }
    }
}

fn once(id: u16) -> Publish {
    Publish::new("t", "once").qos(2, id)
}

#[test]
fn mqtt5_4_3_3_cut_before_pubrec_is_read() {
    exactly_once(|broker, what, version| {
        let (mut client, _) = Client::lasting(broker, version, "sender");
        client.publish(&once(1));
        // A witness of its arrival, not read by the protocol of the test.
        client.acked(AckKind::PubRec);
        let mut client = what.happen(broker, client, version);
        client.publish(&once(1).dup());
        assert!(client.acked(AckKind::PubRec).code < 0x80);
        client.ack(AckKind::PubRel, 1);
        assert_eq!(client.acked(AckKind::PubComp).code, 0);
        client.disconnect();
    });
}

#[test]
fn mqtt5_4_3_3_cut_before_the_publish_is_known_to_have_arrived() {
    exactly_once(|broker, what, version| {
        let (mut client, _) = Client::lasting(broker, version, "sender");
        client.publish(&once(1));
        let mut client = what.happen(broker, client, version);
        client.publish(&once(1).dup());
        assert!(client.acked(AckKind::PubRec).code < 0x80);
        client.ack(AckKind::PubRel, 1);
        assert_eq!(client.acked(AckKind::PubComp).code, 0);
        client.disconnect();
    });
}

#[test]
fn mqtt5_4_3_3_cut_between_pubrec_and_pubrel() {
    exactly_once(|broker, what, version| {
        let (mut client, _) = Client::lasting(broker, version, "sender");
        client.publish(&once(1));
        client.acked(AckKind::PubRec);
        let mut client = what.happen(broker, client, version);
        client.ack(AckKind::PubRel, 1);
        assert_eq!(
            client.acked(AckKind::PubComp).code,
            0,
            "the identifier is still known"
        );
        client.disconnect();
    });
}

#[test]
fn mqtt5_4_3_3_cut_before_pubcomp_is_read() {
    exactly_once(|broker, what, version| {
        let (mut client, _) = Client::lasting(broker, version, "sender");
        client.publish(&once(1));
        client.acked(AckKind::PubRec);
        client.ack(AckKind::PubRel, 1);
        client.acked(AckKind::PubComp);
        let mut client = what.happen(broker, client, version);
        client.ack(AckKind::PubRel, 1);
        let code = client.acked(AckKind::PubComp).code;
        assert!(matches!(code, 0 | 0x92), "{code:#04x}");
        client.disconnect();
    });
}

#[test]
fn mqtt5_4_3_3_publish_again_on_the_same_connection() {
    exactly_once(|broker, _, version| {
        let (mut client, _) = Client::lasting(broker, version, "sender");
        client.publish(&once(1));
        client.acked(AckKind::PubRec);
        client.publish(&once(1).dup());
        client.acked(AckKind::PubRec);
        client.ack(AckKind::PubRel, 1);
        client.acked(AckKind::PubComp);
        client.disconnect();
    });
}

#[test]
fn mqtt5_4_3_3_12_an_identifier_is_new_after_pubcomp() {
    let broker = Broker::start();
    let mut receiver = Client::v5(&broker, "receiver");
    receiver.subscribe("t", 2);
    for version in BOTH {
        let (mut client, _) = Client::lasting(&broker, version, "sender");
        for text in ["a", "b", "c"] {
            client.publish_through(Publish::new("t", text).qos(2, 9));
            assert_eq!(receiver.take().text(), text);
        }
        client.disconnect();
    }
}

#[test]
fn mqtt5_3_7_2_1_pubrel_of_nothing_is_answered() {
    let broker = Broker::start();
    let mut client = Client::v5(&broker, "sender");
    client.ack(AckKind::PubRel, 77);
    let ack = client.acked(AckKind::PubComp);
    // mosquitto says Success.
    let wanted = if robustmq_conformance::broker::is_peer() {
        ack.code
    } else {
        0x92
    };
    assert_eq!((ack.id, ack.code), (77, wanted));
}

#[test]
fn mqtt5_3_1_2_4_clean_start_forgets_open_exchanges() {
    let broker = Broker::start();
    let mut receiver = Client::v5(&broker, "receiver");
    receiver.subscribe("t", 2);
    let (mut client, _) = Client::lasting(&broker, Version::V5, "sender");
    client.publish(&Publish::new("t", "old").qos(2, 5));
    client.acked(AckKind::PubRec);
    client.cut();
    assert_eq!(receiver.take().text(), "old");
    let mut client = Client::v5(&broker, "sender");
    client.publish_through(Publish::new("t", "new").qos(2, 5));
    assert_eq!(
        receiver.take().text(),
        "new",
        "the identifier names a new message"
    );
}

#[test]
fn mqtt5_4_3_3_many_open_exchanges_survive_a_killed_broker() {
    if differs_on_peer("keeps nothing when killed") {
        return;
    }
    let mut broker = Broker::start();
    let (mut receiver, _) = Client::lasting(&broker, Version::V5, "receiver");
    receiver.subscribe("m/#", 2);
    receiver.disconnect();
    let (mut client, _) = Client::lasting(&broker, Version::V5, "sender");
    for id in 1..=50 {
        client.publish(&Publish::new(&format!("m/{}", id % 7), id.to_string()).qos(2, id));
    }
    for id in 1..=50 {
        assert_eq!(client.acked(AckKind::PubRec).id, id);
    }
    broker.kill_9();
    broker.restart();
    let (mut client, _) = Client::lasting(&broker, Version::V5, "sender");
    for id in 1..=50 {
        if id % 2 == 0 {
            let again = Publish::new(&format!("m/{}", id % 7), id.to_string())
                .qos(2, id)
                .dup();
            client.publish(&again);
            client.acked(AckKind::PubRec);
        }
        client.ack(AckKind::PubRel, id);
        assert_eq!(client.acked(AckKind::PubComp).code, 0);
    }
    let (mut receiver, _) = Client::lasting(&broker, Version::V5, "receiver");
    let mut numbers: Vec<u16> = receiver
        .take_texts(50)
        .iter()
        .map(|text| text.parse().expect("a number"))
        .collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=50).collect::<Vec<u16>>());
    receiver.expect_silence();
}
