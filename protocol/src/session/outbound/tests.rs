//! Deliveries to the client, clause by clause.

use super::*;

mod aliases;
mod resend;

const V4: ProtocolVersion = ProtocolVersion::V4;
const V5: ProtocolVersion = ProtocolVersion::V5;
const OK: ReasonCode = ReasonCode::Success;
const QOS1: QoS = QoS::AtLeastOnce;
const QOS2: QoS = QoS::ExactlyOnce;

fn limits(receive_max: u16, window_max: u16) -> OutboundLimits {
    OutboundLimits {
        version: V5,
        receive_max,
        window_max,
        topic_alias_max: 0,
        packet_size_max: 1_000,
    }
}

fn outbound(window_max: u16) -> Outbound {
    Outbound::new(limits(u16::MAX, window_max))
}

fn id(value: u16) -> PacketId {
    PacketId::new(value).unwrap()
}

fn token(offset: u64) -> DeliveryToken {
    DeliveryToken { shard: 3, offset }
}

fn assign(outbound: &mut Outbound, qos: QoS, offset: u64) -> u16 {
    outbound.assign(qos, token(offset)).unwrap().get()
}

fn done(offset: u64) -> Result<AckResult, Violation> {
    let token = token(offset);
    let failed = false;
    Ok(AckResult::Done { token, failed })
}

/// A QoS 2 delivery up to its PUBREL.
fn release(outbound: &mut Outbound, offset: u64) -> PacketId {
    let packet_id = outbound.assign(QOS2, token(offset)).unwrap();
    let decision = outbound.handle_pubrec(packet_id, OK);
    let token = token(offset);
    assert_eq!(decision, Ok(PubrecDecision::LogThenRelease { token }));
    outbound.received_logged(packet_id);
    assert_eq!(outbound.poll_pubrel(), Some(packet_id));
    packet_id
}

#[track_caller]
fn out_of_turn<T: std::fmt::Debug>(result: Result<T, Violation>) {
    let violation = result.expect_err("the connection must end");
    assert_eq!(violation.reason, ReasonCode::ProtocolError);
}

#[test]
fn mqtt_4_3_2_3_qos_1_is_in_flight_until_puback() {
    let mut outbound = outbound(10);
    let packet_id = id(assign(&mut outbound, QOS1, 5));
    assert_eq!(outbound.len(), 1);
    assert_eq!(outbound.handle_puback(packet_id, OK), done(5));
    assert!(outbound.is_empty());
}

#[test]
fn mqtt_4_4_0_2_a_failing_puback_acknowledges_all_the_same() {
    let mut outbound = outbound(10);
    let packet_id = id(assign(&mut outbound, QOS1, 5));
    let result = outbound.handle_puback(packet_id, ReasonCode::QuotaExceeded);
    let token = token(5);
    let failed = true;
    assert_eq!(result, Ok(AckResult::Done { token, failed }));
    assert!(outbound.snapshot().is_empty());
}

#[test]
fn mqtt_4_3_3_4_to_6_qos_2_from_publish_to_pubcomp() {
    let mut outbound = outbound(10);
    let packet_id = id(assign(&mut outbound, QOS2, 5));
    let token = token(5);
    let decision = outbound.handle_pubrec(packet_id, OK);
    assert_eq!(decision, Ok(PubrecDecision::LogThenRelease { token }));
    assert_eq!(outbound.poll_pubrel(), None, "PUBREL before the log");
    let again = outbound.handle_pubrec(packet_id, OK);
    assert_eq!(again, Ok(PubrecDecision::AlreadyLogging));
    outbound.received_logged(packet_id);
    assert_eq!(outbound.snapshot()[0].state, InflightState::Received);
    assert_eq!(outbound.poll_pubrel(), Some(packet_id));
    assert_eq!(outbound.poll_pubrel(), None);
    assert_eq!(outbound.len(), 1, "in flight until PUBCOMP");
    assert_eq!(outbound.handle_pubcomp(packet_id, OK), done(5));
    assert!(outbound.is_empty());
}

