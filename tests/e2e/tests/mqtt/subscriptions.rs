//! Subscriptions: options, identifiers, wildcards.

use super::*;

#[test]
fn mqtt_3_11_3_unsuback_tells_whether_the_subscription_existed_and_others_stay() {
    let broker = Broker::start(&[]);
    let mut client = clean(&broker, "c");
    client.subscribe("a", QoS::AtMostOnce);
    client.subscribe("b", QoS::AtMostOnce);
    let reasons = client.unsubscribe(&["a", "never"]);
    assert_eq!(
        reasons,
        [ReasonCode::Success, ReasonCode::NoSubscriptionExisted]
    );
    client
        .publish(&publish("a", b"a", QoS::AtMostOnce))
        .expect("PUBLISH is sent");
    client
        .publish(&publish("b", b"b", QoS::AtMostOnce))
        .expect("PUBLISH is sent");
    assert_eq!(message(&mut client).topic, "b");
}

#[test]
fn overlapping_subscriptions_give_one_copy_with_all_identifiers() {
    let broker = Broker::start(&[]);
    let mut client = clean(&broker, "c");
    let filter = |filter, qos| SubscribeFilter {
        filter,
        options: options(qos),
    };
    client.subscribe_with(&[filter("a/#", QoS::AtMostOnce)], Some(1));
    client.subscribe_with(&[filter("a/+", QoS::AtLeastOnce)], Some(2));
    let mut publisher = clean(&broker, "p");
    store(&mut publisher, &publish("a/b", b"", QoS::AtLeastOnce));
    let mut got = message(&mut client);
    got.identifiers.sort_unstable();
    assert_eq!(
        (got.identifiers.as_slice(), got.qos),
        ([1, 2].as_slice(), QoS::AtLeastOnce)
    );
    nothing(&mut client);
}

#[test]
fn mqtt_3_8_3_3_no_local_keeps_a_client_from_its_own_messages() {
    let broker = Broker::start(&[]);
    let mut client = clean(&broker, "c");
    let no_local = SubscriptionOptions {
        no_local: true,
        ..options(QoS::AtMostOnce)
    };
    client.subscribe_with(
        &[SubscribeFilter {
            filter: "t",
            options: no_local,
        }],
        None,
    );
    client
        .publish(&publish("t", b"own", QoS::AtMostOnce))
        .expect("PUBLISH is sent");
    let mut other = clean(&broker, "d");
    other
        .publish(&publish("t", b"theirs", QoS::AtMostOnce))
        .expect("PUBLISH is sent");
    assert_eq!(message(&mut client).payload, b"theirs");
}

#[test]
fn wildcards_match_as_the_specification_says() {
    let broker = Broker::start(&[]);
    let mut client = clean(&broker, "c");
    client.subscribe("sport/#", QoS::AtMostOnce);
    client.subscribe("+/+", QoS::AtMostOnce);
    for (topic, expected) in [
        ("sport", true),
        ("/x", true),
        ("other", false),
        ("sport/a/b", true),
    ] {
        client
            .publish(&publish(topic, topic.as_bytes(), QoS::AtMostOnce))
            .expect("PUBLISH is sent");
        if expected {
            assert_eq!(message(&mut client).topic, topic);
        }
        nothing(&mut client);
    }
}
