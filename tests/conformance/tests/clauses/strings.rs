//! Strings wherever a packet has one (1.5.4, 1.5.7), and where topics may not be what strings may.

use robustmq_conformance::packet::raw;
use robustmq_conformance::{Broker, Client, Connect, Heard, Packet, Version};

use robustmq_conformance::client::PATIENCE;

use super::malformed::{Case, MALFORMED, expect_all};
use Version::{V5, V311};

/// What no string may hold.
const ILL_FORMED: [(&str, &[u8]); 5] = [
    ("a byte that begins nothing", b"a\xffb"),
    ("a surrogate", b"\xed\xa0\x80"),
    ("an overlong slash", b"\xc0\xaf"),
    ("beyond Unicode", b"\xf4\x90\x80\x80"),
    ("a cut off character", b"a\xe2\x82"),
];
const NULL: [(&str, &[u8]); 1] = [("a null character", b"a\0b")];

/// Codes for a topic or filter with a null character: it is a bad string and a bad topic.
const NULL_IN_TOPIC: &[u8] = &[0x81, 0x8f, 0x90];

/// A string of these bytes.
fn text(bytes: &[u8]) -> Vec<u8> {
    let mut out = vec![0, bytes.len() as u8];
    out.extend(bytes);
    out
}

/// Where a string stands in a packet after CONNECT.
type Place = fn(Version, &[u8]) -> Vec<u8>;

fn no_properties(version: Version) -> &'static [u8] {
    if version == V5 { &[0] } else { &[] }
}

fn topic_name(version: Version, bytes: &[u8]) -> Vec<u8> {
    raw(0x30, &[&text(bytes), no_properties(version)].concat())
}

fn filter(version: Version, bytes: &[u8]) -> Vec<u8> {
    let body = [&[0, 1], no_properties(version), &text(bytes), &[0]].concat();
    raw(0x82, &body)
}

fn filter_to_leave(version: Version, bytes: &[u8]) -> Vec<u8> {
    raw(
        0xa2,
        &[&[0, 1], no_properties(version), &text(bytes)].concat(),
    )
}

/// A PUBLISH with one property.
fn with_property(id: u8, value: &[u8]) -> Vec<u8> {
    let length = value.len() as u8 + 1;
    raw(0x30, &[&[0, 1, b't', length, id], value].concat())
}

fn response_topic(_: Version, bytes: &[u8]) -> Vec<u8> {
    with_property(0x08, &text(bytes))
}

fn content_type(_: Version, bytes: &[u8]) -> Vec<u8> {
    with_property(0x03, &text(bytes))
}

fn user_property_name(_: Version, bytes: &[u8]) -> Vec<u8> {
    with_property(0x26, &[text(bytes), text(b"v")].concat())
}

fn user_property_value(_: Version, bytes: &[u8]) -> Vec<u8> {
    with_property(0x26, &[text(b"n"), text(bytes)].concat())
}

fn reason_string(_: Version, bytes: &[u8]) -> Vec<u8> {
    let value = text(bytes);
    let length = value.len() as u8 + 1;
    raw(0x40, &[&[0, 1, 0, length, 0x1f], &value[..]].concat())
}

