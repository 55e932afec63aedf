//! A session as it stands in the views, and the parts it is stored in.
//!
//! Three kinds of entries make a session: its core (who owns it, its will, how
//! long it lives), its delivery state (cursors and in-flight window, which
//! change most often) and one entry per subscription.

use std::collections::BTreeMap;

use robustmq_record::{Offset, ShardId};

use crate::state::{
    EXPIRY_NEVER, InflightState, SubscriptionState, Will, read_places, write_places,
};
use crate::wire::{Reader, WireError, Writer};

/// A session as it stands in the log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SessionState {
    /// The client's identifier.
    pub client_id: String,
    /// The epoch of its last connection.
    pub epoch: u64,
    /// Whether that connection's end has not been recorded.
    pub connected: bool,
    /// The protocol version of that connection: 3, 4 or 5.
    pub version: u8,
    /// The Session Expiry Interval in seconds; [`EXPIRY_NEVER`] for never.
    pub expiry_s: u32,
    /// When the last connection began, milliseconds since the Unix epoch.
    pub opened_at_ms: u64,
    /// When the last connection ended; 0 before the first end and while
    /// connected.
    pub closed_at_ms: u64,
    /// The will of the last connection, if it is still to be published.
    pub will: Option<Will>,
    /// When the will is due; none while connected.
    pub will_fires_at_ms: Option<u64>,
    /// Subscriptions by filter.
    pub subscriptions: BTreeMap<String, SubscriptionState>,
    /// Per shard, the next offset to read.
    pub cursors: BTreeMap<ShardId, Offset>,
    /// Per shard, the end of what was ever given a QoS 2 packet identifier:
    /// QoS 2 deliveries below it are not to be made again.
    pub assigned_end: BTreeMap<ShardId, Offset>,
    /// Messages in flight in the order of sending.
    pub inflight: Vec<InflightState>,
}

impl SessionState {
    /// When the session ends if its client does not return, milliseconds since
    /// the Unix epoch; none while connected or if it never does.
    #[must_use]
    pub fn expires_at_ms(&self) -> Option<u64> {
        (!self.connected && self.expiry_s != EXPIRY_NEVER).then(|| {
            self.closed_at_ms
                .saturating_add(u64::from(self.expiry_s) * 1000)
        })
    }

    pub(crate) fn write(&self, out: &mut Writer) {
        let (core, delivery, subscriptions) = self.clone().into_parts();
        core.write_content(out);
        delivery.write_content(out);
        let subscriptions: Vec<_> = subscriptions.into_values().collect();
        out.list(&subscriptions, |out, subscription| subscription.write(out));
    }

    pub(crate) fn read(client_id: &str, input: &mut Reader<'_>) -> Result<Self, WireError> {
        let core = Core::read_content(input)?;
        let delivery = Delivery::read_content(input)?;
        let subscriptions = input
            .list(SubscriptionState::read)?
            .into_iter()
            .map(|subscription| (subscription.filter.clone(), subscription))
            .collect();
        Ok(Self::from_parts(client_id, core, delivery, subscriptions))
    }

    pub(crate) fn from_parts(
        client_id: &str,
        core: Core,
        delivery: Delivery,
        subscriptions: BTreeMap<String, SubscriptionState>,
    ) -> Self {
        Self {
            client_id: client_id.to_owned(),
            epoch: core.epoch,
            connected: core.connected,
            version: core.version,
            expiry_s: core.expiry_s,
            opened_at_ms: core.opened_at_ms,
            closed_at_ms: core.closed_at_ms,
            will: core.will,
            will_fires_at_ms: core.will_fires_at_ms,
            subscriptions,
            cursors: delivery.cursors,
            assigned_end: delivery.assigned_end,
            inflight: delivery.inflight,
        }
    }

