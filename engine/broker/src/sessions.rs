//! Looking at lasting sessions, rewinding and ending them.

use std::sync::Arc;

use robustmq_protocol::ReasonCode;
use robustmq_record::{Offset, ShardId};
use robustmq_views::{EXPIRY_NEVER, SessionState, StateBody, SubscriptionState};
use serde::Serialize;
use utoipa::ToSchema;

use crate::broker::Broker;
use crate::connection;
use crate::cursors::{Moved, ShardPosition, Target, admin};
use crate::history::{HistoryError, places};
use crate::link::{Link, LinkLimits};
use crate::positions::Positions;
use crate::registry::Ownership;
use crate::subscriptions::{Subscription, Subscriptions};
use crate::timers;

/// Messages of a lag that are counted.
const LAG_MAX: u64 = 1_000_000;

/// A lasting session, for people.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct SessionInfo {
    /// The client identifier.
    pub clientid: String,
    /// Whether its client is connected.
    pub connected: bool,
    /// The Session Expiry Interval, seconds; none is never.
    pub expiry_s: Option<u32>,
    /// When the last connection began, milliseconds since the Unix epoch.
    pub connected_at: u64,
    /// When it ended; none while connected.
    pub disconnected_at: Option<u64>,
    /// How many subscriptions it has.
    pub subscriptions: usize,
    /// Messages sent and not acknowledged, as last stored.
    pub inflight: usize,
}

/// A subscription, for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct SubscriptionInfo {
    /// The Topic Filter, of a replay or cursor too.
    pub filter: String,
    /// The QoS granted.
    pub qos: u8,
    /// Not its own messages.
    pub no_local: bool,
    /// The RETAIN flag stays as published.
    pub retain_as_published: bool,
}

/// One session with what it holds.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct SessionDetails {
    /// What lists say too.
    #[serde(flatten)]
    pub info: SessionInfo,
    /// Its subscriptions.
    pub subscription_list: Vec<SubscriptionInfo>,
    /// Where it stood when that was stored last.
    pub positions: Vec<ShardPosition>,
    /// Messages behind that place.
    pub lag_messages: u64,
    /// They are more than were counted.
    pub lag_is_more: bool,
    /// Age of the oldest of them, seconds.
    pub lag_seconds: f64,
}

impl From<&SessionState> for SessionInfo {
    fn from(state: &SessionState) -> Self {
        Self {
            clientid: state.client_id.clone(),
            connected: state.connected,
            expiry_s: (state.expiry_s != EXPIRY_NEVER).then_some(state.expiry_s),
            connected_at: state.opened_at_ms,
            disconnected_at: (!state.connected).then_some(state.closed_at_ms),
            subscriptions: state.subscriptions.len(),
            inflight: state.inflight.len(),
        }
    }
}

/// A stored filter as its client spelled it.
fn subscription_info(stored: &SubscriptionState) -> SubscriptionInfo {
    SubscriptionInfo {
        filter: connection::spelled_name(&stored.filter),
        qos: stored.qos,
        no_local: stored.no_local,
        retain_as_published: stored.retain_as_published,
    }
}

/// Some of the lasting sessions by client identifier, and how many there are.
///
/// # Errors
/// When the views cannot be read.
pub async fn list(
    broker: &Arc<Broker>,
    skip: usize,
    limit: usize,
) -> Result<(Vec<SessionInfo>, usize), HistoryError> {
    let inner = Arc::clone(broker);
    crate::history::blocking(broker, move || {
        let (mut infos, mut count) = (Vec::new(), 0);
        let visited = inner.views.for_each_session(&mut |state| {
            if crate::cursors::cursor_name(&state.client_id).is_none() {
                if count >= skip && infos.len() < limit {
                    infos.push(SessionInfo::from(&state));
                }
                count += 1;
            }
            true
        });
        visited.map_err(|error| HistoryError::failed(&error))?;
        Ok((infos, count))
    })
    .await
}

pub(crate) fn find(broker: &Broker, client_id: &str) -> Result<SessionState, HistoryError> {
    let found = broker
        .views
        .session(client_id)
        .map_err(|error| HistoryError::failed(&error))?;
    found
        .filter(|_| crate::cursors::cursor_name(client_id).is_none())
        .ok_or_else(|| {
            HistoryError::NotFound(format!(
                "there is no lasting session of `{client_id}`: sessions last that set a Session Expiry Interval (5.0) or no clean session (3.1.1)"
            ))
        })
}

/// The plain subscriptions, from the beginning of time.
pub(crate) fn plain(state: &SessionState) -> Subscriptions {
    let mut plain = Subscriptions::default();
    for (filter, options) in crate::startup::filter_options(state) {
        let subscription = Subscription {
            options,
            retain_handling: 2,
            starts: Positions::default(),
        };
        plain.insert(&filter, subscription);
    }
    plain
}

