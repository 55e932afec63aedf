//! A subscriber, over [`Outbound`] and the records that survive it.

use std::collections::{BTreeSet, VecDeque};

use proptest::prelude::*;

use super::pick;
use crate::session::outbound::{
    AckResult, DeliveryToken, InflightState, Outbound, OutboundLimits, PubrecDecision, Resend,
};
use crate::types::{PacketId, ProtocolVersion, QoS, ReasonCode};

const MESSAGES_MAX: usize = 60;
const WINDOW_MAX: u16 = 5;

#[derive(Clone, Copy, Debug)]
enum ToClient {
    Publish {
        packet_id: PacketId,
        dup: bool,
        message: usize,
    },
    PubRel(PacketId),
}

#[derive(Clone, Copy, Debug)]
enum ToServer {
    /// PUBACK.
    Ack(PacketId, ReasonCode),
    /// PUBREC.
    Receipt(PacketId, ReasonCode),
    /// PUBCOMP.
    Completion(PacketId),
}

struct World {
    // The client.
    receive_max: u16,
    /// Identifiers of this connection without a final acknowledgement.
    unacknowledged: BTreeSet<PacketId>,
    /// QoS 2 identifiers it has passed on and not seen a PUBREL for.
    received: BTreeSet<PacketId>,
    /// PUBREL packets are due in this order.
    releases_due: VecDeque<PacketId>,
    delivered: Vec<usize>,
    refused: BTreeSet<usize>,
    /// Acknowledgements it has not sent yet.
    holds: VecDeque<ToServer>,
    // The network.
    to_client: VecDeque<ToClient>,
    to_server: VecDeque<ToServer>,
    // The server.
    outbound: Outbound,
    qos: Vec<QoS>,
    ended: Vec<bool>,
    logging: Vec<PacketId>,
}

fn outbound(receive_max: u16) -> Outbound {
    Outbound::new(OutboundLimits {
        version: ProtocolVersion::V5,
        receive_max,
        window_max: WINDOW_MAX,
        topic_alias_max: 0,
        packet_size_max: u32::MAX,
    })
}

fn token(message: usize) -> DeliveryToken {
    let offset = message as u64;
    DeliveryToken { shard: 0, offset }
}

fn message_of(token: DeliveryToken) -> usize {
    usize::try_from(token.offset).unwrap()
}

impl World {
    fn new(receive_max: u16) -> Self {
        Self {
            receive_max,
            unacknowledged: BTreeSet::new(),
            received: BTreeSet::new(),
            releases_due: VecDeque::new(),
            delivered: Vec::new(),
            refused: BTreeSet::new(),
            holds: VecDeque::new(),
            to_client: VecDeque::new(),
            to_server: VecDeque::new(),
            outbound: outbound(receive_max),
            qos: Vec::new(),
            ended: Vec::new(),
            logging: Vec::new(),
        }
    }

    fn step(&mut self, choice: u16) {
        let detail = choice / 8;
        match choice % 8 {
            0 | 1 => self.assign(detail),
            2 | 3 => self.client_takes(detail),
            4 => self.client_acknowledges(),
            5 => self.server_takes(),
            6 => self.receipt_is_logged(detail),
            _ if detail.is_multiple_of(4) => self.reconnect(detail / 4),
            _ => self.server_takes(),
        }
        self.server_sends();
    }

    fn assign(&mut self, detail: u16) {
        if self.qos.len() == MESSAGES_MAX {
            return;
        }
        let qos = if detail.is_multiple_of(3) {
            QoS::AtLeastOnce
        } else {
            QoS::ExactlyOnce
        };
        let in_flight = self.outbound.snapshot();
        let message = self.qos.len();
        let free = self.outbound.window_free();
        let Some(packet_id) = self.outbound.assign(qos, token(message)) else {
            assert_eq!(free, 0);
            return;
        };
        let in_use = in_flight.iter().any(|r| r.packet_id == packet_id);
        assert!(!in_use, "{packet_id} is in flight already");
        self.qos.push(qos);
        self.ended.push(false);
        let dup = false;
        self.to_client.push_back(ToClient::Publish {
            packet_id,
            dup,
            message,
        });
    }

    fn server_sends(&mut self) {
        while let Some(packet) = self.outbound.poll_resend() {
            self.to_client.push_back(match packet {
                Resend::PubRel(packet_id) => ToClient::PubRel(packet_id),
                Resend::Publish(record) => {
                    let message = message_of(record.token);
                    assert_eq!(record.qos, self.qos[message]);
                    ToClient::Publish {
                        packet_id: record.packet_id,
                        dup: true,
                        message,
                    }
                }
            });
        }
        while let Some(packet_id) = self.outbound.poll_pubrel() {
            assert_eq!(self.releases_due.pop_front(), Some(packet_id));
            self.to_client.push_back(ToClient::PubRel(packet_id));
        }
    }

    fn client_takes(&mut self, detail: u16) {
        match self.to_client.pop_front() {
            None => {}
            Some(ToClient::Publish {
                packet_id,
                dup,
                message,
            }) => {
                self.unacknowledged.insert(packet_id);
                assert!(self.unacknowledged.len() <= usize::from(self.receive_max));
                let fails = detail % 7 == 6;
                let reason = if fails {
                    ReasonCode::UnspecifiedError
                } else {
                    ReasonCode::Success
                };
                if self.qos[message] == QoS::AtLeastOnce {
                    self.delivered.push(message);
                    let ack = ToServer::Ack(packet_id, reason);
                    self.holds.push_back(ack);
                } else if self.received.contains(&packet_id) {
                    assert!(dup, "{packet_id} used anew before it was released");
                    let ack = ToServer::Receipt(packet_id, ReasonCode::Success);
                    self.holds.push_back(ack);
                } else {
                    if fails {
                        self.refused.insert(message);
                    } else {
                        self.delivered.push(message);
                        self.received.insert(packet_id);
                    }
                    let ack = ToServer::Receipt(packet_id, reason);
                    self.holds.push_back(ack);
                }
            }
            Some(ToClient::PubRel(packet_id)) => {
                self.received.remove(&packet_id);
                self.holds.push_back(ToServer::Completion(packet_id));
            }
        }
    }

