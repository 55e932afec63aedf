//! Records of a session's subscriptions.

use robustmq_record::{Offset, ShardId};

use super::delivery::{read_places, write_places};
use crate::wire::{Reader, WireError, Writer};

/// One subscription of a session.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SubscriptionState {
    /// The Topic Filter as the client gave it.
    pub filter: String,
    /// The granted quality of service: 0, 1 or 2.
    pub qos: u8,
    /// The No Local option.
    pub no_local: bool,
    /// The Retain As Published option.
    pub retain_as_published: bool,
    /// The Retain Handling option: 0, 1 or 2.
    pub retain_handling: u8,
    /// The Subscription Identifier.
    pub identifier: Option<u32>,
    /// Per shard, the first offset that the subscription is meant for.
    pub starts: Vec<(ShardId, Offset)>,
}

const NO_LOCAL: u8 = 0b0000_0100;
const RETAIN_AS_PUBLISHED: u8 = 0b0000_1000;
const RETAIN_HANDLING_SHIFT: u32 = 4;
const RESERVED: u8 = 0b1100_0000;

impl SubscriptionState {
    /// Appends the options byte as in SUBSCRIBE (MQTT 5.0 section 3.8.3.1),
    /// then the rest.
    pub(crate) fn write(&self, out: &mut Writer) {
        out.text(&self.filter);
        let flag = |bit, on: bool| if on { bit } else { 0 };
        out.u8(self.qos
            | flag(NO_LOCAL, self.no_local)
            | flag(RETAIN_AS_PUBLISHED, self.retain_as_published)
            | self.retain_handling << RETAIN_HANDLING_SHIFT);
        out.option(self.identifier);
        write_places(out, &self.starts);
    }

    pub(crate) fn read(input: &mut Reader<'_>) -> Result<Self, WireError> {
        let filter = input.string()?;
        let options = input.u8()?;
        let qos = options & 0b11;
        let retain_handling = options >> RETAIN_HANDLING_SHIFT & 0b11;
        if options & RESERVED != 0 || qos == 3 || retain_handling == 3 {
            return Err(input.error("unknown subscription options"));
        }
        Ok(Self {
            filter,
            qos,
            no_local: options & NO_LOCAL != 0,
            retain_as_published: options & RETAIN_AS_PUBLISHED != 0,
            retain_handling,
            identifier: input.option32()?,
            starts: read_places(input)?,
        })
    }
}
