//! The bodies of packets: everything behind the fixed header. Written to any
//! sink, so that counting and writing cannot differ.

use super::super::error::EncodeError;
use super::super::lists::UserProperties;
use super::super::packet::{
    Ack, AckProperties, Auth, ConnAck, Connect, Disconnect, Packet, Publish, SubAck, Subscribe,
    UnsubAck, Unsubscribe, Will,
};
use super::super::property::Property;
use super::super::reason::v3_return_code;
use super::super::wire::{Count, Sink};
use crate::types::{ProtocolVersion, QoS, ReasonCode};

type Written = Result<(), EncodeError>;

pub(super) fn first_byte(packet: &Packet<'_>) -> u8 {
    let flags = match packet {
        Packet::Publish(publish) => {
            u8::from(publish.dup) << 3 | (publish.qos as u8) << 1 | u8::from(publish.retain)
        }
        _ => 0,
    };
    packet.kind().first_byte() | flags
}

pub(super) fn write<S: Sink>(
    sink: &mut S,
    version: ProtocolVersion,
    packet: &Packet<'_>,
) -> Written {
    match packet {
        Packet::Connect(connect) => write_connect(sink, connect),
        Packet::ConnAck(connack) => write_connack(sink, version, connack),
        Packet::Publish(publish) => write_publish(sink, version, publish),
        Packet::PubAck(ack) | Packet::PubRec(ack) | Packet::PubRel(ack) | Packet::PubComp(ack) => {
            write_ack(sink, version, ack)
        }
        Packet::Subscribe(subscribe) => write_subscribe(sink, version, subscribe),
        Packet::SubAck(suback) => write_suback(sink, version, suback),
        Packet::Unsubscribe(unsubscribe) => write_unsubscribe(sink, version, unsubscribe),
        Packet::UnsubAck(unsuback) => write_unsuback(sink, version, unsuback),
        Packet::PingReq | Packet::PingResp => Ok(()),
        Packet::Disconnect(disconnect) => write_disconnect(sink, version, disconnect),
        Packet::Auth(auth) => write_auth(sink, version, auth),
    }
}

/// Collects properties in a sink; what is none is left out.
struct Properties<'s, S>(&'s mut S);

impl<S: Sink> Properties<'_, S> {
    fn put(&mut self, property: Property<'_>) -> Written {
        property.write(self.0)
    }

    fn add<T>(&mut self, value: Option<T>, make: impl FnOnce(T) -> Property<'static>) -> Written {
        value.map_or(Ok(()), |value| self.put(make(value)))
    }

    fn text<'a>(
        &mut self,
        value: Option<&'a str>,
        make: impl FnOnce(&'a str) -> Property<'a>,
    ) -> Written {
        value.map_or(Ok(()), |value| self.put(make(value)))
    }

    fn data<'a>(
        &mut self,
        value: Option<&'a [u8]>,
        make: impl FnOnce(&'a [u8]) -> Property<'a>,
    ) -> Written {
        value.map_or(Ok(()), |value| self.put(make(value)))
    }

    fn users(&mut self, list: &UserProperties<'_>) -> Written {
        list.iter()
            .try_for_each(|(name, value)| self.put(Property::UserProperty(name, value)))
    }
}

/// What writes the properties of one packet, to any sink.
trait Block {
    fn write<S: Sink>(&self, to: &mut Properties<'_, S>) -> Written;

    fn size(&self) -> Result<usize, EncodeError> {
        let mut count = Count::default();
        self.write(&mut Properties(&mut count))?;
        Ok(count.0)
    }

    /// Length and properties.
    fn write_block<S: Sink>(&self, sink: &mut S) -> Written {
        sink.varint(self.size()?)
            .map_err(|_| EncodeError::PacketTooLarge)?;
        self.write(&mut Properties(sink))
    }
}

impl Block for UserProperties<'_> {
    fn write<S: Sink>(&self, to: &mut Properties<'_, S>) -> Written {
        to.users(self)
    }
}

impl Block for AckProperties<'_> {
    fn write<S: Sink>(&self, to: &mut Properties<'_, S>) -> Written {
        to.text(self.reason_string, Property::ReasonString)?;
        to.users(&self.user_properties)
    }
}

impl Block for Connect<'_> {
    fn write<S: Sink>(&self, to: &mut Properties<'_, S>) -> Written {
        let from = &self.properties;
        to.add(from.session_expiry_s, Property::SessionExpiryInterval)?;
        to.add(from.receive_max, Property::ReceiveMaximum)?;
        to.add(from.packet_size_max, Property::MaximumPacketSize)?;
        to.add(from.topic_alias_max, Property::TopicAliasMaximum)?;
        to.add(
            from.request_response_information,
            Property::RequestResponseInformation,
        )?;
        to.add(
            from.request_problem_information,
            Property::RequestProblemInformation,
        )?;
        to.text(from.authentication_method, Property::AuthenticationMethod)?;
        to.data(from.authentication_data, Property::AuthenticationData)?;
        to.users(&from.user_properties)
    }
}

