//! Lasting sessions.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use robustmq_broker::cursors::Moved;
use robustmq_broker::sessions::{self, SessionDetails, SessionInfo};
use serde::Serialize;
use utoipa::ToSchema;

use super::Meta;
use super::cursors::{MoveBody, PageQuery};
use crate::App;
use crate::error::ApiError;
use crate::query::{Body, Name, Params};

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct SessionsPage {
    data: Vec<SessionInfo>,
    meta: Meta,
}

/// Lasting sessions, by client identifier.
#[utoipa::path(get, path = "/sessions", tag = "sessions", operation_id = "list_sessions", params(PageQuery), responses(
    (status = 200, description = "Sessions", body = SessionsPage),
))]
pub(super) async fn list(
    State(app): State<App>,
    Params(query): Params<PageQuery>,
) -> Result<Json<SessionsPage>, ApiError> {
    let (page, limit, skip) = query.read()?;
    let (data, count) = sessions::list(&app.broker, skip, limit).await?;
    let meta = Meta::new(page, limit, count);
    Ok(Json(SessionsPage { data, meta }))
}

/// One session, as it was stored last.
#[utoipa::path(get, path = "/sessions/{clientid}", tag = "sessions", operation_id = "show_session", params(("clientid" = String, Path)), responses(
    (status = 200, description = "The session", body = SessionDetails),
    (status = 404, description = "There is none of that client", body = ApiError),
))]
pub(super) async fn show(
    State(app): State<App>,
    Name(client_id): Name,
) -> Result<Json<SessionDetails>, ApiError> {
    Ok(Json(sessions::show(&app.broker, &client_id).await?))
}

/// Moves a session. A connected client is disconnected (0x98 Administrative action) and goes on from the
/// new place when it comes back.
#[utoipa::path(post, path = "/sessions/{clientid}/rewind", tag = "sessions", params(("clientid" = String, Path)), request_body = MoveBody, responses(
    (status = 200, description = "What it did, or would do", body = Moved),
    (status = 400, description = "The position is wrong", body = ApiError),
    (status = 404, description = "There is none of that client", body = ApiError),
))]
pub(super) async fn rewind(
    State(app): State<App>,
    Name(client_id): Name,
    Body(body): Body<MoveBody>,
) -> Result<Json<Moved>, ApiError> {
    let (target, dry_run) = body.read()?;
    Ok(Json(
        sessions::rewind(&app.broker, &client_id, &target, dry_run).await?,
    ))
}

/// Ends a session. A connected client is disconnected (0x98 Administrative action).
#[utoipa::path(delete, path = "/sessions/{clientid}", tag = "sessions", operation_id = "delete_session", params(("clientid" = String, Path)), responses(
    (status = 204, description = "It is gone"),
    (status = 404, description = "There is none of that client", body = ApiError),
))]
pub(super) async fn delete(
    State(app): State<App>,
    Name(client_id): Name,
) -> Result<StatusCode, ApiError> {
    sessions::delete(&app.broker, &client_id).await?;
    Ok(StatusCode::NO_CONTENT)
}
