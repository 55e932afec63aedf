//! Publishing: acknowledgements, QoS 2, properties, older versions.

use super::*;

#[test]
fn a_puback_says_at_which_offset_the_message_is_stored() {
    let broker = Broker::start(&[]);
    let mut client = clean(&broker, "c");
    let first = store(&mut client, &publish("t", b"1", QoS::AtLeastOnce)).1;
    let second = store(&mut client, &publish("t", b"2", QoS::AtLeastOnce)).1;
    let offset = |properties: &[(String, String)]| {
        properties
            .iter()
            .find(|(name, _)| name == "x-offset")
            .map(|(_, value)| value.clone())
    };
    let (first, second) = (
        offset(&first).expect("an offset"),
        offset(&second).expect("an offset"),
    );
    assert_ne!(first, second);
}

#[test]
fn mqtt_3_1_2_29_no_user_property_where_problem_information_is_not_wanted() {
    let broker = Broker::start(&[]);
    let properties = ConnectProperties {
        request_problem_information: Some(false),
        ..ConnectProperties::default()
    };
    let connect = Connect {
        properties,
        ..Connect::new("c")
    };
    let (mut client, _) = Client::accepted(broker.address(), &connect);
    assert_eq!(
        store(&mut client, &publish("t", b"1", QoS::AtLeastOnce)).1,
        []
    );
}

#[test]
fn puback_tells_whether_anybody_subscribes() {
    let broker = Broker::start(&[]);
    let mut client = clean(&broker, "c");
    let alone = store(&mut client, &publish("t", b"", QoS::AtLeastOnce)).0;
    assert_eq!(alone, ReasonCode::NoMatchingSubscribers);
    let (mut subscriber, _) = Client::accepted(broker.address(), &Connect::persistent("s"));
    subscriber.subscribe("t", QoS::AtMostOnce);
    subscriber
        .disconnect(ReasonCode::Success)
        .expect("DISCONNECT is sent");
    let heard = store(&mut client, &publish("t", b"", QoS::AtLeastOnce)).0;
    assert_eq!(
        heard,
        ReasonCode::Success,
        "an offline session is a subscriber"
    );
}

#[test]
fn qos_2_goes_through_every_step_both_ways() {
    let broker = Broker::start(&[]);
    let (mut subscriber, _) = Client::accepted(broker.address(), &Connect::persistent("s"));
    subscriber.subscribe("t", QoS::ExactlyOnce);
    let mut client = clean(&broker, "c");
    client
        .publish(&publish("t", b"once", QoS::ExactlyOnce))
        .expect("PUBLISH is sent");
    assert!(matches!(
        client.receive(),
        Ok(Received::PubRec(ID, ReasonCode::Success, _))
    ));
    client.ack(Packet::PubRel, ID).expect("PUBREL is sent");
    assert_eq!(
        client.receive().ok(),
        Some(Received::PubComp(ID, ReasonCode::Success))
    );
    let got = message(&mut subscriber);
    assert_eq!(
        (got.qos, got.payload.as_slice()),
        (QoS::ExactlyOnce, b"once".as_slice())
    );
    let id = got.packet_id.expect("QoS 2 has an identifier");
    subscriber.ack(Packet::PubRec, id).expect("PUBREC is sent");
    assert_eq!(
        subscriber.receive().ok(),
        Some(Received::PubRel(id, ReasonCode::Success))
    );
    subscriber
        .ack(Packet::PubComp, id)
        .expect("PUBCOMP is sent");
    nothing(&mut subscriber);
}

#[test]
fn mqtt_3_3_4_7_a_client_may_use_its_whole_receive_maximum_with_qos_2() {
    const RECEIVE_MAX: u16 = 300;
    let broker = Broker::start(&[&format!("mqtt.receive_maximum={RECEIVE_MAX}")]);
    let mut client = clean(&broker, "c");
    let ids = (1..=RECEIVE_MAX).map(|id| PacketId::new(id).expect("not 0"));
    for id in ids.clone() {
        let packet = Publish {
            packet_id: Some(id),
            ..publish("t", b"", QoS::ExactlyOnce)
        };
        client.publish(&packet).expect("PUBLISH is sent");
    }
    for id in ids {
        let answer = client.receive().expect("the broker answers");
        let Received::PubRec(received, reason, _) = answer else {
            panic!("no PUBREC: {answer:?}");
        };
        assert_eq!(received, id);
        assert!(!reason.is_error(), "{id}: {reason:?}");
    }
}

