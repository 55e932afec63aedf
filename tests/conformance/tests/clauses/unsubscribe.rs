//! UNSUBSCRIBE (3.10, 3.11).

use robustmq_conformance::{Broker, Client, Version};

use super::{BOTH, publisher};

#[test]
fn mqtt5_3_11_3_unsuback_says_what_existed() {
    let broker = Broker::start();
    let mut client = Client::v5(&broker, "unsub");
    client.subscribe("a", 0);
    client.subscribe("b/#", 0);
    assert_eq!(
        client.unsubscribe(&["a", "never", "b/#", "b/+"]),
        [0, 0x11, 0, 0x11]
    );
    assert_eq!(client.unsubscribe(&["a"]), [0x11]);
}

#[test]
fn mqtt5_3_10_4_1_one_filter_leaves_the_others() {
    let broker = Broker::start();
    for version in BOTH {
        let mut client = Client::connect(
            &broker,
            &robustmq_conformance::Connect::new(version, "unsub"),
        )
        .0;
        for filter in ["a/#", "a/+", "a/b", "c"] {
            client.subscribe(filter, 1);
        }
        client.unsubscribe(&["a/+"]);
        let mut sender = publisher(&broker);
        sender.publish_1("c", "c");
        assert_eq!(client.take().text(), "c");
        client.unsubscribe(&["a/#", "c"]);
        sender.publish_1("c", "no more");
        sender.publish_1("a/x", "no more");
        sender.publish_1("a/b", "still");
        assert_eq!(client.take().text(), "still");
        client.expect_silence();
    }
}

#[test]
fn mqtt5_3_10_4_3_messages_on_their_way_are_finished() {
    let broker = Broker::start();
    let (mut client, _) = Client::lasting(&broker, Version::V5, "unsub");
    client.subscribe("t", 2);
    publisher(&broker).publish_2("t", "on its way");
    let message = client.message();
    assert_eq!(client.unsubscribe(&["t"]), [0]);
    client.ack(robustmq_conformance::AckKind::PubRec, message.id);
    client.acked(robustmq_conformance::AckKind::PubRel);
    client.ack(robustmq_conformance::AckKind::PubComp, message.id);
    publisher(&broker).publish_2("t", "no more");
    client.expect_silence();
}

#[test]
fn an_unsubscribed_session_stays_so() {
    let mut broker = Broker::start();
    let (mut client, _) = Client::lasting(&broker, Version::V5, "unsub");
    client.subscribe("a", 1);
    client.subscribe("b", 1);
    client.unsubscribe(&["a"]);
    client.disconnect();
    if !robustmq_conformance::broker::is_peer() {
        broker.kill_9();
        broker.restart();
    }
    let mut sender = publisher(&broker);
    sender.publish_1("a", "a");
    sender.publish_1("b", "b");
    let (mut client, _) = Client::lasting(&broker, Version::V5, "unsub");
    assert_eq!(client.take().text(), "b");
    client.expect_silence();
}

#[test]
fn mqtt5_3_10_4_5_unsuback_has_the_packet_identifier() {
    let broker = Broker::start();
    for version in BOTH {
        let mut client = Client::connect(
            &broker,
            &robustmq_conformance::Connect::new(version, "unsub"),
        )
        .0;
        client.send(&robustmq_conformance::packet::unsubscribe(
            version,
            51_966,
            &["nothing"],
        ));
        match client.packet() {
            robustmq_conformance::Packet::UnsubAck { id, codes, .. } => {
                assert_eq!(id, 51_966);
                assert_eq!(codes.len(), usize::from(version == Version::V5));
            }
            other => panic!("{other:?}"),
        }
    }
}
