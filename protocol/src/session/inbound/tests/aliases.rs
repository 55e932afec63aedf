//! Topic aliases of the client.

use super::*;

/// What one PUBLISH says of its topic, and what it means or breaks.
type Step = (
    &'static str,
    Option<u16>,
    Result<&'static str, (ReasonCode, &'static str)>,
);

fn run(version: ProtocolVersion, steps: &[Step]) {
    let mut inbound = inbound(version);
    for (topic, topic_alias, expected) in steps {
        let decision = inbound.handle_publish(PublishIn {
            topic,
            topic_alias: *topic_alias,
            ..QOS0
        });
        let meant = match decision {
            Ok(PublishDecision::Append { topic, .. }) => Ok(topic),
            Ok(other) => panic!("{other:?}"),
            Err(violation) => Err((violation.reason, violation.clause)),
        };
        assert_eq!(meant, *expected, "{topic:?} {topic_alias:?}");
    }
}

const INVALID: ReasonCode = ReasonCode::TopicAliasInvalid;
const SECTION: &str = "MQTT5 section 3.3.2.3.4";
const UNSET: (ReasonCode, &str) = (ReasonCode::ProtocolError, SECTION);

#[test]
fn mqtt_3_3_2_12_every_alias_up_to_the_maximum_is_taken() {
    run(
        V5,
        &[
            ("a", Some(1), Ok("a")),
            ("b", Some(3), Ok("b")),
            ("", Some(1), Ok("a")),
            ("", Some(3), Ok("b")),
            ("c", Some(1), Ok("c")),
            ("", Some(1), Ok("c")),
            ("d", None, Ok("d")),
            ("", Some(3), Ok("b")),
        ],
    );
}

#[test]
fn mqtt_3_3_2_8_alias_zero_is_invalid() {
    run(V5, &[("a", Some(0), Err((INVALID, "MQTT-3.3.2-8")))]);
}

#[test]
fn mqtt_3_3_2_9_alias_above_the_maximum_is_invalid() {
    run(V5, &[("a", Some(4), Err((INVALID, "MQTT-3.3.2-9")))]);
    // 3.x has none at all.
    run(V4, &[("a", Some(1), Err((INVALID, "MQTT-3.3.2-9")))]);
}

#[test]
fn a_topic_is_named_or_known() {
    run(V5, &[("", None, Err(UNSET))]);
    run(V5, &[("a", Some(1), Ok("a")), ("", Some(2), Err(UNSET))]);
}

#[test]
fn mqtt_3_3_2_7_aliases_end_with_the_connection() {
    run(V5, &[("a", Some(1), Ok("a"))]);
    run(V5, &[("", Some(1), Err(UNSET))]);
}

#[test]
fn a_duplicate_sets_its_alias_too() {
    let mut inbound = Inbound::new(limits(V5), [id(1)]);
    let again = PublishIn {
        topic_alias: Some(2),
        ..qos2_again(1)
    };
    duplicate(&mut inbound, again);
    let decision = inbound.handle_publish(PublishIn {
        topic: "",
        topic_alias: Some(2),
        ..QOS0
    });
    let meant = matches!(decision, Ok(PublishDecision::Append { topic: "t", .. }));
    assert!(meant, "{decision:?}");
}

#[test]
fn the_names_of_all_aliases_together_are_bounded() {
    const LONG: &str = "0123456789012345678901234567890123456789";
    const REST: &str = "012345678901234567890123";
    const MORE: &str = "0123456789012345678901234";
    let over = Err((
        ReasonCode::QuotaExceeded,
        "house limit topic_alias_bytes_max",
    ));
    run(
        V5,
        &[
            (LONG, Some(1), Ok(LONG)),
            // 64 bytes exactly, and again: the same name costs nothing more.
            (REST, Some(2), Ok(REST)),
            (REST, Some(2), Ok(REST)),
            // A name that is replaced is given back.
            ("x", Some(1), Ok("x")),
            (LONG, Some(1), Ok(LONG)),
            (MORE, Some(2), over),
        ],
    );
}
