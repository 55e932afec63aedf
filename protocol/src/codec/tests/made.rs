//! Packets made from a seed, such as each version can express.

use crate::codec::*;
use crate::types::{PacketId, ProtocolVersion, QoS, ReasonCode};

/// A small generator (splitmix64): all a seed needs to become a packet.
pub(super) struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    fn yes(&mut self) -> bool {
        self.next() & 1 == 1
    }

    fn maybe<T>(&mut self, make: impl FnOnce(&mut Self) -> T) -> Option<T> {
        self.yes().then(|| make(self))
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    fn u16(&mut self) -> u16 {
        self.next() as u16
    }

    fn u32(&mut self) -> u32 {
        self.next() as u32
    }

    fn qos(&mut self) -> QoS {
        self.pick(&[QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce])
    }

    fn packet_id(&mut self) -> PacketId {
        PacketId::new(self.u16()).unwrap_or(PacketId::MAX)
    }

    fn string(&mut self) -> String {
        let long = if self.below(100) == 0 { 16_000 } else { 40 };
        let len = self.pick(&[0, 1, 2, 3, 7, 16, 30, long]);
        (0..len)
            .map(|_| self.pick(&['a', 'Z', '/', ' ', '\u{1}', 'é', '€', '😀', '\u{feff}']))
            .collect()
    }

    fn binary(&mut self) -> Vec<u8> {
        let long = if self.below(30) == 0 { 17_000 } else { 128 };
        let len = self.pick(&[0, 1, 5, 40, 127, long]);
        (0..len).map(|_| self.next() as u8).collect()
    }

    fn subscription_id(&mut self) -> u32 {
        self.pick(&[
            1,
            127,
            128,
            16_383,
            16_384,
            2_097_151,
            2_097_152,
            268_435_455,
        ])
    }
}

/// What packets borrow from.
pub(super) struct Pool {
    strings: Vec<String>,
    binaries: Vec<Vec<u8>>,
    ids: Vec<u32>,
    reasons: Vec<ReasonCode>,
    forwarded: Vec<u8>,
}

/// The parts of a pool that borrow from it themselves.
pub(super) struct Lists<'a> {
    users: Vec<(&'a str, &'a str)>,
    subscribe: Vec<SubscribeFilter<'a>>,
    unsubscribe: Vec<&'a str>,
}

const REASONS: [(PacketKind, &[u8]); 2] = [
    (
        PacketKind::SubAck,
        &[
            0, 1, 2, 0x80, 0x83, 0x87, 0x8F, 0x91, 0x97, 0x9E, 0xA1, 0xA2,
        ],
    ),
    (
        PacketKind::UnsubAck,
        &[0, 0x11, 0x80, 0x83, 0x87, 0x8F, 0x91],
    ),
];

fn reason(byte: u8) -> ReasonCode {
    ReasonCode::try_from(byte).unwrap()
}

impl Pool {
    pub(super) fn new(seed: u64, kind: PacketKind, version: ProtocolVersion) -> Self {
        let mut dice = Dice(seed);
        let codes = match (kind, version) {
            (PacketKind::UnsubAck, _) => REASONS[1].1,
            (_, ProtocolVersion::V5) => REASONS[0].1,
            _ => &REASONS[0].1[..4],
        };
        let count = dice.below(4);
        let mut forwarded = Vec::new();
        for property in dice
            .maybe(|_| super::properties::SAMPLES)
            .into_iter()
            .flatten()
        {
            let repeats = if property.0 == 0x26 {
                dice.below(4)
            } else {
                dice.below(2)
            };
            if matches!(property.0, 0x01 | 0x03 | 0x08 | 0x09 | 0x26) {
                (0..repeats).for_each(|_| forwarded.extend_from_slice(property.1));
            }
        }
        Self {
            strings: (0..8).map(|_| dice.string()).collect(),
            binaries: (0..4).map(|_| dice.binary()).collect(),
            ids: (0..count).map(|_| dice.subscription_id()).collect(),
            reasons: (0..=count).map(|_| reason(dice.pick(codes))).collect(),
            forwarded,
        }
    }

    fn name(&self, at: usize) -> &str {
        if self.strings[at].is_empty() {
            "t"
        } else {
            &self.strings[at]
        }
    }

    pub(super) fn lists(&self, seed: u64, version: ProtocolVersion) -> Lists<'_> {
        let mut dice = Dice(!seed);
        let count = dice.pick(&[0, 0, 1, 2, 5]);
        let users = (0..count)
            .map(|_| (&*self.strings[dice.below(8)], &*self.strings[dice.below(8)]))
            .collect();
        let subscribe = (0..=dice.below(4))
            .map(|at| {
                let mut options = SubscriptionOptions::new(dice.qos());
                if version == ProtocolVersion::V5 {
                    options.no_local = dice.yes();
                    options.retain_as_published = dice.yes();
                    options.retain_handling = dice.pick(&[
                        RetainHandling::Send,
                        RetainHandling::SendIfNew,
                        RetainHandling::DoNotSend,
                    ]);
                }
                SubscribeFilter {
                    filter: self.name(at),
                    options,
                }
            })
            .collect();
        let unsubscribe = (0..=dice.below(4)).map(|at| self.name(at)).collect();
        Lists {
            users,
            subscribe,
            unsubscribe,
        }
    }
}

