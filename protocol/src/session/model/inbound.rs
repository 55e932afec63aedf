//! A client that publishes, over [`Inbound`] and a log that survives.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use proptest::prelude::*;

use super::pick;
use crate::session::inbound::{
    AckKind, AckOut, Inbound, InboundLimits, PublishDecision, PublishIn, ReleaseDecision,
};
use crate::types::{PacketId, ProtocolVersion, QoS, ReasonCode};

const MESSAGES_MAX: usize = 60;
/// Few, so that they are used again and again.
const IDENTIFIERS: u16 = 6;
const RECEIVE_MAX: u16 = 3;

#[derive(Clone, Copy, Debug)]
enum ToServer {
    Publish {
        packet_id: PacketId,
        dup: bool,
        message: usize,
    },
    PubRel(PacketId),
}

/// How far the client is with an identifier.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Phase {
    Published,
    Released,
}

#[derive(Debug)]
struct Flight {
    packet_id: PacketId,
    message: usize,
    phase: Phase,
}

/// What the client knows of a message in the end.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fate {
    Unknown,
    Accepted,
    Refused,
}

struct World {
    version: ProtocolVersion,
    // The client.
    qos: Vec<QoS>,
    fates: Vec<Fate>,
    flights: Vec<Flight>,
    next_id: u16,
    quota: u16,
    /// To be published again once the quota allows it.
    resends: VecDeque<(PacketId, usize)>,
    /// Identifiers whose PUBACK or PUBREC is due, in order.
    due: VecDeque<PacketId>,
    // The network.
    to_server: VecDeque<ToServer>,
    to_client: VecDeque<AckOut>,
    // The server.
    inbound: Inbound,
    appends: Vec<(u64, PacketId, usize)>,
    releases: Vec<PacketId>,
    // What survives.
    log: Vec<usize>,
    stored: BTreeSet<PacketId>,
}

fn limits(version: ProtocolVersion) -> InboundLimits {
    InboundLimits {
        version,
        receive_max: RECEIVE_MAX,
        topic_alias_max: 0,
        topic_alias_bytes_max: 0,
        qos_max: QoS::ExactlyOnce,
        retain_available: true,
        qos2_open_max: usize::from(IDENTIFIERS),
        pending_max: 100,
    }
}

impl World {
    fn new(version: ProtocolVersion) -> Self {
        Self {
            version,
            qos: Vec::new(),
            fates: Vec::new(),
            flights: Vec::new(),
            next_id: 1,
            quota: RECEIVE_MAX,
            resends: VecDeque::new(),
            due: VecDeque::new(),
            to_server: VecDeque::new(),
            to_client: VecDeque::new(),
            inbound: Inbound::new(limits(version), []),
            appends: Vec::new(),
            releases: Vec::new(),
            log: Vec::new(),
            stored: BTreeSet::new(),
        }
    }

    /// One step of a run.
    fn step(&mut self, choice: u16) {
        let detail = choice / 8;
        match choice % 8 {
            0 | 1 => self.publish(detail),
            2 | 3 => self.server_takes(),
            4 => self.append_settles(detail),
            5 => self.release_settles(detail),
            6 => {
                self.server_sends();
                self.client_takes();
            }
            _ if detail.is_multiple_of(4) => self.reconnect(detail / 4),
            _ => self.client_takes(),
        }
    }

    fn publish(&mut self, detail: u16) {
        self.publish_again();
        if self.quota == 0 || self.qos.len() == MESSAGES_MAX {
            return;
        }
        let used = |id| self.flights.iter().any(|f| f.packet_id.get() == id);
        let circle = (self.next_id..=IDENTIFIERS).chain(1..self.next_id);
        let Some(id) = circle.into_iter().find(|&id| !used(id)) else {
            return;
        };
        self.next_id = id % IDENTIFIERS + 1;
        let packet_id = PacketId::new(id).unwrap();
        let message = self.qos.len();
        self.qos.push(if detail.is_multiple_of(3) {
            QoS::AtLeastOnce
        } else {
            QoS::ExactlyOnce
        });
        self.fates.push(Fate::Unknown);
        let phase = Phase::Published;
        self.flights.push(Flight {
            packet_id,
            message,
            phase,
        });
        self.send_publish(packet_id, message, false);
    }

    fn publish_again(&mut self) {
        while self.quota > 0
            && let Some((packet_id, message)) = self.resends.pop_front()
        {
            self.send_publish(packet_id, message, true);
        }
    }

    fn send_publish(&mut self, packet_id: PacketId, message: usize, dup: bool) {
        self.quota -= 1;
        self.due.push_back(packet_id);
        self.to_server.push_back(ToServer::Publish {
            packet_id,
            dup,
            message,
        });
    }

