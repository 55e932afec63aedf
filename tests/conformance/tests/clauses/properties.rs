//! Properties that are passed on (3.3.2.3), request and response (4.10), reason strings.

use robustmq_conformance::{Broker, Client, Connect, Packet, Props, Publish, Value, Version};
use robustmq_conformance::{differs_on_peer, property};

use super::publisher;

fn all_forwarded() -> Props {
    Props::new()
        .user("first", "1")
        .byte(property::PAYLOAD_FORMAT, 1)
        .user("dup", "a")
        .text(property::RESPONSE_TOPIC, "answers/to/me")
        .binary(property::CORRELATION_DATA, &[0, 1, 2, 255])
        .user("dup", "a")
        .text(property::CONTENT_TYPE, "application/x")
        .user("", "")
        .user("dup", "b")
}

fn check(props: &Props) {
    let users = props.users();
    assert_eq!(
        users,
        [
            ("first", "1"),
            ("dup", "a"),
            ("dup", "a"),
            ("", ""),
            ("dup", "b")
        ]
    );
    assert_eq!(props.number(property::PAYLOAD_FORMAT), Some(1));
    assert_eq!(
        props.string(property::RESPONSE_TOPIC),
        Some("answers/to/me")
    );
    assert_eq!(
        props.get(property::CORRELATION_DATA),
        Some(&Value::Binary(vec![0, 1, 2, 255]))
    );
    assert_eq!(props.string(property::CONTENT_TYPE), Some("application/x"));
}

#[test]
pub(crate) fn mqtt5_3_3_2_18_properties_are_passed_on_unaltered_and_in_order() {
    let broker = Broker::start();
    let mut client = Client::v5(&broker, "receiver");
    client.subscribe("t", 2);
    let mut sender = publisher(&broker);
    sender.publish(&Publish::new("t", "p").props(all_forwarded()));
    check(&client.take().props);
    for qos in [1, 2] {
        sender.publish_through(Publish::new("t", "p").qos(qos, 1).props(all_forwarded()));
        check(&client.take().props);
    }
    // Others between them are taken out, not these.
    let mixed = Props(
        [
            vec![(property::TOPIC_ALIAS, Value::Two(1))],
            all_forwarded().0[..4].to_vec(),
            vec![(property::MESSAGE_EXPIRY, Value::Four(99))],
            all_forwarded().0[4..].to_vec(),
        ]
        .concat(),
    );
    sender.publish_through(Publish::new("t", "p").qos(1, 1).props(mixed));
    let props = client.take().props;
    check(&props);
    assert!(props.number(property::MESSAGE_EXPIRY).is_some());
}

#[test]
fn mqtt5_3_3_2_18_stored_messages_keep_their_properties() {
    let broker = Broker::start();
    let (mut client, _) = Client::lasting(&broker, Version::V5, "away");
    client.subscribe("t", 1);
    client.disconnect();
    publisher(&broker).publish_through(Publish::new("t", "p").qos(1, 1).props(all_forwarded()));
    let (mut client, _) = Client::lasting(&broker, Version::V5, "away");
    check(&client.take().props);
}

#[test]
fn mqtt5_3_1_2_28_response_information_only_where_asked_for() {
    let broker = Broker::start();
    let (_client, _, props) = Client::connect(&broker, &Connect::v5("asks-not"));
    assert_eq!(props.string(property::RESPONSE_INFO), None);
    if differs_on_peer("gives none at all") {
        return;
    }
    let ask = Props::new().byte(property::REQUEST_RESPONSE_INFO, 1);
    let (_client, _, props) = Client::connect(&broker, &Connect::v5("asks").props(ask));
    let information = props
        .string(property::RESPONSE_INFO)
        .expect("response information");
    assert!(!information.is_empty() && !information.contains(['+', '#']));
}

#[test]
fn mqtt5_4_10_1_request_and_response() {
    let broker = Broker::start();
    let mut server = Client::v5(&broker, "server");
    server.subscribe("requests/+", 1);
    let mut client = Client::v5(&broker, "client");
    client.subscribe("responses/client", 1);
    let props = Props::new()
        .text(property::RESPONSE_TOPIC, "responses/client")
        .binary(property::CORRELATION_DATA, b"41");
    client.publish_through(Publish::new("requests/add", "1 + 1").qos(1, 1).props(props));
    let request = server.take();
    let answer_to = request
        .props
        .string(property::RESPONSE_TOPIC)
        .expect("where to answer");
    let Some(Value::Binary(correlation)) = request.props.get(property::CORRELATION_DATA) else {
        panic!("{request:?}")
    };
    let props = Props::new().binary(property::CORRELATION_DATA, correlation);
    server.publish_through(Publish::new(answer_to, "2").qos(1, 1).props(props));
    let answer = client.take();
    assert_eq!(answer.text(), "2");
    assert_eq!(
        answer.props.get(property::CORRELATION_DATA),
        Some(&Value::Binary(b"41".to_vec()))
    );
}

#[test]
fn mqtt5_3_1_2_29_no_reason_strings_without_problem_information() {
    let broker = Broker::start();
    let quiet = Props::new().byte(property::REQUEST_PROBLEM_INFO, 0);
    let mut client = Client::connect(&broker, &Connect::v5("quiet").props(quiet)).0;
    client.subscribe("own", 1);
    let ack = client.publish_1("nobody", "p");
    assert_eq!(ack.props, Props::new());
    client.send(&robustmq_conformance::packet::unsubscribe(
        Version::V5,
        900,
        &["never"],
    ));
    match client.packet() {
        Packet::UnsubAck { props, .. } => assert_eq!(props, Props::new()),
        other => panic!("{other:?}"),
    }
    // User properties of messages are not problem information.
    client.publish_through(
        Publish::new("own", "p")
            .qos(1, 901)
            .props(Props::new().user("a", "b")),
    );
    assert_eq!(client.take().props.users(), [("a", "b")]);
    // DISCONNECT may say why all the same.
    client.send(&[0x36, 0]);
    client.expect_end(Some(0x81));
}

#[test]
fn errors_come_with_a_reason_string() {
    if differs_on_peer("gives none") {
        return;
    }
    let broker = Broker::start();
    let mut client = Client::v5(&broker, "wrong");
    client.send(&[0x36, 0]);
    match client.packet() {
        Packet::Disconnect { code: 0x81, props } => {
            let text = props
                .string(property::REASON_STRING)
                .expect("a reason string");
            assert!(text.len() > 5, "{text:?}");
        }
        other => panic!("{other:?}"),
    }
}