    fn client_acknowledges(&mut self) {
        let Some(ack) = self.holds.pop_front() else {
            return;
        };
        match ack {
            ToServer::Ack(id, _) | ToServer::Completion(id) => {
                self.unacknowledged.remove(&id);
            }
            ToServer::Receipt(id, reason) if reason.is_error() => {
                self.unacknowledged.remove(&id);
            }
            ToServer::Receipt(..) => {}
        }
        self.to_server.push_back(ack);
    }

    fn server_takes(&mut self) {
        let result = match self.to_server.pop_front() {
            None => return,
            Some(ToServer::Ack(id, reason)) => self.outbound.handle_puback(id, reason),
            Some(ToServer::Completion(id)) => self.outbound.handle_pubcomp(id, ReasonCode::Success),
            Some(ToServer::Receipt(id, reason)) => {
                match self.outbound.handle_pubrec(id, reason).unwrap() {
                    PubrecDecision::LogThenRelease { .. } => {
                        self.logging.push(id);
                        self.releases_due.push_back(id);
                        return;
                    }
                    PubrecDecision::Discard { token } => {
                        let failed = true;
                        Ok(AckResult::Done { token, failed })
                    }
                    other => panic!("no PUBREC comes twice on a connection: {other:?}"),
                }
            }
        };
        match result.expect("a client that keeps to the rules stays") {
            AckResult::Done { token, .. } => {
                let ended = &mut self.ended[message_of(token)];
                assert!(!*ended, "ended twice");
                *ended = true;
            }
            AckResult::Unknown => panic!("an identifier was forgotten"),
        }
    }

    fn receipt_is_logged(&mut self, detail: u16) {
        if let Some(index) = pick(detail, self.logging.len()) {
            let packet_id = self.logging.swap_remove(index);
            self.outbound.received_logged(packet_id);
        }
    }

    /// The connection is cut and the client may name another Receive Maximum.
    fn reconnect(&mut self, detail: u16) {
        self.to_client.clear();
        self.to_server.clear();
        self.holds.clear();
        self.unacknowledged.clear();
        self.releases_due.clear();
        let mut records = self.outbound.snapshot();
        // A receipt that was being logged is in the log or lost.
        for (n, packet_id) in self.logging.drain(..).enumerate() {
            if detail >> (n % 6) & 1 == 0 {
                let mut all = records.iter_mut();
                let record = all.find(|record| record.packet_id == packet_id).unwrap();
                record.state = InflightState::Received;
            }
        }
        self.receive_max = detail % 6 + 1;
        self.outbound = outbound(self.receive_max);
        self.outbound.resume(records).unwrap();
    }

    fn settle(&mut self) {
        for _ in 0..100 {
            self.server_sends();
            self.client_takes(0);
            self.client_acknowledges();
            self.server_takes();
            self.receipt_is_logged(0);
        }
        self.check();
    }

    fn check(&self) {
        assert!(self.outbound.is_empty(), "{:?}", self.outbound.snapshot());
        assert!(self.received.is_empty(), "never released");
        assert_eq!(self.outbound.unknown_acks(), 0);
        let window = usize::from(self.receive_max.min(WINDOW_MAX));
        assert_eq!(self.outbound.window_free(), window);
        assert!(self.ended.iter().all(|ended| *ended));
        for (message, qos) in self.qos.iter().enumerate() {
            let times = self.delivered.iter().filter(|m| **m == message).count();
            if *qos == QoS::AtLeastOnce {
                assert!(times >= 1, "message {message} lost");
            } else if self.refused.contains(&message) {
                assert!(times <= 1, "message {message}: {times} times");
            } else {
                assert_eq!(times, 1, "message {message}");
            }
        }
        // The first arrivals are in the order of the log [MQTT-4.6.0-6].
        let mut seen = BTreeSet::new();
        let first: Vec<usize> = self
            .delivered
            .iter()
            .copied()
            .filter(|message| !self.refused.contains(message) && seen.insert(*message))
            .collect();
        assert!(first.is_sorted(), "{first:?}");
    }
}

/// One delivery by hand, the connection cut twice, after any numbers of steps.
#[test]
fn mqtt_4_4_0_1_a_reconnect_at_every_step_of_a_delivery() {
    // Take the PUBLISH, acknowledge, take the PUBACK or PUBREC, log the
    // receipt, take the PUBREL, acknowledge, take the PUBCOMP.
    const STEPS: [u16; 7] = [2, 4, 5, 6, 2, 4, 5];
    for qos2 in [false, true] {
        for first in 0..=STEPS.len() {
            for second in 0..=STEPS.len() {
                for lost in [0, u16::MAX] {
                    let mut world = World::new(1);
                    world.step(if qos2 { 8 } else { 0 });
                    STEPS.iter().take(first).for_each(|&s| world.step(s));
                    world.reconnect(lost);
                    world.server_sends();
                    STEPS.iter().take(second).for_each(|&s| world.step(s));
                    world.reconnect(lost);
                    world.settle();
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn deliveries_survive_any_interleaving(
        receive_max in 1_u16..8,
        choices in prop::collection::vec(any::<u16>(), 0..600),
    ) {
        let mut world = World::new(receive_max);
        for choice in choices {
            world.step(choice);
        }
        world.settle();
    }
}
