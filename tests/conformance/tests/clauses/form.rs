//! The form of packets after CONNECT: flags, identifiers, what must be there and what must not. A test for each
//! clause; `malformed` has more of each kind.

use robustmq_conformance::packet::{ack, raw, unsubscribe};
use robustmq_conformance::{
    AckKind, Broker, Client, Connect, Heard, Packet, Props, Publish, Subscribe,
};
use robustmq_conformance::{Version, property};

use robustmq_conformance::client::PATIENCE;

use super::malformed::{Case, EITHER, MALFORMED, PROTOCOL, expect_all};
use Version::{V5, V311};

/// The packet with every wrong low half of its first byte.
fn other_flags(version: Version, packet: &[u8]) {
    let right = packet[0];
    let cases: Vec<Case> = (0..16)
        .map(|flags| (right & 0xf0) | flags)
        .filter(|first| *first != right)
        .map(|first| ("flags", [&[first], &packet[1..]].concat(), MALFORMED))
        .collect();
    expect_all(version, &cases);
}

fn subscribe(version: Version, options: u8) -> Vec<u8> {
    Subscribe::new(1, "t", options).bytes(version)
}

/// Nothing but a first byte of zero identifiers: SUBSCRIBE, UNSUBSCRIBE, PUBLISH of QoS 1 and 2.
fn identifier_zero(version: Version) {
    expect_all(
        version,
        &[
            (
                "SUBSCRIBE",
                Subscribe::new(0, "t", 0).bytes(version),
                EITHER,
            ),
            ("UNSUBSCRIBE", unsubscribe(version, 0, &["t"]), EITHER),
            (
                "PUBLISH 1",
                Publish::new("t", "p").qos(1, 0).bytes(version),
                EITHER,
            ),
            (
                "PUBLISH 2",
                Publish::new("t", "p").qos(2, 0).bytes(version),
                EITHER,
            ),
        ],
    );
}

/// A PUBLISH of QoS 0 has its payload where others have an identifier.
fn qos_0_has_no_identifier(version: Version) {
    let broker = Broker::start();
    let mut client = Client::connect(&broker, &Connect::new(version, "c")).0;
    client.subscribe("t", 0);
    client.publish(&Publish::new("t", [0, 7, b'x']));
    let message = client.message();
    assert_eq!((message.id, message.payload), (0, vec![0, 7, b'x']));
}

fn topic_with_wildcard(version: Version) {
    let cases: Vec<Case> = ["#", "a/#", "+", "a/+/b", "a+", "a#b"]
        .into_iter()
        .map(|topic| (topic, Publish::new(topic, "p").bytes(version), &[0x90][..]))
        .collect();
    expect_all(version, &cases);
}

fn is_filter_refused(version: Version, filters: &[&str]) {
    let broker = Broker::start();
    for filter in filters {
        let mut client = Client::connect(&broker, &Connect::new(version, "filters")).0;
        client.send(&Subscribe::new(1, filter, 0).bytes(version));
        match client.hear(PATIENCE) {
            Heard::Closed if version == V311 => {}
            Heard::Packet(Packet::Disconnect {
                code: 0x81 | 0x82 | 0x8f,
                ..
            }) => {}
            Heard::Packet(Packet::SubAck { codes, .. }) => {
                let refused = if version == V5 { 0x8f } else { 0x80 };
                assert_eq!(codes, [refused], "{filter:?}");
            }
            other => panic!("{version:?} {filter:?}: {other:?}"),
        }
    }
}

fn nothing_is_empty(version: Version) {
    expect_all(
        version,
        &[("topic", Publish::new("", "p").bytes(version), PROTOCOL)],
    );
    is_filter_refused(version, &[""]);
}