#[test]
fn a_repeated_pubrec_gets_one_more_pubrel() {
    let mut outbound = outbound(10);
    let packet_id = release(&mut outbound, 5);
    for _ in 0..3 {
        let again = outbound.handle_pubrec(packet_id, OK);
        assert_eq!(again, Ok(PubrecDecision::AlreadyReceived));
    }
    assert_eq!(outbound.poll_pubrel(), Some(packet_id));
    assert_eq!(outbound.poll_pubrel(), None);
    // PUBCOMP of the first PUBREL makes a repeated one pointless.
    outbound.handle_pubrec(packet_id, OK).unwrap();
    assert_eq!(outbound.handle_pubcomp(packet_id, OK), done(5));
    assert_eq!(outbound.poll_pubrel(), None);
}

#[test]
fn mqtt_4_4_0_2_a_failing_pubrec_ends_the_delivery() {
    let mut outbound = outbound(1);
    let packet_id = id(assign(&mut outbound, QOS2, 5));
    let decision = outbound.handle_pubrec(packet_id, ReasonCode::UnspecifiedError);
    let token = token(5);
    assert_eq!(decision, Ok(PubrecDecision::Discard { token }));
    assert_eq!(outbound.poll_pubrel(), None);
    assert_eq!(outbound.window_free(), 1);
}

#[test]
fn mqtt_4_6_0_4_pubrels_leave_in_the_order_of_their_pubrecs() {
    let mut outbound = outbound(10);
    let ids: Vec<PacketId> = (0..3).map(|n| id(assign(&mut outbound, QOS2, n))).collect();
    for &packet_id in &ids {
        outbound.handle_pubrec(packet_id, OK).unwrap();
    }
    outbound.received_logged(ids[2]);
    outbound.received_logged(ids[1]);
    assert_eq!(outbound.poll_pubrel(), None);
    outbound.received_logged(ids[0]);
    let order: Vec<PacketId> = std::iter::from_fn(|| outbound.poll_pubrel()).collect();
    assert_eq!(order, ids);
}

#[test]
fn unknown_identifiers_are_counted_and_forgiven() {
    let mut outbound = outbound(10);
    let stray = id(77);
    assert_eq!(outbound.handle_puback(stray, OK), Ok(AckResult::Unknown));
    assert_eq!(outbound.handle_pubcomp(stray, OK), Ok(AckResult::Unknown));
    let pubrec = outbound.handle_pubrec(stray, OK);
    assert_eq!(pubrec, Ok(PubrecDecision::Unknown));
    let failing = outbound.handle_pubrec(stray, ReasonCode::UnspecifiedError);
    assert_eq!(failing, Ok(PubrecDecision::Ignored));
    assert_eq!(outbound.unknown_acks(), 4);
}

#[test]
fn acknowledgements_of_the_wrong_kind_end_the_connection() {
    let mut outbound = outbound(10);
    let one = id(assign(&mut outbound, QOS1, 1));
    let two = id(assign(&mut outbound, QOS2, 2));
    out_of_turn(outbound.handle_pubrec(one, OK));
    out_of_turn(outbound.handle_pubcomp(one, OK));
    out_of_turn(outbound.handle_puback(two, OK));
    out_of_turn(outbound.handle_pubcomp(two, OK));
    outbound.handle_pubrec(two, OK).unwrap();
    out_of_turn(outbound.handle_pubcomp(two, OK));
    assert_eq!(outbound.len(), 2, "nothing was lost by it");
}

#[test]
#[should_panic(expected = "only a PUBREC that was to be logged")]
fn only_a_pubrec_is_logged() {
    let mut outbound = outbound(10);
    let packet_id = id(assign(&mut outbound, QOS2, 2));
    outbound.received_logged(packet_id);
}

