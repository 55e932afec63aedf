//! Packets that are wrong, each with the reason code that tells so; another client never notices.

use robustmq_conformance::packet::raw;
use robustmq_conformance::{
    Broker, Client, Connect, Heard, Options, Packet, Props, Publish, Subscribe,
};
use robustmq_conformance::{Version, property};

use robustmq_conformance::client::PATIENCE;

/// A name, the bytes after CONNECT, and the codes that tell what is wrong with them.
pub(crate) type Case = (&'static str, Vec<u8>, &'static [u8]);

pub(crate) const MALFORMED: &[u8] = &[0x81];
pub(crate) const PROTOCOL: &[u8] = &[0x82];
/// Where the specification can be read either way.
pub(crate) const EITHER: &[u8] = &[0x81, 0x82];

/// Sends each case on a connection of its own. All that are answered wrongly are told at once.
pub(crate) fn expect_all(version: Version, cases: &[Case]) {
    let broker = Broker::start();
    let mut witness = Client::v5(&broker, "witness");
    witness.subscribe("witness", 1);
    let mut wrong = Vec::new();
    for (name, bytes, codes) in cases {
        let mut client = Client::connect(&broker, &Connect::new(version, "malformed")).0;
        client.send(bytes);
        let mut heard = client.hear(PATIENCE);
        let mut told = false;
        if let Heard::Packet(Packet::Disconnect { code, .. }) = &heard {
            told = true;
            if !codes.contains(code) {
                wrong.push(format!(
                    "{name}: DISCONNECT {code:#04x} instead of {codes:02x?}"
                ));
            }
            heard = client.hear(PATIENCE);
        }
        if heard != Heard::Closed {
            wrong.push(format!("{name}: not closed but {heard:?}"));
        } else if version == Version::V5 && !told {
            wrong.push(format!(
                "{name}: closed without a word instead of {codes:02x?}"
            ));
        }
        witness.publish_1("witness", name);
        assert_eq!(witness.take().text(), *name, "another client is unharmed");
    }
    assert!(
        wrong.is_empty(),
        "{} of {}: {wrong:#?}",
        wrong.len(),
        cases.len()
    );
}

/// A PUBLISH of QoS 0 whose topic is these bytes.
fn topic(bytes: &[u8]) -> Vec<u8> {
    let mut body = vec![0, bytes.len() as u8];
    body.extend(bytes);
    body.push(0);
    raw(0x30, &body)
}

/// A PUBLISH of QoS 0 with these properties.
fn with(props: Props) -> Vec<u8> {
    Publish::new("t", "p").props(props).bytes(Version::V5)
}

#[test]
fn mqtt5_2_1_3_1_reserved_flags_of_the_fixed_header() {
    let subscribe = Subscribe::new(1, "t", 0).bytes(Version::V5);
    let with_first = |first: u8, bytes: &[u8]| [&[first], &bytes[1..]].concat();
    let unsubscribe = robustmq_conformance::packet::unsubscribe(Version::V5, 1, &["t"]);
    expect_all(
        Version::V5,
        &[
            ("packet type 0", vec![0, 0], MALFORMED),
            ("SUBSCRIBE 0", with_first(0x80, &subscribe), MALFORMED),
            ("SUBSCRIBE f", with_first(0x8f, &subscribe), MALFORMED),
            ("UNSUBSCRIBE 0", with_first(0xa0, &unsubscribe), MALFORMED),
            ("PUBREL 0", raw(0x60, &[0, 1]), MALFORMED),
            ("PUBACK 1", raw(0x41, &[0, 1]), MALFORMED),
            ("PUBREC 2", raw(0x52, &[0, 1]), MALFORMED),
            ("PUBCOMP 4", raw(0x74, &[0, 1]), MALFORMED),
            ("PINGREQ 8", vec![0xc8, 0], MALFORMED),
            ("DISCONNECT 1", vec![0xe1, 0], MALFORMED),
            ("AUTH 1", raw(0xf1, &[0x18, 0]), MALFORMED),
        ],
    );
}

