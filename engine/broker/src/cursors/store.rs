//! Named cursors in the log: kept like sessions.

use std::sync::Arc;

use robustmq_log::AppendError;
use robustmq_protocol::topic::CursorFilter;
use robustmq_record::{Offset, RecordInput, ShardId};
use robustmq_views::{EXPIRY_NEVER, SessionState, StateBody, SubscriptionState};

use super::Cursor;
use crate::broker::Broker;
use crate::history::{HistoryError, UNREACHED};
use crate::link::Link;
use crate::positions::Positions;
use crate::shard_map::DEFAULT_NAMESPACE;

/// What the client identifiers begin with that cursors are stored under. No
/// client can connect with such a one.
pub(crate) const CLIENT_PREFIX: &str = "$cursor/";

/// The version a session is stored with that no client ever had.
pub(super) const VERSION: u8 = 5;

/// The name of the cursor that is stored under a client identifier.
pub(crate) fn cursor_name(client_id: &str) -> Option<&str> {
    client_id.strip_prefix(CLIENT_PREFIX)
}

pub(crate) fn client_id(name: &str) -> String {
    format!("{CLIENT_PREFIX}{name}")
}

/// A cursor as the log knows it; none if it was never finished.
pub(super) fn read(broker: &Broker, state: &SessionState) -> Option<Cursor> {
    let name = cursor_name(&state.client_id)?;
    let stored = state.subscriptions.keys().next()?;
    let filter = CursorFilter::parse(stored).ok()?.filter;
    let from = positions(broker, state);
    Some(Cursor::new(
        name,
        filter.as_str(),
        (state.epoch, state.opened_at_ms),
        &from,
    ))
}

/// Where a stored cursor stands.
pub(super) fn positions(broker: &Broker, state: &SessionState) -> Positions {
    // Shards without a position are those the filter does not reach.
    let place = |shard| state.cursors.get(&shard).copied().unwrap_or(UNREACHED);
    let shards = broker.shard_map.shards();
    shards.map(|shard| (shard, place(shard))).collect()
}

/// Opens a group of a shared subscription: known to the log from now on as
/// served by this node.
pub(super) async fn open_group(
    broker: &Broker,
    name: &str,
    filter: &str,
    epoch: u64,
    from: Positions,
    is_new: bool,
) -> Result<Cursor, HistoryError> {
    let at_ms = broker.clock.wall_ms();
    let group = Cursor::shared(name, filter, (epoch, at_ms), &from);
    let opened = StateBody::SessionOpened {
        epoch,
        clean_start: is_new,
        version: VERSION,
        expiry_s: EXPIRY_NEVER,
        will: None,
        at_ms,
    };
    let subscribed = StateBody::Subscribed {
        subscriptions: vec![subscription(name.to_owned())],
    };
    let mut bodies = vec![opened];
    if is_new {
        // The position before the filter: a group with a filter has a position.
        bodies.extend([position(&group, &from), subscribed]);
    }
    let id = client_id(name);
    for body in &bodies {
        let appended = broker.append_state(&id, body).await;
        appended.map_err(|error| HistoryError::failed(&error))?;
    }
    Ok(group)
}

/// Stores where a group stands that has no connected members any more.
pub(super) async fn close_group(broker: &Broker, group: &Cursor) -> Result<(), HistoryError> {
    let closed = StateBody::SessionClosed {
        epoch: group.epoch(),
        at_ms: broker.clock.wall_ms(),
        expiry_s: EXPIRY_NEVER,
        will: None,
    };
    let id = client_id(group.name());
    for body in [&position(group, &group.positions()), &closed] {
        let appended = broker.append_state(&id, body).await;
        appended.map_err(|error| HistoryError::failed(&error))?;
    }
    Ok(())
}

