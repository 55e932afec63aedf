//! Publishes from the client, clause by clause.

use super::*;

mod aliases;
mod limits;

const V4: ProtocolVersion = ProtocolVersion::V4;
const V5: ProtocolVersion = ProtocolVersion::V5;

fn limits(version: ProtocolVersion) -> InboundLimits {
    InboundLimits {
        version,
        receive_max: 10,
        topic_alias_max: 3,
        topic_alias_bytes_max: 64,
        qos_max: QoS::ExactlyOnce,
        retain_available: true,
        qos2_open_max: 10,
        pending_max: 20,
    }
}

fn inbound(version: ProtocolVersion) -> Inbound {
    Inbound::new(limits(version), [])
}

fn id(value: u16) -> PacketId {
    PacketId::new(value).unwrap()
}

fn publish(qos: QoS, packet_id: u16, dup: bool) -> PublishIn<'static> {
    PublishIn {
        dup,
        qos,
        retain: false,
        packet_id: PacketId::new(packet_id),
        topic: "t",
        topic_alias: None,
    }
}

const QOS0: PublishIn<'static> = PublishIn {
    dup: false,
    qos: QoS::AtMostOnce,
    retain: false,
    packet_id: None,
    topic: "t",
    topic_alias: None,
};

fn qos1(packet_id: u16) -> PublishIn<'static> {
    publish(QoS::AtLeastOnce, packet_id, false)
}

fn qos2(packet_id: u16) -> PublishIn<'static> {
    publish(QoS::ExactlyOnce, packet_id, false)
}

fn qos2_again(packet_id: u16) -> PublishIn<'static> {
    publish(QoS::ExactlyOnce, packet_id, true)
}

/// Publishes what must be appended; its ticket.
fn append(inbound: &mut Inbound, publish: PublishIn<'_>) -> u64 {
    match inbound.handle_publish(publish) {
        Ok(PublishDecision::Append {
            ticket: Some(ticket),
            ..
        }) => ticket,
        other => panic!("not appended: {other:?}"),
    }
}

fn duplicate(inbound: &mut Inbound, publish: PublishIn<'_>) {
    let decision = inbound.handle_publish(publish);
    assert_eq!(decision, Ok(PublishDecision::Duplicate));
}

#[track_caller]
fn refused<T: std::fmt::Debug>(result: Result<T, Violation>, reason: ReasonCode, clause: &str) {
    let violation = result.expect_err("the connection must end");
    assert_eq!((violation.reason, violation.clause), (reason, clause));
}

fn acks(inbound: &mut Inbound) -> Vec<(AckKind, u16, ReasonCode)> {
    std::iter::from_fn(|| inbound.poll_ack())
        .map(|ack| (ack.kind, ack.packet_id.get(), ack.reason))
        .collect()
}

/// A QoS 2 message up to its PUBREC.
fn record(inbound: &mut Inbound, packet_id: u16) {
    let ticket = append(inbound, qos2(packet_id));
    inbound.stored(ticket, 7, true);
    let sent = acks(inbound);
    assert_eq!(sent, [(AckKind::PubRec, packet_id, ReasonCode::Success)]);
}

#[test]
fn qos_0_has_no_acknowledgement() {
    let mut inbound = inbound(V5);
    let decision = inbound.handle_publish(QOS0);
    let expected = PublishDecision::Append {
        topic: "t",
        ticket: None,
        replaces: false,
    };
    assert_eq!(decision, Ok(expected));
    assert_eq!(inbound.pending(), 0);
}

#[test]
fn mqtt_4_3_2_4_puback_names_the_identifier_and_the_offset_once_stored() {
    let mut inbound = inbound(V5);
    let ticket = append(&mut inbound, qos1(9));
    assert_eq!(inbound.poll_ack(), None, "acknowledged before it is stored");
    inbound.stored(ticket, 41, true);
    let expected = AckOut {
        kind: AckKind::PubAck,
        packet_id: id(9),
        reason: ReasonCode::Success,
        offset: Some(41),
    };
    assert_eq!(inbound.poll_ack(), Some(expected));
    assert_eq!(inbound.poll_ack(), None);
}

#[test]
fn mqtt_4_6_0_2_and_3_acks_leave_in_publish_order_whatever_finishes_first() {
    let ids = [3_u16, 1, 2, 5];
    for settle_order in [[0_usize, 1, 2, 3], [3, 2, 1, 0], [2, 0, 3, 1]] {
        let mut inbound = inbound(V5);
        let tickets: Vec<u64> = ids
            .iter()
            .enumerate()
            .map(|(n, &id)| append(&mut inbound, if n % 2 == 0 { qos1(id) } else { qos2(id) }))
            .collect();
        let mut sent = Vec::new();
        for (count, &n) in settle_order.iter().enumerate() {
            inbound.stored(tickets[n], 0, true);
            sent.extend(acks(&mut inbound));
            let settled = &settle_order[..=count];
            let ready = (0..4).take_while(|n| settled.contains(n)).count();
            assert_eq!(sent.len(), ready, "after settling {settled:?}");
        }
        let order: Vec<u16> = sent.iter().map(|ack| ack.1).collect();
        assert_eq!(order, ids);
    }
}