/// What one packet is made from.
pub(super) struct Maker<'a> {
    pub(super) dice: Dice,
    pub(super) pool: &'a Pool,
    pub(super) lists: &'a Lists<'a>,
    pub(super) version: ProtocolVersion,
}

/// Makes the packet of a seed and shows it.
pub(super) fn with_packet<T>(
    seed: u64,
    kind: PacketKind,
    version: ProtocolVersion,
    show: impl FnOnce(&Packet<'_>) -> T,
) -> T {
    let pool = Pool::new(seed, kind, version);
    let lists = pool.lists(seed, version);
    let mut maker = Maker {
        dice: Dice(seed ^ 0x5555),
        pool: &pool,
        lists: &lists,
        version,
    };
    show(&maker.packet(kind))
}

/// The types a version has.
pub(super) fn kinds(version: ProtocolVersion) -> &'static [PacketKind] {
    match version {
        ProtocolVersion::V5 => &PacketKind::ALL,
        _ => &PacketKind::ALL[..14],
    }
}

impl<'a> Maker<'a> {
    fn v5(&self) -> bool {
        self.version == ProtocolVersion::V5
    }

    fn string(&mut self) -> &'a str {
        &self.pool.strings[self.dice.below(8)]
    }

    fn binary(&mut self) -> &'a [u8] {
        &self.pool.binaries[self.dice.below(4)]
    }

    fn maybe<T>(&mut self, make: impl FnOnce(&mut Self) -> T) -> Option<T> {
        if self.dice.yes() {
            Some(make(self))
        } else {
            None
        }
    }

    fn users(&mut self) -> UserProperties<'a> {
        UserProperties::from(&self.lists.users[..])
    }

    fn reason(&mut self, codes: &[u8]) -> ReasonCode {
        if self.v5() {
            reason(self.dice.pick(codes))
        } else {
            ReasonCode::Success
        }
    }

    fn forwarded(&self) -> Forwarded<'a> {
        Forwarded::parse(&self.pool.forwarded).unwrap()
    }

    fn packet(&mut self, kind: PacketKind) -> Packet<'a> {
        const PUBLISHED: &[u8] = &[0, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99];
        match kind {
            PacketKind::Connect => Packet::Connect(self.connect()),
            PacketKind::ConnAck => Packet::ConnAck(self.connack()),
            PacketKind::Publish => Packet::Publish(self.publish()),
            PacketKind::PubAck => Packet::PubAck(self.ack(PUBLISHED)),
            PacketKind::PubRec => Packet::PubRec(self.ack(PUBLISHED)),
            PacketKind::PubRel => Packet::PubRel(self.ack(&[0, 0x92])),
            PacketKind::PubComp => Packet::PubComp(self.ack(&[0, 0x92])),
            PacketKind::Subscribe => Packet::Subscribe(Subscribe {
                packet_id: self.dice.packet_id(),
                subscription_id: self.only_v5(|maker| maker.dice.maybe(Dice::subscription_id)),
                user_properties: self.only_v5(Self::users),
                filters: SubscribeFilters::from(&self.lists.subscribe[..]),
            }),
            PacketKind::SubAck => Packet::SubAck(SubAck {
                packet_id: self.dice.packet_id(),
                properties: self.only_v5(Self::ack_properties),
                reasons: ReasonCodes::from(&self.pool.reasons[..]),
            }),
            PacketKind::Unsubscribe => Packet::Unsubscribe(Unsubscribe {
                packet_id: self.dice.packet_id(),
                user_properties: self.only_v5(Self::users),
                filters: UnsubscribeFilters::from(&self.lists.unsubscribe[..]),
            }),
            PacketKind::UnsubAck => Packet::UnsubAck(UnsubAck {
                packet_id: self.dice.packet_id(),
                properties: self.only_v5(Self::ack_properties),
                reasons: self.only_v5(|maker| ReasonCodes::from(&maker.pool.reasons[..])),
            }),
            PacketKind::PingReq => Packet::PingReq,
            PacketKind::PingResp => Packet::PingResp,
            PacketKind::Disconnect => Packet::Disconnect(Disconnect {
                reason: self.reason(&[0, 0, 4, 0x80, 0x81, 0x82, 0x8B, 0x93, 0x95, 0xA2]),
                properties: self.only_v5(|maker| DisconnectProperties {
                    session_expiry_s: maker.dice.maybe(Dice::u32),
                    reason_string: maker.maybe(Self::string),
                    user_properties: maker.users(),
                    server_reference: maker.maybe(Self::string),
                }),
            }),
            PacketKind::Auth => Packet::Auth(Auth {
                reason: self.reason(&[0, 0x18, 0x19]),
                properties: AuthProperties {
                    authentication_method: Some(self.string()),
                    authentication_data: self.maybe(Self::binary),
                    reason_string: self.maybe(Self::string),
                    user_properties: self.users(),
                },
            }),
        }
    }

    fn only_v5<T: Default>(&mut self, make: impl FnOnce(&mut Self) -> T) -> T {
        if self.v5() && self.dice.yes() {
            make(self)
        } else {
            T::default()
        }
    }

    fn ack_properties(&mut self) -> AckProperties<'a> {
        AckProperties {
            reason_string: self.maybe(Self::string),
            user_properties: self.users(),
        }
    }

    fn ack(&mut self, codes: &[u8]) -> Ack<'a> {
        Ack {
            packet_id: self.dice.packet_id(),
            reason: self.reason(codes),
            properties: self.only_v5(Self::ack_properties),
        }
    }

    fn publish(&mut self) -> Publish<'a> {
        let qos = self.dice.qos();
        let mut topic = self.pool.name(self.dice.below(8));
        let properties = self.only_v5(|maker| PublishProperties {
            topic_alias: maker.dice.maybe(|dice| dice.u16().max(1)),
            message_expiry: maker.dice.maybe(Dice::u32),
            subscription_ids: SubscriptionIds::from(&maker.pool.ids[..]),
            forwarded: maker.forwarded(),
        });
        if properties.topic_alias.is_some() && self.dice.yes() {
            topic = "";
        }
        Publish {
            dup: qos != QoS::AtMostOnce && self.dice.yes(),
            qos,
            retain: self.dice.yes(),
            topic,
            packet_id: (qos != QoS::AtMostOnce).then(|| self.dice.packet_id()),
            properties,
            payload: self.binary(),
        }
    }

    fn connect(&mut self) -> Connect<'a> {
        let user_name = self.maybe(Self::string);
        let password = self
            .maybe(Self::binary)
            .filter(|_| self.v5() || user_name.is_some());
        let will = self.maybe(|maker| Will {
            qos: maker.dice.qos(),
            retain: maker.dice.yes(),
            topic: maker.pool.name(0),
            delay_s: maker.only_v5(|maker| maker.dice.maybe(Dice::u32)),
            message_expiry: maker.only_v5(|maker| maker.dice.maybe(Dice::u32)),
            forwarded: maker.only_v5(|maker| maker.forwarded()),
            payload: maker.binary(),
        });
        Connect {
            version: self.version,
            clean_start: self.dice.yes(),
            keep_alive_s: self.dice.u16(),
            client_id: self.string(),
            properties: self.only_v5(|maker| {
                let authentication_method = maker.maybe(Self::string);
                ConnectProperties {
                    session_expiry_s: maker.dice.maybe(Dice::u32),
                    receive_max: maker.dice.maybe(|dice| dice.u16().max(1)),
                    packet_size_max: maker.dice.maybe(|dice| dice.u32().max(1)),
                    topic_alias_max: maker.dice.maybe(Dice::u16),
                    request_response_information: maker.dice.maybe(Dice::yes),
                    request_problem_information: maker.dice.maybe(Dice::yes),
                    authentication_method,
                    authentication_data: authentication_method
                        .and_then(|_| maker.maybe(Self::binary)),
                    user_properties: maker.users(),
                }
            }),
            will,
            user_name,
            password,
        }
    }

    fn connack(&mut self) -> ConnAck<'a> {
        const V3: &[u8] = &[0, 0x84, 0x85, 0x86, 0x87, 0x88];
        const V5: &[u8] = &[
            0, 0, 0x80, 0x81, 0x84, 0x8A, 0x8C, 0x90, 0x95, 0x97, 0x9A, 0x9D, 0x9F,
        ];
        let reason = reason(self.dice.pick(if self.v5() { V5 } else { V3 }));
        let may_be_present = reason == ReasonCode::Success && self.version != ProtocolVersion::V3;
        ConnAck {
            session_present: may_be_present && self.dice.yes(),
            reason,
            properties: self.only_v5(|maker| ConnAckProperties {
                session_expiry_s: maker.dice.maybe(Dice::u32),
                receive_max: maker.dice.maybe(|dice| dice.u16().max(1)),
                qos_max: maker
                    .dice
                    .maybe(|dice| dice.pick(&[QoS::AtMostOnce, QoS::AtLeastOnce])),
                retain_available: maker.dice.maybe(Dice::yes),
                packet_size_max: maker.dice.maybe(|dice| dice.u32().max(1)),
                assigned_client_id: maker.maybe(Self::string),
                topic_alias_max: maker.dice.maybe(Dice::u16),
                reason_string: maker.maybe(Self::string),
                user_properties: maker.users(),
                wildcard_subscription_available: maker.dice.maybe(Dice::yes),
                subscription_ids_available: maker.dice.maybe(Dice::yes),
                shared_subscription_available: maker.dice.maybe(Dice::yes),
                server_keep_alive_s: maker.dice.maybe(Dice::u16),
                response_information: maker.maybe(Self::string),
                server_reference: maker.maybe(Self::string),
                authentication_method: maker.maybe(Self::string),
                authentication_data: maker.maybe(Self::binary),
            }),
        }
    }
}
