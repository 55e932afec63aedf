//! CONNACK, clause by clause: when it comes, and what it says (3.2).

use robustmq_conformance::packet::string;
use robustmq_conformance::{
    Broker, Client, Connect, Options, Packet, Props, Publish, Subscribe, Version, Will, property,
};

use super::opening::{connect, refusal};
use super::publisher;
use Version::{V5, V311};

/// CONNACK is the first packet and the only one of its kind, though messages wait and more comes behind CONNECT.
fn connack_comes_first_and_once(version: Version) {
    let broker = Broker::start();
    let (mut client, _) = Client::lasting(&broker, version, "c");
    client.subscribe("t", 1);
    client.disconnect();
    for number in 0..5 {
        publisher(&broker).publish_1("t", number.to_string());
    }
    let mut client = Client::open(&broker, version);
    let mut bytes = Connect::lasting(version, "c").bytes();
    bytes.extend(Subscribe::new(1, "u", 1).bytes(version));
    bytes.extend([0xc0, 0]);
    client.send(&bytes);
    assert!(matches!(
        client.packet(),
        Packet::ConnAck {
            code: 0,
            session_present: true,
            ..
        }
    ));
    for _ in 0..7 {
        let packet = client.packet();
        assert!(!matches!(packet, Packet::ConnAck { .. }), "{packet:?}");
    }
    client.expect_silence();
}

fn session_present(version: Version) {
    let broker = Broker::start();
    let lasting = Connect::lasting(version, "c");
    let present = |connect: &Connect| {
        let (client, present, _) = Client::connect(&broker, connect);
        client.disconnect();
        present
    };
    assert!(!present(&lasting), "there is none yet");
    assert!(present(&lasting), "it was stored");
    assert!(
        !present(&lasting.clone().clean(true)),
        "a clean start has none"
    );
}

fn refusals_have_no_session_and_end(version: Version) {
    let broker = Broker::start_with(Options::new().set("mqtt.max_client_id_len", "23"));
    Client::lasting(&broker, version, "c").0.disconnect();
    // `refusal` looks at Session Present and at the end.
    let bytes = Connect::lasting(version, &"c".repeat(24)).bytes();
    assert!(refusal(&broker, version, &bytes).is_some());
}

/// A CONNACK that fits the client, however small, or none: the reason string and the like are left out.
fn connack_fits_the_client() {
    let broker = Broker::start();
    let mut fits = 0;
    for size in 5..80 {
        let props = Props::new().four(property::PACKET_SIZE_MAX, size);
        let bytes = Connect::v5("c")
            .props(props.text(property::AUTH_METHOD, "NONE"))
            .bytes();
        let mut client = Client::open(&broker, V5);
        client.send(&bytes);
        let answer = client.bytes_to_end();
        assert!(
            answer.len() <= size as usize,
            "{} bytes for {size}",
            answer.len()
        );
        fits += u32::from(!answer.is_empty());
    }
    assert_eq!(
        fits, 75,
        "a CONNACK with nothing but its code has five bytes"
    );
}

/// Lowered by configuration, and told; a subscription may still ask for more.
fn maximum_qos() {
    let broker = Broker::start_with(Options::new().set("mqtt.max_qos", "0"));
    let (mut client, _, props) = Client::connect(&broker, &Connect::v5("c"));
    assert_eq!(props.number(property::QOS_MAX), Some(0));
    for qos in 0..=2 {
        let codes = client.subscribe_with(&Subscribe::new(u16::from(qos) + 1, "t", qos));
        assert_eq!(codes, [0]);
    }
    // Without a limit nothing is told, for 2 is no value of this property.
    let (_client, _, props) = Client::connect(&Broker::start(), &Connect::v5("c"));
    assert_eq!(props.number(property::QOS_MAX), None);
}

fn will_beyond_what_the_server_does(key: &str, value: &str, will: Will, code: u8) {
    let broker = Broker::start_with(Options::new().set(key, value));
    let bytes = Connect::v5("c").will(will).bytes();
    assert_eq!(refusal(&broker, V5, &bytes), Some(code));
}

/// Every alias up to the maximum that was told.
fn alias_maximum(told: u32) {
    let broker = Broker::start_with(Options::new().set("mqtt.max_topic_alias", &told.to_string()));
    let (mut client, _, props) = Client::connect(&broker, &Connect::v5("c"));
    assert_eq!(props.number(property::TOPIC_ALIAS_MAX).unwrap_or(0), told);
    let with_alias = |alias: u32| {
        Publish::new("t", "p").props(Props::new().two(property::TOPIC_ALIAS, alias as u16))
    };
    for alias in 1..=told {
        client.publish(&with_alias(alias));
    }
    client.ping();
    client.publish(&with_alias(told + 1));
    client.expect_end(Some(0x94));
}