#[test]
fn mqtt_4_3_2_5_after_puback_the_identifier_is_new_whatever_dup_says() {
    for dup in [false, true] {
        let mut inbound = inbound(V5);
        let first = append(&mut inbound, qos1(1));
        inbound.stored(first, 0, true);
        assert_eq!(acks(&mut inbound).len(), 1);
        let second = append(&mut inbound, publish(QoS::AtLeastOnce, 1, dup));
        assert_ne!(first, second);
    }
}

#[test]
fn mqtt_4_3_3_8_to_12_qos_2_from_publish_to_pubcomp() {
    let mut inbound = inbound(V5);
    record(&mut inbound, 1);
    let log = ReleaseDecision::Log {
        packet_id: id(1),
        offset: Some(7),
    };
    assert_eq!(inbound.handle_pubrel(id(1)), Ok(log));
    assert_eq!(
        inbound.poll_ack(),
        None,
        "PUBCOMP before the release is logged"
    );
    inbound.released(id(1));
    let pubcomp = [(AckKind::PubComp, 1, ReasonCode::Success)];
    assert_eq!(acks(&mut inbound), pubcomp);
    assert_eq!(inbound.open_qos2().count(), 0);
    // -12: new from here on, also with DUP.
    append(&mut inbound, qos2_again(1));
}

#[test]
fn mqtt_4_3_3_9_a_failing_pubrec_ends_the_exchange() {
    let mut inbound = inbound(V5);
    let ticket = append(&mut inbound, qos2(1));
    inbound.rejected(ticket, ReasonCode::QuotaExceeded).unwrap();
    let pubrec = [(AckKind::PubRec, 1, ReasonCode::QuotaExceeded)];
    assert_eq!(acks(&mut inbound), pubrec);
    assert_eq!(inbound.open_qos2().count(), 0);
    append(&mut inbound, qos2_again(1));
}

#[test]
fn mqtt_4_3_3_10_a_duplicate_is_acknowledged_and_not_appended() {
    // Stored on an earlier connection.
    let mut old = Inbound::new(limits(V5), [id(4)]);
    duplicate(&mut old, qos2_again(4));
    let pubrec = [(AckKind::PubRec, 4, ReasonCode::Success)];
    assert_eq!(acks(&mut old), pubrec);
    // Stored on this one: the PUBREC says where.
    let mut inbound = inbound(V4);
    record(&mut inbound, 4);
    duplicate(&mut inbound, qos2_again(4));
    assert_eq!(inbound.poll_ack().unwrap().offset, Some(7));
}

#[test]
fn mqtt_4_3_3_10_a_duplicate_of_a_pending_publish_shares_its_outcome() {
    let cases = [
        (None, ReasonCode::Success),
        (Some(ReasonCode::NotAuthorized), ReasonCode::NotAuthorized),
    ];
    for (rejection, reason) in cases {
        let mut inbound = inbound(V5);
        let ticket = append(&mut inbound, qos2(1));
        duplicate(&mut inbound, qos2_again(1));
        duplicate(&mut inbound, qos2_again(1));
        assert_eq!(acks(&mut inbound), []);
        match rejection {
            None => inbound.stored(ticket, 0, true),
            Some(reason) => inbound.rejected(ticket, reason).unwrap(),
        }
        assert_eq!(acks(&mut inbound), [(AckKind::PubRec, 1, reason); 3]);
        let open = usize::from(rejection.is_none());
        assert_eq!(inbound.open_qos2().count(), open);
    }
}

#[test]
fn a_repeated_pubrec_that_leaves_late_does_not_undo_the_release() {
    let mut inbound = inbound(V4);
    record(&mut inbound, 1);
    let ticket = append(&mut inbound, qos1(9));
    // Its PUBREC waits behind the PUBACK of 9.
    duplicate(&mut inbound, qos2_again(1));
    inbound.handle_pubrel(id(1)).unwrap();
    inbound.stored(ticket, 0, true);
    assert_eq!(acks(&mut inbound).len(), 2);
    inbound.released(id(1));
    let pubcomp = [(AckKind::PubComp, 1, ReasonCode::Success)];
    assert_eq!(acks(&mut inbound), pubcomp);
}

#[test]
fn mqtt_3_3_1_1_dup_0_on_a_stored_identifier_is_a_new_message() {
    for version in [V4, V5] {
        for new in [qos2(4), qos1(4)] {
            let mut inbound = Inbound::new(limits(version), [id(4), id(5)]);
            let decision = inbound.handle_publish(new).unwrap();
            let PublishDecision::Append { replaces, .. } = decision else {
                panic!("lost: {decision:?}");
            };
            assert!(replaces);
            let left: Vec<u16> = inbound.open_qos2().map(PacketId::get).collect();
            let expected: &[u16] = if new.qos == QoS::ExactlyOnce {
                &[4, 5]
            } else {
                &[5]
            };
            assert_eq!(left, expected);
        }
    }
}