impl Block for Will<'_> {
    fn write<S: Sink>(&self, to: &mut Properties<'_, S>) -> Written {
        to.add(self.delay_s, Property::WillDelayInterval)?;
        to.add(self.message_expiry, Property::MessageExpiryInterval)?;
        self.forwarded.pieces().for_each(|piece| to.0.put(piece));
        Ok(())
    }
}

impl Block for ConnAck<'_> {
    fn write<S: Sink>(&self, to: &mut Properties<'_, S>) -> Written {
        let from = &self.properties;
        to.add(from.session_expiry_s, Property::SessionExpiryInterval)?;
        to.add(from.receive_max, Property::ReceiveMaximum)?;
        to.add(from.qos_max, Property::MaximumQoS)?;
        to.add(from.retain_available, Property::RetainAvailable)?;
        to.add(from.packet_size_max, Property::MaximumPacketSize)?;
        to.text(from.assigned_client_id, Property::AssignedClientIdentifier)?;
        to.add(from.topic_alias_max, Property::TopicAliasMaximum)?;
        to.text(from.reason_string, Property::ReasonString)?;
        to.users(&from.user_properties)?;
        to.add(
            from.wildcard_subscription_available,
            Property::WildcardSubscriptionAvailable,
        )?;
        to.add(
            from.subscription_ids_available,
            Property::SubscriptionIdentifierAvailable,
        )?;
        to.add(
            from.shared_subscription_available,
            Property::SharedSubscriptionAvailable,
        )?;
        to.add(from.server_keep_alive_s, Property::ServerKeepAlive)?;
        to.text(from.response_information, Property::ResponseInformation)?;
        to.text(from.server_reference, Property::ServerReference)?;
        to.text(from.authentication_method, Property::AuthenticationMethod)?;
        to.data(from.authentication_data, Property::AuthenticationData)
    }
}

impl Block for Publish<'_> {
    fn write<S: Sink>(&self, to: &mut Properties<'_, S>) -> Written {
        let from = &self.properties;
        to.add(from.topic_alias, Property::TopicAlias)?;
        to.add(from.message_expiry, Property::MessageExpiryInterval)?;
        for id in &from.subscription_ids {
            to.put(Property::SubscriptionIdentifier(id))?;
        }
        from.forwarded.pieces().for_each(|piece| to.0.put(piece));
        Ok(())
    }
}

impl Block for Subscribe<'_> {
    fn write<S: Sink>(&self, to: &mut Properties<'_, S>) -> Written {
        to.add(self.subscription_id, Property::SubscriptionIdentifier)?;
        to.users(&self.user_properties)
    }
}

impl Block for Disconnect<'_> {
    fn write<S: Sink>(&self, to: &mut Properties<'_, S>) -> Written {
        let from = &self.properties;
        to.add(from.session_expiry_s, Property::SessionExpiryInterval)?;
        to.text(from.reason_string, Property::ReasonString)?;
        to.users(&from.user_properties)?;
        to.text(from.server_reference, Property::ServerReference)
    }
}

impl Block for Auth<'_> {
    fn write<S: Sink>(&self, to: &mut Properties<'_, S>) -> Written {
        let from = &self.properties;
        to.text(from.authentication_method, Property::AuthenticationMethod)?;
        to.data(from.authentication_data, Property::AuthenticationData)?;
        to.text(from.reason_string, Property::ReasonString)?;
        to.users(&from.user_properties)
    }
}

fn write_connect<S: Sink>(sink: &mut S, connect: &Connect<'_>) -> Written {
    let name = match connect.version {
        ProtocolVersion::V3 => "MQIsdp",
        _ => "MQTT",
    };
    sink.string(name)?;
    sink.u8(connect.version as u8);
    let mut flags = u8::from(connect.user_name.is_some()) << 7
        | u8::from(connect.password.is_some()) << 6
        | u8::from(connect.clean_start) << 1;
    if let Some(will) = &connect.will {
        flags |= u8::from(will.retain) << 5 | (will.qos as u8) << 3 | 0b100;
    }
    sink.u8(flags);
    sink.u16(connect.keep_alive_s);
    if connect.version == ProtocolVersion::V5 {
        connect.write_block(sink)?;
    }
    sink.string(connect.client_id)?;
    if let Some(will) = &connect.will {
        if connect.version == ProtocolVersion::V5 {
            will.write_block(sink)?;
        }
        sink.string(will.topic)?;
        sink.binary(will.payload)?;
    }
    if let Some(user_name) = connect.user_name {
        sink.string(user_name)?;
    }
    match connect.password {
        Some(password) => sink.binary(password),
        None => Ok(()),
    }
}

