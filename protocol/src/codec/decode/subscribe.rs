//! SUBSCRIBE and UNSUBSCRIBE.

use super::super::error::DecodeError;
use super::super::header::PacketKind;
use super::super::lists::{
    SubscribeFilters, SubscriptionOptions, UnsubscribeFilters, UserProperties,
};
use super::super::packet::{Subscribe, Unsubscribe};
use super::super::property::{Place, Property};
use super::super::wire::Reader;
use super::{read_packet_id, read_properties};
use crate::topic::SHARE_PREFIX;
use crate::types::ProtocolVersion;

pub(super) fn read_subscribe<'a>(
    version: ProtocolVersion,
    reader: &mut Reader<'a>,
) -> Result<Subscribe<'a>, DecodeError> {
    let packet_id = read_packet_id(reader)?;
    let mut subscription_id = None;
    let mut user_properties = UserProperties::default();
    if version == ProtocolVersion::V5 {
        let place = Place::Packet(PacketKind::Subscribe);
        user_properties = read_properties(reader, place, |property| {
            if let Property::SubscriptionIdentifier(id) = property {
                subscription_id = Some(id);
            }
        })?;
    }
    if reader.is_empty() {
        return Err(DecodeError::protocol(
            "MQTT-3.8.3-2",
            "SUBSCRIBE without topic filter",
        ));
    }
    let filters = reader.rest();
    while !reader.is_empty() {
        let filter = read_filter(reader)?;
        let options = read_options(reader.u8()?, version)?;
        if options.no_local && filter.starts_with(SHARE_PREFIX) {
            return Err(DecodeError::protocol(
                "MQTT-3.8.3-4",
                "no local on a shared subscription",
            ));
        }
    }
    Ok(Subscribe {
        packet_id,
        subscription_id,
        user_properties,
        filters: SubscribeFilters::from_wire(filters),
    })
}

pub(super) fn read_unsubscribe<'a>(
    version: ProtocolVersion,
    reader: &mut Reader<'a>,
) -> Result<Unsubscribe<'a>, DecodeError> {
    let packet_id = read_packet_id(reader)?;
    let user_properties = match version {
        ProtocolVersion::V5 => {
            let place = Place::Packet(PacketKind::Unsubscribe);
            read_properties(reader, place, |_| {})?
        }
        _ => UserProperties::default(),
    };
    if reader.is_empty() {
        return Err(DecodeError::protocol(
            "MQTT-3.10.3-2",
            "UNSUBSCRIBE without topic filter",
        ));
    }
    let filters = reader.rest();
    while !reader.is_empty() {
        read_filter(reader)?;
    }
    Ok(Unsubscribe {
        packet_id,
        user_properties,
        filters: UnsubscribeFilters::from_wire(filters),
    })
}

fn read_filter<'a>(reader: &mut Reader<'a>) -> Result<&'a str, DecodeError> {
    let filter = reader.string()?;
    if filter.is_empty() {
        return Err(DecodeError::protocol(
            "MQTT-4.7.3-1",
            "a topic filter is empty",
        ));
    }
    Ok(filter)
}

fn read_options(byte: u8, version: ProtocolVersion) -> Result<SubscriptionOptions, DecodeError> {
    let reserved = match version {
        ProtocolVersion::V5 => 0b1100_0000,
        _ => 0b1111_1100,
    };
    if byte & reserved != 0 {
        return Err(DecodeError::malformed(
            "MQTT-3.8.3-5",
            "reserved subscription options are set",
        ));
    }
    SubscriptionOptions::from_byte(byte)
        .ok_or_else(|| DecodeError::protocol("3.8.3.1", "the QoS or the retain handling is 3"))
}
