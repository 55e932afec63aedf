//! The packets as values that borrow from the input buffer. The same values
//! are encoded.

use super::forwarded::Forwarded;
use super::header::PacketKind;
use super::lists::{
    ReasonCodes, SubscribeFilters, SubscriptionIds, UnsubscribeFilters, UserProperties,
};
use crate::types::{PacketId, ProtocolVersion, QoS, ReasonCode};

/// Any packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packet<'a> {
    /// A client wants to connect.
    Connect(Connect<'a>),
    /// The answer to CONNECT.
    ConnAck(ConnAck<'a>),
    /// A message.
    Publish(Publish<'a>),
    /// Acknowledges a message of QoS 1.
    PubAck(Ack<'a>),
    /// A message of QoS 2 was received.
    PubRec(Ack<'a>),
    /// A message of QoS 2 is released.
    PubRel(Ack<'a>),
    /// A message of QoS 2 is complete.
    PubComp(Ack<'a>),
    /// A client subscribes.
    Subscribe(Subscribe<'a>),
    /// The answer to SUBSCRIBE.
    SubAck(SubAck<'a>),
    /// A client unsubscribes.
    Unsubscribe(Unsubscribe<'a>),
    /// The answer to UNSUBSCRIBE.
    UnsubAck(UnsubAck<'a>),
    /// A client shows that it is alive.
    PingReq,
    /// The answer to PINGREQ.
    PingResp,
    /// The last packet of a connection.
    Disconnect(Disconnect<'a>),
    /// A step of enhanced authentication. MQTT 5.0.
    Auth(Auth<'a>),
}

impl Packet<'_> {
    /// The type of the packet.
    pub const fn kind(&self) -> PacketKind {
        match self {
            Self::Connect(_) => PacketKind::Connect,
            Self::ConnAck(_) => PacketKind::ConnAck,
            Self::Publish(_) => PacketKind::Publish,
            Self::PubAck(_) => PacketKind::PubAck,
            Self::PubRec(_) => PacketKind::PubRec,
            Self::PubRel(_) => PacketKind::PubRel,
            Self::PubComp(_) => PacketKind::PubComp,
            Self::Subscribe(_) => PacketKind::Subscribe,
            Self::SubAck(_) => PacketKind::SubAck,
            Self::Unsubscribe(_) => PacketKind::Unsubscribe,
            Self::UnsubAck(_) => PacketKind::UnsubAck,
            Self::PingReq => PacketKind::PingReq,
            Self::PingResp => PacketKind::PingResp,
            Self::Disconnect(_) => PacketKind::Disconnect,
            Self::Auth(_) => PacketKind::Auth,
        }
    }
}

/// CONNECT (section 3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Connect<'a> {
    /// What the client speaks from here on.
    pub version: ProtocolVersion,
    /// Clean Start; Clean Session before MQTT 5.0.
    pub clean_start: bool,
    /// Keep Alive, seconds; 0 is none.
    pub keep_alive_s: u16,
    /// Client Identifier; may be empty. The 1 to 23 characters of MQTT 3.1 are
    /// for the server to demand.
    pub client_id: &'a str,
    /// Properties; empty before MQTT 5.0.
    pub properties: ConnectProperties<'a>,
    /// Published if the connection ends without DISCONNECT.
    pub will: Option<Will<'a>>,
    /// User Name.
    pub user_name: Option<&'a str>,
    /// Password.
    pub password: Option<&'a [u8]>,
}

/// Properties of CONNECT (section 3.1.2.11). None: not in the packet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ConnectProperties<'a> {
    /// Session Expiry Interval, seconds; `u32::MAX` never expires.
    pub session_expiry_s: Option<u32>,
    /// Receive Maximum; not 0.
    pub receive_max: Option<u16>,
    /// Maximum Packet Size, bytes; not 0.
    pub packet_size_max: Option<u32>,
    /// Topic Alias Maximum.
    pub topic_alias_max: Option<u16>,
    /// Request Response Information.
    pub request_response_information: Option<bool>,
    /// Request Problem Information.
    pub request_problem_information: Option<bool>,
    /// Authentication Method.
    pub authentication_method: Option<&'a str>,
    /// Authentication Data.
    pub authentication_data: Option<&'a [u8]>,
    /// User properties.
    pub user_properties: UserProperties<'a>,
}

/// The will of a CONNECT (section 3.1.3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Will<'a> {
    /// Will QoS.
    pub qos: QoS,
    /// Will Retain.
    pub retain: bool,
    /// Will Topic.
    pub topic: &'a str,
    /// Will Delay Interval, seconds.
    pub delay_s: Option<u32>,
    /// Message Expiry Interval, seconds.
    pub message_expiry: Option<u32>,
    /// The properties the message is published with.
    pub forwarded: Forwarded<'a>,
    /// Will Payload.
    pub payload: &'a [u8],
}

/// CONNACK (section 3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnAck<'a> {
    /// The server has a session of this client. Not in MQTT 3.1.
    pub session_present: bool,
    /// Whether the connection is accepted. Before MQTT 5.0 see
    /// [`super::v3_return_code`].
    pub reason: ReasonCode,
    /// Properties; empty before MQTT 5.0.
    pub properties: ConnAckProperties<'a>,
}

/// Properties of CONNACK (section 3.2.2.3). None: not in the packet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ConnAckProperties<'a> {
    /// Session Expiry Interval the server uses, seconds.
    pub session_expiry_s: Option<u32>,
    /// Receive Maximum; not 0.
    pub receive_max: Option<u16>,
    /// Maximum QoS: 0 or 1.
    pub qos_max: Option<QoS>,
    /// Retain Available.
    pub retain_available: Option<bool>,
    /// Maximum Packet Size, bytes; not 0.
    pub packet_size_max: Option<u32>,
    /// Assigned Client Identifier.
    pub assigned_client_id: Option<&'a str>,
    /// Topic Alias Maximum.
    pub topic_alias_max: Option<u16>,
    /// Reason String.
    pub reason_string: Option<&'a str>,
    /// User properties.
    pub user_properties: UserProperties<'a>,
    /// Wildcard Subscription Available.
    pub wildcard_subscription_available: Option<bool>,
    /// Subscription Identifier Available.
    pub subscription_ids_available: Option<bool>,
    /// Shared Subscription Available.
    pub shared_subscription_available: Option<bool>,
    /// Server Keep Alive, seconds.
    pub server_keep_alive_s: Option<u16>,
    /// Response Information.
    pub response_information: Option<&'a str>,
    /// Server Reference.
    pub server_reference: Option<&'a str>,
    /// Authentication Method.
    pub authentication_method: Option<&'a str>,
    /// Authentication Data.
    pub authentication_data: Option<&'a [u8]>,
}

/// PUBLISH (section 3.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Publish<'a> {
    /// The packet was sent before.
    pub dup: bool,
    /// Quality of service.
    pub qos: QoS,
    /// RETAIN.
    pub retain: bool,
    /// Topic Name; empty only if a topic alias stands for it.
    pub topic: &'a str,
    /// There exactly if the QoS is 1 or 2.
    pub packet_id: Option<PacketId>,
    /// Properties; empty before MQTT 5.0.
    pub properties: PublishProperties<'a>,
    /// Application Message.
    pub payload: &'a [u8],
}

/// Properties of PUBLISH (section 3.3.2.3). None: not in the packet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PublishProperties<'a> {
    /// Topic Alias; not 0.
    pub topic_alias: Option<u16>,
    /// Message Expiry Interval, seconds.
    pub message_expiry: Option<u32>,
    /// Only from server to client [MQTT-3.3.4-6].
    pub subscription_ids: SubscriptionIds<'a>,
    /// What is passed on to subscribers as it is.
    pub forwarded: Forwarded<'a>,
}

/// PUBACK, PUBREC, PUBREL and PUBCOMP (sections 3.4 to 3.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ack<'a> {
    /// Of the PUBLISH.
    pub packet_id: PacketId,
    /// Always `Success` before MQTT 5.0.
    pub reason: ReasonCode,
    /// Properties; empty before MQTT 5.0.
    pub properties: AckProperties<'a>,
}

impl Ack<'_> {
    /// An acknowledgement without properties.
    pub fn new(packet_id: PacketId, reason: ReasonCode) -> Self {
        Self {
            packet_id,
            reason,
            properties: AckProperties::default(),
        }
    }
}

/// Properties of all acknowledgements. None: not in the packet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AckProperties<'a> {
    /// Reason String.
    pub reason_string: Option<&'a str>,
    /// User properties.
    pub user_properties: UserProperties<'a>,
}

/// SUBSCRIBE (section 3.8).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subscribe<'a> {
    /// Packet Identifier.
    pub packet_id: PacketId,
    /// Subscription Identifier; not 0.
    pub subscription_id: Option<u32>,
    /// User properties.
    pub user_properties: UserProperties<'a>,
    /// What is subscribed to.
    pub filters: SubscribeFilters<'a>,
}