/// Undefined reason codes in what a client sends.
fn unknown_codes() {
    let exchange = |first: u8| raw(first, &[0, 1, 0x55]);
    expect_all(
        V5,
        &[
            ("PUBACK", exchange(0x40), EITHER),
            ("PUBREC", exchange(0x50), EITHER),
            ("PUBREL", exchange(0x62), EITHER),
            ("PUBCOMP", exchange(0x70), EITHER),
            ("DISCONNECT", raw(0xe0, &[0x55]), EITHER),
            ("a DISCONNECT of servers", raw(0xe0, &[0x8e]), EITHER),
            ("AUTH", raw(0xf0, &[0x55, 0]), EITHER),
        ],
    );
}

/// A connection of a client that asked for nothing.
fn property_of_publish(props: Props, codes: &'static [u8]) {
    expect_all(
        V5,
        &[(
            "property",
            Publish::new("t", "p").props(props).bytes(V5),
            codes,
        )],
    );
}

/// The shortest packets of 5.0 carry a property length of zero, or may leave it out where the
/// specification says so; ours are read by a parser that takes nothing else.
fn no_properties_is_a_length_of_zero() {
    let broker = Broker::start();
    let mut client = Client::v5(&broker, "short");
    for bytes in [
        raw(0x30, &[0, 1, b't', 0]),
        raw(0x82, &[0, 9, 0, 0, 1, b's', 0]),
        raw(0xa2, &[0, 8, 0, 0, 1, b's']),
    ] {
        client.send(&bytes);
    }
    client.wait_for("SUBACK", |packet| {
        matches!(packet, Packet::SubAck { id: 9, .. }).then_some(())
    });
    client.wait_for("UNSUBACK", |packet| {
        matches!(packet, Packet::UnsubAck { id: 8, .. }).then_some(())
    });
    // None at all is too few.
    client.send(&raw(0x30, &[0, 1, b't']));
    client.expect_end(Some(0x81));
}