    pub(crate) fn into_parts(self) -> (Core, Delivery, BTreeMap<String, SubscriptionState>) {
        let core = Core {
            epoch: self.epoch,
            connected: self.connected,
            version: self.version,
            expiry_s: self.expiry_s,
            opened_at_ms: self.opened_at_ms,
            closed_at_ms: self.closed_at_ms,
            will: self.will,
            will_fires_at_ms: self.will_fires_at_ms,
            ..Core::default()
        };
        let delivery = Delivery {
            cursors: self.cursors,
            assigned_end: self.assigned_end,
            inflight: self.inflight,
        };
        (core, delivery, self.subscriptions)
    }
}

/// Who owns a session and how long it lives.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Core {
    /// The shard's offset from which on the log is needed to fold the session.
    pub(crate) source: Offset,
    /// Where a copy of the session was announced that has not come yet.
    pub(crate) announced: Option<Offset>,
    pub(crate) epoch: u64,
    pub(crate) connected: bool,
    pub(crate) version: u8,
    pub(crate) expiry_s: u32,
    pub(crate) opened_at_ms: u64,
    pub(crate) closed_at_ms: u64,
    pub(crate) will: Option<Will>,
    pub(crate) will_fires_at_ms: Option<u64>,
}

impl Core {
    pub(crate) fn expires_at_ms(&self) -> Option<u64> {
        (!self.connected && self.expiry_s != EXPIRY_NEVER).then(|| {
            self.closed_at_ms
                .saturating_add(u64::from(self.expiry_s) * 1000)
        })
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Writer::new();
        out.number(self.source.0);
        // 0 is the offset of no record.
        out.number(self.announced.unwrap_or(Offset::ZERO).0);
        self.write_content(&mut out);
        out.finish()
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, WireError> {
        let mut input = Reader::new(bytes);
        let source = Offset(input.number()?);
        let announced = Offset(input.number()?);
        let core = Self {
            source,
            announced: (announced > Offset::ZERO).then_some(announced),
            ..Self::read_content(&mut input)?
        };
        input.end()?;
        Ok(core)
    }

    fn write_content(&self, out: &mut Writer) {
        out.number(self.epoch);
        out.bool(self.connected);
        out.u8(self.version);
        out.number(self.expiry_s);
        out.number(self.opened_at_ms);
        out.number(self.closed_at_ms);
        Will::write_option(self.will.as_ref(), out);
        out.option(self.will_fires_at_ms);
    }

    fn read_content(input: &mut Reader<'_>) -> Result<Self, WireError> {
        Ok(Self {
            source: Offset::ZERO,
            announced: None,
            epoch: input.number()?,
            connected: input.bool()?,
            version: input.u8()?,
            expiry_s: input.narrow()?,
            opened_at_ms: input.number()?,
            closed_at_ms: input.number()?,
            will: Will::read_option(input)?,
            will_fires_at_ms: input.option()?,
        })
    }
}

/// Where a session stands in the log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Delivery {
    pub(crate) cursors: BTreeMap<ShardId, Offset>,
    pub(crate) assigned_end: BTreeMap<ShardId, Offset>,
    pub(crate) inflight: Vec<InflightState>,
}

impl Delivery {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Writer::new();
        self.write_content(&mut out);
        out.finish()
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, WireError> {
        let mut input = Reader::new(bytes);
        let delivery = Self::read_content(&mut input)?;
        input.end()?;
        Ok(delivery)
    }

    fn write_content(&self, out: &mut Writer) {
        let list = |places: &BTreeMap<ShardId, Offset>| -> Vec<(ShardId, Offset)> {
            places
                .iter()
                .map(|(shard, offset)| (*shard, *offset))
                .collect()
        };
        write_places(out, &list(&self.cursors));
        write_places(out, &list(&self.assigned_end));
        out.list(&self.inflight, |out, entry| entry.write(out));
    }

    fn read_content(input: &mut Reader<'_>) -> Result<Self, WireError> {
        Ok(Self {
            cursors: read_places(input)?.into_iter().collect(),
            assigned_end: read_places(input)?.into_iter().collect(),
            inflight: input.list(InflightState::read)?,
        })
    }
}
