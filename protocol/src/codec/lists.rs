//! Lists inside packets. A decoded list is a checked piece of the input that
//! is read while iterating; a list to be encoded is a slice of values.

use std::fmt;

use super::property::{Property, Walk};
use super::wire::Reader;
use crate::types::{QoS, ReasonCode};

/// When retained messages are sent for a subscription (section 3.8.3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[repr(u8)]
pub enum RetainHandling {
    /// At every SUBSCRIBE.
    #[default]
    Send = 0,
    /// Only if the subscription is new.
    SendIfNew = 1,
    /// Never.
    DoNotSend = 2,
}

/// The options of one subscription (section 3.8.3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SubscriptionOptions {
    /// Highest QoS wanted.
    pub qos: QoS,
    /// The client does not want its own messages. False before MQTT 5.0.
    pub no_local: bool,
    /// Messages keep the RETAIN flag they were published with. False before
    /// MQTT 5.0.
    pub retain_as_published: bool,
    /// When retained messages are sent. At every SUBSCRIBE before MQTT 5.0.
    pub retain_handling: RetainHandling,
}

impl SubscriptionOptions {
    /// Plain options, as all are before MQTT 5.0.
    pub const fn new(qos: QoS) -> Self {
        Self {
            qos,
            no_local: false,
            retain_as_published: false,
            retain_handling: RetainHandling::Send,
        }
    }

    /// The byte of MQTT 5.0.
    pub const fn to_byte(self) -> u8 {
        self.qos as u8
            | (self.no_local as u8) << 2
            | (self.retain_as_published as u8) << 3
            | (self.retain_handling as u8) << 4
    }

    /// From the byte of MQTT 5.0; none if it has no meaning.
    pub const fn from_byte(byte: u8) -> Option<Self> {
        let qos = match byte & 0b11 {
            0 => QoS::AtMostOnce,
            1 => QoS::AtLeastOnce,
            2 => QoS::ExactlyOnce,
            _ => return None,
        };
        let retain_handling = match byte >> 4 {
            0 => RetainHandling::Send,
            1 => RetainHandling::SendIfNew,
            2 => RetainHandling::DoNotSend,
            _ => return None,
        };
        Some(Self {
            qos,
            no_local: byte & 0b100 != 0,
            retain_as_published: byte & 0b1000 != 0,
            retain_handling,
        })
    }
}

/// One Topic Filter of a SUBSCRIBE with its options.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SubscribeFilter<'a> {
    /// The Topic Filter: well-formed UTF-8 and not empty, but its wildcards
    /// are not checked here (see [`crate::topic::Filter`]).
    pub filter: &'a str,
    /// The options.
    pub options: SubscriptionOptions,
}

macro_rules! list {
    ($(#[$doc:meta])* $name:ident, $iter:ident, $item:ty, $owned:ty, $read:expr) => {
        $(#[$doc])*
        #[derive(Clone, Copy)]
        pub struct $name<'a>(Source<'a, $owned>);

        impl<'a> $name<'a> {
            pub(super) const fn from_wire(bytes: &'a [u8]) -> Self {
                Self(Source::Wire(bytes))
            }

            /// The elements in order.
            pub fn iter(&self) -> $iter<'a> {
                $iter(self.0.iter())
            }

            /// Whether there are none.
            pub fn is_empty(&self) -> bool {
                self.iter().next().is_none()
            }
        }

        impl<'a> From<&'a [$owned]> for $name<'a> {
            fn from(items: &'a [$owned]) -> Self {
                Self(Source::Items(items))
            }
        }

        impl<'a, const N: usize> From<&'a [$owned; N]> for $name<'a> {
            fn from(items: &'a [$owned; N]) -> Self {
                Self(Source::Items(items))
            }
        }

        impl Default for $name<'_> {
            fn default() -> Self {
                Self(Source::Items(&[]))
            }
        }

        impl PartialEq for $name<'_> {
            fn eq(&self, other: &Self) -> bool {
                self.iter().eq(other.iter())
            }
        }

        impl Eq for $name<'_> {}

        impl fmt::Debug for $name<'_> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_list().entries(self.iter()).finish()
            }
        }

        impl<'a> IntoIterator for &$name<'a> {
            type Item = $item;
            type IntoIter = $iter<'a>;

            fn into_iter(self) -> Self::IntoIter {
                self.iter()
            }
        }

        #[doc = concat!("Iterator over [`", stringify!($name), "`].")]
        #[derive(Clone, Debug)]
        pub struct $iter<'a>(Elements<'a, $owned>);

        impl<'a> Iterator for $iter<'a> {
            type Item = $item;

            fn next(&mut self) -> Option<Self::Item> {
                self.0.next($read)
            }
        }
    };
}

#[derive(Clone, Copy)]
enum Source<'a, T> {
    /// Checked when it was decoded.
    Wire(&'a [u8]),
    Items(&'a [T]),
}

impl<'a, T> Source<'a, T> {
    fn iter(&self) -> Elements<'a, T> {
        match *self {
            Self::Wire(bytes) => Elements::Wire(Reader::new(bytes)),
            Self::Items(items) => Elements::Items(items.iter()),
        }
    }
}

#[derive(Clone, Debug)]
enum Elements<'a, T> {
    Wire(Reader<'a>),
    Items(std::slice::Iter<'a, T>),
}

impl<'a, T: Copy> Elements<'a, T> {
    fn next(&mut self, read: impl FnOnce(&mut Reader<'a>) -> Option<T>) -> Option<T> {
        match self {
            Self::Wire(reader) => read(reader),
            Self::Items(items) => items.next().copied(),
        }
    }
}

list! {
    /// Names and values, in order. Names may repeat.
    UserProperties, UserPropertiesIter, (&'a str, &'a str), (&'a str, &'a str),
    |reader| next_property(reader, |property| match property {
        Property::UserProperty(name, value) => Some((name, value)),
        _ => None,
    })
}

list! {
    /// Subscription identifiers of a PUBLISH to a client.
    SubscriptionIds, SubscriptionIdsIter, u32, u32,
    |reader| next_property(reader, |property| match property {
        Property::SubscriptionIdentifier(id) => Some(id),
        _ => None,
    })
}

list! {
    /// The Topic Filters of a SUBSCRIBE, in order; never empty when decoded.
    SubscribeFilters, SubscribeFiltersIter, SubscribeFilter<'a>, SubscribeFilter<'a>,
    read_subscribe_filter
}

list! {
    /// The Topic Filters of an UNSUBSCRIBE, in order; never empty when
    /// decoded.
    UnsubscribeFilters, UnsubscribeFiltersIter, &'a str, &'a str,
    |reader| reader.string().ok()
}

list! {
    /// The reason codes of a SUBACK or UNSUBACK, in the order of the filters.
    ReasonCodes, ReasonCodesIter, ReasonCode, ReasonCode,
    |reader| reader.u8().ok().and_then(|byte| ReasonCode::try_from(byte).ok())
}

fn next_property<'a, T>(
    reader: &mut Reader<'a>,
    mut pick: impl FnMut(Property<'a>) -> Option<T>,
) -> Option<T> {
    let mut walk = Walk::new(reader.rest());
    let found = walk.find_map(|(property, _)| pick(property));
    *reader = walk.into_reader();
    found
}

fn read_subscribe_filter<'a>(reader: &mut Reader<'a>) -> Option<SubscribeFilter<'a>> {
    let filter = reader.string().ok()?;
    let options = SubscriptionOptions::from_byte(reader.u8().ok()?)?;
    Some(SubscribeFilter { filter, options })
}
