//! Looking at named cursors, moving and deleting them.

use std::sync::Arc;

use robustmq_protocol::topic::ReplayPosition;
use robustmq_record::{OffsetToken, ShardId};
use serde::Serialize;
use utoipa::ToSchema;

use super::Cursor;
use crate::broker::Broker;
use crate::history::places::{self, Between};
use crate::history::{HistoryError, HistoryReader, UNREACHED, everything};
use crate::positions::Positions;
use crate::subscriptions::Subscriptions;

/// Messages of a lag that are counted for one cursor.
const LAG_MAX: u64 = 1_000_000;

/// The same where many are listed.
const LAG_LISTED_MAX: u64 = 10_000;

/// A position in one shard.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct ShardPosition {
    /// The shard.
    pub shard: u32,
    /// The offset token of the first message not passed.
    pub offset: String,
}

/// A named cursor, for people.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct CursorInfo {
    /// Its name.
    pub name: String,
    /// What it reads.
    pub filter: String,
    /// The group that shares it at present.
    pub group: Option<String>,
    /// The client identifiers of those who use it at present.
    pub members: Vec<String>,
    /// Messages with them, not acknowledged.
    pub in_flight: usize,
    /// Where it stands.
    pub positions: Vec<ShardPosition>,
    /// Messages it has not passed.
    pub lag_messages: u64,
    /// They are more than were counted.
    pub lag_is_more: bool,
    /// Age of the oldest message it has not passed, seconds.
    pub lag_seconds: f64,
}

/// Where to move a reader.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// To a position, as in `$replay/{start}`.
    Position(String),
    /// So many messages on, or back if negative.
    Shift(i64),
}

/// What moving a reader does, or has done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Moved {
    /// Nothing was moved.
    pub dry_run: bool,
    /// `back`, `forward` or `none`.
    pub direction: &'static str,
    /// Messages gone over.
    pub messages: u64,
    /// Of them, those that come again.
    pub again: u64,
    /// Of them, those passed over.
    pub skipped: u64,
    /// Where it goes on.
    pub positions: Vec<ShardPosition>,
}

impl Moved {
    pub(crate) fn new(dry_run: bool, between: Between, to: &Positions) -> Self {
        let Between { again, skipped } = between;
        let direction = match again.cmp(&skipped) {
            std::cmp::Ordering::Greater => "back",
            std::cmp::Ordering::Less => "forward",
            std::cmp::Ordering::Equal => "none",
        };
        Self {
            dry_run,
            direction,
            messages: again + skipped,
            again,
            skipped,
            positions: shard_positions(to),
        }
    }
}

pub(crate) fn shard_positions(positions: &Positions) -> Vec<ShardPosition> {
    let reached = positions.iter().filter(|(_, offset)| *offset != UNREACHED);
    let told = |(shard, offset): (ShardId, _)| ShardPosition {
        shard: shard.0,
        offset: OffsetToken { shard, offset }.to_string(),
    };
    reached.map(told).collect()
}

/// How far behind a reader is.
pub(crate) struct Lag {
    pub(crate) messages: u64,
    pub(crate) is_more: bool,
    pub(crate) seconds: f64,
}

pub(crate) async fn lag(
    broker: &Arc<Broker>,
    subscriptions: &Subscriptions,
    from: &Positions,
    count_max: u64,
) -> Result<Lag, HistoryError> {
    let visible = broker.dispatch.progress().positions();
    let between = places::between(broker, subscriptions, from, &visible, count_max).await?;
    let mut reader =
        HistoryReader::over(broker, subscriptions.clone(), from.clone(), Some(visible));
    let oldest = reader
        .next(1)
        .await?
        .messages
        .first()
        .map(|first| first.timestamp_ms());
    let now_ms = broker.clock.wall_ms();
    Ok(Lag {
        messages: between.skipped,
        is_more: between.skipped == count_max,
        seconds: oldest.map_or(0.0, |ms| now_ms.saturating_sub(ms) as f64 / 1000.0),
    })
}

