//! The two halves of a connection under a client that does what it likes: the
//! broker keeps its side, the client sends any acknowledgement at any time.

use std::collections::BTreeSet;

use robustmq_protocol::session::inbound::{
    AckKind, Inbound, InboundLimits, PublishDecision, PublishIn, ReleaseDecision,
};
use robustmq_protocol::session::outbound::{
    DeliveryToken, InflightState, Outbound, OutboundLimits, PubrecDecision,
};
use robustmq_protocol::{PacketId, ProtocolVersion, QoS, ReasonCode};

const WINDOW_MAX: u16 = 4;
const IDENTIFIERS: u8 = 6;

fn packet_id(byte: u8) -> PacketId {
    PacketId::new(u16::from(byte % IDENTIFIERS) + 1).expect("above 0")
}

fn reason(byte: u8) -> ReasonCode {
    match byte % 3 {
        0 => ReasonCode::UnspecifiedError,
        _ => ReasonCode::Success,
    }
}

/// Two bytes are one step: what is done, and to which identifier.
fn check(input: &[u8]) {
    let version = match input.first() {
        Some(byte) if byte.is_multiple_of(2) => ProtocolVersion::V4,
        _ => ProtocolVersion::V5,
    };
    subscriber(version, input);
    publisher(version, input);
}

fn outbound(version: ProtocolVersion) -> Outbound {
    Outbound::new(OutboundLimits {
        version,
        receive_max: 8,
        window_max: WINDOW_MAX,
        topic_alias_max: 2,
        packet_size_max: u32::MAX,
    })
}

fn subscriber(version: ProtocolVersion, input: &[u8]) {
    let mut outbound = outbound(version);
    let mut logging: Vec<PacketId> = Vec::new();
    let mut offset = 0;
    for step in input.chunks_exact(2) {
        let (what, which) = (step[0], packet_id(step[1]));
        let going_on = match what % 8 {
            0 | 1 => {
                offset += 1;
                let qos = if what < 128 {
                    QoS::AtLeastOnce
                } else {
                    QoS::ExactlyOnce
                };
                let free = outbound.window_free();
                let assigned = outbound.assign(qos, DeliveryToken { shard: 0, offset });
                assert_eq!(assigned.is_some(), free > 0, "room is what was said");
                true
            }
            2 => outbound.handle_puback(which, reason(step[1])).is_ok(),
            3 => match outbound.handle_pubrec(which, reason(step[1])) {
                Ok(PubrecDecision::LogThenRelease { .. }) => {
                    logging.push(which);
                    true
                }
                answer => answer.is_ok(),
            },
            4 => outbound.handle_pubcomp(which, reason(step[1])).is_ok(),
            5 => {
                logging
                    .drain(..)
                    .for_each(|packet_id| outbound.received_logged(packet_id));
                true
            }
            6 => {
                outbound.discard(which);
                true
            }
            _ => false,
        };
        while let Some(released) = outbound.poll_pubrel() {
            let known = outbound.snapshot();
            let record = known.iter().find(|record| record.packet_id == released);
            let state = record.map(|record| record.state);
            assert_eq!(
                state,
                Some(InflightState::Received),
                "PUBREL comes after its record"
            );
        }
        check_window(&outbound);
        if !going_on {
            outbound = reconnected(version, &outbound);
            logging.clear();
        }
    }
}

fn check_window(outbound: &Outbound) {
    let known = outbound.snapshot();
    let identifiers: BTreeSet<PacketId> = known.iter().map(|record| record.packet_id).collect();
    assert_eq!(
        identifiers.len(),
        known.len(),
        "an identifier has one use at a time"
    );
    assert!(known.len() <= usize::from(WINDOW_MAX), "the window is kept");
    assert!(outbound.window_free() + known.len() <= usize::from(WINDOW_MAX));
}

/// What a new connection finds: everything in flight, in its order.
fn reconnected(version: ProtocolVersion, before: &Outbound) -> Outbound {
    let mut resumed = outbound(version);
    let records = before.snapshot();
    resumed
        .resume(records.clone())
        .expect("a snapshot can be resumed");
    let sent = resumed.resend().count();
    assert_eq!(sent, records.len(), "everything is sent again");
    assert_eq!(resumed.snapshot(), records);
    resumed
}