/// SUBACK (section 3.9).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SubAck<'a> {
    /// Of the SUBSCRIBE.
    pub packet_id: PacketId,
    /// Properties; empty before MQTT 5.0.
    pub properties: AckProperties<'a>,
    /// One for each filter. Before MQTT 5.0 every failure is
    /// `UnspecifiedError`.
    pub reasons: ReasonCodes<'a>,
}

/// UNSUBSCRIBE (section 3.10).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unsubscribe<'a> {
    /// Packet Identifier.
    pub packet_id: PacketId,
    /// User properties.
    pub user_properties: UserProperties<'a>,
    /// What is unsubscribed from.
    pub filters: UnsubscribeFilters<'a>,
}

/// UNSUBACK (section 3.11).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnsubAck<'a> {
    /// Of the UNSUBSCRIBE.
    pub packet_id: PacketId,
    /// Properties; empty before MQTT 5.0.
    pub properties: AckProperties<'a>,
    /// One for each filter; empty before MQTT 5.0.
    pub reasons: ReasonCodes<'a>,
}

/// DISCONNECT (section 3.14). Before MQTT 5.0 only from client to server and
/// without content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Disconnect<'a> {
    /// Why.
    pub reason: ReasonCode,
    /// Properties; empty before MQTT 5.0.
    pub properties: DisconnectProperties<'a>,
}

/// Properties of DISCONNECT (section 3.14.2.2). None: not in the packet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DisconnectProperties<'a> {
    /// Session Expiry Interval, seconds. Only from client to server.
    pub session_expiry_s: Option<u32>,
    /// Reason String.
    pub reason_string: Option<&'a str>,
    /// User properties.
    pub user_properties: UserProperties<'a>,
    /// Server Reference. Only from server to client.
    pub server_reference: Option<&'a str>,
}

/// AUTH (section 3.15). MQTT 5.0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Auth<'a> {
    /// `Success`, `ContinueAuthentication` or `ReAuthenticate`.
    pub reason: ReasonCode,
    /// Properties.
    pub properties: AuthProperties<'a>,
}

/// Properties of AUTH (section 3.15.2.2). None: not in the packet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AuthProperties<'a> {
    /// Authentication Method.
    pub authentication_method: Option<&'a str>,
    /// Authentication Data.
    pub authentication_data: Option<&'a [u8]>,
    /// Reason String.
    pub reason_string: Option<&'a str>,
    /// User properties.
    pub user_properties: UserProperties<'a>,
}