#[test]
fn mqtt5_1_5_5_1_lengths_are_minimal_and_fit() {
    let long_topic = raw(0x30, &[0, 200, b't', 0]);
    expect_all(
        Version::V5,
        &[
            ("length of two bytes for 0", vec![0xc0, 0x80, 0], MALFORMED),
            (
                "length of five bytes",
                vec![0xc0, 0x80, 0x80, 0x80, 0x80, 1],
                MALFORMED,
            ),
            ("topic longer than the packet", long_topic, MALFORMED),
            (
                "properties longer than the packet",
                raw(0x30, &[0, 1, b't', 99]),
                MALFORMED,
            ),
            ("no property length", raw(0x30, &[0, 1, b't']), MALFORMED),
            (
                "property cut off",
                raw(0x30, &[0, 1, b't', 2, 0x02, 0]),
                MALFORMED,
            ),
            ("empty PUBLISH", raw(0x30, &[]), MALFORMED),
            ("PUBACK of one byte", raw(0x40, &[0]), MALFORMED),
            ("PINGREQ with a body", raw(0xc0, &[0]), MALFORMED),
            (
                "SUBSCRIBE without options",
                raw(0x82, &[0, 1, 0, 0, 1, b't']),
                MALFORMED,
            ),
        ],
    );
}

#[test]
fn mqtt5_1_5_4_strings_are_utf8_without_null() {
    expect_all(
        Version::V5,
        &[
            ("ff", topic(b"a\xffb"), MALFORMED),
            ("surrogate", topic(b"\xed\xa0\x80"), MALFORMED),
            ("overlong", topic(b"\xc0\xaf"), MALFORMED),
            ("beyond Unicode", topic(b"\xf4\x90\x80\x80"), MALFORMED),
            ("cut off", topic(b"a\xe2\x82"), MALFORMED),
            ("null", topic(b"a\0b"), &[0x81, 0x90]),
            (
                "null in a user property",
                with(Props::new().user("a\0", "b")),
                MALFORMED,
            ),
        ],
    );
}

#[test]
fn mqtt5_3_3_wrong_publishes() {
    let publish = |first: u8| raw(first, &[0, 1, b't', 0, 1, 0]);
    expect_all(
        Version::V5,
        &[
            ("QoS 3", publish(0x36), MALFORMED),
            (
                "DUP with QoS 0",
                Publish::new("t", "p").dup().bytes(Version::V5),
                EITHER,
            ),
            (
                "packet identifier 0",
                Publish::new("t", "p").qos(1, 0).bytes(Version::V5),
                EITHER,
            ),
            (
                "no topic and no alias",
                Publish::new("", "p").bytes(Version::V5),
                PROTOCOL,
            ),
            (
                "# in the topic",
                Publish::new("a/#", "p").bytes(Version::V5),
                &[0x90],
            ),
            (
                "+ in the topic",
                Publish::new("a/+/b", "p").bytes(Version::V5),
                &[0x90],
            ),
            (
                "alias 0",
                with(Props::new().two(property::TOPIC_ALIAS, 0)),
                &[0x94],
            ),
        ],
    );
}

#[test]
fn mqtt5_3_3_2_wrong_properties_of_publish() {
    expect_all(
        Version::V5,
        &[
            (
                "subscription identifier",
                with(Props::new().variable(property::SUBSCRIPTION_ID, 1)),
                EITHER,
            ),
            (
                "payload format 2",
                with(Props::new().byte(property::PAYLOAD_FORMAT, 2)),
                EITHER,
            ),
            (
                "wildcard to answer to",
                with(Props::new().text(property::RESPONSE_TOPIC, "a/#")),
                &[0x82, 0x90],
            ),
            (
                "property of CONNECT",
                with(Props::new().four(property::SESSION_EXPIRY, 1)),
                EITHER,
            ),
            (
                "unknown property",
                with(Props::new().byte(0x7f, 1)),
                MALFORMED,
            ),
            (
                "content type twice",
                with(
                    Props::new()
                        .text(property::CONTENT_TYPE, "a")
                        .text(property::CONTENT_TYPE, "b"),
                ),
                PROTOCOL,
            ),
            (
                "message expiry twice",
                with(
                    Props::new()
                        .four(property::MESSAGE_EXPIRY, 1)
                        .four(property::MESSAGE_EXPIRY, 1),
                ),
                PROTOCOL,
            ),
        ],
    );
}

#[test]
fn mqtt5_3_8_wrong_subscribes_and_unsubscribes() {
    let one = |options| Subscribe::new(1, "t", options).bytes(Version::V5);
    let id =
        |id| Subscribe::new(1, "t", 0).props(Props::new().variable(property::SUBSCRIPTION_ID, id));
    expect_all(
        Version::V5,
        &[
            ("no filter", raw(0x82, &[0, 1, 0]), EITHER),
            (
                "identifier 0",
                Subscribe::new(0, "t", 0).bytes(Version::V5),
                EITHER,
            ),
            ("QoS 3", one(3), EITHER),
            ("reserved option bit 6", one(0x40), EITHER),
            ("reserved option bit 7", one(0x80), EITHER),
            ("retain handling 3", one(0x30), EITHER),
            (
                "subscription identifier 0",
                id(0).bytes(Version::V5),
                PROTOCOL,
            ),
            ("nothing to unsubscribe", raw(0xa2, &[0, 1, 0]), EITHER),
            (
                "unsubscribe with identifier 0",
                robustmq_conformance::packet::unsubscribe(Version::V5, 0, &["t"]),
                EITHER,
            ),
        ],
    );
}

