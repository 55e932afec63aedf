//! CONNECT, SUBSCRIBE and their answers: once per connection, so the protocol
//! crate does it.

use robustmq_protocol::codec::{
    Connect, ConnectProperties, Decoded, Disconnect, DisconnectProperties, EncodeError, Packet,
    RetainHandling, Subscribe, SubscribeFilter, SubscribeFilters, SubscriptionOptions,
    UserProperties, decode, encode,
};
use robustmq_protocol::{PacketId, ProtocolVersion, QoS, ReasonCode};

use crate::plan::{ConnectionPlan, Settings, SubscribePlan};
use crate::wire::PACKET_BYTES_MAX;

/// How long a session outlives its connection, seconds.
const SESSION_EXPIRY_S: u32 = 3_600;

pub(crate) fn connect(settings: &Settings, plan: &ConnectionPlan) -> Result<Vec<u8>, EncodeError> {
    let is_v5 = settings.version == ProtocolVersion::V5;
    let connect = Connect {
        version: settings.version,
        clean_start: plan.is_clean,
        // None: this program sends no PINGREQ.
        keep_alive_s: 0,
        client_id: &plan.client_id,
        properties: ConnectProperties {
            session_expiry_s: (is_v5 && !plan.is_clean).then_some(SESSION_EXPIRY_S),
            receive_max: is_v5.then_some(settings.window),
            ..ConnectProperties::default()
        },
        will: None,
        user_name: settings.username.as_deref(),
        password: settings.password.as_deref().map(str::as_bytes),
    };
    packet(settings.version, &Packet::Connect(connect))
}

pub(crate) fn subscribe(
    version: ProtocolVersion,
    plan: &SubscribePlan,
) -> Result<Option<Vec<u8>>, EncodeError> {
    let Some(filter) = &plan.filter else {
        return Ok(None);
    };
    let options = SubscriptionOptions {
        qos: plan.qos,
        no_local: false,
        retain_as_published: false,
        retain_handling: RetainHandling::Send,
    };
    let filters = [SubscribeFilter { filter, options }];
    let subscribe = Subscribe {
        packet_id: PacketId::MIN,
        subscription_id: None,
        user_properties: UserProperties::default(),
        filters: SubscribeFilters::from(&filters),
    };
    packet(version, &Packet::Subscribe(subscribe)).map(Some)
}

/// The bytes of DISCONNECT; the same in all versions.
pub(crate) fn disconnect() -> Result<Vec<u8>, EncodeError> {
    let disconnect = Disconnect {
        reason: ReasonCode::Success,
        properties: DisconnectProperties::default(),
    };
    packet(ProtocolVersion::V5, &Packet::Disconnect(disconnect))
}

fn packet(version: ProtocolVersion, packet: &Packet<'_>) -> Result<Vec<u8>, EncodeError> {
    let mut bytes = Vec::new();
    encode(&mut bytes, version, packet)?;
    Ok(bytes)
}

/// What a broker has said to CONNECT or SUBSCRIBE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// Receive Maximum, where the broker names one.
    Accepted {
        receive_max: Option<u16>,
    },
    Granted,
    Refused(ReasonCode),
    /// No packet that can be understood.
    Nonsense,
}

pub(crate) fn answer(version: ProtocolVersion, bytes: &[u8], wanted: QoS) -> Answer {
    let packet = match decode(bytes, version, PACKET_BYTES_MAX as u32) {
        Ok(Decoded::Packet { packet, .. }) => packet,
        Ok(Decoded::Incomplete { .. }) | Err(_) => return Answer::Nonsense,
    };
    match packet {
        Packet::ConnAck(connack) if connack.reason == ReasonCode::Success => Answer::Accepted {
            receive_max: connack.properties.receive_max,
        },
        Packet::ConnAck(connack) => Answer::Refused(connack.reason),
        Packet::SubAck(suback) => match suback.reasons.iter().next() {
            Some(reason) if reason == ReasonCode::from(wanted) => Answer::Granted,
            Some(reason) => Answer::Refused(reason),
            None => Answer::Nonsense,
        },
        Packet::Disconnect(disconnect) => Answer::Refused(disconnect.reason),
        _ => Answer::Nonsense,
    }
}
