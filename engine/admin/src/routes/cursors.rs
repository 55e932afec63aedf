//! Named cursors.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use robustmq_broker::cursors::{self, CursorInfo, Moved, Target};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{LIMIT_MAX, LIMIT_USUAL, Meta};
use crate::App;
use crate::error::ApiError;
use crate::query::{Body, Name, Params, limit};

/// Which page of a list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct PageQuery {
    /// Which page, from 1.
    page: Option<usize>,
    /// Most entries: 1 to 10000, 100 by default.
    limit: Option<usize>,
}

impl PageQuery {
    /// The page, its limit, and how many entries come before it.
    pub(super) fn read(&self) -> Result<(usize, usize, usize), ApiError> {
        let limit = limit(self.limit, LIMIT_USUAL, LIMIT_MAX)?;
        let page = self.page.unwrap_or(1);
        if page == 0 {
            return Err(ApiError::bad_request("page=0: pages are counted from 1"));
        }
        Ok((page, limit, (page - 1).saturating_mul(limit)))
    }
}

/// Where to go: `to` or `shift`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct MoveBody {
    /// A position: `earliest`, `latest`, `-1h`, `2026-11-22T10:00:00Z`, `ts:MS`, `o:TOKEN`.
    to: Option<String>,
    /// So many messages on, or back if negative.
    shift: Option<i64>,
    /// Only say what it would do.
    #[serde(default)]
    dry_run: bool,
}

impl MoveBody {
    pub(super) fn read(self) -> Result<(Target, bool), ApiError> {
        let target = match (self.to, self.shift) {
            (Some(to), None) => Target::Position(to),
            (None, Some(shift)) => Target::Shift(shift),
            _ => return Err(ApiError::bad_request("say where to: either to or shift")),
        };
        Ok((target, self.dry_run))
    }
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct CursorsPage {
    data: Vec<CursorInfo>,
    meta: Meta,
}

/// Named cursors, by name.
#[utoipa::path(get, path = "/cursors", tag = "cursors", operation_id = "list_cursors", params(PageQuery), responses(
    (status = 200, description = "Cursors; lags are counted up to 10000 messages", body = CursorsPage),
))]
pub(super) async fn list(
    State(app): State<App>,
    Params(query): Params<PageQuery>,
) -> Result<Json<CursorsPage>, ApiError> {
    let (page, limit, skip) = query.read()?;
    let (data, count) = cursors::list(&app.broker, skip, limit).await?;
    let meta = Meta::new(page, limit, count);
    Ok(Json(CursorsPage { data, meta }))
}

/// One cursor.
#[utoipa::path(get, path = "/cursors/{name}", tag = "cursors", operation_id = "show_cursor", params(("name" = String, Path)), responses(
    (status = 200, description = "The cursor; its lag is counted up to 1000000 messages", body = CursorInfo),
    (status = 404, description = "There is none of that name", body = ApiError),
))]
pub(super) async fn show(
    State(app): State<App>,
    Name(name): Name,
) -> Result<Json<CursorInfo>, ApiError> {
    Ok(Json(cursors::show(&app.broker, &name).await?))
}

/// Moves a cursor. Who uses it goes on from the new place at once.
#[utoipa::path(post, path = "/cursors/{name}/seek", tag = "cursors", params(("name" = String, Path)), request_body = MoveBody, responses(
    (status = 200, description = "What it did, or would do", body = Moved),
    (status = 400, description = "The position is wrong", body = ApiError),
    (status = 404, description = "There is none of that name", body = ApiError),
))]
pub(super) async fn seek(
    State(app): State<App>,
    Name(name): Name,
    Body(body): Body<MoveBody>,
) -> Result<Json<Moved>, ApiError> {
    let (target, dry_run) = body.read()?;
    Ok(Json(
        cursors::seek(&app.broker, &name, &target, dry_run).await?,
    ))
}

/// Deletes a cursor. Who uses it gets nothing more from it.
#[utoipa::path(delete, path = "/cursors/{name}", tag = "cursors", operation_id = "delete_cursor", params(("name" = String, Path)), responses(
    (status = 204, description = "It is gone"),
    (status = 404, description = "There is none of that name", body = ApiError),
))]
pub(super) async fn delete(
    State(app): State<App>,
    Name(name): Name,
) -> Result<StatusCode, ApiError> {
    cursors::delete(&app.broker, &name).await?;
    Ok(StatusCode::NO_CONTENT)
}
