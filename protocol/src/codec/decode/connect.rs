//! CONNECT.

use super::super::error::DecodeError;
use super::super::forwarded::Extent;
use super::super::header::PacketKind;
use super::super::packet::{Connect, ConnectProperties, Will};
use super::super::property::{Place, Property, check_block};
use super::super::wire::{NOT_MINIMAL, Reader};
use super::{read_properties, take_block};
use crate::topic;
use crate::types::{ProtocolVersion, QoS, ReasonCode};

/// The connect flags (section 3.1.2.3).
struct Flags(u8);

impl Flags {
    const fn has(&self, bit: u8) -> bool {
        self.0 & 1 << bit != 0
    }

    const fn will(&self) -> bool {
        self.has(2)
    }

    const fn user_name(&self) -> bool {
        self.has(7)
    }

    const fn password(&self) -> bool {
        self.has(6)
    }

    fn will_qos(&self) -> Result<QoS, DecodeError> {
        QoS::try_from(self.0 >> 3 & 0b11)
            .map_err(|_| DecodeError::malformed("MQTT-3.1.2-12", "the will QoS is 3"))
    }

    fn check(&self, version: ProtocolVersion) -> Result<(), DecodeError> {
        // MQTT 3.1 calls bit 0 unused.
        if self.has(0) && version != ProtocolVersion::V3 {
            return Err(DecodeError::malformed(
                "MQTT-3.1.2-3",
                "the reserved connect flag is set",
            ));
        }
        let will_qos = self.will_qos()?;
        if !self.will() && will_qos != QoS::AtMostOnce {
            return Err(DecodeError::malformed(
                "MQTT-3.1.2-11",
                "a will QoS without will flag",
            ));
        }
        if !self.will() && self.has(5) {
            return Err(DecodeError::malformed(
                "MQTT-3.1.2-13",
                "will retain without will flag",
            ));
        }
        if self.password() && !self.user_name() && version != ProtocolVersion::V5 {
            return Err(DecodeError::malformed(
                "MQTT-3.1.1 MQTT-3.1.2-22",
                "a password without user name",
            ));
        }
        Ok(())
    }
}

pub(super) fn read<'a>(
    minimal_length: bool,
    reader: &mut Reader<'a>,
) -> Result<Connect<'a>, DecodeError> {
    let version = read_version(reader)?;
    if version == ProtocolVersion::V5 && !minimal_length {
        return Err(NOT_MINIMAL);
    }
    let flags = Flags(reader.u8()?);
    flags.check(version)?;
    let keep_alive_s = reader.u16()?;
    let properties = match version {
        ProtocolVersion::V5 => read_connect_properties(reader)?,
        _ => ConnectProperties::default(),
    };
    let client_id = reader.string()?;
    let will = match flags.will() {
        true => Some(read_will(&flags, version, reader)?),
        false => None,
    };
    // In MQTT 3.1 the Remaining Length takes precedence over these flags: what
    // is flagged may be missing (section 3.1 there).
    let there = |reader: &Reader<'_>| version != ProtocolVersion::V3 || !reader.is_empty();
    let user_name = match flags.user_name() && there(reader) {
        true => Some(reader.string()?),
        false => None,
    };
    let password = match flags.password() && there(reader) {
        true => Some(reader.binary()?),
        false => None,
    };
    Ok(Connect {
        version,
        clean_start: flags.has(1),
        keep_alive_s,
        client_id,
        properties,
        will,
        user_name,
        password,
    })
}

/// Protocol Name and Protocol Version.
pub(super) fn read_version(reader: &mut Reader<'_>) -> Result<ProtocolVersion, DecodeError> {
    let name = reader.string()?;
    let level = reader.u8()?;
    match (name, level) {
        ("MQTT", 5) => Ok(ProtocolVersion::V5),
        ("MQTT", 4) => Ok(ProtocolVersion::V4),
        ("MQIsdp", 3) => Ok(ProtocolVersion::V3),
        ("MQTT" | "MQIsdp", _) => Err(DecodeError::new(
            ReasonCode::UnsupportedProtocolVersion,
            "MQTT-3.1.2-2",
            "the protocol version is not supported",
        )),
        _ => Err(DecodeError::new(
            ReasonCode::UnsupportedProtocolVersion,
            "MQTT-3.1.2-1",
            "the protocol name is not MQTT",
        )),
    }
}

fn read_connect_properties<'a>(
    reader: &mut Reader<'a>,
) -> Result<ConnectProperties<'a>, DecodeError> {
    let mut found = ConnectProperties::default();
    let place = Place::Packet(PacketKind::Connect);
    let user_properties = read_properties(reader, place, |property| match property {
        Property::SessionExpiryInterval(value) => found.session_expiry_s = Some(value),
        Property::ReceiveMaximum(value) => found.receive_max = Some(value),
        Property::MaximumPacketSize(value) => found.packet_size_max = Some(value),
        Property::TopicAliasMaximum(value) => found.topic_alias_max = Some(value),
        Property::RequestResponseInformation(value) => {
            found.request_response_information = Some(value);
        }
        Property::RequestProblemInformation(value) => {
            found.request_problem_information = Some(value);
        }
        Property::AuthenticationMethod(text) => found.authentication_method = Some(text),
        Property::AuthenticationData(data) => found.authentication_data = Some(data),
        _ => {}
    })?;
    found.user_properties = user_properties;
    if found.authentication_data.is_some() && found.authentication_method.is_none() {
        return Err(DecodeError::protocol(
            "3.1.2.11.10",
            "authentication data without method",
        ));
    }
    Ok(found)
}

fn read_will<'a>(
    flags: &Flags,
    version: ProtocolVersion,
    reader: &mut Reader<'a>,
) -> Result<Will<'a>, DecodeError> {
    let mut delay_s = None;
    let mut message_expiry = None;
    let mut extent = Extent::default();
    let mut block: &[u8] = &[];
    if version == ProtocolVersion::V5 {
        block = take_block(reader)?;
        check_block(block, Place::Will, |property, bytes| {
            extent.add(&property, bytes);
            match property {
                Property::WillDelayInterval(value) => delay_s = Some(value),
                Property::MessageExpiryInterval(value) => message_expiry = Some(value),
                _ => {}
            }
        })?;
    }
    let topic = reader.string()?;
    topic::validate_topic_name(topic).map_err(|_| {
        DecodeError::new(
            ReasonCode::TopicNameInvalid,
            "4.7",
            "the will topic is not a topic name",
        )
    })?;
    Ok(Will {
        qos: flags.will_qos()?,
        retain: flags.has(5),
        topic,
        delay_s,
        message_expiry,
        forwarded: extent.of(block),
        payload: reader.binary()?,
    })
}
