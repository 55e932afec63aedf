//! What each record does, by example.

use std::sync::Arc;

use robustmq_protocol::PacketId;
use robustmq_record::{Batch, BatchBuilder, BatchLimits, Offset, ShardId, Term};

use crate::memory::MemoryStore;
use crate::retained::RetainedMessage;
use crate::session::SessionState;
use crate::state::{
    EXPIRY_NEVER, InflightStage, InflightState, StateBody, SubscriptionState, Will,
};
use crate::store::KvStore;
use crate::testing::{SampleLog, SampleRecord};
use crate::timer::{Timer, TimerKind};
use crate::views::{NAMESPACE_DEFAULT, Views};

mod carried;
mod delayed;
mod inbound;
mod positions;
mod retained;
mod rules;
mod sessions;

const SHARD: ShardId = ShardId(0);
const CLIENT: &str = "client";

/// Views and the log they are folded from.
struct Bench {
    store: Arc<dyn KvStore>,
    views: Views,
    log: SampleLog,
}

impl Bench {
    fn new() -> Self {
        let store: Arc<dyn KvStore> = Arc::new(MemoryStore::new());
        Self {
            views: Views::new(Arc::clone(&store)).expect("memory can be read"),
            store,
            log: SampleLog::new(),
        }
    }

    fn append(&mut self, records: &[SampleRecord]) -> Offset {
        self.append_to(SHARD, records)
    }

    fn append_to(&mut self, shard: ShardId, records: &[SampleRecord]) -> Offset {
        let batch = self.log.append(shard, records);
        self.views.apply(&batch).expect("memory takes writes");
        batch.first_offset()
    }

    fn log(&mut self, body: &StateBody) -> Offset {
        self.append(&[SampleRecord::state(CLIENT, body)])
    }

    fn session(&self) -> Option<SessionState> {
        self.views.session(CLIENT).expect("memory can be read")
    }

    fn state(&self) -> SessionState {
        self.session().expect("the session is there")
    }

    fn due(&self, now_ms: u64) -> Vec<Timer> {
        self.views.due(now_ms, 10).expect("memory can be read")
    }

    fn retained(&self, filter: &str, now_ms: u64) -> Vec<RetainedMessage> {
        let found = self.views.retained(filter, now_ms, 100, None);
        found.expect("memory can be read")
    }

    fn topics(&self, filter: &str) -> Vec<String> {
        let messages = self.retained(filter, 0);
        messages.into_iter().map(|message| message.topic).collect()
    }
}

fn opened(epoch: u64, clean_start: bool) -> StateBody {
    StateBody::SessionOpened {
        epoch,
        clean_start,
        version: 5,
        expiry_s: 100,
        will: None,
        at_ms: 1_000,
    }
}

fn opened_with_will(epoch: u64) -> StateBody {
    let will = Will {
        topic: "will".to_owned(),
        payload: b"gone".to_vec(),
        ..Will::default()
    };
    StateBody::SessionOpened {
        epoch,
        clean_start: false,
        version: 4,
        expiry_s: 100,
        will: Some(will),
        at_ms: 1_000,
    }
}

fn closed(epoch: u64, at_ms: u64, expiry_s: u32, will: Option<u64>) -> StateBody {
    StateBody::SessionClosed {
        epoch,
        at_ms,
        expiry_s,
        will,
    }
}

fn subscription(filter: &str, qos: u8) -> SubscriptionState {
    SubscriptionState {
        filter: filter.to_owned(),
        qos,
        ..SubscriptionState::default()
    }
}

fn subscribed(filters: &[&str]) -> StateBody {
    let subscriptions = filters
        .iter()
        .map(|filter| subscription(filter, 1))
        .collect();
    StateBody::Subscribed { subscriptions }
}

fn inflight(packet_id: u16, qos: u8, offset: u64, state: InflightStage) -> InflightState {
    InflightState {
        packet_id,
        shard: SHARD,
        offset: Offset(offset),
        qos,
        state,
    }
}