    fn server_takes(&mut self) {
        match self.to_server.pop_front() {
            None => {}
            Some(ToServer::Publish {
                packet_id,
                dup,
                message,
            }) => {
                let decision = self.inbound.handle_publish(PublishIn {
                    dup,
                    qos: self.qos[message],
                    retain: false,
                    packet_id: Some(packet_id),
                    topic: "t",
                    topic_alias: None,
                });
                match decision.expect("a client that keeps to the rules stays") {
                    PublishDecision::Append {
                        ticket, replaces, ..
                    } => {
                        assert!(!replaces, "no exchange was given up");
                        self.appends.push((ticket.unwrap(), packet_id, message));
                    }
                    PublishDecision::Duplicate => assert!(dup),
                    PublishDecision::Refused(reason) => panic!("refused: {reason:?}"),
                }
            }
            Some(ToServer::PubRel(packet_id)) => {
                let decision = self.inbound.handle_pubrel(packet_id).unwrap();
                if let ReleaseDecision::Log { .. } = decision {
                    self.releases.push(packet_id);
                }
            }
        }
        assert!(self.inbound.pending() <= 2 * usize::from(RECEIVE_MAX) + usize::from(IDENTIFIERS));
    }

    fn append_settles(&mut self, detail: u16) {
        let Some(index) = pick(detail, self.appends.len()) else {
            return;
        };
        let (ticket, packet_id, message) = self.appends.swap_remove(index);
        if self.version == ProtocolVersion::V5 && detail % 5 == 4 {
            let reason = ReasonCode::QuotaExceeded;
            self.inbound.rejected(ticket, reason).unwrap();
            return;
        }
        self.log.push(message);
        if self.qos[message] == QoS::ExactlyOnce {
            self.stored.insert(packet_id);
        }
        self.inbound
            .stored(ticket, message as u64, detail.is_multiple_of(2));
    }

    fn release_settles(&mut self, detail: u16) {
        if let Some(index) = pick(detail, self.releases.len()) {
            let packet_id = self.releases.swap_remove(index);
            assert!(self.stored.remove(&packet_id));
            self.inbound.released(packet_id);
        }
    }

    fn server_sends(&mut self) {
        while let Some(ack) = self.inbound.poll_ack() {
            if let Some(offset) = ack.offset {
                assert!(self.log.contains(&usize::try_from(offset).unwrap()));
            }
            self.to_client.push_back(ack);
        }
    }

    fn client_takes(&mut self) {
        let Some(ack) = self.to_client.pop_front() else {
            return;
        };
        if ack.kind != AckKind::PubComp {
            assert_eq!(self.due.pop_front(), Some(ack.packet_id), "out of order");
        }
        let index = self
            .flights
            .iter()
            .position(|flight| flight.packet_id == ack.packet_id)
            .expect("acknowledged, but not in flight");
        let flight = &mut self.flights[index];
        let message = flight.message;
        let ends = match ack.kind {
            AckKind::PubAck => true,
            AckKind::PubRec if ack.reason.is_error() => true,
            AckKind::PubRec => {
                assert_eq!(flight.phase, Phase::Published);
                flight.phase = Phase::Released;
                self.to_server.push_back(ToServer::PubRel(ack.packet_id));
                false
            }
            AckKind::PubComp => {
                assert_eq!(flight.phase, Phase::Released);
                true
            }
        };
        let refused = ack.kind != AckKind::PubComp && ack.reason.is_error();
        self.fates[message] = if refused {
            Fate::Refused
        } else {
            Fate::Accepted
        };
        if ends {
            self.flights.remove(index);
            self.quota = (self.quota + 1).min(RECEIVE_MAX);
        }
    }

    /// The connection is cut: what was under way is lost, the server's appends
    /// and releases settle or are lost, both sides resend.
    fn reconnect(&mut self, detail: u16) {
        self.to_server.clear();
        self.to_client.clear();
        self.due.clear();
        for (n, (_, packet_id, message)) in self.appends.drain(..).enumerate() {
            if detail >> (n % 6) & 1 == 0 {
                self.log.push(message);
                if self.qos[message] == QoS::ExactlyOnce {
                    self.stored.insert(packet_id);
                }
            }
        }
        for (n, packet_id) in self.releases.drain(..).enumerate() {
            if detail >> (n % 6) & 1 == 0 {
                self.stored.remove(&packet_id);
            }
        }
        let stored = self.stored.iter().copied();
        self.inbound = Inbound::new(limits(self.version), stored);
        self.quota = RECEIVE_MAX;
        self.resends.clear();
        for flight in &self.flights {
            let packet_id = flight.packet_id;
            match flight.phase {
                Phase::Released => self.to_server.push_back(ToServer::PubRel(packet_id)),
                Phase::Published => self.resends.push_back((packet_id, flight.message)),
            }
        }
        self.publish_again();
    }

    /// Everything that is under way gets through.
    fn settle(&mut self) {
        // More than the longest handshake of all that can be in flight.
        for round in 0..200 {
            self.publish_again();
            self.server_takes();
            self.append_settles(0);
            self.release_settles(0);
            self.server_sends();
            self.client_takes();
            if round > 100 && self.flights.is_empty() {
                break;
            }
        }
        self.check();
    }

