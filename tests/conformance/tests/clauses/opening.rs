//! The start of a connection, clause by clause: CONNECT and the session behind it (3.1).

use robustmq_conformance::packet::{raw, string};
use robustmq_conformance::{
    AckKind, Broker, Client, Connect, Heard, Options, Packet, Props, Publish, Subscribe,
};
use robustmq_conformance::{Version, Will, property};

use robustmq_conformance::client::PATIENCE;

use super::publisher;
use Version::{V5, V311};

/// The code that a CONNECT is refused with, `None` where the connection ends without a word.
pub(super) fn refusal(broker: &Broker, version: Version, bytes: &[u8]) -> Option<u8> {
    let mut client = Client::open(broker, version);
    client.send(bytes);
    match client.hear(PATIENCE) {
        Heard::Closed => None,
        Heard::Packet(Packet::ConnAck {
            session_present,
            code,
            ..
        }) => {
            assert!(code != 0 && !session_present, "{bytes:02x?} is accepted");
            client.expect_end(None);
            Some(code)
        }
        other => panic!("waited for a refusal: {other:?}"),
    }
}

/// A malformed CONNECT: 5.0 may be told, 3.1.1 is not [MQTT-3.1.4-1].
fn is_malformed(version: Version, bytes: &[u8]) {
    let code = refusal(&Broker::start(), version, bytes);
    let is_told = version == V5 && matches!(code, Some(0x81 | 0x82));
    assert!(code.is_none() || is_told, "{version:?}: {code:?}");
}

/// A CONNECT of this name and these flags with this payload; no properties.
pub(super) fn connect(version: Version, flags: u8, payload: &[&[u8]]) -> Vec<u8> {
    let mut body = string("MQTT");
    body.extend([version.level(), flags, 0, 0]);
    if version == V5 {
        body.push(0);
    }
    for field in payload {
        body.extend(*field);
    }
    raw(0x10, &body)
}

fn other_first_packets(version: Version) {
    let broker = Broker::start();
    let first = [
        Publish::new("t", "p").bytes(version),
        Subscribe::new(1, "t", 0).bytes(version),
        robustmq_conformance::packet::ack(AckKind::PubAck, 1),
        vec![0xc0, 0],
        vec![0xe0, 0],
    ];
    for bytes in first {
        assert_eq!(refusal(&broker, version, &bytes), None, "{bytes:02x?}");
    }
}

fn reserved_flag(version: Version) {
    is_malformed(version, &connect(version, 3, &[&string("c")]));
}

/// Will QoS or Will Retain without a will.
fn will_flags_without_a_will(version: Version, flags: &[u8]) {
    for flag in flags {
        is_malformed(version, &connect(version, 2 | flag, &[&string("c")]));
    }
}

/// The flags promise what the payload does not hold, or the payload holds more than they say.
fn payload_is_not_as_flagged(version: Version, cases: &[(u8, &[&str])]) {
    for (flags, fields) in cases {
        let fields: Vec<Vec<u8>> = fields.iter().map(|field| string(field)).collect();
        let fields: Vec<&[u8]> = fields.iter().map(Vec::as_slice).collect();
        is_malformed(version, &connect(version, 2 | flags, &fields));
    }
}

/// A will of which a part is missing.
fn will_without_its_fields(version: Version) {
    let props: &[u8] = if version == V5 { &[0] } else { &[] };
    is_malformed(version, &connect(version, 6, &[&string("c")]));
    is_malformed(
        version,
        &connect(version, 6, &[&string("c"), props, &string("w")]),
    );
}

fn will_qos(version: Version) {
    let broker = Broker::start();
    let mut watcher = Client::v5(&broker, "watcher");
    watcher.subscribe("will", 2);
    for qos in 0..=2 {
        let will = Will {
            qos,
            ..Will::new("will", "bye")
        };
        Client::connect(&broker, &Connect::new(version, "c").will(will))
            .0
            .cut();
        assert_eq!(watcher.take().qos, qos);
    }
    let bytes = Connect::new(version, "c")
        .will(Will {
            qos: 3,
            ..Will::new("will", "never")
        })
        .bytes();
    let code = refusal(&broker, version, &bytes);
    assert!(
        matches!((version, code), (_, None) | (V5, Some(0x81))),
        "{code:?}"
    );
}

