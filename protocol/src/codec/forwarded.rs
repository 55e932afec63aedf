//! The properties of a message that a server passes on unaltered and in order.

use std::fmt;

use super::error::DecodeError;
use super::header::PacketKind;
use super::property::{Place, Property, Walk, check_block};

/// The properties a server passes on with a message: payload format
/// indicator, content type, response topic, correlation data and user
/// properties, in the order of the publisher [MQTT-3.3.2-18].
///
/// In MQTT 5.0 wire form without the length in front. Checked when it is made,
/// so that reading it cannot fail. Two are equal if their bytes are.
#[derive(Clone, Copy, Default)]
pub struct Forwarded<'a> {
    /// From the first such property to the last; others may stand between.
    block: &'a [u8],
    /// Bytes of such properties in `block`.
    len: usize,
}

impl<'a> Forwarded<'a> {
    /// No properties.
    pub const EMPTY: Self = Self { block: &[], len: 0 };

    /// Reads properties as [`Forwarded::write_to`] wrote them.
    ///
    /// # Errors
    /// Bytes that are no such properties, or hold others.
    pub fn parse(block: &'a [u8]) -> Result<Self, DecodeError> {
        let mut others = false;
        check_block(block, Place::Packet(PacketKind::Publish), |property, _| {
            others |= !property.is_forwarded();
        })?;
        if others {
            return Err(DecodeError::malformed(
                "2.2.2.2",
                "a property that is not passed on",
            ));
        }
        Ok(Self {
            block,
            len: block.len(),
        })
    }

    /// Bytes of these properties.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The bytes, if they stand together; otherwise [`Forwarded::write_to`]
    /// collects them.
    pub const fn as_slice(&self) -> Option<&'a [u8]> {
        if self.block.len() == self.len {
            return Some(self.block);
        }
        None
    }

    /// Appends the bytes to `out`.
    pub fn write_to(&self, out: &mut Vec<u8>) {
        self.pieces().for_each(|piece| out.extend_from_slice(piece));
    }

    /// The bytes as they stand, piece by piece.
    pub fn pieces(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let together = self.as_slice();
        let apart = together.is_none().then_some(self.block);
        together.into_iter().chain(
            Walk::new(apart.unwrap_or_default())
                .filter(|(property, _)| property.is_forwarded())
                .map(|(_, bytes)| bytes),
        )
    }

    /// The properties in order.
    pub fn iter(&self) -> impl Iterator<Item = Property<'a>> + use<'a> {
        Walk::new(self.block)
            .map(|(property, _)| property)
            .filter(Property::is_forwarded)
    }

    /// Names and values of the user properties, in order.
    pub fn user_properties(&self) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a> {
        self.iter().filter_map(|property| match property {
            Property::UserProperty(name, value) => Some((name, value)),
            _ => None,
        })
    }

    /// Where a response is wanted.
    pub fn response_topic(&self) -> Option<&'a str> {
        self.iter().find_map(|property| match property {
            Property::ResponseTopic(topic) => Some(topic),
            _ => None,
        })
    }

    /// What tells the requester which request a response is for.
    pub fn correlation_data(&self) -> Option<&'a [u8]> {
        self.iter().find_map(|property| match property {
            Property::CorrelationData(data) => Some(data),
            _ => None,
        })
    }

    /// The content type.
    pub fn content_type(&self) -> Option<&'a str> {
        self.iter().find_map(|property| match property {
            Property::ContentType(text) => Some(text),
            _ => None,
        })
    }

    /// Whether the payload is said to be UTF-8 text.
    pub fn payload_is_utf8(&self) -> bool {
        self.iter()
            .any(|property| property == Property::PayloadFormatIndicator(true))
    }
}

impl PartialEq for Forwarded<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.len == other.len && self.pieces().flatten().eq(other.pieces().flatten())
    }
}

impl Eq for Forwarded<'_> {}

impl fmt::Debug for Forwarded<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// Finds the forwarded part of a block while it is checked.
#[derive(Debug, Default)]
pub(super) struct Extent {
    start: Option<usize>,
    end: usize,
    len: usize,
    position: usize,
}

impl Extent {
    pub(super) fn add(&mut self, property: &Property<'_>, bytes: &[u8]) {
        let start = self.position;
        self.position += bytes.len();
        if property.is_forwarded() {
            self.start.get_or_insert(start);
            self.end = self.position;
            self.len += bytes.len();
        }
    }

    /// The forwarded part of `block`, all of which was added.
    pub(super) fn of<'a>(&self, block: &'a [u8]) -> Forwarded<'a> {
        Forwarded {
            block: &block[self.start.unwrap_or(self.end)..self.end],
            len: self.len,
        }
    }
}