/// Every code that tells a refused client why is one of the specification's table.
fn codes_of_refusals() {
    let broker = Broker::start_with(
        Options::new()
            .set("mqtt.max_client_id_len", "23")
            .set("mqtt.max_qos", "1"),
    );
    let method = Props::new().text(property::AUTH_METHOD, "NONE");
    let cases = [
        (connect(V5, 3, &[&string("c")]), 0x81),
        (
            Connect::v5("c")
                .props(Props::new().two(property::RECEIVE_MAX, 0))
                .bytes(),
            0x82,
        ),
        (Connect::v5(&"c".repeat(24)).bytes(), 0x85),
        (Connect::v5("c").props(method).bytes(), 0x8c),
        (Connect::v5("c").will(Will::new("a/#", "w")).bytes(), 0x90),
        (
            Connect::v5("c")
                .will(Will {
                    qos: 2,
                    ..Will::new("w", "w")
                })
                .bytes(),
            0x9b,
        ),
    ];
    for (bytes, wanted) in cases {
        assert_eq!(refusal(&broker, V5, &bytes), Some(wanted), "{bytes:02x?}");
    }
}

/// AUTH is for who has named a method.
fn no_authentication_without_a_method() {
    let broker = Broker::start();
    let (mut client, _, props) = Client::connect(&broker, &Connect::v5("c"));
    assert_eq!(props.get(property::AUTH_METHOD), None);
    client.expect_silence();
}

clauses! {
    mqtt5_3_2_0_1_connack_comes_first: connack_comes_first_and_once(V5);
    mqtt5_3_2_0_2_connack_comes_once: connack_comes_first_and_once(V5);
    mqtt5_3_2_2_1_flags_of_connack: connack_comes_first_and_once(V5);
    mqtt5_3_2_2_2_a_clean_start_has_no_session: session_present(V5);
    mqtt5_3_2_2_3_session_present: session_present(V5);
    mqtt5_3_2_2_6_refusals_have_no_session: refusals_have_no_session_and_end(V5);
    mqtt5_3_2_2_7_refusals_end_the_connection: refusals_have_no_session_and_end(V5);
    mqtt5_3_2_2_8_codes_of_connack: codes_of_refusals();
    mqtt5_3_2_2_9_a_lower_maximum_qos_is_told: maximum_qos();
    mqtt5_3_2_2_10_any_qos_may_be_subscribed: maximum_qos();
    mqtt5_3_2_2_12_a_will_above_the_maximum_qos:
        will_beyond_what_the_server_does("mqtt.max_qos", "1", Will { qos: 2, ..Will::new("w", "w") }, 0x9b);
    mqtt5_3_2_2_13_a_retained_will_where_none_is_kept: will_beyond_what_the_server_does(
        "mqtt.retain_available", "false", Will { retain: true, ..Will::new("w", "w") }, 0x9a
    );
    mqtt5_3_2_2_17_an_alias_above_the_maximum: alias_maximum(5);
    mqtt5_3_2_2_18_no_alias_where_none_is_allowed: alias_maximum(0);
    mqtt5_3_2_2_19_the_reason_string_is_left_out_of_a_small_connack: connack_fits_the_client();
    mqtt5_3_2_2_20_user_properties_are_left_out_of_a_small_connack: connack_fits_the_client();
    mqtt5_3_3_2_12_every_alias_up_to_the_maximum: alias_maximum(40);
    mqtt5_4_12_0_6_no_authentication_without_a_method: no_authentication_without_a_method();
    mqtt311_3_1_4_4_connack_0: connack_comes_first_and_once(V311);
    mqtt311_3_2_0_1_connack_comes_first: connack_comes_first_and_once(V311);
    mqtt311_3_2_2_1_a_clean_session_is_not_present: session_present(V311);
    mqtt311_3_2_2_2_a_stored_session_is_present: session_present(V311);
    mqtt311_3_2_2_3_a_new_session_is_not_present: session_present(V311);
    mqtt311_3_2_2_4_refusals_have_no_session: refusals_have_no_session_and_end(V311);
    mqtt311_3_2_2_5_refusals_end_the_connection: refusals_have_no_session_and_end(V311);
}