    fn check(&self) {
        assert!(self.flights.is_empty(), "stuck: {:?}", self.flights);
        assert!(self.stored.is_empty(), "never released: {:?}", self.stored);
        assert_eq!(self.inbound.open_qos2().count(), 0);
        assert_eq!(self.inbound.pending(), 0);
        assert_eq!(self.quota, RECEIVE_MAX);
        let mut times: BTreeMap<usize, usize> = BTreeMap::new();
        for message in &self.log {
            *times.entry(*message).or_default() += 1;
        }
        for (message, fate) in self.fates.iter().enumerate() {
            let times = times.get(&message).copied().unwrap_or(0);
            match (fate, self.qos[message]) {
                (Fate::Accepted, QoS::ExactlyOnce) => assert_eq!(times, 1, "message {message}"),
                (Fate::Accepted, _) => assert!(times >= 1, "message {message} lost"),
                (Fate::Refused, QoS::ExactlyOnce) => assert_eq!(times, 0, "message {message}"),
                (Fate::Refused, _) => {}
                (Fate::Unknown, _) => panic!("message {message} never acknowledged"),
            }
        }
    }
}

/// One message by hand, the connection cut after any number of its steps, with
/// what the server has under way lost or not.
#[test]
fn mqtt_4_4_0_1_a_reconnect_at_every_step_of_a_publish() {
    // Publish, take, settle the append, PUBREC or PUBACK, take the PUBREL,
    // settle the release, PUBCOMP.
    const STEPS: [u16; 9] = [0, 2, 4, 6, 2, 5, 6, 2, 2];
    for version in [ProtocolVersion::V4, ProtocolVersion::V5] {
        for qos2 in [false, true] {
            for first in 0..=STEPS.len() {
                for second in 0..=STEPS.len() {
                    for lost in [0, u16::MAX] {
                        let mut world = World::new(version);
                        world.step(if qos2 { 8 } else { 0 });
                        STEPS[1..].iter().take(first).for_each(|&s| world.step(s));
                        world.reconnect(lost);
                        STEPS[1..].iter().take(second).for_each(|&s| world.step(s));
                        world.reconnect(lost);
                        world.settle();
                        assert_eq!(world.fates, [Fate::Accepted]);
                    }
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn publishes_survive_any_interleaving(
        v5 in any::<bool>(),
        choices in prop::collection::vec(any::<u16>(), 0..600),
    ) {
        let version = if v5 { ProtocolVersion::V5 } else { ProtocolVersion::V4 };
        let mut world = World::new(version);
        for choice in choices {
            world.step(choice);
        }
        world.settle();
    }

    /// Whatever a client sends, the tables stay within their limits and every
    /// append that was asked for can be settled.
    #[test]
    fn a_hostile_client_stays_within_bounds(
        v5 in any::<bool>(),
        packets in prop::collection::vec((0_u8..6, 1_u16..6, any::<bool>(), any::<u8>()), 0..300),
    ) {
        let version = if v5 { ProtocolVersion::V5 } else { ProtocolVersion::V4 };
        let limits = InboundLimits { pending_max: 12, qos2_open_max: 3, ..limits(version) };
        let mut inbound = Inbound::new(limits, []);
        let mut tickets = VecDeque::new();
        let mut releases = VecDeque::new();
        for (kind, id, dup, choice) in packets {
            let packet_id = PacketId::new(id);
            let qos = if kind == 0 { QoS::AtLeastOnce } else { QoS::ExactlyOnce };
            match kind {
                0..=2 => {
                    let publish = PublishIn {
                        dup, qos, packet_id, retain: false, topic: "t", topic_alias: None,
                    };
                    if let Ok(PublishDecision::Append { ticket, .. }) = inbound.handle_publish(publish) {
                        tickets.extend(ticket);
                    }
                }
                3 => if let Ok(ReleaseDecision::Log { packet_id, .. }) =
                    inbound.handle_pubrel(packet_id.unwrap()) {
                    releases.push_back(packet_id);
                },
                4 => if let Some(index) = pick(choice.into(), tickets.len()) {
                    let ticket = tickets.swap_remove_back(index).unwrap();
                    if choice.is_multiple_of(3) {
                        // On 3.x the connection ends here, else the publish is answered.
                        if inbound.rejected(ticket, ReasonCode::QuotaExceeded).is_err() {
                            return Ok(());
                        }
                    } else {
                        inbound.stored(ticket, 0, dup);
                    }
                },
                _ => {
                    if let Some(packet_id) = releases.pop_front() {
                        inbound.released(packet_id);
                    }
                    inbound.poll_ack();
                }
            }
            prop_assert!(inbound.pending() <= 12);
            prop_assert!(inbound.open_qos2().count() <= 3);
        }
        for ticket in tickets {
            inbound.stored(ticket, 0, true);
        }
        for packet_id in releases {
            inbound.released(packet_id);
        }
        while inbound.poll_ack().is_some() {}
        prop_assert_eq!(inbound.pending(), 0);
    }
}