fn will_retain(version: Version, retain: bool) {
    let broker = Broker::start();
    let mut watcher = Client::v5(&broker, "watcher");
    watcher.subscribe("will", 1);
    let will = Will {
        retain,
        ..Will::new("will", "bye")
    };
    Client::connect(&broker, &Connect::new(version, "c").will(will))
        .0
        .cut();
    assert!(!watcher.take().retain);
    let mut late = Client::v5(&broker, "late");
    late.subscribe("will", 1);
    if retain {
        assert!(late.take().retain);
    }
    late.expect_silence();
}

/// Exactly one will, whatever becomes of the session afterwards.
fn a_will_is_sent_once(version: Version) {
    let broker = Broker::start();
    let mut watcher = Client::v5(&broker, "watcher");
    watcher.subscribe("will", 1);
    let connect = Connect::lasting(version, "c");
    Client::connect(&broker, &connect.clone().will(Will::new("will", "once")))
        .0
        .cut();
    assert_eq!(watcher.take().text(), "once");
    Client::connect(&broker, &connect).0.cut();
    Client::connect(&broker, &connect.clone().will(Will::new("will", "never")))
        .0
        .disconnect();
    Client::connect(&broker, &connect).0.cut();
    watcher.expect_silence();
}

fn no_will_without_the_flag(version: Version) {
    let broker = Broker::start();
    let mut watcher = Client::v5(&broker, "watcher");
    watcher.subscribe("#", 1);
    Client::connect(&broker, &Connect::new(version, "c"))
        .0
        .cut();
    watcher.expect_silence();
}

/// Client identifier, will topic, will payload, user name, password: all of them, in this order.
fn payload_in_its_order(version: Version) {
    let broker = Broker::start();
    let mut watcher = Client::v5(&broker, "watcher");
    watcher.subscribe("topic of the will", 1);
    let connect = Connect {
        username: Some("name".to_owned()),
        password: Some(b"secret".to_vec()),
        ..Connect::new(version, "all").will(Will::new("topic of the will", "payload of the will"))
    };
    let (client, _, _) = Client::connect(&broker, &connect);
    client.cut();
    assert_eq!(watcher.take().text(), "payload of the will");
}

/// One identifier, one session; another identifier, another session.
fn the_identifier_names_the_session(version: Version) {
    let broker = Broker::start();
    let (mut one, _) = Client::lasting(&broker, version, "one");
    one.subscribe("t", 1);
    one.disconnect();
    let (mut other, present) = Client::lasting(&broker, version, "One");
    assert!(!present, "identifiers are compared letter by letter");
    publisher(&broker).publish_1("t", "for one");
    other.expect_silence();
    let (mut one, _) = Client::lasting(&broker, version, "one");
    assert_eq!(one.take().text(), "for one");
}

fn no_identifier_field(version: Version) {
    is_malformed(version, &connect(version, 2, &[]));
    is_malformed(version, &connect(version, 2, &[&[0]]));
}

fn the_least_identifiers_are_allowed(version: Version) {
    let broker = Broker::start();
    const ALL: &str = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    for id in ["0", "Z", &ALL[..23], &ALL[23..46], &ALL[39..]] {
        Client::connect(&broker, &Connect::new(version, id))
            .0
            .disconnect();
    }
}

fn a_rejected_identifier(version: Version, wanted: u8) {
    let broker = Broker::start_with(Options::new().set("mqtt.max_client_id_len", "23"));
    let bytes = Connect::new(version, &"x".repeat(24)).bytes();
    assert_eq!(refusal(&broker, version, &bytes), Some(wanted));
}