clauses! {
    mqtt5_2_2_1_2_qos_0_has_no_identifier: qos_0_has_no_identifier(V5);
    mqtt5_2_2_1_3_identifiers_are_not_0: identifier_zero(V5);
    mqtt5_2_2_2_1_no_properties_is_a_length_of_zero: no_properties_is_a_length_of_zero();
    mqtt5_3_3_1_2_dup_with_qos_0: expect_all(V5, &[("DUP", Publish::new("t", "p").dup().bytes(V5), EITHER)]);
    mqtt5_3_3_1_4_both_qos_bits: expect_all(V5, &[("QoS 3", raw(0x36, &[0, 1, b't', 0, 1, 0]), MALFORMED)]);
    mqtt5_3_3_2_2_no_wildcards_in_a_topic_name: topic_with_wildcard(V5);
    mqtt5_3_3_2_8_alias_0: property_of_publish(Props::new().two(property::TOPIC_ALIAS, 0), &[0x94]);
    mqtt5_3_3_2_14_no_wildcards_in_a_response_topic:
        property_of_publish(Props::new().text(property::RESPONSE_TOPIC, "a/+"), &[0x82, 0x90]);
    mqtt5_3_3_4_6_clients_send_no_subscription_identifier:
        property_of_publish(Props::new().variable(property::SUBSCRIPTION_ID, 1), EITHER);
    mqtt5_3_6_1_1_flags_of_pubrel: other_flags(V5, &ack(AckKind::PubRel, 1));
    mqtt5_3_8_1_1_flags_of_subscribe: other_flags(V5, &subscribe(V5, 0));
    mqtt5_3_8_3_2_subscribe_needs_a_filter: expect_all(V5, &[("none", raw(0x82, &[0, 1, 0]), EITHER)]);
    mqtt5_3_8_3_4_no_local_is_not_for_shared_subscriptions:
        expect_all(V5, &[("shared", Subscribe::new(1, "$share/g/t", 4).bytes(V5), PROTOCOL)]);
    mqtt5_3_8_3_5_reserved_options:
        expect_all(V5, &[("6", subscribe(V5, 0x40), MALFORMED), ("7", subscribe(V5, 0x80), MALFORMED)]);
    mqtt5_3_10_1_1_flags_of_unsubscribe: other_flags(V5, &unsubscribe(V5, 1, &["t"]));
    mqtt5_3_10_3_2_unsubscribe_needs_a_filter: expect_all(V5, &[("none", raw(0xa2, &[0, 1, 0]), EITHER)]);
    mqtt5_3_14_1_1_flags_of_disconnect: other_flags(V5, &[0xe0, 0]);
    mqtt5_3_14_2_1_unknown_reason_codes: unknown_codes();
    mqtt5_3_15_1_1_flags_of_auth: other_flags(V5, &raw(0xf0, &[0x18, 0]));
    mqtt5_4_7_0_1_wildcards_are_for_filters_only: topic_with_wildcard(V5);
    mqtt5_4_7_1_1_the_multi_level_wildcard_is_the_whole_last_level:
        is_filter_refused(V5, &["a#", "a/b#", "a/#/b", "#/a", "##", "/#/"]);
    mqtt5_4_7_1_2_the_single_level_wildcard_is_a_whole_level:
        is_filter_refused(V5, &["a+", "+a", "a/+b/c", "++", "/a+/"]);
    mqtt5_4_7_3_1_topics_and_filters_are_not_empty: nothing_is_empty(V5);
    mqtt311_2_2_2_1_reserved_flags: other_flags(V311, &[0xc0, 0]);
    mqtt311_2_2_2_2_invalid_flags_end_the_connection: other_flags(V311, &ack(AckKind::PubAck, 1));
    mqtt311_2_3_1_1_identifiers_are_not_0: identifier_zero(V311);
    mqtt311_2_3_1_5_qos_0_has_no_identifier: qos_0_has_no_identifier(V311);
    mqtt311_3_3_1_2_dup_with_qos_0: expect_all(V311, &[("DUP", Publish::new("t", "p").dup().bytes(V311), &[])]);
    mqtt311_3_3_1_4_both_qos_bits: expect_all(V311, &[("QoS 3", raw(0x36, &[0, 1, b't', 0, 1]), &[])]);
    mqtt311_3_3_2_2_no_wildcards_in_a_topic_name: topic_with_wildcard(V311);
    mqtt311_3_6_1_1_flags_of_pubrel: other_flags(V311, &ack(AckKind::PubRel, 1));
    mqtt311_3_8_1_1_flags_of_subscribe: other_flags(V311, &subscribe(V311, 0));
    mqtt311_3_8_3_3_subscribe_needs_a_filter: expect_all(V311, &[("none", raw(0x82, &[0, 1]), &[])]);
    mqtt311_3_8_3_4_reserved_options_and_qos_3: expect_all(V311, &[
        ("3", subscribe(V311, 3), &[]), ("4", subscribe(V311, 4), &[]), ("80", subscribe(V311, 0x80), &[]),
    ]);
    mqtt311_3_10_1_1_flags_of_unsubscribe: other_flags(V311, &unsubscribe(V311, 1, &["t"]));
    mqtt311_3_10_3_2_unsubscribe_needs_a_filter: expect_all(V311, &[("none", raw(0xa2, &[0, 1]), &[])]);
    mqtt311_3_14_1_1_flags_of_disconnect: other_flags(V311, &[0xe0, 0]);
    mqtt311_4_7_1_1_wildcards_are_for_filters_only: topic_with_wildcard(V311);
    mqtt311_4_7_1_2_the_multi_level_wildcard_is_the_whole_last_level:
        is_filter_refused(V311, &["a#", "a/b#", "a/#/b", "#/a", "##"]);
    mqtt311_4_7_1_3_the_single_level_wildcard_is_a_whole_level:
        is_filter_refused(V311, &["a+", "+a", "a/+b/c", "++"]);
    mqtt311_4_7_3_1_topics_and_filters_are_not_empty: nothing_is_empty(V311);
}