#[test]
fn mqtt_2_2_1_3_an_identifier_in_use_on_this_connection_is_a_protocol_error() {
    let error = ReasonCode::ProtocolError;
    let mut pending = inbound(V5);
    append(&mut pending, qos2(1));
    refused(pending.handle_publish(qos2(1)), error, "MQTT-2.2.1-3");
    refused(pending.handle_publish(qos1(1)), error, "MQTT-2.2.1-3");

    let mut releasing = inbound(V5);
    record(&mut releasing, 1);
    releasing.handle_pubrel(id(1)).unwrap();
    refused(releasing.handle_publish(qos1(1)), error, "MQTT-2.2.1-3");
    let again = releasing.handle_publish(qos2_again(1));
    refused(again, error, "MQTT-4.3.3-6");
}

#[test]
fn mqtt_4_3_3_4_pubrel_before_pubrec_is_a_protocol_error() {
    let mut inbound = inbound(V5);
    let ticket = append(&mut inbound, qos2(1));
    let error = ReasonCode::ProtocolError;
    refused(inbound.handle_pubrel(id(1)), error, "MQTT-4.3.3-4");
    // Stored is not enough: the client cannot know yet.
    inbound.stored(ticket, 0, true);
    refused(inbound.handle_pubrel(id(1)), error, "MQTT-4.3.3-4");
    assert_eq!(acks(&mut inbound).len(), 1);
    assert!(inbound.handle_pubrel(id(1)).is_ok());
}

#[test]
fn mqtt_4_3_3_11_pubrel_of_an_unknown_identifier_gets_pubcomp() {
    let cases = [
        (V4, ReasonCode::Success),
        (V5, ReasonCode::PacketIdentifierNotFound),
    ];
    for (version, reason) in cases {
        let mut inbound = inbound(version);
        let decision = inbound.handle_pubrel(id(8));
        assert_eq!(decision, Ok(ReleaseDecision::Unknown));
        assert_eq!(acks(&mut inbound), [(AckKind::PubComp, 8, reason)]);
    }
}

#[test]
fn pubcomps_leave_in_the_order_of_their_pubrels() {
    let mut inbound = Inbound::new(limits(V5), [id(1), id(2)]);
    for packet_id in [2, 1, 9, 2] {
        inbound.handle_pubrel(id(packet_id)).unwrap();
    }
    let repeated = inbound.handle_pubrel(id(1));
    assert_eq!(repeated, Ok(ReleaseDecision::AlreadyLogging));
    inbound.released(id(1));
    assert_eq!(acks(&mut inbound), []);
    inbound.released(id(2));
    let order: Vec<u16> = acks(&mut inbound).iter().map(|ack| ack.1).collect();
    assert_eq!(order, [2, 1, 9, 2, 1]);
}

#[test]
fn mqtt_3_4_2_1_no_matching_subscribers_is_told_on_5_0_only() {
    for (version, reason) in [
        (V4, ReasonCode::Success),
        (V5, ReasonCode::NoMatchingSubscribers),
    ] {
        let mut inbound = inbound(version);
        for publish in [qos1(1), qos2(2)] {
            let ticket = append(&mut inbound, publish);
            inbound.stored(ticket, 0, false);
        }
        let expected = [(AckKind::PubAck, 1, reason), (AckKind::PubRec, 2, reason)];
        assert_eq!(acks(&mut inbound), expected);
        // 0x10 is no failure: the exchange goes on.
        assert_eq!(inbound.open_qos2().count(), 1);
    }
}

#[test]
fn mqtt_3_3_5_2_on_3_x_a_rejection_is_acknowledged_or_ends_the_connection() {
    let mut inbound = inbound(V4);
    let denied = append(&mut inbound, qos1(1));
    let failed = append(&mut inbound, qos1(2));
    let later = append(&mut inbound, qos1(3));
    inbound.stored(later, 0, true);
    let full = inbound.rejected(failed, ReasonCode::QuotaExceeded);
    refused(full, ReasonCode::QuotaExceeded, "MQTT-3.3.5-2");
    inbound.rejected(denied, ReasonCode::NotAuthorized).unwrap();
    // Nothing from the lost one on is acknowledged.
    let expected = [(AckKind::PubAck, 1, ReasonCode::Success)];
    assert_eq!(acks(&mut inbound), expected);
    assert_eq!(inbound.pending(), 2);
}

#[test]
#[should_panic(expected = "not waiting")]
fn a_ticket_settles_once() {
    let mut inbound = inbound(V5);
    let _first = append(&mut inbound, qos1(1));
    let second = append(&mut inbound, qos1(2));
    inbound.stored(second, 0, true);
    inbound.stored(second, 0, true);
}

#[test]
#[should_panic(expected = "settled once")]
fn a_ticket_whose_ack_has_left_cannot_settle() {
    let mut inbound = inbound(V5);
    let ticket = append(&mut inbound, qos1(1));
    inbound.stored(ticket, 0, true);
    inbound.poll_ack().unwrap();
    inbound.stored(ticket, 0, true);
}

#[test]
#[should_panic(expected = "without a PUBREL")]
fn nothing_is_released_without_a_pubrel() {
    let mut inbound = Inbound::new(limits(V5), [id(1)]);
    inbound.released(id(1));
}
