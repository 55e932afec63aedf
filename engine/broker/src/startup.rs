//! Between recovery and the first connection: views catch up with the log,
//! and sessions that were connected when the last run ended are closed.

use std::sync::Arc;
use std::time::Duration;

use robustmq_log::{DiskLog, Gap, GapReason, ReadLimits, ShardLog};
use robustmq_record::{Batch, Offset, ShardId};
use robustmq_views::{SessionState, StateBody, ViewError, Views, Will};

use crate::broker::Broker;
use crate::connection;
use crate::cursors;
use crate::dispatch::FilterOptions;
use crate::positions::Positions;
use crate::subscription::SubscriptionOptions;
use crate::will;

/// Batches applied to the views at a time.
const BATCHES_AT_A_TIME: usize = 256;

/// Bytes of batches applied to the views at a time.
const BYTES_AT_A_TIME: usize = 8 << 20;

/// Records under way at a time while sessions are closed.
const CLOSING_AT_A_TIME: usize = 256;

/// How often other nodes are asked for what is damaged.
const REPAIR_TICK: Duration = Duration::from_secs(1);

/// Applies what the log holds beyond what the views have applied.
pub(crate) struct CatchUp {
    pub(crate) log: Arc<DiskLog>,
    pub(crate) views: Arc<Views>,
    /// What is damaged is waited for, because another node has it: without it
    /// this node's views would not be those of the others.
    pub(crate) waits_for_repair: bool,
}

impl CatchUp {
    /// Returns where every shard ends. Blocks.
    pub(crate) fn run(&self, shards: Vec<ShardId>) -> Result<Positions, ViewError> {
        let mut ends = Positions::default();
        for shard in shards {
            // What was applied was committed, though the log may not say so yet.
            let applied = self.views.applied(shard).index();
            self.log.commit(shard, applied);
            let position = self.log.position(shard);
            let end = Offset::new(position.commit_end, 0);
            let begin = Offset::new(position.local_start, 0);
            let next = self.views.begin(shard, begin)?;
            let batches = self.apply(shard, next, end)?;
            self.views.note_applied(shard, end);
            self.views.caught_up(shard)?;
            ends.set(shard, end);
            if batches > 0 {
                tracing::info!(shard = shard.0, batches, "views caught up with the log");
            }
        }
        Ok(ends)
    }

    /// Applies a part of a shard; returns how many batches that were.
    fn apply(&self, shard: ShardId, mut next: Offset, end: Offset) -> Result<usize, ViewError> {
        let reader = self.log.reader();
        let limits = ReadLimits {
            bytes_max: BYTES_AT_A_TIME,
            batches_max: BATCHES_AT_A_TIME,
        };
        let mut batches = 0;
        while next < end {
            let chunk = match reader.read_state(shard, next, limits) {
                Ok(chunk) => chunk,
                Err(error) => {
                    tracing::error!(shard = shard.0, offset = next.0, %error, "part of the log could not be read; the views lack what it held");
                    break;
                }
            };
            let damage = |gap: &&Gap| gap.reason == GapReason::Damage && gap.start < end;
            let gap = chunk.gaps.iter().find(damage);
            let gap = gap.filter(|_| self.waits_for_repair);
            let limit = gap.map_or(chunk.next, |gap| gap.start);
            let before = |batch: &&Arc<Batch>| batch.offset_end() <= limit;
            let count = chunk.batches.iter().take_while(before).count();
            self.views.apply_all(&chunk.batches[..count])?;
            batches += count;
            if gap.is_some() {
                tracing::error!(
                    shard = shard.0,
                    offset = limit.0,
                    "the log is damaged here: waiting for another node that has it"
                );
                std::thread::sleep(REPAIR_TICK);
            } else if limit <= next {
                break;
            }
            next = limit.max(next);
        }
        Ok(batches)
    }
}

/// Makes the subscriptions of all sessions known to dispatch, and closes those
/// that were connected when the last run ended: their connections are gone.
pub(crate) async fn restore_sessions(broker: &Arc<Broker>) -> Result<usize, ViewError> {
    let mut connected: Vec<SessionState> = Vec::new();
    let mut count = 0usize;
    broker.views.for_each_session(&mut |state: SessionState| {
        if cursors::cursor_name(&state.client_id).is_some() {
            broker.cursors.restore(broker, &state);
            broker.cursors.groups.restore_group(&state);
            return true;
        }
        count += 1;
        broker.cursors.groups.restore(&state);
        broker.registry.exclusive.restore(&state);
        let subscriptions = filter_options(&state);
        if !subscriptions.is_empty() {
            broker
                .dispatch
                .enter_offline(state.client_id.clone(), subscriptions);
        }
        if state.connected && broker.owned_here(&state) {
            connected.push(state);
        }
        true
    })?;
    if broker.is_member() {
        // That takes a majority, which may not be there yet.
        let broker = Arc::clone(broker);
        tokio::spawn(async move {
            close_all(&broker, connected).await;
            broker.cursors.groups.sweep(&broker).await;
        });
    } else {
        close_all(broker, connected).await;
        broker.cursors.groups.sweep(broker).await;
    }
    Ok(count)
}

/// Closes sessions whose connections are gone.
pub(crate) async fn close_all(broker: &Arc<Broker>, connected: Vec<SessionState>) {
    for group in connected.chunks(CLOSING_AT_A_TIME) {
        let mut closing = tokio::task::JoinSet::new();
        for state in group.iter().cloned() {
            let broker = Arc::clone(broker);
            closing.spawn(async move { close(&broker, state).await });
        }
        closing.join_all().await;
    }
}

async fn close(broker: &Broker, state: SessionState) {
    let now_ms = broker.clock.wall_ms();
    let delay_s = |will: &Will| will.delay_s.min(state.expiry_s);
    let mut will = None;
    if let Some(pending) = &state.will {
        match delay_s(pending) {
            0 => will::publish(broker, &state.client_id, pending).await,
            delay_s => will = Some(now_ms + u64::from(delay_s) * 1000),
        }
    }
    let body = StateBody::SessionClosed {
        epoch: state.epoch,
        at_ms: now_ms,
        expiry_s: state.expiry_s,
        will,
    };
    if let Err(error) = broker.append_state(&state.client_id, &body).await {
        tracing::warn!(client_id = state.client_id, %error, "a session of the last run could not be closed");
    }
}

/// The subscriptions of a stored session as dispatch wants them.
pub(crate) fn filter_options(state: &SessionState) -> Vec<FilterOptions> {
    state
        .subscriptions
        .values()
        // Replays and cursors read the log themselves.
        .filter(|subscription| connection::is_plain(&subscription.filter))
        .map(|stored| (stored.filter.clone(), SubscriptionOptions::from(stored)))
        .collect()
}
