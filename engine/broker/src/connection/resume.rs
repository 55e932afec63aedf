//! Taking up a session where its last connection left it.

use std::sync::Arc;

use robustmq_protocol::session::outbound::{DeliveryToken, InflightRecord, InflightState};
use robustmq_protocol::topic::{CursorFilter, SharedFilter};
use robustmq_protocol::{PacketId, QoS, ReasonCode};
use robustmq_record::{Batch, KIND_MESSAGE, Offset, RecordInput, ShardId};
use robustmq_views::{InflightStage, SessionState, StateBody};

use super::deliver::{HeldPublish, Source};
use super::dress::Dress;
use super::handshake;
use super::replay::{self, Asked};
use super::session::Session;
use crate::broker::Broker;
use crate::positions::Positions;
use crate::shard_map::DEFAULT_NAMESPACE;
use crate::startup::filter_options;
use crate::subscription::{Effective, SubscriptionOptions};
use crate::subscriptions::Subscription;

/// Restores subscriptions, in-flight messages and the place in the log.
pub(super) async fn resume(session: &mut Session, state: &SessionState) -> Result<(), ReasonCode> {
    let Restored { replays, cursors } = restore_subscriptions(session, state);
    for (asked, starts) in replays {
        let name = asked.name.clone();
        if let Err(error) = session.begin_replay(asked, Some(starts)).await {
            tracing::warn!(client_id = state.client_id, filter = name, %error, "a replay could not be resumed");
        }
    }
    for (name, options) in cursors {
        if let Err((_, text)) = session.join_cursor(&name, options).await {
            tracing::warn!(
                client_id = state.client_id,
                filter = name,
                text,
                "a cursor could not be taken up again"
            );
        }
    }
    restore_inbound(session, state)?;
    restore_inflight(session, state).await?;
    session.assigned_end = state
        .assigned_end
        .iter()
        .map(|(shard, end)| (*shard, *end))
        .collect();
    let reads_nothing = session.replays.is_empty() && session.cursors.is_empty();
    if session.subscriptions.len() == 0 && reads_nothing {
        return Ok(());
    }
    let attached = session
        .broker
        .dispatch
        .attach(Arc::clone(&session.link), filter_options(state))
        .await
        .ok_or(ReasonCode::ServerShuttingDown)?;
    session.subscriber = Some(attached.subscriber);
    session.watch_replays();
    let mut from: Positions = attached.live_from.clone();
    for (shard, offset) in &state.cursors {
        from.set(*shard, *offset);
    }
    session.catch_up = Some(session.backlog(&from, Some(attached.live_from)));
    Ok(())
}

/// Subscriptions that are readers of their own.
#[derive(Default)]
struct Restored {
    replays: Vec<(Asked, Positions)>,
    cursors: Vec<(String, SubscriptionOptions)>,
}

/// Takes up the plain subscriptions; gives the others.
fn restore_subscriptions(session: &mut Session, state: &SessionState) -> Restored {
    let mut restored = Restored::default();
    for stored in state.subscriptions.values() {
        let options = SubscriptionOptions::from(stored);
        if let Some(asked) = replay::spelled(&stored.filter, options) {
            let starts = stored.starts.iter().copied().collect();
            restored.replays.push((asked, starts));
            continue;
        }
        if CursorFilter::is_cursor(&stored.filter) || SharedFilter::is_shared(&stored.filter) {
            restored.cursors.push((stored.filter.clone(), options));
            continue;
        }
        let subscription = Subscription {
            options,
            retain_handling: stored.retain_handling,
            starts: stored.starts.iter().copied().collect(),
        };
        session.subscriptions.insert(&stored.filter, subscription);
    }
    restored
}

fn restore_inbound(session: &mut Session, state: &SessionState) -> Result<(), ReasonCode> {
    let open = session.broker.views.inbound_qos2(&state.client_id).map_err(|error| {
        tracing::error!(client_id = state.client_id, %error, "open exchanges could not be read");
        ReasonCode::ServerUnavailable
    })?;
    let open: Vec<(PacketId, ShardId)> = open
        .into_iter()
        .map(|(packet_id, shard, _)| (packet_id, shard))
        .collect();
    session.inbound = handshake::inbound(session, &open);
    session.inbound_shards = open.into_iter().collect();
    Ok(())
}

