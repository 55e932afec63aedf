//! What is sent again after a reconnect.

use super::*;

fn record(packet_id: u16, state: InflightState) -> InflightRecord {
    let qos = if state == InflightState::Sent {
        QOS1
    } else {
        QOS2
    };
    InflightRecord {
        packet_id: id(packet_id),
        token: token(u64::from(packet_id) * 10),
        qos,
        state,
    }
}

use InflightState::{AssignedQos2, Received, Sent};

fn resumed(receive_max: u16, records: &[InflightRecord]) -> Outbound {
    let mut outbound = Outbound::new(limits(receive_max, 100));
    outbound.resume(records.to_vec()).unwrap();
    outbound
}

/// The identifiers sent again now, negative for PUBREL.
fn sent(outbound: &mut Outbound) -> Vec<i32> {
    let ids = outbound.resend().map(|packet| match packet {
        Resend::Publish(record) => i32::from(record.packet_id.get()),
        Resend::PubRel(packet_id) => -i32::from(packet_id.get()),
    });
    ids.collect()
}

#[test]
fn mqtt_4_4_0_1_and_4_6_0_1_all_is_sent_again_in_its_order_under_its_identifier() {
    let records = [
        record(7, Received),
        record(9, Sent),
        record(2, AssignedQos2),
        record(5, Sent),
    ];
    let mut outbound = resumed(10, &records);
    assert_eq!(outbound.window_free(), 0, "nothing new before it");
    assert_eq!(outbound.assign(QOS1, token(1)), None);
    let packets: Vec<Resend> = outbound.resend().collect();
    let expected = [
        Resend::PubRel(id(7)),
        Resend::Publish(records[1]),
        Resend::Publish(records[2]),
        Resend::Publish(records[3]),
    ];
    assert_eq!(packets, expected);
    assert_eq!(outbound.poll_resend(), None, "once per connection");
    assert_eq!(outbound.window_free(), 6);
    assert_eq!(outbound.snapshot(), records);
}

#[test]
fn mqtt_3_3_4_9_resends_keep_to_a_smaller_window_and_pubrels_do_not_wait() {
    let records = [
        record(1, Sent),
        record(2, AssignedQos2),
        record(3, Received),
        record(4, Sent),
        record(5, Received),
    ];
    let mut outbound = resumed(1, &records);
    assert_eq!(sent(&mut outbound), [1, -3, -5]);
    assert_eq!(outbound.resends_left(), 2);
    outbound.handle_pubcomp(id(3), OK).unwrap();
    outbound.handle_pubcomp(id(5), OK).unwrap();
    assert_eq!(sent(&mut outbound), []);
    outbound.handle_puback(id(1), OK).unwrap();
    assert_eq!(sent(&mut outbound), [2]);
    outbound.handle_pubrec(id(2), OK).unwrap();
    outbound.received_logged(id(2));
    assert_eq!(outbound.poll_pubrel(), Some(id(2)));
    assert_eq!(
        sent(&mut outbound),
        [],
        "QoS 2 holds its place until PUBCOMP"
    );
    outbound.handle_pubcomp(id(2), OK).unwrap();
    assert_eq!(sent(&mut outbound), [4]);
    assert_eq!(outbound.window_free(), 0);
    outbound.handle_puback(id(4), OK).unwrap();
    assert_eq!(outbound.window_free(), 1);
}

#[test]
fn acknowledgements_of_an_earlier_connection_are_taken_before_the_resend() {
    let records = [
        record(1, Sent),
        record(2, AssignedQos2),
        record(3, Received),
        record(4, Sent),
    ];
    let mut outbound = resumed(10, &records);
    assert_eq!(outbound.handle_puback(id(1), OK), done(10));
    outbound.handle_pubrec(id(2), OK).unwrap();
    assert_eq!(outbound.handle_pubcomp(id(3), OK), done(30));
    assert_eq!(sent(&mut outbound), [4]);
    outbound.received_logged(id(2));
    assert_eq!(outbound.poll_pubrel(), Some(id(2)));
    assert_eq!(outbound.resends_left(), 0);
}

#[test]
fn mqtt_2_2_1_4_no_resumed_identifier_is_assigned_anew() {
    let records = [record(65_534, Sent), record(1, Received), record(2, Sent)];
    let mut outbound = resumed(10, &records);
    assert_eq!(sent(&mut outbound).len(), 3);
    assert_eq!(assign(&mut outbound, QOS1, 0), 3);
    let mut outbound = resumed(10, &records[1..2]);
    sent(&mut outbound);
    for _ in 0..200_000 {
        let packet_id = assign(&mut outbound, QOS1, 0);
        assert_ne!(packet_id, 1);
        outbound.handle_puback(id(packet_id), OK).unwrap();
    }
}

#[test]
fn a_message_that_is_gone_is_taken_out_of_the_resends() {
    let records = [record(1, Sent), record(2, AssignedQos2), record(3, Sent)];
    let mut outbound = resumed(1, &records);
    assert_eq!(sent(&mut outbound), [1]);
    // Found gone when it was to be sent.
    assert_eq!(outbound.discard(id(1)), Some(token(10)));
    assert_eq!(outbound.discard(id(2)), Some(token(20)));
    assert_eq!(sent(&mut outbound), [3]);
}

#[test]
fn records_that_cannot_be_are_refused_whole() {
    let twice = vec![record(1, Sent), record(2, Sent), record(1, Received)];
    let mixed = InflightRecord {
        qos: QOS2,
        ..record(4, Sent)
    };
    let none = InflightRecord {
        qos: QoS::AtMostOnce,
        ..record(5, AssignedQos2)
    };
    let cases = [
        (twice, ResumeError::DuplicateIdentifier(id(1))),
        (vec![mixed], ResumeError::StateMismatch(id(4))),
        (vec![none], ResumeError::StateMismatch(id(5))),
    ];
    for (records, expected) in cases {
        let mut outbound = outbound(10);
        assert_eq!(outbound.resume(records), Err(expected));
        assert_eq!(outbound.window_free(), 10);
    }
}

#[test]
fn resuming_nothing_changes_nothing() {
    let mut outbound = resumed(10, &[]);
    assert_eq!(outbound.poll_resend(), None);
    assert_eq!(assign(&mut outbound, QOS1, 0), 1);
}
