//! PUBLISH.

use super::super::error::DecodeError;
use super::super::forwarded::Extent;
use super::super::header::PacketKind;
use super::super::lists::SubscriptionIds;
use super::super::packet::{Publish, PublishProperties};
use super::super::property::{Place, Property, check_block};
use super::super::wire::Reader;
use super::{read_packet_id, take_block};
use crate::topic;
use crate::types::{ProtocolVersion, QoS, ReasonCode};

pub(super) fn read<'a>(
    flags: u8,
    version: ProtocolVersion,
    reader: &mut Reader<'a>,
) -> Result<Publish<'a>, DecodeError> {
    let dup = flags & 0b1000 != 0;
    let retain = flags & 0b0001 != 0;
    let qos = QoS::try_from(flags >> 1 & 0b11)
        .map_err(|_| DecodeError::malformed("MQTT-3.3.1-4", "both QoS bits are set"))?;
    // MQTT 3.1 says nothing about DUP at QoS 0.
    if dup && qos == QoS::AtMostOnce && version != ProtocolVersion::V3 {
        return Err(DecodeError::protocol("MQTT-3.3.1-2", "DUP is set at QoS 0"));
    }
    let topic = reader.string()?;
    if topic::has_wildcard(topic) {
        return Err(DecodeError::new(
            ReasonCode::TopicNameInvalid,
            "MQTT-3.3.2-2",
            "the topic name holds a wildcard",
        ));
    }
    let packet_id = match qos {
        QoS::AtMostOnce => None,
        _ => Some(read_packet_id(reader)?),
    };
    let properties = match version {
        ProtocolVersion::V5 => read_publish_properties(reader)?,
        _ => PublishProperties::default(),
    };
    if topic.is_empty() && properties.topic_alias.is_none() {
        return Err(match version {
            ProtocolVersion::V5 => {
                DecodeError::protocol("3.3.2.1", "neither topic name nor topic alias")
            }
            _ => DecodeError::new(
                ReasonCode::TopicNameInvalid,
                "MQTT-4.7.3-1",
                "the topic name is empty",
            ),
        });
    }
    let payload = reader.bytes(reader.len())?;
    Ok(Publish {
        dup,
        qos,
        retain,
        topic,
        packet_id,
        properties,
        payload,
    })
}

fn read_publish_properties<'a>(
    reader: &mut Reader<'a>,
) -> Result<PublishProperties<'a>, DecodeError> {
    let block = take_block(reader)?;
    let mut properties = PublishProperties::default();
    if block.is_empty() {
        return Ok(properties);
    }
    let mut extent = Extent::default();
    check_block(
        block,
        Place::Packet(PacketKind::Publish),
        |property, bytes| {
            extent.add(&property, bytes);
            match property {
                Property::TopicAlias(alias) => properties.topic_alias = Some(alias),
                Property::MessageExpiryInterval(value) => properties.message_expiry = Some(value),
                Property::SubscriptionIdentifier(_) => {
                    properties.subscription_ids = SubscriptionIds::from_wire(block);
                }
                _ => {}
            }
        },
    )?;
    properties.forwarded = extent.of(block);
    Ok(properties)
}
