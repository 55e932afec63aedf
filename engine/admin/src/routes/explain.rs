//! Why a message was or was not delivered.

use axum::Json;
use axum::extract::State;
use robustmq_broker::explain::{self, Explanation, Reader};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::App;
use crate::error::ApiError;
use crate::query::{Name, Params};

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ExplainQuery {
    /// The client whose session is meant.
    client: Option<String>,
    /// The cursor that is meant.
    cursor: Option<String>,
}

/// Whether, when and why a message was or was not delivered to a client or by a cursor.
#[utoipa::path(get, path = "/messages/{offset}/explain", tag = "history", params(
    ("offset" = String, Path, description = "The message's offset token"), ExplainQuery,
), responses(
    (status = 200, description = "What became of it", body = Explanation),
    (status = 400, description = "Neither or both of client and cursor, or no offset token", body = ApiError),
    (status = 404, description = "There is no such message, session or cursor", body = ApiError),
))]
pub(super) async fn explain(
    State(app): State<App>,
    Name(offset): Name,
    Params(query): Params<ExplainQuery>,
) -> Result<Json<Explanation>, ApiError> {
    let reader = match (query.client, query.cursor) {
        (Some(client), None) => Reader::Client(client),
        (None, Some(cursor)) => Reader::Cursor(cursor),
        _ => {
            return Err(ApiError::bad_request(
                "say for whom: client=ID or cursor=NAME",
            ));
        }
    };
    Ok(Json(explain::explain(&app.broker, &offset, &reader).await?))
}
