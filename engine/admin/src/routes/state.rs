//! What every topic last said.

use axum::Json;
use axum::extract::State;
use robustmq_broker::history::{self, MessageBody};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::{IntoParams, ToSchema};

use super::{CursorMeta, LIMIT_MAX, LIMIT_USUAL};
use crate::App;
use crate::error::ApiError;
use crate::query::{Params, limit};

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct StateQuery {
    /// Topic Filter; without it all topics.
    filter: Option<String>,
    /// As of when: `-1h`, `2026-11-22T10:00:00Z`, `ts:MS`; now by default.
    at: Option<String>,
    /// Most topics: 1 to 10000, 100 by default.
    limit: Option<usize>,
    /// The last topic of the page before. Give `at` as a fixed time, too.
    cursor: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct StatePage {
    #[schema(value_type = Vec<MessageBody<'static>>)]
    data: Vec<Box<RawValue>>,
    meta: CursorMeta,
}

/// The last message of every topic as of a moment, by topic: the retained view, but for any moment.
#[utoipa::path(get, path = "/history/state", tag = "history", params(StateQuery), responses(
    (status = 200, description = "Messages", body = StatePage),
    (status = 400, description = "The filter or the moment is wrong", body = ApiError),
))]
pub(super) async fn state(
    State(app): State<App>,
    Params(query): Params<StateQuery>,
) -> Result<Json<StatePage>, ApiError> {
    let limit = limit(query.limit, LIMIT_USUAL, LIMIT_MAX)?;
    let filter = query.filter.as_deref().unwrap_or("#");
    let (at, after) = (query.at.as_deref(), query.cursor.as_deref());
    let mut messages = history::state(&app.broker, filter, at, after, limit + 1).await?;
    let hasnext = messages.len() > limit;
    messages.truncate(limit);
    let last = messages.last().map(|last| last.topic().to_owned());
    let mut data = Vec::with_capacity(messages.len());
    for message in &messages {
        let text = String::from_utf8_lossy(&message.to_json()).into_owned();
        let raw = RawValue::from_string(text);
        data.push(raw.map_err(|error| ApiError::bad_request(error.to_string()))?);
    }
    Ok(Json(StatePage {
        meta: CursorMeta {
            limit,
            count: data.len(),
            hasnext,
            cursor: last.filter(|_| hasnext),
        },
        data,
    }))
}