/// What follows a CONNECT that is refused is not looked at.
fn nothing_after_a_refusal(version: Version) {
    let broker = Broker::start_with(Options::new().set("mqtt.max_client_id_len", "23"));
    let mut watcher = Client::v5(&broker, "watcher");
    watcher.subscribe("#", 1);
    for bad in [
        Connect::new(version, &"x".repeat(24)).bytes(),
        connect(version, 3, &[&string("c")]),
    ] {
        let mut client = Client::open(&broker, version);
        let message = Publish::new("t", "never").qos(1, 1).bytes(version);
        client.send(&[bad, message].concat());
        let answer = client.bytes_to_end();
        assert!(answer.is_empty() || answer[0] == 0x20, "{answer:02x?}");
        assert_eq!(answer.iter().filter(|byte| **byte == 0x40).count(), 0);
    }
    watcher.expect_silence();
}

/// A clean session is as if nothing had been before, and leaves nothing.
fn clean_session(version: Version) {
    let broker = Broker::start();
    let (mut client, _) = Client::lasting(&broker, version, "c");
    client.subscribe("t", 1);
    client.publish(&Publish::new("half", "of an exchange").qos(2, 9));
    client.acked(AckKind::PubRec);
    client.disconnect();
    let clean = Connect {
        props: Props::new(),
        ..Connect::lasting(version, "c")
    }
    .clean(true);
    let (mut client, present, _) = Client::connect(&broker, &clean);
    assert!(!present);
    publisher(&broker).publish_1("t", "not for it");
    client.expect_silence();
    client.subscribe("only/now", 1);
    client.disconnect();
    let (mut client, present) = Client::lasting(&broker, version, "c");
    assert!(!present, "it lasted as long as the connection");
    publisher(&broker).publish_1("only/now", "nor this");
    client.expect_silence();
}

/// Messages of QoS 1 and 2 wait, the session goes on, a new one is made where there is none.
fn lasting_session(version: Version) {
    let broker = Broker::start();
    let (mut client, present) = Client::lasting(&broker, version, "c");
    assert!(!present);
    client.subscribe("t", 2);
    client.disconnect();
    publisher(&broker).publish_1("t", "1");
    publisher(&broker).publish_2("t", "2");
    let (mut client, present) = Client::lasting(&broker, version, "c");
    assert!(present);
    assert_eq!(client.take_texts(2), ["1", "2"]);
}

fn retained_messages_outlive_the_session(version: Version) {
    let broker = Broker::start();
    let mut client = Client::connect(&broker, &Connect::new(version, "c")).0;
    client.publish_through(Publish::new("kept", "v").retain().qos(1, 1));
    client.disconnect();
    let mut late = Client::connect(&broker, &Connect::new(version, "c")).0;
    late.subscribe("kept", 1);
    assert_eq!(late.take().text(), "v");
}

fn the_older_client_is_disconnected(version: Version) {
    let broker = Broker::start();
    let mut first = Client::connect(&broker, &Connect::new(version, "same")).0;
    let mut second = Client::connect(&broker, &Connect::new(version, "same")).0;
    first.expect_end((version == V5).then_some(0x8e));
    second.ping();
}

fn keep_alive_of_the_client(version: Version) {
    let broker = Broker::start();
    let (mut client, _, props) =
        Client::connect(&broker, &Connect::new(version, "c").keep_alive(1));
    assert_eq!(props.number(property::SERVER_KEEP_ALIVE), None);
    let start = std::time::Instant::now();
    client.expect_end((version == V5).then_some(0x8d));
    assert!(start.elapsed() > std::time::Duration::from_millis(1_200));
}

/// A server that does not want 3.1.1's protocol name with other letters does not go on in its way.
fn other_protocol_names(version: Version) {
    let broker = Broker::start();
    for name in ["MQTX", "mqtt", "HTTP", "", "MQTT5"] {
        let mut body = string(name);
        body.extend([version.level(), 2, 0, 0, 0, 0, 0]);
        let mut client = Client::open(&broker, version);
        client.send(&raw(0x10, &body));
        let answer = client.bytes_to_end();
        let is_refusal = matches!(answer[..], [] | [0x20, _, 0, 1 | 0x81 | 0x84, ..]);
        assert!(is_refusal, "{name:?}: {answer:02x?}");
    }
}