async fn restore_inflight(session: &mut Session, state: &SessionState) -> Result<(), ReasonCode> {
    let records: Vec<InflightRecord> = state
        .inflight
        .iter()
        .filter_map(|stored| {
            let state = match stored.state {
                InflightStage::Sent => InflightState::Sent,
                InflightStage::Assigned => InflightState::AssignedQos2,
                InflightStage::Received => InflightState::Received,
            };
            Some(InflightRecord {
                packet_id: PacketId::new(stored.packet_id)?,
                token: DeliveryToken {
                    shard: stored.shard.0,
                    offset: stored.offset.0,
                },
                qos: QoS::try_from(stored.qos).ok()?,
                state,
            })
        })
        .collect();
    let lost = load(session, &records).await;
    if let Err(error) = session.sender.outbound.resume(records) {
        tracing::error!(client_id = state.client_id, %error, "a session's in-flight messages contradict each other");
        return Err(ReasonCode::ServerUnavailable);
    }
    for packet_id in lost {
        session.broker.counters.deliveries_missing.add(1);
        session.sender.outbound.discard(packet_id);
    }
    Ok(())
}

/// Reads the messages in flight; returns those that are no longer there.
async fn load(session: &mut Session, records: &[InflightRecord]) -> Vec<PacketId> {
    let wanted: Vec<(PacketId, ShardId, Offset)> = records
        .iter()
        .filter(|record| record.state != InflightState::Received)
        .map(|record| {
            (
                record.packet_id,
                ShardId(record.token.shard),
                Offset(record.token.offset),
            )
        })
        .collect();
    if wanted.is_empty() {
        return Vec::new();
    }
    let broker = Arc::clone(&session.broker);
    let read = tokio::task::spawn_blocking(move || {
        let found = |(packet_id, shard, offset): (PacketId, ShardId, Offset)| {
            (packet_id, offset, find(&broker, shard, offset))
        };
        wanted.into_iter().map(found).collect::<Vec<_>>()
    });
    let mut lost = Vec::new();
    for (packet_id, offset, batch) in read.await.unwrap_or_default() {
        let Some(batch) = batch else {
            lost.push(packet_id);
            continue;
        };
        let source = Source::Record {
            batch,
            slot: offset.slot(),
        };
        let (effective, dress) = manner(session, &source);
        session.resend.insert(
            packet_id,
            HeldPublish {
                packet_id,
                source,
                effective,
                retain: false,
                dress,
            },
        );
    }
    lost
}

fn find(broker: &Broker, shard: ShardId, offset: Offset) -> Option<Arc<Batch>> {
    let batch = match broker.reader.batch(shard, offset.index()) {
        Ok(found) => found?,
        Err(error) => {
            tracing::warn!(shard = shard.0, offset = offset.0, %error, "a message in flight could not be read");
            return None;
        }
    };
    let is_message = batch
        .record(offset.slot())
        .is_some_and(|record| record.kind() == KIND_MESSAGE);
    is_message.then_some(batch)
}

/// How the message is sent again: as its subscriptions say, as a replay if only
/// one of those matches, or plainly if they are gone.
fn manner(session: &Session, source: &Source) -> (Effective, Dress) {
    let plain = Effective {
        qos: QoS::ExactlyOnce,
        retain_as_published: false,
        identifiers: smallvec::SmallVec::new(),
    };
    let Source::Record { batch, slot } = source else {
        return (plain, Dress::default());
    };
    let Some(record) = batch.record(*slot) else {
        return (plain, Dress::default());
    };
    let live = session
        .subscriptions
        .matching(record.topic(), batch.shard(), Offset(u64::MAX))
        .and_then(|options| options.effective(false).cloned());
    match live {
        Some(effective) => (effective, Dress::default()),
        None => session
            .replays
            .manner_for(record.topic())
            .unwrap_or((plain, Dress::default())),
    }
}

/// Releases an inbound QoS 2 identifier of a session that has ended.
pub(super) async fn release(broker: &Broker, client_id: &str, packet_id: PacketId, shard: ShardId) {
    let body = StateBody::InboundReleased {
        packet_id: packet_id.get(),
    };
    let payload = body.encode();
    let record = RecordInput {
        kind: body.kind(),
        namespace: DEFAULT_NAMESPACE,
        client_id,
        timestamp_ms: broker.clock.wall_ms(),
        payload: &payload,
        ..RecordInput::default()
    };
    if let Err(error) = broker.mailboxes.append_and_wait(shard, &record).await {
        tracing::warn!(client_id, %error, "an exchange of an ended session could not be released");
    }
}