/// Every bad string in every place ends the connection, on 5.0 with the code for it.
fn refused_in(
    version: Version,
    places: &[Place],
    bad: &[(&'static str, &[u8])],
    codes: &'static [u8],
) {
    let cases: Vec<Case> = places
        .iter()
        .flat_map(|place| {
            bad.iter()
                .map(|(name, bytes)| (*name, place(version, bytes), codes))
        })
        .collect();
    expect_all(version, &cases);
}

const PROPERTIES: [Place; 4] = [
    response_topic,
    content_type,
    user_property_value,
    reason_string,
];

fn a_topic_or_filter(version: Version, bad: &[(&'static str, &[u8])]) {
    let codes = if bad[0].0 == NULL[0].0 {
        NULL_IN_TOPIC
    } else {
        MALFORMED
    };
    refused_in(version, &[topic_name, filter, filter_to_leave], bad, codes);
}

/// A CONNECT with one string of bad bytes: client identifier, will topic or user name.
fn connect(version: Version, id: &[u8], will_topic: Option<&[u8]>, user: Option<&[u8]>) -> Vec<u8> {
    let flags =
        2 | if will_topic.is_some() { 4 } else { 0 } | if user.is_some() { 0x80 } else { 0 };
    let mut body = text(b"MQTT");
    body.extend([version.level(), flags, 0, 0]);
    body.extend(no_properties(version));
    body.extend(text(id));
    if let Some(topic) = will_topic {
        body.extend(no_properties(version));
        body.extend(text(topic));
        body.extend(text(b"bye"));
    }
    body.extend(user.map(text).unwrap_or_default());
    raw(0x10, &body)
}

/// A CONNECT like this is not accepted: nothing or a CONNACK that says so, then the end.
fn is_refused(version: Version, make: fn(Version, &[u8]) -> Vec<u8>) {
    let broker = Broker::start();
    for (name, bytes) in ILL_FORMED.iter().chain(&NULL) {
        let mut client = Client::open(&broker, version);
        client.send(&make(version, bytes));
        match client.hear(PATIENCE) {
            Heard::Closed => {}
            Heard::Packet(Packet::ConnAck { code, .. }) if version == V5 && code >= 0x80 => {
                client.expect_end(None);
            }
            other => panic!("{version:?}, {name}: {other:?}"),
        }
    }
    Client::connect(&broker, &Connect::new(version, "good"));
}

/// U+FEFF is a character like any other: two topics that differ in it are two topics.
fn byte_order_mark_is_kept(version: Version) {
    let broker = Broker::start();
    let mut client = Client::connect(&broker, &Connect::new(version, "\u{feff}bom")).0;
    client.subscribe("\u{feff}a/+", 1);
    client.publish_1("a/x", "without");
    client.publish_1("\u{feff}a/\u{feff}x", "with");
    let message = client.take();
    assert_eq!(
        (message.topic.as_str(), message.text().as_str()),
        ("\u{feff}a/\u{feff}x", "with")
    );
    client.expect_silence();
}

clauses! {
    mqtt5_1_5_4_1_ill_formed_topics_and_filters: a_topic_or_filter(V5, &ILL_FORMED);
    mqtt5_1_5_4_1_ill_formed_properties: refused_in(V5, &PROPERTIES, &ILL_FORMED, MALFORMED);
    mqtt5_1_5_4_2_null_characters: {
        a_topic_or_filter(V5, &NULL);
        refused_in(V5, &PROPERTIES[1..], &NULL, MALFORMED);
    };
    mqtt5_1_5_4_3_the_byte_order_mark_is_kept: byte_order_mark_is_kept(V5);
    mqtt5_1_5_7_1_both_strings_of_a_pair:
        refused_in(V5, &[user_property_name, user_property_value], &ILL_FORMED, MALFORMED);
    mqtt5_3_1_3_11_the_will_topic_is_utf8: is_refused(V5, |v, bad| connect(v, b"c", Some(bad), None));
    mqtt5_3_1_3_12_the_user_name_is_utf8: is_refused(V5, |v, bad| connect(v, b"c", None, Some(bad)));
    mqtt5_3_3_2_1_the_topic_name_is_utf8: refused_in(V5, &[topic_name], &ILL_FORMED, MALFORMED);
    mqtt5_3_3_2_13_the_response_topic_is_utf8: refused_in(V5, &[response_topic], &ILL_FORMED, MALFORMED);
    mqtt5_3_3_2_19_the_content_type_is_utf8: refused_in(V5, &[content_type], &ILL_FORMED, MALFORMED);
    mqtt5_3_8_3_1_topic_filters_are_utf8: refused_in(V5, &[filter], &ILL_FORMED, MALFORMED);
    mqtt5_3_10_3_1_topic_filters_to_unsubscribe_are_utf8:
        refused_in(V5, &[filter_to_leave], &ILL_FORMED, MALFORMED);
    mqtt5_4_7_3_2_no_null_character_in_topics_and_filters: a_topic_or_filter(V5, &NULL);
    mqtt311_1_5_3_1_ill_formed_strings: a_topic_or_filter(V311, &ILL_FORMED);
    mqtt311_1_5_3_2_null_characters: a_topic_or_filter(V311, &NULL);
    mqtt311_1_5_3_3_the_byte_order_mark_is_kept: byte_order_mark_is_kept(V311);
    mqtt311_3_1_3_4_the_client_identifier_is_utf8: is_refused(V311, |v, bad| connect(v, bad, None, None));
    mqtt311_3_1_3_10_the_will_topic_is_utf8: is_refused(V311, |v, bad| connect(v, b"c", Some(bad), None));
    mqtt311_3_1_3_11_the_user_name_is_utf8: is_refused(V311, |v, bad| connect(v, b"c", None, Some(bad)));
    mqtt311_3_3_2_1_the_topic_name_is_utf8: refused_in(V311, &[topic_name], &ILL_FORMED, &[]);
    mqtt311_3_8_3_1_topic_filters_are_utf8: refused_in(V311, &[filter], &ILL_FORMED, &[]);
    mqtt311_3_10_3_1_topic_filters_to_unsubscribe_are_utf8:
        refused_in(V311, &[filter_to_leave], &ILL_FORMED, &[]);
    mqtt311_4_7_3_2_no_null_character_in_topics_and_filters: a_topic_or_filter(V311, &NULL);
}