fn write_connack<S: Sink>(
    sink: &mut S,
    version: ProtocolVersion,
    connack: &ConnAck<'_>,
) -> Written {
    // MQTT 3.1 has no session present flag.
    sink.u8(u8::from(
        connack.session_present && version != ProtocolVersion::V3,
    ));
    match version {
        ProtocolVersion::V5 => {
            sink.u8(connack.reason.value());
            connack.write_block(sink)
        }
        _ => {
            sink.u8(v3_return_code(connack.reason));
            Ok(())
        }
    }
}

fn write_publish<S: Sink>(
    sink: &mut S,
    version: ProtocolVersion,
    publish: &Publish<'_>,
) -> Written {
    sink.string(publish.topic)?;
    match (publish.qos, publish.packet_id) {
        (QoS::AtMostOnce, _) => {}
        (_, Some(packet_id)) => sink.u16(packet_id.get()),
        (_, None) => return Err(EncodeError::PacketIdMissing),
    }
    if version == ProtocolVersion::V5 {
        publish.write_block(sink)?;
    }
    sink.put(publish.payload);
    Ok(())
}

fn write_ack<S: Sink>(sink: &mut S, version: ProtocolVersion, ack: &Ack<'_>) -> Written {
    sink.u16(ack.packet_id.get());
    if version != ProtocolVersion::V5 {
        return match ack.reason.is_error() {
            true => Err(EncodeError::NotInVersion),
            false => Ok(()),
        };
    }
    let plain = ack.properties.size()? == 0;
    if !(plain && ack.reason == ReasonCode::Success) {
        sink.u8(ack.reason.value());
    }
    if !plain {
        ack.properties.write_block(sink)?;
    }
    Ok(())
}

fn write_subscribe<S: Sink>(
    sink: &mut S,
    version: ProtocolVersion,
    subscribe: &Subscribe<'_>,
) -> Written {
    sink.u16(subscribe.packet_id.get());
    if version == ProtocolVersion::V5 {
        subscribe.write_block(sink)?;
    }
    for item in &subscribe.filters {
        sink.string(item.filter)?;
        sink.u8(match version {
            ProtocolVersion::V5 => item.options.to_byte(),
            _ => item.options.qos as u8,
        });
    }
    Ok(())
}

fn write_suback<S: Sink>(sink: &mut S, version: ProtocolVersion, suback: &SubAck<'_>) -> Written {
    sink.u16(suback.packet_id.get());
    if version == ProtocolVersion::V5 {
        suback.properties.write_block(sink)?;
    }
    for reason in &suback.reasons {
        sink.u8(match version {
            // MQTT 3.1.1 knows one failure [MQTT-3.9.3-2].
            ProtocolVersion::V3 | ProtocolVersion::V4 if reason.is_error() => 0x80,
            _ => reason.value(),
        });
    }
    Ok(())
}

fn write_unsubscribe<S: Sink>(
    sink: &mut S,
    version: ProtocolVersion,
    unsubscribe: &Unsubscribe<'_>,
) -> Written {
    sink.u16(unsubscribe.packet_id.get());
    if version == ProtocolVersion::V5 {
        unsubscribe.user_properties.write_block(sink)?;
    }
    unsubscribe
        .filters
        .iter()
        .try_for_each(|filter| sink.string(filter))
}

fn write_unsuback<S: Sink>(
    sink: &mut S,
    version: ProtocolVersion,
    unsuback: &UnsubAck<'_>,
) -> Written {
    sink.u16(unsuback.packet_id.get());
    if version == ProtocolVersion::V5 {
        unsuback.properties.write_block(sink)?;
        unsuback
            .reasons
            .iter()
            .for_each(|reason| sink.u8(reason.value()));
    }
    Ok(())
}

fn write_disconnect<S: Sink>(
    sink: &mut S,
    version: ProtocolVersion,
    disconnect: &Disconnect<'_>,
) -> Written {
    if version != ProtocolVersion::V5 {
        return match disconnect.reason {
            ReasonCode::Success => Ok(()),
            _ => Err(EncodeError::NotInVersion),
        };
    }
    let plain = disconnect.size()? == 0;
    if !(plain && disconnect.reason == ReasonCode::Success) {
        sink.u8(disconnect.reason.value());
    }
    if !plain {
        disconnect.write_block(sink)?;
    }
    Ok(())
}

fn write_auth<S: Sink>(sink: &mut S, version: ProtocolVersion, auth: &Auth<'_>) -> Written {
    if version != ProtocolVersion::V5 {
        return Err(EncodeError::NotInVersion);
    }
    if auth.size()? == 0 && auth.reason == ReasonCode::Success {
        return Ok(());
    }
    sink.u8(auth.reason.value());
    auth.write_block(sink)
}
