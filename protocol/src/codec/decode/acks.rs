//! Everything that answers: CONNACK, PUBACK, PUBREC, PUBREL, PUBCOMP, SUBACK,
//! UNSUBACK.

use super::super::error::DecodeError;
use super::super::header::PacketKind;
use super::super::lists::ReasonCodes;
use super::super::packet::{Ack, AckProperties, ConnAck, ConnAckProperties, SubAck, UnsubAck};
use super::super::property::{Place, Property};
use super::super::reason::{from_v3_return_code, read_reason};
use super::super::wire::Reader;
use super::{read_packet_id, read_properties};
use crate::types::{ProtocolVersion, ReasonCode};

pub(super) fn read_ack<'a>(
    kind: PacketKind,
    version: ProtocolVersion,
    reader: &mut Reader<'a>,
) -> Result<Ack<'a>, DecodeError> {
    let mut ack = Ack::new(read_packet_id(reader)?, ReasonCode::Success);
    // The short forms leave out the properties, then the reason code (section
    // 3.4.2.1); before MQTT 5.0 there is neither.
    if version == ProtocolVersion::V5 && !reader.is_empty() {
        ack.reason = read_reason(kind, reader.u8()?)?;
        if !reader.is_empty() {
            ack.properties = read_ack_properties(kind, reader)?;
        }
    }
    Ok(ack)
}

fn read_ack_properties<'a>(
    kind: PacketKind,
    reader: &mut Reader<'a>,
) -> Result<AckProperties<'a>, DecodeError> {
    let mut reason_string = None;
    let user_properties = read_properties(reader, Place::Packet(kind), |property| {
        if let Property::ReasonString(text) = property {
            reason_string = Some(text);
        }
    })?;
    Ok(AckProperties {
        reason_string,
        user_properties,
    })
}

pub(super) fn read_suback<'a>(
    version: ProtocolVersion,
    reader: &mut Reader<'a>,
) -> Result<SubAck<'a>, DecodeError> {
    let packet_id = read_packet_id(reader)?;
    let properties = match version {
        ProtocolVersion::V5 => read_ack_properties(PacketKind::SubAck, reader)?,
        _ => AckProperties::default(),
    };
    let codes = reader.bytes(reader.len())?;
    for code in codes {
        let known = match version {
            ProtocolVersion::V5 => read_reason(PacketKind::SubAck, *code).is_ok(),
            _ => matches!(code, 0..=2 | 0x80),
        };
        if !known {
            return Err(DecodeError::protocol(
                "MQTT-3.9.3-2",
                "SUBACK may not carry this reason code",
            ));
        }
    }
    Ok(SubAck {
        packet_id,
        properties,
        reasons: ReasonCodes::from_wire(codes),
    })
}

pub(super) fn read_unsuback<'a>(
    version: ProtocolVersion,
    reader: &mut Reader<'a>,
) -> Result<UnsubAck<'a>, DecodeError> {
    let packet_id = read_packet_id(reader)?;
    if version != ProtocolVersion::V5 {
        return Ok(UnsubAck {
            packet_id,
            properties: AckProperties::default(),
            reasons: ReasonCodes::default(),
        });
    }
    let properties = read_ack_properties(PacketKind::UnsubAck, reader)?;
    let codes = reader.bytes(reader.len())?;
    for code in codes {
        read_reason(PacketKind::UnsubAck, *code)?;
    }
    Ok(UnsubAck {
        packet_id,
        properties,
        reasons: ReasonCodes::from_wire(codes),
    })
}

pub(super) fn read_connack<'a>(
    version: ProtocolVersion,
    reader: &mut Reader<'a>,
) -> Result<ConnAck<'a>, DecodeError> {
    let flags = reader.u8()?;
    // MQTT 3.1 calls this byte unused.
    if flags > 1 && version != ProtocolVersion::V3 {
        return Err(DecodeError::malformed(
            "MQTT-3.2.2-1",
            "reserved connect acknowledge flags are set",
        ));
    }
    let session_present = flags == 1 && version != ProtocolVersion::V3;
    let code = reader.u8()?;
    let (reason, properties) = match version {
        ProtocolVersion::V5 => (
            read_reason(PacketKind::ConnAck, code)?,
            read_connack_properties(reader)?,
        ),
        _ => (from_v3_return_code(code)?, ConnAckProperties::default()),
    };
    if session_present && reason != ReasonCode::Success {
        return Err(DecodeError::protocol(
            "MQTT-3.2.2-6",
            "session present although the connection is refused",
        ));
    }
    Ok(ConnAck {
        session_present,
        reason,
        properties,
    })
}

fn read_connack_properties<'a>(
    reader: &mut Reader<'a>,
) -> Result<ConnAckProperties<'a>, DecodeError> {
    let mut found = ConnAckProperties::default();
    let place = Place::Packet(PacketKind::ConnAck);
    let user_properties = read_properties(reader, place, |property| match property {
        Property::SessionExpiryInterval(value) => found.session_expiry_s = Some(value),
        Property::ReceiveMaximum(value) => found.receive_max = Some(value),
        Property::MaximumQoS(qos) => found.qos_max = Some(qos),
        Property::RetainAvailable(value) => found.retain_available = Some(value),
        Property::MaximumPacketSize(value) => found.packet_size_max = Some(value),
        Property::AssignedClientIdentifier(text) => found.assigned_client_id = Some(text),
        Property::TopicAliasMaximum(value) => found.topic_alias_max = Some(value),
        Property::ReasonString(text) => found.reason_string = Some(text),
        Property::WildcardSubscriptionAvailable(value) => {
            found.wildcard_subscription_available = Some(value);
        }
        Property::SubscriptionIdentifierAvailable(value) => {
            found.subscription_ids_available = Some(value);
        }
        Property::SharedSubscriptionAvailable(value) => {
            found.shared_subscription_available = Some(value);
        }
        Property::ServerKeepAlive(value) => found.server_keep_alive_s = Some(value),
        Property::ResponseInformation(text) => found.response_information = Some(text),
        Property::ServerReference(text) => found.server_reference = Some(text),
        Property::AuthenticationMethod(text) => found.authentication_method = Some(text),
        Property::AuthenticationData(data) => found.authentication_data = Some(data),
        _ => {}
    })?;
    found.user_properties = user_properties;
    Ok(found)
}
