//! What other brokers are known to have got wrong, where no other test of this
//! workspace has it already; docs/guarantees.md lists all of them.

use std::collections::BTreeSet;

use robustmq_e2e::{Broker, Client, Connect, Message, Received};
use robustmq_protocol::codec::{Packet, Publish, PublishProperties};
use robustmq_protocol::{PacketId, QoS};

fn publish(client: &mut Client, number: usize, qos: QoS) {
    let payload = number.to_string();
    let publish = Publish {
        dup: false,
        qos,
        retain: false,
        topic: "t",
        packet_id: PacketId::new(1),
        properties: PublishProperties::default(),
        payload: payload.as_bytes(),
    };
    client.publish(&publish).expect("it runs");
    match client.receive().expect("it answers") {
        Received::PubAck(..) => {}
        Received::PubRec(packet_id, ..) => {
            client.ack(Packet::PubRel, packet_id).expect("it runs");
            let end = client.receive().expect("it answers");
            assert!(matches!(end, Received::PubComp(..)), "{end:?}");
        }
        other => panic!("no acknowledgement: {other:?}"),
    }
}

fn message(client: &mut Client) -> Message {
    match client.receive().expect("it sends") {
        Received::Publish(message) => message,
        other => panic!("instead of a message: {other:?}"),
    }
}

fn number(message: &Message) -> usize {
    let text = String::from_utf8_lossy(&message.payload);
    text.parse().expect("a number")
}

/// A session that reads `t`.
fn session(broker: &Broker) {
    let (mut client, _) = Client::accepted(broker.address(), &Connect::persistent("s"));
    client.subscribe("t", QoS::ExactlyOnce);
}

/// TBMQ 320: a client that reconnected had its position moved past messages it had
/// not been sent. Here it comes again and again, takes a few, acknowledges one, and
/// goes without a word; the broker is killed in between.
#[test]
fn a_position_never_passes_what_was_not_acknowledged_however_often_a_client_returns() {
    const MESSAGES: usize = 60;
    let mut broker = Broker::start(&["storage.cursor_flush_interval=50ms"]);
    session(&broker);
    let (mut publisher, _) = Client::accepted(broker.address(), &Connect::new("p"));
    for sent in 0..MESSAGES {
        publish(&mut publisher, sent, QoS::AtLeastOnce);
    }
    let mut acknowledged = BTreeSet::new();
    for visit in 0.. {
        let (mut client, present) = Client::accepted(broker.address(), &Connect::persistent("s"));
        assert!(present);
        let first = message(&mut client);
        // What comes first is what was not acknowledged yet, or, after a kill, what
        // may be repeated: never anything later.
        let lacking = (0..MESSAGES).find(|one| !acknowledged.contains(one));
        let lacking = lacking.expect("something is left");
        assert!(number(&first) <= lacking, "{lacking} was passed over");
        let mut taken = vec![first];
        while taken.iter().all(|one| number(one) < lacking) || taken.len() < 3 {
            if acknowledged.len() + taken.len() >= MESSAGES {
                break;
            }
            taken.push(message(&mut client));
        }
        for one in taken.iter().filter(|one| number(one) <= lacking) {
            let packet_id = one.packet_id.expect("QoS 1");
            client.ack(Packet::PubAck, packet_id).expect("it runs");
            acknowledged.insert(number(one));
        }
        if acknowledged.len() == MESSAGES {
            break;
        }
        drop(client);
        if visit % 20 == 19 {
            broker.kill_and_restart();
        }
    }
}

/// EMQX 16296: after a session was resumed, new messages got packet identifiers
/// that messages still in flight had.
#[test]
fn identifiers_in_flight_are_not_given_to_new_messages_after_a_session_is_resumed() {
    for is_killed in [false, true] {
        let mut broker = Broker::start(&[]);
        session(&broker);
        let (mut publisher, _) = Client::accepted(broker.address(), &Connect::new("p"));
        let (mut client, _) = Client::accepted(broker.address(), &Connect::persistent("s"));
        let kinds = [QoS::AtLeastOnce, QoS::ExactlyOnce];
        let mut in_flight = Vec::new();
        for sent in 0..10 {
            publish(&mut publisher, sent, kinds[sent % 2]);
            in_flight.push(message(&mut client));
        }
        // Some in the middle are done with: their identifiers are free.
        for done in [2, 4] {
            let packet_id = in_flight[done].packet_id.expect("QoS 1");
            client.ack(Packet::PubAck, packet_id).expect("it runs");
        }
        drop(client);
        if is_killed {
            broker.kill_and_restart();
        }
        let (mut publisher, _) = Client::accepted(broker.address(), &Connect::new("p"));
        let (mut client, present) = Client::accepted(broker.address(), &Connect::persistent("s"));
        assert!(present);
        for sent in 10..20 {
            publish(&mut publisher, sent, kinds[sent % 2]);
        }
        let mut by_id = std::collections::BTreeMap::new();
        let mut seen = BTreeSet::new();
        while seen.len() < 18 || !seen.contains(&19) {
            let one = message(&mut client);
            let packet_id = one.packet_id.expect("QoS 1 or 2");
            let of = number(&one);
            let before = by_id.insert(packet_id, of);
            assert!(before.is_none(), "{of} has the identifier of {before:?}");
            seen.insert(of);
        }
    }
}