/// Makes the log forget a stored cursor.
pub(super) async fn forget(broker: &Broker, state: &SessionState) -> Result<(), HistoryError> {
    let body = StateBody::SessionExpired { epoch: state.epoch };
    let appended = broker.append_state(&state.client_id, &body).await;
    appended.map_err(|error| HistoryError::failed(&error))
}

fn subscription(filter: String) -> SubscriptionState {
    SubscriptionState {
        filter,
        qos: 1,
        no_local: false,
        retain_as_published: false,
        retain_handling: 2,
        identifier: None,
        starts: Vec::new(),
    }
}

/// Makes a cursor known to the log.
pub(super) async fn create(
    broker: &Broker,
    name: &str,
    filter: &str,
    from: Positions,
) -> Result<Cursor, HistoryError> {
    let failed = |error: AppendError| HistoryError::failed(&error);
    let at_ms = broker.clock.wall_ms();
    let cursor = Cursor::new(name, filter, (broker.next_epoch(), at_ms), &from);
    let opened = StateBody::SessionOpened {
        epoch: cursor.epoch(),
        clean_start: true,
        version: VERSION,
        expiry_s: EXPIRY_NEVER,
        will: None,
        at_ms,
    };
    let subscribed = StateBody::Subscribed {
        subscriptions: vec![subscription(format!("{CLIENT_PREFIX}{name}/{filter}"))],
    };
    let closed = StateBody::SessionClosed {
        epoch: cursor.epoch(),
        at_ms,
        expiry_s: EXPIRY_NEVER,
        will: None,
    };
    let id = client_id(name);
    // The position before the filter: a cursor with a filter has a position.
    for body in [&opened, &position(&cursor, &from), &subscribed, &closed] {
        broker.append_state(&id, body).await.map_err(failed)?;
    }
    Ok(cursor)
}

/// Makes the log forget a cursor.
pub(super) async fn delete(broker: &Broker, cursor: &Arc<Cursor>) -> Result<(), HistoryError> {
    let body = StateBody::SessionExpired {
        epoch: cursor.epoch(),
    };
    broker
        .append_state(&client_id(cursor.name()), &body)
        .await
        .map_err(|error| HistoryError::failed(&error))
}

fn position(cursor: &Cursor, at: &Positions) -> StateBody {
    let reached = |(_, offset): &(ShardId, Offset)| *offset != UNREACHED;
    StateBody::CursorStored {
        epoch: cursor.epoch(),
        cursors: at.iter().filter(reached).collect(),
        inflight: Vec::new(),
    }
}

/// Stores a position and waits until it is durable.
pub(super) async fn write_position(
    broker: &Broker,
    cursor: &Cursor,
    at: &Positions,
) -> Result<(), AppendError> {
    let body = position(cursor, at);
    broker.append_state(&client_id(cursor.name()), &body).await
}

/// Stores a position that the cursor was moved to.
pub(super) async fn write_seek(
    broker: &Broker,
    cursor: &Cursor,
    to: &Positions,
) -> Result<(), AppendError> {
    let reached = |(_, offset): &(ShardId, Offset)| *offset != UNREACHED;
    let body = StateBody::SessionRewound {
        cursors: to.iter().filter(reached).collect(),
    };
    broker.append_state(&client_id(cursor.name()), &body).await
}

/// Stores a position without waiting; false if there is no room at present.
pub(super) fn push_position(
    broker: &Broker,
    cursor: &Cursor,
    at: &Positions,
    link: &Arc<Link>,
) -> bool {
    let body = position(cursor, at);
    let id = client_id(cursor.name());
    let payload = body.encode();
    let record = RecordInput {
        kind: body.kind(),
        namespace: DEFAULT_NAMESPACE,
        client_id: &id,
        timestamp_ms: broker.clock.wall_ms(),
        payload: &payload,
        ..RecordInput::default()
    };
    let shard = broker.shard_map.session(DEFAULT_NAMESPACE, &id);
    let mut appender = broker.mailboxes.appender(link);
    appender.push(shard, &record, None).is_ok()
}