/// Where a stored session reads on: what is in flight lies before.
pub(crate) fn cursors(broker: &Broker, state: &SessionState) -> Positions {
    let visible = broker.dispatch.progress().positions();
    let place = |shard| state.cursors.get(&shard).copied();
    broker
        .shard_map
        .shards()
        .map(|shard| (shard, place(shard).unwrap_or_else(|| visible.get(shard))))
        .collect()
}

/// Where a stored session stands: at the oldest message it has not acknowledged.
fn positions(broker: &Broker, state: &SessionState) -> Positions {
    let mut positions = cursors(broker, state);
    for entry in &state.inflight {
        positions.lower(entry.shard, entry.offset);
    }
    positions
}

/// One session.
///
/// # Errors
/// When there is none of that client, or log or views cannot be read.
pub async fn show(broker: &Arc<Broker>, client_id: &str) -> Result<SessionDetails, HistoryError> {
    let state = find(broker, client_id)?;
    let from = positions(broker, &state);
    let lag = admin::lag(broker, &plain(&state), &from, LAG_MAX).await?;
    Ok(SessionDetails {
        info: SessionInfo::from(&state),
        subscription_list: state
            .subscriptions
            .values()
            .map(subscription_info)
            .collect(),
        positions: admin::shard_positions(&from),
        lag_messages: lag.messages,
        lag_is_more: lag.is_more,
        lag_seconds: lag.seconds,
    })
}

/// Takes a session over from its client, who is told why.
async fn take_over(broker: &Arc<Broker>, client_id: &str) -> Ownership {
    let limits = LinkLimits {
        queue_messages_max: 0,
        queue_bytes_max: 0,
    };
    let link = Arc::new(Link::new(client_id, limits));
    let reason = ReasonCode::AdministrativeAction;
    broker.registry.claim(&link, reason).await
}

/// Moves a session, or only says what that would do. A client that is connected
/// is disconnected (0x98) and goes on from the new place when it comes back;
/// what it had not acknowledged is not sent again unless it lies behind that.
///
/// # Errors
/// When there is no such session, the target is none, or the log fails.
pub async fn rewind(
    broker: &Arc<Broker>,
    client_id: &str,
    target: &Target,
    dry_run: bool,
) -> Result<Moved, HistoryError> {
    find(broker, client_id)?;
    let _ownership = match dry_run {
        true => None,
        false => Some(take_over(broker, client_id).await),
    };
    // As its last connection left it.
    let state = find(broker, client_id)?;
    let subscriptions = plain(&state);
    let from = positions(broker, &state);
    let to = admin::aim(broker, "#", &subscriptions, &from, target).await?;
    let between = places::between(broker, &subscriptions, &from, &to, u64::MAX).await?;
    if !dry_run {
        store(broker, &state, &to)
            .await
            .map_err(|error| HistoryError::failed(&error))?;
        tracing::info!(client_id, ?target, "a session was rewound");
    }
    Ok(Moved::new(dry_run, between, &to))
}

async fn store(
    broker: &Broker,
    state: &SessionState,
    to: &Positions,
) -> Result<(), robustmq_log::AppendError> {
    // Subscriptions made later than there count from there on.
    let earlier = |stored: &SubscriptionState| {
        let start = |(shard, offset): &(ShardId, Offset)| (*shard, (*offset).min(to.get(*shard)));
        SubscriptionState {
            starts: stored.starts.iter().map(start).collect(),
            ..stored.clone()
        }
    };
    let is_plain = |stored: &&SubscriptionState| connection::is_plain(&stored.filter);
    let stored = state.subscriptions.values();
    let subscriptions = stored.filter(is_plain).map(earlier).collect();
    let cursors = to.iter().collect();
    for body in [
        StateBody::Subscribed { subscriptions },
        StateBody::SessionRewound { cursors },
    ] {
        broker.append_state(&state.client_id, &body).await?;
    }
    Ok(())
}

/// Ends a session; a client that is connected is disconnected (0x98).
///
/// # Errors
/// When there is no such session, or the log fails.
pub async fn delete(broker: &Arc<Broker>, client_id: &str) -> Result<(), HistoryError> {
    find(broker, client_id)?;
    let _ownership = take_over(broker, client_id).await;
    let Ok(state) = find(broker, client_id) else {
        // It ended with its connection.
        return Ok(());
    };
    timers::publish_will(broker, &state).await;
    let body = StateBody::SessionExpired { epoch: state.epoch };
    broker
        .append_state(client_id, &body)
        .await
        .map_err(|error| HistoryError::failed(&error))?;
    broker.dispatch.forget(client_id.to_owned());
    broker.cursors.groups.session_ended(broker, &state);
    tracing::info!(client_id, "a session was deleted");
    Ok(())
}
