//! Receive Maximum, the house limits, and the flags of a PUBLISH.

use super::*;

const EXCEEDED: ReasonCode = ReasonCode::ReceiveMaximumExceeded;

fn narrow(receive_max: u16, known: &[u16]) -> Inbound {
    let limits = InboundLimits {
        receive_max,
        ..limits(V5)
    };
    Inbound::new(limits, known.iter().copied().map(id))
}

#[track_caller]
fn exceeds(inbound: &mut Inbound, publish: PublishIn<'_>) {
    refused(inbound.handle_publish(publish), EXCEEDED, "MQTT-3.3.4-7");
}

#[test]
fn mqtt_3_3_4_7_more_than_the_receive_maximum_ends_the_connection() {
    let mut inbound = narrow(2, &[]);
    append(&mut inbound, qos1(1));
    append(&mut inbound, qos2(2));
    assert!(inbound.handle_publish(QOS0).is_ok(), "QoS 0 takes no quota");
    exceeds(&mut inbound, qos1(3));
}

#[test]
fn mqtt_4_9_quota_comes_back_with_puback_pubcomp_and_failing_pubrec() {
    let mut inbound = narrow(1, &[]);
    // PUBACK, once it is sent.
    let ticket = append(&mut inbound, qos1(1));
    inbound.stored(ticket, 0, true);
    exceeds(&mut inbound, qos1(2));
    acks(&mut inbound);
    // A failing PUBREC.
    let ticket = append(&mut inbound, qos2(3));
    inbound.rejected(ticket, ReasonCode::NotAuthorized).unwrap();
    exceeds(&mut inbound, qos2(4));
    acks(&mut inbound);
    // Not PUBREC, but PUBCOMP.
    record(&mut inbound, 5);
    exceeds(&mut inbound, qos1(6));
    inbound.handle_pubrel(id(5)).unwrap();
    inbound.released(id(5));
    exceeds(&mut inbound, qos1(6));
    acks(&mut inbound);
    append(&mut inbound, qos1(6));
}

#[test]
fn mqtt_4_9_quota_starts_anew_with_each_connection() {
    // Three left over from a connection before take nothing ...
    let mut inbound = narrow(2, &[1, 2, 3]);
    // ... until one is published again, and then only once.
    duplicate(&mut inbound, qos2_again(1));
    duplicate(&mut inbound, qos2_again(1));
    append(&mut inbound, qos1(9));
    exceeds(&mut inbound, qos2_again(2));
}

#[test]
fn mqtt_4_9_a_pubcomp_of_the_past_adds_to_the_quota_but_not_for_ever() {
    let mut inbound = narrow(2, &[1]);
    append(&mut inbound, qos1(10));
    append(&mut inbound, qos1(11));
    // The client counts this PUBCOMP, so it may publish once more.
    inbound.handle_pubrel(id(1)).unwrap();
    inbound.released(id(1));
    acks(&mut inbound);
    append(&mut inbound, qos1(12));
    // Unknown ones count as well, up to the Receive Maximum in all.
    for _ in 0..5 {
        inbound.handle_pubrel(id(7)).unwrap();
        acks(&mut inbound);
    }
    append(&mut inbound, qos1(13));
    exceeds(&mut inbound, qos1(14));
    assert_eq!(inbound.pending(), 4, "twice the Receive Maximum");
}

#[test]
fn mqtt_4_9_a_pubcomp_of_the_past_counts_though_its_client_has_published_meanwhile() {
    let mut inbound = narrow(2, &[1]);
    inbound.handle_pubrel(id(1)).unwrap();
    inbound.released(id(1));
    // Leaves before the publishes that crossed it on the way have come.
    acks(&mut inbound);
    for packet_id in [10, 11, 12] {
        append(&mut inbound, qos1(packet_id));
    }
    exceeds(&mut inbound, qos1(13));
}

#[test]
fn a_3_x_client_has_no_quota_but_room() {
    let mut inbound = inbound(V4);
    for packet_id in 1..=20 {
        assert!(!inbound.is_full());
        append(&mut inbound, qos1(packet_id));
    }
    assert!(inbound.is_full());
    let over = inbound.handle_publish(qos1(21));
    refused(over, ReasonCode::QuotaExceeded, "house limit pending_max");
    let over = inbound.handle_pubrel(id(21));
    refused(over, ReasonCode::QuotaExceeded, "house limit pending_max");
    inbound.stored(0, 0, true);
    acks(&mut inbound);
    assert!(!inbound.is_full());
}

#[test]
fn open_qos_2_identifiers_are_bounded() {
    let known: Vec<PacketId> = (1..=10).map(id).collect();
    let mut v5 = Inbound::new(limits(V5), known.iter().copied());
    let over = ReasonCode::QuotaExceeded;
    let decision = v5.handle_publish(qos2(11));
    assert_eq!(decision, Ok(PublishDecision::Refused(over)));
    assert_eq!(acks(&mut v5), [(AckKind::PubRec, 11, over)]);
    // Those it has go on, and so does QoS 1.
    append(&mut v5, qos2(10));
    append(&mut v5, qos1(11));

    let mut v4 = Inbound::new(limits(V4), known);
    let ended = v4.handle_publish(qos2(11));
    refused(ended, over, "house limit qos2_open_max");
}

#[test]
fn a_refused_publish_gives_its_quota_back() {
    let limits = InboundLimits {
        receive_max: 1,
        qos2_open_max: 0,
        ..limits(V5)
    };
    let mut inbound = Inbound::new(limits, []);
    for _ in 0..3 {
        inbound.handle_publish(qos2(1)).unwrap();
        assert_eq!(acks(&mut inbound).len(), 1);
    }
}

#[test]
fn flags_and_limits_of_a_publish() {
    let poor = InboundLimits {
        qos_max: QoS::AtLeastOnce,
        retain_available: false,
        ..limits(V5)
    };
    let malformed = ReasonCode::MalformedPacket;
    let retain = PublishIn {
        retain: true,
        ..QOS0
    };
    let dup = PublishIn { dup: true, ..QOS0 };
    let with_id = PublishIn {
        packet_id: Some(id(1)),
        ..QOS0
    };
    let without_id = PublishIn {
        packet_id: None,
        ..qos1(1)
    };
    let cases = [
        (retain, ReasonCode::RetainNotSupported, "MQTT-3.2.2-14"),
        (qos2(1), ReasonCode::QoSNotSupported, "MQTT-3.2.2-11"),
        (dup, malformed, "MQTT-3.3.1-2"),
        (with_id, malformed, "MQTT-2.2.1-2"),
        (without_id, malformed, "MQTT-2.2.1-2"),
    ];
    for (publish, reason, clause) in cases {
        let mut inbound = Inbound::new(poor.clone(), []);
        refused(inbound.handle_publish(publish), reason, clause);
        assert_eq!(inbound.pending(), 0);
    }
}