/// A second CONNECT ends the connection.
fn second_connect(version: Version) {
    let broker = Broker::start();
    let mut client = Client::connect(&broker, &Connect::new(version, "twice")).0;
    client.send(&Connect::new(version, "twice").bytes());
    client.expect_end((version == V5).then_some(0x82));
}

/// What is checked beyond the form of the packet, here the method of authentication and the identifier.
fn further_checks() {
    let broker = Broker::start_with(Options::new().set("mqtt.max_client_id_len", "23"));
    let method = Props::new().text(property::AUTH_METHOD, "NONE");
    for connect in [Connect::v5("c").props(method), Connect::v5(&"c".repeat(24))] {
        assert!(refusal(&broker, V5, &connect.bytes()).is_some());
    }
}

const NAME: &[(u8, &[&str])] = &[(0x80, &["c"])];
const NAME_UNFLAGGED: &[(u8, &[&str])] = &[(0, &["c", "name"])];
const PASSWORD: &[(u8, &[&str])] = &[(0xc0, &["c", "name"])];
const PASSWORD_UNFLAGGED: &[(u8, &[&str])] = &[(0x80, &["c", "name", "secret"])];
const WILL_UNFLAGGED: &[(u8, &[&str])] = &[(0, &["c", "w", "w"])];

clauses! {
    mqtt5_3_1_2_7_a_will_is_stored_with_the_session: will_retain(V5, false);
    mqtt5_3_1_2_9_a_will_has_topic_and_payload: will_without_its_fields(V5);
    mqtt5_3_1_2_10_a_will_is_sent_once: a_will_is_sent_once(V5);
    mqtt5_3_1_2_13_will_retain_needs_a_will: will_flags_without_a_will(V5, &[0x20]);
    mqtt5_3_1_2_14_a_will_that_is_not_retained: will_retain(V5, false);
    mqtt5_3_1_2_16_a_user_name_without_its_flag: payload_is_not_as_flagged(V5, NAME_UNFLAGGED);
    mqtt5_3_1_2_17_a_flag_without_its_user_name: payload_is_not_as_flagged(V5, NAME);
    mqtt5_3_1_2_18_a_password_without_its_flag: payload_is_not_as_flagged(V5, PASSWORD_UNFLAGGED);
    mqtt5_3_1_2_19_a_flag_without_its_password: payload_is_not_as_flagged(V5, PASSWORD);
    mqtt5_3_1_2_5_an_existing_session_goes_on: lasting_session(V5);
    mqtt5_3_1_2_6_a_session_is_made_where_there_is_none: lasting_session(V5);
    mqtt5_3_1_3_1_the_payload_has_its_order: payload_in_its_order(V5);
    mqtt5_3_1_3_2_the_identifier_names_the_session: the_identifier_names_the_session(V5);
    mqtt5_3_1_3_3_the_identifier_must_be_there: no_identifier_field(V5);
    mqtt5_3_1_3_5_the_least_identifiers_are_allowed: the_least_identifiers_are_allowed(V5);
    mqtt5_3_1_3_8_a_rejected_identifier: a_rejected_identifier(V5, 0x85);
    mqtt5_3_1_4_1_what_is_no_connect_is_refused: no_identifier_field(V5);
    mqtt5_3_1_4_2_further_checks_end_the_connection: further_checks();
    mqtt5_3_1_4_4_clean_start_is_done: clean_session(V5);
    mqtt5_3_1_4_6_nothing_after_a_refusal: nothing_after_a_refusal(V5);
    mqtt5_3_2_2_16_an_assigned_identifier_is_new: super::connect::mqtt5_3_1_3_6_empty_client_id_is_assigned_one();
    mqtt5_3_2_2_22_the_keep_alive_of_the_client_holds: keep_alive_of_the_client(V5);
    mqtt311_3_1_0_1_the_first_packet_is_connect: other_first_packets(V311);
    mqtt311_3_1_0_2_a_second_connect: second_connect(V311);
    mqtt311_3_1_2_1_other_protocol_names: other_protocol_names(V311);
    mqtt311_3_1_2_3_the_reserved_flag: reserved_flag(V311);
    mqtt311_3_1_2_4_a_lasting_session_goes_on: lasting_session(V311);
    mqtt311_3_1_2_5_messages_wait_for_it: lasting_session(V311);
    mqtt311_3_1_2_6_a_clean_session: clean_session(V311);
    mqtt311_3_1_2_7_retained_messages_outlive_the_session: retained_messages_outlive_the_session(V311);
    mqtt311_3_1_2_8_a_will_is_sent_for_a_lost_connection: will_retain(V311, false);
    mqtt311_3_1_2_9_a_will_has_topic_and_payload: will_without_its_fields(V311);
    mqtt311_3_1_2_10_a_will_is_sent_once: a_will_is_sent_once(V311);
    mqtt311_3_1_2_11_no_will_fields_without_the_flag: payload_is_not_as_flagged(V311, WILL_UNFLAGGED);
    mqtt311_3_1_2_12_no_will_without_the_flag: no_will_without_the_flag(V311);
    mqtt311_3_1_2_13_will_qos_needs_a_will: will_flags_without_a_will(V311, &[0x08, 0x10, 0x18]);
    mqtt311_3_1_2_14_will_qos_0_to_2: will_qos(V311);
    mqtt311_3_1_2_15_will_retain_needs_a_will: will_flags_without_a_will(V311, &[0x20]);
    mqtt311_3_1_2_16_a_will_that_is_not_retained: will_retain(V311, false);
    mqtt311_3_1_2_17_a_will_that_is_retained: will_retain(V311, true);
    mqtt311_3_1_2_18_a_user_name_without_its_flag: payload_is_not_as_flagged(V311, NAME_UNFLAGGED);
    mqtt311_3_1_2_19_a_flag_without_its_user_name: payload_is_not_as_flagged(V311, NAME);
    mqtt311_3_1_2_20_a_password_without_its_flag: payload_is_not_as_flagged(V311, PASSWORD_UNFLAGGED);
    mqtt311_3_1_2_21_a_flag_without_its_password: payload_is_not_as_flagged(V311, PASSWORD);
    mqtt311_3_1_2_24_a_silent_client_is_cut_off: keep_alive_of_the_client(V311);
    mqtt311_3_1_3_1_the_payload_has_its_order: payload_in_its_order(V311);
    mqtt311_3_1_3_2_the_identifier_names_the_session: the_identifier_names_the_session(V311);
    mqtt311_3_1_3_3_the_identifier_must_be_there: no_identifier_field(V311);
    mqtt311_3_1_3_5_the_least_identifiers_are_allowed: the_least_identifiers_are_allowed(V311);
    mqtt311_3_1_3_6_an_empty_identifier_is_one_of_its_own: {
        let broker = Broker::start();
        let mut clients = [(); 2].map(|()| Client::v311(&broker, ""));
        clients.iter_mut().for_each(Client::ping);
    };
    mqtt311_3_1_3_9_a_rejected_identifier: a_rejected_identifier(V311, 2);
    mqtt311_3_1_4_1_what_is_no_connect_is_not_answered: no_identifier_field(V311);
    mqtt311_3_1_4_2_the_older_client_is_disconnected: the_older_client_is_disconnected(V311);
    mqtt311_3_1_4_3_clean_session_is_done: clean_session(V311);
    mqtt311_3_1_4_5_nothing_after_a_refusal: nothing_after_a_refusal(V311);
    mqtt311_3_2_2_6_no_connack_without_a_code_for_it: reserved_flag(V311);
}
