//! Made-up logs: few clients, topics and identifiers, so that records meet.

use std::collections::BTreeMap;
use std::sync::Arc;

use robustmq_record::{
    Batch, BatchBuilder, BatchLimits, KIND_MESSAGE, Offset, RecordInput, ShardId, Term,
};

use super::Chance;
use crate::carry::CarriedRecord;
use crate::state::{
    DelayedStored, EXPIRY_NEVER, InflightStage, InflightState, RuleChange, StateBody,
    SubscriptionState, Will,
};
use crate::views::NAMESPACE_DEFAULT;

/// Shards of a made-up log.
const SHARDS: u64 = 3;
const CLIENTS: u64 = 4;
const TOPICS: u64 = 6;
const PACKET_IDS: u64 = 4;
/// When made-up logs begin, milliseconds since the Unix epoch.
const BEGIN_MS: u64 = 1_700_000_000_000;

/// A record that owns what [`RecordInput`] borrows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SampleRecord {
    /// As in [`RecordInput`].
    pub kind: u8,
    /// As in [`RecordInput`].
    pub qos: u8,
    /// As in [`RecordInput`].
    pub retain: bool,
    /// As in [`RecordInput`].
    pub topic: String,
    /// As in [`RecordInput`].
    pub client_id: String,
    /// As in [`RecordInput`].
    pub timestamp_ms: u64,
    /// As in [`RecordInput`].
    pub message_expiry_s: Option<u32>,
    /// As in [`RecordInput`].
    pub packet_id: Option<u16>,
    /// As in [`RecordInput`].
    pub properties: Vec<u8>,
    /// As in [`RecordInput`].
    pub payload: Vec<u8>,
}

impl SampleRecord {
    /// A state record.
    #[must_use]
    pub fn state(client_id: &str, body: &StateBody) -> Self {
        Self {
            kind: body.kind(),
            client_id: client_id.to_owned(),
            timestamp_ms: BEGIN_MS,
            payload: body.encode(),
            ..Self::default()
        }
    }

    /// A message with RETAIN.
    #[must_use]
    pub fn retained(topic: &str, payload: &str) -> Self {
        Self {
            kind: KIND_MESSAGE,
            retain: true,
            topic: topic.to_owned(),
            client_id: "publisher".to_owned(),
            timestamp_ms: BEGIN_MS,
            payload: payload.as_bytes().to_vec(),
            ..Self::default()
        }
    }

    /// A QoS 2 publish.
    #[must_use]
    pub fn exactly_once(client_id: &str, topic: &str, packet_id: u16) -> Self {
        Self {
            kind: KIND_MESSAGE,
            qos: 2,
            topic: topic.to_owned(),
            client_id: client_id.to_owned(),
            timestamp_ms: BEGIN_MS,
            packet_id: Some(packet_id),
            payload: b"payload".to_vec(),
            ..Self::default()
        }
    }

    /// The record as it is appended.
    #[must_use]
    pub fn input(&self) -> RecordInput<'_> {
        RecordInput {
            kind: self.kind,
            qos: self.qos,
            retain: self.retain,
            namespace: NAMESPACE_DEFAULT,
            topic: &self.topic,
            client_id: &self.client_id,
            timestamp_ms: self.timestamp_ms,
            message_expiry_s: self.message_expiry_s,
            packet_id: self.packet_id,
            properties: &self.properties,
            payload: &self.payload,
        }
    }
}

impl From<&CarriedRecord> for SampleRecord {
    fn from(carried: &CarriedRecord) -> Self {
        Self {
            kind: carried.kind,
            topic: carried.topic.clone(),
            client_id: carried.client_id.clone(),
            timestamp_ms: BEGIN_MS,
            properties: carried.properties.to_vec(),
            payload: carried.payload.clone(),
            ..Self::default()
        }
    }
}

/// Batches of several shards in the order they were appended.
#[derive(Clone, Debug, Default)]
pub struct SampleLog {
    batches: Vec<Arc<Batch>>,
    next: BTreeMap<ShardId, u64>,
}

impl SampleLog {
    /// An empty log.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends records to a shard as one batch.
    ///
    /// # Panics
    /// When there are none, or more than fit a batch.
    pub fn append(&mut self, shard: ShardId, records: &[SampleRecord]) -> Arc<Batch> {
        let mut builder = BatchBuilder::new(BatchLimits::default());
        for record in records {
            let pushed = builder.try_push(&record.input());
            assert!(pushed.is_ok(), "made-up records fit a batch");
        }
        let next = self.next.entry(shard).or_insert(1);
        let batch = Arc::new(builder.finish(shard, *next, Term(1)));
        *next += 1;
        self.batches.push(Arc::clone(&batch));
        batch
    }