/// Finds a target as seen from a place.
pub(crate) async fn aim(
    broker: &Arc<Broker>,
    filter: &str,
    subscriptions: &Subscriptions,
    from: &Positions,
    target: &Target,
) -> Result<Positions, HistoryError> {
    match target {
        Target::Shift(by) => places::shifted(broker, subscriptions, from, *by).await,
        Target::Position(text) => {
            let position =
                ReplayPosition::parse(text).map_err(|error| HistoryError::asked(&error))?;
            places::place(broker, filter, position).await
        }
    }
}

fn missing(name: &str) -> HistoryError {
    HistoryError::NotFound(format!("there is no cursor `{name}`"))
}

pub(crate) fn find(broker: &Broker, name: &str) -> Result<Arc<Cursor>, HistoryError> {
    broker.cursors.get(name).ok_or_else(|| missing(name))
}

/// Some of the cursors by name, and how many there are.
///
/// # Errors
/// When the log cannot be read.
pub async fn list(
    broker: &Arc<Broker>,
    skip: usize,
    limit: usize,
) -> Result<(Vec<CursorInfo>, usize), HistoryError> {
    let all = broker.cursors.known(broker);
    let mut infos = Vec::new();
    for cursor in all.iter().skip(skip).take(limit) {
        infos.push(info(broker, cursor, LAG_LISTED_MAX).await?);
    }
    Ok((infos, all.len()))
}

/// One cursor.
///
/// # Errors
/// When there is none of that name, or the log cannot be read.
pub async fn show(broker: &Arc<Broker>, name: &str) -> Result<CursorInfo, HistoryError> {
    let mut known = broker.cursors.known(broker).into_iter();
    let cursor = known.find(|cursor| cursor.name() == name);
    let cursor = cursor.ok_or_else(|| missing(name))?;
    info(broker, &cursor, LAG_MAX).await
}

async fn info(
    broker: &Arc<Broker>,
    cursor: &Cursor,
    lag_max: u64,
) -> Result<CursorInfo, HistoryError> {
    let positions = cursor.positions();
    let lag = lag(broker, &everything(cursor.filter()), &positions, lag_max).await?;
    let (members, group, in_flight) = cursor.users();
    Ok(CursorInfo {
        name: cursor.name().to_owned(),
        filter: cursor.filter().to_owned(),
        group,
        members,
        in_flight,
        positions: shard_positions(&positions),
        lag_messages: lag.messages,
        lag_is_more: lag.is_more,
        lag_seconds: lag.seconds,
    })
}

/// Moves a cursor, or only says what that would do.
///
/// # Errors
/// When there is none of that name, the target is none, or the log fails.
pub async fn seek(
    broker: &Arc<Broker>,
    name: &str,
    target: &Target,
    dry_run: bool,
) -> Result<Moved, HistoryError> {
    let cursor = broker.cursors.owned(broker, name).await?;
    let cursor = cursor.ok_or_else(|| missing(name))?;
    let subscriptions = everything(cursor.filter());
    let from = cursor.positions();
    let to = aim(broker, cursor.filter(), &subscriptions, &from, target).await?;
    let between = places::between(broker, &subscriptions, &from, &to, u64::MAX).await?;
    if !dry_run {
        let moved = cursor.seek(broker, &to).await;
        moved.map_err(|error| HistoryError::failed(&error))?;
        tracing::info!(cursor = name, ?target, "a cursor was moved");
    }
    Ok(Moved::new(dry_run, between, &to))
}

/// Deletes a cursor. Whoever uses it gets nothing more from it.
///
/// # Errors
/// When there is none of that name, or the log fails.
pub async fn delete(broker: &Arc<Broker>, name: &str) -> Result<(), HistoryError> {
    match broker.cursors.remove(broker, name).await? {
        true => Ok(()),
        false => Err(missing(name)),
    }
}