fn inbound(version: ProtocolVersion, known: BTreeSet<PacketId>) -> Inbound {
    let limits = InboundLimits {
        version,
        receive_max: 4,
        topic_alias_max: 2,
        topic_alias_bytes_max: 64,
        qos_max: QoS::ExactlyOnce,
        retain_available: true,
        qos2_open_max: 4,
        pending_max: 8,
    };
    Inbound::new(limits, known)
}

/// What the broker has under way for a publisher.
#[derive(Default)]
struct UnderWay {
    appends: Vec<(u64, Option<PacketId>)>,
    releases: Vec<PacketId>,
    /// QoS 2 identifiers whose message is in the log.
    stored: BTreeSet<PacketId>,
    /// Those that were at some time.
    ever_stored: BTreeSet<PacketId>,
}

fn publisher(version: ProtocolVersion, input: &[u8]) {
    let mut inbound = inbound(version, BTreeSet::new());
    let mut under_way = UnderWay::default();
    for step in input.chunks_exact(2) {
        let mut going_on = publisher_step(&mut inbound, &mut under_way, step);
        while let Some(ack) = inbound.poll_ack() {
            if ack.kind == AckKind::PubRec && !ack.reason.is_error() {
                let is_known = under_way.ever_stored.contains(&ack.packet_id);
                assert!(is_known, "PUBREC says that the message is stored");
            }
        }
        going_on &= inbound.pending() <= 64;
        if !going_on {
            inbound = self::inbound(version, under_way.stored.clone());
            under_way.appends.clear();
            under_way.releases.clear();
        }
    }
}

/// One step of client or log; false when the connection ends.
fn publisher_step(inbound: &mut Inbound, under_way: &mut UnderWay, step: &[u8]) -> bool {
    let (what, which) = (step[0], packet_id(step[1]));
    match what % 4 {
        0 | 1 => {
            let qos = match step[1] / IDENTIFIERS % 3 {
                0 => QoS::AtMostOnce,
                1 => QoS::AtLeastOnce,
                _ => QoS::ExactlyOnce,
            };
            let alias = (what & 0x80 != 0).then_some(u16::from(what >> 4 & 3));
            let publish = PublishIn {
                dup: what & 0x40 != 0,
                qos,
                retain: false,
                packet_id: (qos != QoS::AtMostOnce).then_some(which),
                topic: if what & 0x20 != 0 { "" } else { "t" },
                topic_alias: alias,
            };
            match inbound.handle_publish(publish) {
                Ok(PublishDecision::Append { ticket, topic, .. }) => {
                    assert_eq!(topic, "t", "an alias stands for its topic");
                    let stored = (qos == QoS::ExactlyOnce).then_some(which);
                    if qos == QoS::AtLeastOnce {
                        under_way.stored.remove(&which);
                    }
                    under_way
                        .appends
                        .extend(ticket.map(|ticket| (ticket, stored)));
                    true
                }
                decision => decision.is_ok(),
            }
        }
        2 => match inbound.handle_pubrel(which) {
            Ok(ReleaseDecision::Log { packet_id, .. }) => {
                under_way.releases.push(packet_id);
                true
            }
            decision => decision.is_ok(),
        },
        _ => {
            if step[1].is_multiple_of(5) && !under_way.appends.is_empty() {
                let (ticket, _) = under_way.appends.remove(0);
                return inbound.rejected(ticket, ReasonCode::QuotaExceeded).is_ok();
            }
            for (ticket, stored) in under_way.appends.drain(..) {
                under_way.stored.extend(stored);
                under_way.ever_stored.extend(stored);
                inbound.stored(ticket, 1, true);
            }
            for packet_id in under_way.releases.drain(..) {
                under_way.stored.remove(&packet_id);
                inbound.released(packet_id);
            }
            true
        }
    }
}

#[test]
fn operations() {
    robustmq_fuzzing::run("operations", check);
}
