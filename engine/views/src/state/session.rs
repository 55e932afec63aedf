//! Records of a session's life: opened, closed, expired, its will.

use crate::wire::{Reader, WireError, Writer};

/// The Session Expiry Interval that means "never".
pub const EXPIRY_NEVER: u32 = u32::MAX;

/// A will as its client gave it at CONNECT.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Will {
    /// The Topic Name to publish to.
    pub topic: String,
    /// 0, 1 or 2.
    pub qos: u8,
    /// Whether it is published as a retained message.
    pub retain: bool,
    /// The Will Delay Interval in seconds.
    pub delay_s: u32,
    /// The Message Expiry Interval in seconds.
    pub message_expiry_s: Option<u32>,
    /// MQTT 5 properties to be passed on, in wire form without their length.
    pub properties: Vec<u8>,
    /// The Application Message.
    pub payload: Vec<u8>,
}

impl Will {
    pub(crate) fn write(&self, out: &mut Writer) {
        out.text(&self.topic);
        out.u8(self.qos);
        out.bool(self.retain);
        out.number(self.delay_s);
        out.option(self.message_expiry_s);
        out.blob(&self.properties);
        out.blob(&self.payload);
    }

    pub(crate) fn read(input: &mut Reader<'_>) -> Result<Self, WireError> {
        Ok(Self {
            topic: input.string()?,
            qos: input.qos()?,
            retain: input.bool()?,
            delay_s: input.narrow()?,
            message_expiry_s: input.option32()?,
            properties: input.blob()?.to_vec(),
            payload: input.blob()?.to_vec(),
        })
    }

    pub(crate) fn write_option(will: Option<&Self>, out: &mut Writer) {
        out.bool(will.is_some());
        if let Some(will) = will {
            will.write(out);
        }
    }

    pub(crate) fn read_option(input: &mut Reader<'_>) -> Result<Option<Self>, WireError> {
        Ok(if input.bool()? {
            Some(Self::read(input)?)
        } else {
            None
        })
    }
}
