//! Topics of the history.

use axum::Json;
use axum::extract::State;
use robustmq_broker::history::{self, TopicInfo};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{CursorMeta, LIMIT_MAX, LIMIT_USUAL};
use crate::App;
use crate::error::ApiError;
use crate::query::{Params, limit};

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct TopicsQuery {
    /// Topic Filter; without it all topics.
    filter: Option<String>,
    /// Most topics: 1 to 10000, 100 by default.
    limit: Option<usize>,
    /// The last topic of the page before.
    cursor: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct TopicsPage {
    data: Vec<TopicInfo>,
    meta: CursorMeta,
}

/// The topics that the log holds messages of, by name.
#[utoipa::path(get, path = "/history/topics", tag = "history", params(TopicsQuery), responses(
    (status = 200, description = "Topics", body = TopicsPage),
    (status = 400, description = "The filter is wrong", body = ApiError),
))]
pub(super) async fn topics(
    State(app): State<App>,
    Params(query): Params<TopicsQuery>,
) -> Result<Json<TopicsPage>, ApiError> {
    let limit = limit(query.limit, LIMIT_USUAL, LIMIT_MAX)?;
    let filter = query.filter.as_deref().unwrap_or("#");
    let after = query.cursor.as_deref();
    let mut data = history::topics(&app.broker, filter, after, limit + 1).await?;
    let hasnext = data.len() > limit;
    data.truncate(limit);
    let last = data.last().map(|last| last.topic.clone());
    Ok(Json(TopicsPage {
        meta: CursorMeta {
            limit,
            count: data.len(),
            hasnext,
            cursor: last.filter(|_| hasnext),
        },
        data,
    }))
}