#[test]
fn mqtt5_3_14_wrong_acknowledgements_and_disconnects() {
    let expiry = Props::new().four(property::SESSION_EXPIRY, 5);
    expect_all(
        Version::V5,
        &[
            ("unknown code in PUBACK", raw(0x40, &[0, 1, 0x55]), EITHER),
            ("identifier 0 in PUBACK", raw(0x40, &[0, 0]), EITHER),
            ("unknown code in DISCONNECT", raw(0xe0, &[0x55]), EITHER),
            (
                "expiry where CONNECT had none",
                robustmq_conformance::packet::disconnect(Version::V5, 0, &expiry),
                PROTOCOL,
            ),
            ("CONNACK from a client", raw(0x20, &[0, 0, 0]), EITHER),
            ("SUBACK from a client", raw(0x90, &[0, 1, 0, 0]), EITHER),
            ("UNSUBACK from a client", raw(0xb0, &[0, 1, 0, 0]), EITHER),
            ("PINGRESP from a client", vec![0xd0, 0], EITHER),
        ],
    );
}

#[test]
fn mqtt311_4_8_0_1_wrong_packets_end_the_connection() {
    let v311 = |publish: Publish| publish.bytes(Version::V311);
    expect_all(
        Version::V311,
        &[
            ("packet type 0", vec![0, 0], &[]),
            ("packet type 15", vec![0xf0, 0], &[]),
            ("QoS 3", raw(0x36, &[0, 1, b't', 0, 1]), &[]),
            ("# in the topic", v311(Publish::new("a/#", "p")), &[]),
            ("empty topic", v311(Publish::new("", "p")), &[]),
            (
                "packet identifier 0",
                v311(Publish::new("t", "p").qos(1, 0)),
                &[],
            ),
            ("topic not UTF-8", raw(0x30, &[0, 2, 0xc0, 0x80]), &[]),
            ("no filter", raw(0x82, &[0, 1]), &[]),
            (
                "SUBSCRIBE with QoS 3",
                Subscribe::new(1, "t", 3).bytes(Version::V311),
                &[],
            ),
            (
                "options of 5.0",
                Subscribe::new(1, "t", 0x24).bytes(Version::V311),
                &[],
            ),
            ("SUBSCRIBE flags", raw(0x80, &[0, 1, 0, 1, b't', 0]), &[]),
            ("DISCONNECT with a body", raw(0xe0, &[0]), &[]),
            ("a second CONNECT", Connect::v311("malformed").bytes(), &[]),
        ],
    );
}

#[test]
fn mqtt5_4_7_1_wrong_filters_are_refused() {
    let broker = Broker::start();
    let filters = ["a/#/b", "a#", "a/b#", "a+", "a/+b/c", "#/a", "##", ""];
    for version in super::BOTH {
        for filter in filters {
            let mut client = Client::connect(&broker, &Connect::new(version, "filters")).0;
            client.send(&Subscribe::new(1, filter, 0).bytes(version));
            match client.hear(PATIENCE) {
                Heard::Closed if version == Version::V311 => {}
                Heard::Packet(Packet::Disconnect {
                    code: 0x81 | 0x82 | 0x8f,
                    ..
                }) => {}
                Heard::Packet(Packet::SubAck { codes, .. }) => {
                    let refused = if version == Version::V5 { 0x8f } else { 0x80 };
                    assert_eq!(codes, [refused], "{filter:?}");
                }
                other => panic!("{version:?} {filter:?}: {other:?}"),
            }
        }
    }
}

#[test]
fn mqtt5_3_2_2_15_packets_above_the_maximum_size_are_too_large() {
    let broker = Broker::start_with(Options::new().set("mqtt.max_packet_size", "16KB"));
    let mut witness = Client::v5(&broker, "witness");
    let mut client = Client::v5(&broker, "large");
    client.publish_1("t", vec![b'x'; 15_000]);
    let bytes = Publish::new("t", vec![b'x'; 17_000]).bytes(Version::V5);
    // The header is enough to know.
    client.send(&bytes[..100]);
    client.expect_end(Some(0x95));
    witness.ping();
}