    /// The batches in the order they were appended.
    #[must_use]
    pub fn batches(&self) -> &[Arc<Batch>] {
        &self.batches
    }

    /// The end of a shard's log.
    #[must_use]
    pub fn end(&self, shard: ShardId) -> Offset {
        Offset::new(self.next.get(&shard).copied().unwrap_or(1), 0)
    }

    /// Removes a shard's batches below `start`.
    pub fn remove_before(&mut self, shard: ShardId, start: Offset) {
        self.batches
            .retain(|batch| batch.shard() != shard || batch.index() >= start.index());
    }
}

/// Makes records up.
#[derive(Clone, Debug)]
pub struct Sampler {
    chance: Chance,
    epochs: [u64; CLIENTS as usize],
    now_ms: u64,
}

impl Sampler {
    /// The records of a seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            chance: Chance::new(seed),
            epochs: [1; CLIENTS as usize],
            now_ms: BEGIN_MS,
        }
    }

    /// The shards that records are made for.
    pub fn shards() -> impl Iterator<Item = ShardId> {
        (0..SHARDS as u32).map(ShardId)
    }

    /// The latest time of a record so far.
    #[must_use]
    pub fn now_ms(&self) -> u64 {
        self.now_ms
    }

    /// One of the shards.
    pub fn shard(&mut self) -> ShardId {
        ShardId(self.chance.below(SHARDS) as u32)
    }

    /// A record and the shard it belongs to.
    pub fn record(&mut self) -> (ShardId, SampleRecord) {
        self.now_ms += self.chance.below(2_000);
        let (shard, mut record) = match self.chance.below(13) {
            0..=2 => self.message(),
            11 | 12 => self.delayed(),
            3 => self.release(),
            4 => self.rules(),
            _ => self.session(),
        };
        record.timestamp_ms = self.now_ms;
        (shard, record)
    }

    /// Appends batches of made-up records.
    pub fn append_to(&mut self, log: &mut SampleLog, batches: u64) -> Vec<Arc<Batch>> {
        let mut appended = Vec::new();
        for _ in 0..batches {
            let mut by_shard: BTreeMap<ShardId, Vec<SampleRecord>> = BTreeMap::new();
            for _ in 0..=self.chance.below(6) {
                let (shard, record) = self.record();
                by_shard.entry(shard).or_default().push(record);
            }
            for (shard, records) in by_shard {
                appended.push(log.append(shard, &records));
            }
        }
        appended
    }

    fn topic(&mut self) -> (ShardId, String) {
        let topic = self.chance.below(TOPICS);
        (
            ShardId((topic % SHARDS) as u32),
            format!("level/{}/{topic}", topic % 2),
        )
    }

    fn packet_id(&mut self) -> u16 {
        1 + self.chance.below(PACKET_IDS) as u16
    }

    fn client(&mut self) -> u64 {
        self.chance.below(CLIENTS)
    }

    fn message(&mut self) -> (ShardId, SampleRecord) {
        let (shard, topic) = self.topic();
        let qos = self.chance.below(3) as u8;
        let size = if self.chance.once_in(4) { 0 } else { 4 };
        let record = SampleRecord {
            kind: KIND_MESSAGE,
            qos,
            retain: !self.chance.once_in(3),
            topic,
            client_id: format!("client{}", self.client()),
            message_expiry_s: self.chance.once_in(4).then(|| self.chance.below(20) as u32),
            packet_id: (qos == 2).then(|| self.packet_id()),
            properties: vec![1, 1],
            payload: self.now_ms.to_le_bytes()[..size].to_vec(),
            ..SampleRecord::default()
        };
        (shard, record)
    }

    fn release(&mut self) -> (ShardId, SampleRecord) {
        let client_id = format!("client{}", self.client());
        let packet_id = self.packet_id();
        let body = StateBody::InboundReleased { packet_id };
        (self.shard(), SampleRecord::state(&client_id, &body))
    }

    fn delayed(&mut self) -> (ShardId, SampleRecord) {
        if self.chance.once_in(2) {
            let (shard, offset) = self.place();
            let published = self.chance.once_in(2);
            let body = StateBody::DelayedEnded { offset, published };
            return (shard, SampleRecord::state("", &body));
        }
        let (shard, message) = self.message();
        let body = StateBody::DelayedStored(DelayedStored {
            due_ms: self.now_ms + self.chance.below(9_000),
            topic: message.topic,
            payload: message.payload.into(),
        });
        let record = SampleRecord {
            kind: body.kind(),
            topic: String::new(),
            payload: body.encode(),
            ..message
        };
        (shard, record)
    }

    fn rules(&mut self) -> (ShardId, SampleRecord) {
        let changes = (0..=self.chance.below(2)).map(|_| RuleChange {
            name: format!("rule{}", self.chance.below(3)),
            definition: (!self.chance.once_in(3))
                .then(|| self.now_ms.to_le_bytes().to_vec().into()),
        });
        let changes = changes.collect();
        let family = "family".to_owned();
        let body = StateBody::RulesChanged { family, changes };
        (ShardId(0), SampleRecord::state("", &body))
    }

    fn session(&mut self) -> (ShardId, SampleRecord) {
        let client = self.client();
        let body = match self.chance.below(11) {
            0 | 1 => self.opened(client),
            2 => self.closed(client),
            3 => StateBody::SessionExpired {
                epoch: self.epoch(client),
            },
            4 => StateBody::WillFired {
                epoch: self.epoch(client),
            },
            5 | 6 => self.subscribed(),
            7 => StateBody::Unsubscribed {
                filters: vec![self.filter()],
            },
            _ => self.delivery(client),
        };
        let shard = ShardId((client % SHARDS) as u32);
        (
            shard,
            SampleRecord::state(&format!("client{client}"), &body),
        )
    }

    /// The epoch of a client's last connection, or now and then an older one.
    fn epoch(&mut self, client: u64) -> u64 {
        let known = self.epochs[client as usize];
        if self.chance.once_in(5) {
            known.saturating_sub(1)
        } else {
            known
        }
    }

    fn expiry_s(&mut self) -> u32 {
        match self.chance.below(4) {
            0 => 0,
            1 => EXPIRY_NEVER,
            _ => self.chance.below(100) as u32,
        }
    }

    fn opened(&mut self, client: u64) -> StateBody {
        let stale = self.chance.once_in(6);
        if !stale {
            self.epochs[client as usize] += 1;
        }
        let epoch = self.epochs[client as usize] - u64::from(stale);
        let will = self.chance.once_in(2).then(|| Will {
            topic: self.topic().1,
            qos: self.chance.below(3) as u8,
            delay_s: self.chance.below(9) as u32,
            payload: b"gone".to_vec(),
            ..Will::default()
        });
        StateBody::SessionOpened {
            epoch,
            clean_start: self.chance.once_in(4),
            version: 5,
            expiry_s: self.expiry_s(),
            will,
            at_ms: self.now_ms,
        }
    }

    fn closed(&mut self, client: u64) -> StateBody {
        let due_ms = self.now_ms + self.chance.below(9_000);
        StateBody::SessionClosed {
            epoch: self.epoch(client),
            at_ms: self.now_ms,
            expiry_s: self.expiry_s(),
            will: self.chance.once_in(2).then_some(due_ms),
        }
    }

    fn filter(&mut self) -> String {
        format!("level/{}/#", self.chance.below(3))
    }

    fn place(&mut self) -> (ShardId, Offset) {
        let index = 1 + self.chance.below(50);
        (
            self.shard(),
            Offset::new(index, self.chance.below(4) as u16),
        )
    }

    fn subscribed(&mut self) -> StateBody {
        let subscription = SubscriptionState {
            filter: self.filter(),
            qos: self.chance.below(3) as u8,
            no_local: self.chance.once_in(2),
            retain_as_published: self.chance.once_in(2),
            retain_handling: self.chance.below(3) as u8,
            identifier: self.chance.once_in(2).then_some(7),
            starts: vec![self.place()],
        };
        StateBody::Subscribed {
            subscriptions: vec![subscription],
        }
    }

    fn delivery(&mut self, client: u64) -> StateBody {
        let packet_ids = vec![self.packet_id()];
        match self.chance.below(9) {
            0 | 4 => {
                let (shard, offset) = self.place();
                StateBody::OutboundAssigned {
                    entries: vec![(self.packet_id(), shard, offset)],
                }
            }
            1 | 5 => StateBody::OutboundReceived { packet_ids },
            2 | 6 => StateBody::OutboundCompleted { packet_ids },
            3 => StateBody::SessionRewound {
                cursors: vec![self.place()],
            },
            _ => StateBody::CursorStored {
                epoch: self.epoch(client),
                cursors: vec![self.place()],
                inflight: vec![self.inflight(), self.inflight()],
            },
        }
    }

    fn inflight(&mut self) -> InflightState {
        let (shard, offset) = self.place();
        let exactly_once = self.chance.once_in(2);
        InflightState {
            packet_id: self.packet_id(),
            shard,
            offset,
            qos: 1 + u8::from(exactly_once),
            state: if exactly_once {
                InflightStage::Assigned
            } else {
                InflightStage::Sent
            },
        }
    }
}
