use super::*;

fn subscription(qos: QoS, no_local: bool, identifier: Option<u32>) -> SubscriptionOptions {
    SubscriptionOptions {
        qos,
        no_local,
        retain_as_published: false,
        identifier,
    }
}

#[test]
fn mqtt_3_3_4_2_overlapping_subscriptions_give_the_highest_qos() {
    let mut options = TargetOptions::default();
    options.add(&subscription(QoS::AtMostOnce, false, None));
    options.add(&subscription(QoS::ExactlyOnce, false, None));
    assert_eq!(
        options.effective(false).map(|found| found.qos),
        Some(QoS::ExactlyOnce)
    );
}

#[test]
fn mqtt_3_3_4_4_all_identifiers_are_sent() {
    let mut options = TargetOptions::default();
    options.add(&subscription(QoS::AtMostOnce, false, Some(7)));
    options.add(&subscription(QoS::AtMostOnce, false, None));
    options.add(&subscription(QoS::AtMostOnce, false, Some(9)));
    let found = options
        .effective(false)
        .expect("somebody else's message is delivered");
    assert_eq!(found.identifiers.as_slice(), [7, 9]);
}

#[test]
fn mqtt_3_8_3_3_no_local_leaves_out_only_what_the_session_published() {
    let mut options = TargetOptions::default();
    options.add(&subscription(QoS::ExactlyOnce, true, Some(1)));
    assert!(options.depends_on_publisher());
    assert!(options.effective(true).is_none());
    // Another filter of the same session without No Local still brings it.
    options.add(&subscription(QoS::AtLeastOnce, false, Some(2)));
    let own = options
        .effective(true)
        .expect("the other subscription matches");
    assert_eq!(
        (own.qos, own.identifiers.as_slice()),
        (QoS::AtLeastOnce, [2].as_slice())
    );
    let others = options.effective(false).expect("both match");
    assert_eq!(others.qos, QoS::ExactlyOnce);
}