#[test]
fn mqtt_3_3_4_9_the_window_is_never_exceeded() {
    for (receive_max, window_max) in [(2, 100), (100, 2)] {
        let mut outbound = Outbound::new(limits(receive_max, window_max));
        assert_eq!(outbound.window_free(), 2);
        let first = release(&mut outbound, 0);
        let second = id(assign(&mut outbound, QOS1, 1));
        assert_eq!(outbound.assign(QOS1, token(2)), None);
        outbound.handle_puback(second, OK).unwrap();
        assert_eq!(outbound.window_free(), 1);
        outbound.handle_pubcomp(first, OK).unwrap();
        assert_eq!(outbound.window_free(), 2);
    }
}

#[test]
fn mqtt_2_2_1_4_identifiers_in_use_are_skipped_all_the_way_round() {
    let mut outbound = outbound(10);
    // 1 and 3 stay, everything else comes and goes.
    let kept = [assign(&mut outbound, QOS1, 0), {
        let two = id(assign(&mut outbound, QOS1, 1));
        let three = assign(&mut outbound, QOS2, 2);
        outbound.handle_puback(two, OK).unwrap();
        three
    }];
    assert_eq!(kept, [1, 3]);
    let mut previous = 3;
    for round in 0..150_000_u64 {
        let packet_id = assign(&mut outbound, QOS1, round);
        let mut expected = previous;
        loop {
            expected = if expected == u16::MAX {
                1
            } else {
                expected + 1
            };
            if !kept.contains(&expected) {
                break;
            }
        }
        assert_eq!(packet_id, expected);
        outbound.handle_puback(id(packet_id), OK).unwrap();
        previous = packet_id;
    }
}

#[test]
fn every_identifier_can_be_in_use_and_the_one_given_back_is_found() {
    let mut outbound = outbound(u16::MAX);
    for offset in 0..u64::from(u16::MAX) {
        assign(&mut outbound, QOS1, offset);
    }
    assert_eq!(outbound.assign(QOS1, token(0)), None);
    for freed in [40_000, 1, u16::MAX] {
        outbound.handle_puback(id(freed), OK).unwrap();
        assert_eq!(assign(&mut outbound, QOS1, 0), freed);
    }
}

#[test]
fn the_cursor_may_go_up_to_the_least_offset_in_flight() {
    let mut outbound = outbound(10);
    assert_eq!(outbound.offset_min(3), None);
    let ids: Vec<u16> = [9, 4, 6].map(|o| assign(&mut outbound, QOS1, o)).to_vec();
    assert_eq!(outbound.offset_min(3), Some(4));
    assert_eq!(outbound.offset_min(2), None);
    outbound.handle_puback(id(ids[1]), OK).unwrap();
    assert_eq!(outbound.offset_min(3), Some(6));
}

#[test]
fn mqtt_3_1_2_24_and_25_what_is_too_large_is_done_without_sending() {
    let mut outbound = outbound(1);
    assert!(outbound.fits(1_000));
    assert!(!outbound.fits(1_001));
    let packet_id = id(assign(&mut outbound, QOS2, 8));
    assert_eq!(outbound.discard(packet_id), Some(token(8)));
    assert_eq!(outbound.window_free(), 1);
    assert_eq!(outbound.discard(packet_id), None);
}

#[test]
fn what_the_client_has_received_cannot_be_discarded() {
    let mut outbound = outbound(2);
    let logging = id(assign(&mut outbound, QOS2, 1));
    outbound.handle_pubrec(logging, OK).unwrap();
    assert_eq!(outbound.discard(logging), None);
    outbound.received_logged(logging);
    assert_eq!(outbound.discard(logging), None);
    assert_eq!(outbound.len(), 1);
}

#[test]
fn versions_3_use_no_aliases() {
    let mut outbound = Outbound::new(OutboundLimits {
        version: V4,
        topic_alias_max: 10,
        ..limits(1, 1)
    });
    assert_eq!(outbound.alias_for("a/long/topic"), AliasUse::None);
}
