//! Acknowledgements and DISCONNECT of 5.0: their reason codes, and what is left out of them where the client takes
//! only small packets (3.4 to 3.11, 3.14, 4.13).

use std::io::Read;

use robustmq_conformance::packet::{ack, raw, unsubscribe};
use robustmq_conformance::{
    AckKind, Broker, Client, Connect, Heard, Options, Packet, Props, Publish, Subscribe,
};
use robustmq_conformance::{Version, Will, property};

use robustmq_conformance::client::PATIENCE;

use super::publisher;
use Version::V5;

/// A broker whose CONNACK has no properties, so that it fits the smallest clients.
fn terse() -> Broker {
    Broker::start_with(
        Options::new()
            .set("mqtt.max_packet_size", "256MB")
            .set("mqtt.receive_maximum", "65535")
            .set("mqtt.max_topic_alias", "0"),
    )
}

/// The bytes of the one packet that answers.
fn answer(client: &Client) -> Vec<u8> {
    let mut stream = client.stream();
    stream
        .set_read_timeout(Some(PATIENCE))
        .expect("a timeout can be set");
    let mut bytes = vec![0; 2];
    stream.read_exact(&mut bytes).expect("an answer comes");
    assert!(bytes[1] < 0x80, "answers are short");
    bytes.resize(2 + usize::from(bytes[1]), 0);
    stream.read_exact(&mut bytes[2..]).expect("all of it comes");
    bytes
}

/// Each request gets its answer at every Maximum Packet Size that the bare answer fits, and the answer does not
/// exceed it; where there is room it says more.
fn answers_fit(requests: &[Vec<u8>], kind: u8, bare: usize) {
    let broker = terse();
    for request in requests {
        let mut longest = 0;
        let sizes: Vec<usize> = (8..90).chain([500]).collect();
        for size in sizes {
            let props = Props::new().four(property::PACKET_SIZE_MAX, size as u32);
            let mut client = Client::open(&broker, V5);
            client.send(&Connect::v5("small").props(props).bytes());
            match client.hear(PATIENCE) {
                Heard::Packet(Packet::ConnAck { code: 0, .. }) => {}
                // CONNACK itself does not fit.
                Heard::Closed if size < 30 => continue,
                other => panic!("{size}: {other:?}"),
            }
            client.send(request);
            let answer = answer(&client);
            assert_eq!(answer[0], kind, "{answer:02x?}");
            assert!(
                (bare..=size).contains(&answer.len()),
                "{} bytes for {size}",
                answer.len()
            );
            longest = longest.max(answer.len());
        }
        assert!(longest >= bare);
    }
}

fn publishes(qos: u8) -> Vec<Vec<u8>> {
    ["t", "$refused"]
        .map(|topic| Publish::new(topic, "p").qos(qos, 1).bytes(V5))
        .to_vec()
}

fn subscribes() -> Vec<Vec<u8>> {
    ["t", "$replay/never/t", "a/#/b"]
        .map(|filter| Subscribe::new(1, filter, 1).bytes(V5))
        .to_vec()
}

/// The codes of PUBACK and PUBREC: nobody listens, somebody listens, it may not be.
fn codes_of_publish(qos: u8) {
    let broker = Broker::start();
    let mut listener = Client::v5(&broker, "listener");
    listener.subscribe("heard", 0);
    let mut sender = publisher(&broker);
    for (topic, code) in [("unheard", 0x10), ("heard", 0), ("$refused", 0x90)] {
        let ack = sender.publish_through(Publish::new(topic, "p").qos(qos, 1));
        assert_eq!(ack.code, code, "{topic}");
    }
}

/// 0 for a message that waits for it, 0x92 for none.
fn codes_of_pubrel() {
    let broker = Broker::start();
    let mut client = Client::v5(&broker, "c");
    client.subscribe("t", 2);
    publisher(&broker).publish_2("t", "p");
    let id = client.message().id;
    client.ack(AckKind::PubRec, id);
    assert_eq!(client.acked(AckKind::PubRel).code, 0);
    client.ack(AckKind::PubComp, id);
    client.ack(AckKind::PubRec, 4_711);
    let release = client.acked(AckKind::PubRel);
    assert_eq!((release.id, release.code), (4_711, 0x92));
}

/// What ends a connection, with the code that says so.
fn endings() -> Vec<(Vec<u8>, u8)> {
    vec![
        (vec![0x36, 0], 0x81),
        (raw(0x20, &[0, 0, 0]), 0x82),
        (Connect::v5("again").bytes(), 0x82),
        (Publish::new("", "p").bytes(V5), 0x82),
        (Publish::new("a/#", "p").bytes(V5), 0x90),
        (
            Publish::new("t", "p")
                .props(Props::new().two(property::TOPIC_ALIAS, 0))
                .bytes(V5),
            0x94,
        ),
        (raw(0xf0, &[0x19, 0]), 0x82),
    ]
}

