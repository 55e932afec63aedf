//! The 27 properties of MQTT 5.0 (section 2.2.2): their types, where each is
//! allowed, what values it may have.
//!
//! Invariants
//! 1. A block is checked whole once (`check_block`); walking it afterwards
//!    cannot fail.

use super::error::{DecodeError, EncodeError};
use super::header::PacketKind;
use super::wire::{Reader, Sink};
use crate::topic;
use crate::types::{QoS, ReasonCode};

/// A property with its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Property<'a> {
    /// Whether the payload is UTF-8 text.
    PayloadFormatIndicator(bool),
    /// Lifetime of the message, seconds.
    MessageExpiryInterval(u32),
    /// MIME type or the like.
    ContentType(&'a str),
    /// Where a response is wanted.
    ResponseTopic(&'a str),
    /// What tells the requester which request a response is for.
    CorrelationData(&'a [u8]),
    /// Number of the subscription.
    SubscriptionIdentifier(u32),
    /// Lifetime of the session after the connection, seconds.
    SessionExpiryInterval(u32),
    /// Client Identifier the server chose.
    AssignedClientIdentifier(&'a str),
    /// Keep Alive the server demands, seconds.
    ServerKeepAlive(u16),
    /// Name of the authentication method.
    AuthenticationMethod(&'a str),
    /// Data of the authentication method.
    AuthenticationData(&'a [u8]),
    /// Whether reason strings and user properties are wanted.
    RequestProblemInformation(bool),
    /// Delay of the will, seconds.
    WillDelayInterval(u32),
    /// Whether response information is wanted.
    RequestResponseInformation(bool),
    /// Base of response topics.
    ResponseInformation(&'a str),
    /// Another server.
    ServerReference(&'a str),
    /// What happened, for people.
    ReasonString(&'a str),
    /// Unacknowledged QoS 1 and 2 publishes the sender of this can take.
    ReceiveMaximum(u16),
    /// Highest topic alias the sender of this can take.
    TopicAliasMaximum(u16),
    /// Number that stands for the topic.
    TopicAlias(u16),
    /// Highest QoS the server supports: 0 or 1.
    MaximumQoS(QoS),
    /// Whether the server supports retained messages.
    RetainAvailable(bool),
    /// Name and value.
    UserProperty(&'a str, &'a str),
    /// Largest packet the sender of this can take, bytes.
    MaximumPacketSize(u32),
    /// Whether the server supports wildcard subscriptions.
    WildcardSubscriptionAvailable(bool),
    /// Whether the server supports subscription identifiers.
    SubscriptionIdentifierAvailable(bool),
    /// Whether the server supports shared subscriptions.
    SharedSubscriptionAvailable(bool),
}

/// Where a block of properties stands: the packet, or the will in CONNECT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Packet(PacketKind),
    Will,
}

impl Place {
    const fn bit(self) -> u16 {
        match self {
            Self::Packet(kind) => 1 << kind as u8,
            Self::Will => 1,
        }
    }
}

const fn only(kinds: &[PacketKind]) -> u16 {
    let mut mask = 0;
    let mut at = 0;
    while at < kinds.len() {
        mask |= Place::Packet(kinds[at]).bit();
        at += 1;
    }
    mask
}

const USER_PROPERTY: u8 = 0x26;
const SUBSCRIPTION_IDENTIFIER: u8 = 0x0B;

/// Where a property may stand (table 2-4); none if there is no such property.
const fn allowed_places(id: u8) -> Option<u16> {
    use PacketKind::{
        Auth, ConnAck, Connect, Disconnect, PubAck, PubComp, PubRec, PubRel, Publish, SubAck,
        Subscribe, UnsubAck, Unsubscribe,
    };
    Some(match id {
        0x01 | 0x02 | 0x03 | 0x08 | 0x09 => only(&[Publish]) | Place::Will.bit(),
        SUBSCRIPTION_IDENTIFIER => only(&[Publish, Subscribe]),
        0x11 => only(&[Connect, ConnAck, Disconnect]),
        0x12 | 0x13 | 0x1A | 0x24 | 0x25 | 0x28 | 0x29 | 0x2A => only(&[ConnAck]),
        0x15 | 0x16 => only(&[Connect, ConnAck, Auth]),
        0x17 | 0x19 => only(&[Connect]),
        0x18 => Place::Will.bit(),
        0x1C => only(&[ConnAck, Disconnect]),
        0x1F => only(&[
            ConnAck, PubAck, PubRec, PubRel, PubComp, SubAck, UnsubAck, Disconnect, Auth,
        ]),
        0x21 | 0x22 | 0x27 => only(&[Connect, ConnAck]),
        0x23 => only(&[Publish]),
        USER_PROPERTY => {
            only(&[
                Connect,
                ConnAck,
                Publish,
                PubAck,
                PubRec,
                PubRel,
                PubComp,
                Subscribe,
                SubAck,
                Unsubscribe,
                UnsubAck,
                Disconnect,
                Auth,
            ]) | Place::Will.bit()
        }
        _ => return None,
    })
}

/// Whether a server passes a property of a PUBLISH on as it is.
const fn is_forwarded(id: u8) -> bool {
    matches!(id, 0x01 | 0x03 | 0x08 | 0x09 | USER_PROPERTY)
}

const NOT_BOOLEAN: DecodeError =
    DecodeError::protocol("2.2.2.2", "a property that is 0 or 1 has another value");

fn boolean(value: u8) -> Result<bool, DecodeError> {
    match value {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(NOT_BOOLEAN),
    }
}

fn unequal_zero<T: Default + PartialEq>(
    value: T,
    clause: &'static str,
    text: &'static str,
) -> Result<T, DecodeError> {
    if value == T::default() {
        return Err(DecodeError::protocol(clause, text));
    }
    Ok(value)
}

impl<'a> Property<'a> {
    /// The Property Identifier (table 2-4).
    pub const fn id(&self) -> u8 {
        match self {
            Self::PayloadFormatIndicator(_) => 0x01,
            Self::MessageExpiryInterval(_) => 0x02,
            Self::ContentType(_) => 0x03,
            Self::ResponseTopic(_) => 0x08,
            Self::CorrelationData(_) => 0x09,
            Self::SubscriptionIdentifier(_) => SUBSCRIPTION_IDENTIFIER,
            Self::SessionExpiryInterval(_) => 0x11,
            Self::AssignedClientIdentifier(_) => 0x12,
            Self::ServerKeepAlive(_) => 0x13,
            Self::AuthenticationMethod(_) => 0x15,
            Self::AuthenticationData(_) => 0x16,
            Self::RequestProblemInformation(_) => 0x17,
            Self::WillDelayInterval(_) => 0x18,
            Self::RequestResponseInformation(_) => 0x19,
            Self::ResponseInformation(_) => 0x1A,
            Self::ServerReference(_) => 0x1C,
            Self::ReasonString(_) => 0x1F,
            Self::ReceiveMaximum(_) => 0x21,
            Self::TopicAliasMaximum(_) => 0x22,
            Self::TopicAlias(_) => 0x23,
            Self::MaximumQoS(_) => 0x24,
            Self::RetainAvailable(_) => 0x25,
            Self::UserProperty(..) => USER_PROPERTY,
            Self::MaximumPacketSize(_) => 0x27,
            Self::WildcardSubscriptionAvailable(_) => 0x28,
            Self::SubscriptionIdentifierAvailable(_) => 0x29,
            Self::SharedSubscriptionAvailable(_) => 0x2A,
        }
    }

    /// Whether a server passes this property of a PUBLISH on as it is
    /// [MQTT-3.3.2-4], [MQTT-3.3.2-15], [MQTT-3.3.2-16], [MQTT-3.3.2-17],
    /// [MQTT-3.3.2-20].
    pub const fn is_forwarded(&self) -> bool {
        is_forwarded(self.id())
    }

    /// Reads one property and checks its value.
    fn read(reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        Ok(match reader.varint()? {
            0x01 => Self::PayloadFormatIndicator(boolean(reader.u8()?)?),
            0x02 => Self::MessageExpiryInterval(reader.u32()?),
            0x03 => Self::ContentType(reader.string()?),
            0x08 => Self::ResponseTopic(response_topic(reader.string()?)?),
            0x09 => Self::CorrelationData(reader.binary()?),
            0x0B => Self::SubscriptionIdentifier(unequal_zero(
                reader.varint()?,
                "3.8.2.1.2",
                "the subscription identifier is 0",
            )?),
            0x11 => Self::SessionExpiryInterval(reader.u32()?),
            0x12 => Self::AssignedClientIdentifier(reader.string()?),
            0x13 => Self::ServerKeepAlive(reader.u16()?),
            0x15 => Self::AuthenticationMethod(reader.string()?),
            0x16 => Self::AuthenticationData(reader.binary()?),
            0x17 => Self::RequestProblemInformation(boolean(reader.u8()?)?),
            0x18 => Self::WillDelayInterval(reader.u32()?),
            0x19 => Self::RequestResponseInformation(boolean(reader.u8()?)?),
            0x1A => Self::ResponseInformation(reader.string()?),
            0x1C => Self::ServerReference(reader.string()?),
            0x1F => Self::ReasonString(reader.string()?),
            0x21 => Self::ReceiveMaximum(unequal_zero(
                reader.u16()?,
                "3.1.2.11.3",
                "the receive maximum is 0",
            )?),
            0x22 => Self::TopicAliasMaximum(reader.u16()?),
            0x23 => Self::TopicAlias(topic_alias(reader.u16()?)?),
            0x24 => Self::MaximumQoS(maximum_qos(reader.u8()?)?),
            0x25 => Self::RetainAvailable(boolean(reader.u8()?)?),
            0x26 => Self::UserProperty(reader.string()?, reader.string()?),
            0x27 => Self::MaximumPacketSize(unequal_zero(
                reader.u32()?,
                "3.1.2.11.4",
                "the maximum packet size is 0",
            )?),
            0x28 => Self::WildcardSubscriptionAvailable(boolean(reader.u8()?)?),
            0x29 => Self::SubscriptionIdentifierAvailable(boolean(reader.u8()?)?),
            0x2A => Self::SharedSubscriptionAvailable(boolean(reader.u8()?)?),
            _ => return Err(NOT_ALLOWED),
        })
    }

    /// Appends the property to a block that [`super::Forwarded::parse`] reads.
    ///
    /// # Errors
    /// A text or data of more than 65,535 bytes.
    pub fn write_to(&self, block: &mut Vec<u8>) -> Result<(), EncodeError> {
        self.write(block)
    }

    pub(super) fn write(&self, sink: &mut impl Sink) -> Result<(), EncodeError> {
        sink.u8(self.id());
        match *self {
            Self::PayloadFormatIndicator(value)
            | Self::RequestProblemInformation(value)
            | Self::RequestResponseInformation(value)
            | Self::RetainAvailable(value)
            | Self::WildcardSubscriptionAvailable(value)
            | Self::SubscriptionIdentifierAvailable(value)
            | Self::SharedSubscriptionAvailable(value) => sink.u8(u8::from(value)),
            Self::MaximumQoS(qos) => sink.u8(qos as u8),
            Self::ServerKeepAlive(value)
            | Self::ReceiveMaximum(value)
            | Self::TopicAliasMaximum(value)
            | Self::TopicAlias(value) => sink.u16(value),
            Self::MessageExpiryInterval(value)
            | Self::SessionExpiryInterval(value)
            | Self::WillDelayInterval(value)
            | Self::MaximumPacketSize(value) => sink.u32(value),
            Self::SubscriptionIdentifier(value) => sink.varint(value as usize)?,
            Self::ContentType(text)
            | Self::ResponseTopic(text)
            | Self::AssignedClientIdentifier(text)
            | Self::AuthenticationMethod(text)
            | Self::ResponseInformation(text)
            | Self::ServerReference(text)
            | Self::ReasonString(text) => sink.string(text)?,
            Self::CorrelationData(bytes) | Self::AuthenticationData(bytes) => sink.binary(bytes)?,
            Self::UserProperty(name, value) => {
                sink.string(name)?;
                sink.string(value)?;
            }
        }
        Ok(())
    }
}

fn response_topic(topic: &str) -> Result<&str, DecodeError> {
    if topic::has_wildcard(topic) {
        return Err(DecodeError::protocol(
            "MQTT-3.3.2-14",
            "the response topic holds a wildcard",
        ));
    }
    Ok(topic)
}

fn topic_alias(alias: u16) -> Result<u16, DecodeError> {
    if alias == 0 {
        return Err(DecodeError::new(
            ReasonCode::TopicAliasInvalid,
            "MQTT-3.3.2-8",
            "the topic alias is 0",
        ));
    }
    Ok(alias)
}

fn maximum_qos(value: u8) -> Result<QoS, DecodeError> {
    match value {
        0 => Ok(QoS::AtMostOnce),
        1 => Ok(QoS::AtLeastOnce),
        _ => Err(DecodeError::protocol(
            "3.2.2.3.4",
            "the maximum QoS is neither 0 nor 1",
        )),
    }
}

const NOT_ALLOWED: DecodeError =
    DecodeError::malformed("2.2.2.2", "a property is unknown or not allowed here");

/// Checks a block (without its length) and shows its properties in order.
pub(super) fn check_block<'a>(
    block: &'a [u8],
    place: Place,
    mut visit: impl FnMut(Property<'a>, &'a [u8]),
) -> Result<(), DecodeError> {
    let mut reader = Reader::new(block);
    let mut seen = 0u64;
    while !reader.is_empty() {
        let before = reader.rest();
        // All identifiers known so far take one byte.
        let id = before[0];
        if allowed_places(id).is_none_or(|places| places & place.bit() == 0) {
            return Err(NOT_ALLOWED);
        }
        let property = Property::read(&mut reader)?;
        let bit = 1u64 << id;
        let repeatable = id == USER_PROPERTY
            || (id == SUBSCRIPTION_IDENTIFIER && place == Place::Packet(PacketKind::Publish));
        if seen & bit != 0 && !repeatable {
            return Err(DecodeError::protocol(
                "2.2.2.2",
                "a property is there more than once",
            ));
        }
        seen |= bit;
        visit(property, &before[..before.len() - reader.len()]);
    }
    Ok(())
}

/// Walks a checked block.
#[derive(Clone, Debug)]
pub(super) struct Walk<'a> {
    reader: Reader<'a>,
}

impl<'a> Walk<'a> {
    pub(super) const fn new(block: &'a [u8]) -> Self {
        Self {
            reader: Reader::new(block),
        }
    }

    /// What has not been walked.
    pub(super) const fn into_reader(self) -> Reader<'a> {
        self.reader
    }
}

impl<'a> Iterator for Walk<'a> {
    type Item = (Property<'a>, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let before = self.reader.rest();
        let property = Property::read(&mut self.reader).ok()?;
        Some((property, &before[..before.len() - self.reader.len()]))
    }
}