#[test]
fn mqtt_4_3_3_a_publisher_that_repeats_after_a_break_is_heard_once() {
    let broker = Broker::start(&[]);
    let mut subscriber = clean(&broker, "s");
    subscriber.subscribe("t", QoS::AtMostOnce);
    let (mut client, _) = Client::accepted(broker.address(), &Connect::persistent("c"));
    client
        .publish(&publish("t", b"once", QoS::ExactlyOnce))
        .expect("PUBLISH is sent");
    assert!(matches!(client.receive(), Ok(Received::PubRec(..))));
    drop(client);
    let (mut client, present) = Client::accepted(broker.address(), &Connect::persistent("c"));
    assert!(present);
    let again = Publish {
        dup: true,
        ..publish("t", b"once", QoS::ExactlyOnce)
    };
    client.publish(&again).expect("PUBLISH is sent");
    assert!(matches!(
        client.receive(),
        Ok(Received::PubRec(ID, ReasonCode::Success, _))
    ));
    client.ack(Packet::PubRel, ID).expect("PUBREL is sent");
    assert_eq!(
        client.receive().ok(),
        Some(Received::PubComp(ID, ReasonCode::Success))
    );
    assert_eq!(message(&mut subscriber).payload, b"once");
    nothing(&mut subscriber);
}

#[test]
fn user_properties_arrive_untouched_and_in_order() {
    let broker = Broker::start(&[]);
    let mut client = clean(&broker, "c");
    client.subscribe("t", QoS::AtMostOnce);
    // Two user properties of one name and one of another, as they are on the wire.
    let block = [
        [38, 0, 1, b'b', 0, 1, b'1'],
        [38, 0, 1, b'a', 0, 1, b'2'],
        [38, 0, 1, b'b', 0, 1, b'3'],
    ]
    .concat();
    let forwarded = Forwarded::parse(&block).expect("they are user properties");
    let properties = PublishProperties {
        forwarded,
        ..PublishProperties::default()
    };
    client
        .publish(&Publish {
            properties,
            ..publish("t", b"", QoS::AtMostOnce)
        })
        .expect("PUBLISH is sent");
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(
        message(&mut client).user_properties,
        [pair("b", "1"), pair("a", "2"), pair("b", "3")]
    );
}

#[test]
fn the_older_versions_are_served() {
    let broker = Broker::start(&[]);
    for version in [ProtocolVersion::V3, ProtocolVersion::V4] {
        let connect = Connect {
            version,
            ..Connect::new("old")
        };
        let (mut client, _) = Client::accepted(broker.address(), &connect);
        client.subscribe("t", QoS::ExactlyOnce);
        client
            .publish(&publish("t", b"x", QoS::ExactlyOnce))
            .expect("PUBLISH is sent");
        let mut got = None;
        let mut done = false;
        while got.is_none() || !done {
            match client.receive().expect("the broker answers") {
                Received::PubRec(id, ..) => client.ack(Packet::PubRel, id).expect("PUBREL"),
                Received::PubComp(..) => done = true,
                Received::Publish(message) => {
                    let id = message.packet_id.expect("QoS 2");
                    client
                        .send(&Packet::PubRec(Ack::new(id, ReasonCode::Success)))
                        .expect("PUBREC");
                    got = Some(message);
                }
                Received::PubRel(id, _) => client.ack(Packet::PubComp, id).expect("PUBCOMP"),
                other => panic!("{version:?}: {other:?}"),
            }
        }
    }
    let empty = Connect {
        version: ProtocolVersion::V4,
        clean_start: false,
        ..Connect::new("")
    };
    let (_, answer) = Client::connect(broker.address(), &empty).expect("the broker answers");
    assert!(
        matches!(
            answer,
            Received::ConnAck(false, ReasonCode::ClientIdentifierNotValid, _)
        ),
        "[MQTT-3.1.3-8] {answer:?}"
    );
    let (_, answer) =
        Client::connect(broker.address(), &Connect::new("")).expect("the broker answers");
    assert!(
        matches!(
            answer,
            Received::ConnAck(false, ReasonCode::Success, Some(_))
        ),
        "{answer:?}"
    );
}