/// DISCONNECT with its code, without what only clients may say, then the end and nothing between, though messages
/// are on their way to the client and packets of the client behind the wrong one.
fn the_end_of_a_connection() {
    let broker = Broker::start();
    let mut watcher = Client::v5(&broker, "watcher");
    watcher.subscribe("behind", 1);
    for (wrong, code) in endings() {
        let props = Props::new().four(property::SESSION_EXPIRY, 100);
        let mut client = Client::connect(&broker, &Connect::v5("c").props(props)).0;
        client.subscribe("flood", 0);
        for _ in 0..20 {
            client.publish(&Publish::new("flood", vec![b'x'; 100]));
        }
        let behind = Publish::new("behind", "never").qos(1, 9).bytes(V5);
        let _closed = client.try_send(&[&wrong[..], &behind].concat());
        loop {
            match client.packet() {
                Packet::Publish(_) => {}
                Packet::Disconnect { code: told, props } => {
                    assert_eq!(told, code, "{wrong:02x?}");
                    assert_eq!(props.get(property::SESSION_EXPIRY), None);
                    break;
                }
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(
            client.hear(PATIENCE),
            Heard::Closed,
            "nothing comes after DISCONNECT"
        );
    }
    watcher.expect_silence();
}

/// A client that has not been accepted gets CONNACK or nothing.
fn no_disconnect_before_connack() {
    let broker = Broker::start();
    let mut wrong: Vec<Vec<u8>> = endings().into_iter().map(|(bytes, _)| bytes).collect();
    wrong.retain(|bytes| bytes[0] != 0x10);
    wrong.push(Connect::v5("c").bytes_with_flags(3));
    wrong.push(Connect::v5("c").will(Will::new("a/#", "w")).bytes());
    wrong.push(
        Connect::v5("c")
            .props(Props::new().two(property::RECEIVE_MAX, 0))
            .bytes(),
    );
    for bytes in wrong {
        let mut client = Client::open(&broker, V5);
        client.send(&bytes);
        let answer = client.bytes_to_end();
        assert!(
            matches!(answer[..], [] | [0x20, ..]),
            "{bytes:02x?}: {answer:02x?}"
        );
    }
}

clauses! {
    mqtt5_3_4_2_1_codes_of_puback: codes_of_publish(1);
    mqtt5_3_4_2_2_puback_fits_the_client: answers_fit(&publishes(1), 0x40, 4);
    mqtt5_3_4_2_3_puback_fits_without_user_properties: answers_fit(&publishes(1), 0x40, 4);
    mqtt5_3_5_2_1_codes_of_pubrec: codes_of_publish(2);
    mqtt5_3_5_2_2_pubrec_fits_the_client: answers_fit(&publishes(2), 0x50, 4);
    mqtt5_3_5_2_3_pubrec_fits_without_user_properties: answers_fit(&publishes(2), 0x50, 4);
    mqtt5_3_6_2_1_codes_of_pubrel: codes_of_pubrel();
    mqtt5_3_6_2_2_pubrel_fits_the_client: answers_fit(&[ack(AckKind::PubRec, 1)], 0x62, 4);
    mqtt5_3_6_2_3_pubrel_fits_without_user_properties: answers_fit(&[ack(AckKind::PubRec, 1)], 0x62, 4);
    mqtt5_3_7_2_2_pubcomp_fits_the_client: answers_fit(&[ack(AckKind::PubRel, 1)], 0x70, 4);
    mqtt5_3_7_2_3_pubcomp_fits_without_user_properties: answers_fit(&[ack(AckKind::PubRel, 1)], 0x70, 4);
    mqtt5_3_9_2_1_suback_fits_the_client: answers_fit(&subscribes(), 0x90, 6);
    mqtt5_3_9_2_2_suback_fits_without_user_properties: answers_fit(&subscribes(), 0x90, 6);
    mqtt5_3_11_2_1_unsuback_fits_the_client: answers_fit(&[unsubscribe(V5, 1, &["never"])], 0xb0, 6);
    mqtt5_3_11_2_2_unsuback_fits_without_user_properties: answers_fit(&[unsubscribe(V5, 1, &["never"])], 0xb0, 6);
    mqtt5_3_14_0_1_no_disconnect_before_connack: no_disconnect_before_connack();
    mqtt5_3_14_2_1_codes_of_disconnect: the_end_of_a_connection();
    mqtt5_3_14_2_2_no_session_expiry_from_the_server: the_end_of_a_connection();
    mqtt5_3_14_2_3_disconnect_fits_the_client: answers_fit(&[vec![0x36, 0]], 0xe0, 3);
    mqtt5_3_14_2_4_disconnect_fits_without_user_properties: answers_fit(&[vec![0x36, 0]], 0xe0, 3);
    mqtt5_3_14_4_1_nothing_comes_after_disconnect: the_end_of_a_connection();
    mqtt5_3_14_4_2_disconnect_ends_the_connection: the_end_of_a_connection();
    mqtt5_4_13_1_1_malformed_packets_and_protocol_errors_end_the_connection: the_end_of_a_connection();
    mqtt5_4_13_2_1_codes_above_0x80_end_the_connection: the_end_of_a_connection();
}
