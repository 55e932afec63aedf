//! Delayed publishing: its settings, and messages that wait.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use robustmq_broker::delayed::{self, DelayedInfo, DelayedSettings};
use serde::Serialize;
use utoipa::ToSchema;

use super::Meta;
use super::cursors::PageQuery;
use crate::App;
use crate::error::ApiError;
use crate::query::{Body, Name, Params};

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct DelayedPage {
    data: Vec<DelayedInfo>,
    meta: Meta,
}

/// The settings in force.
#[utoipa::path(get, path = "/mqtt/delayed", tag = "delayed", operation_id = "show_delayed_settings", responses(
    (status = 200, description = "As the configuration says, or as they were changed at run time", body = DelayedSettings),
))]
pub(super) async fn settings(State(app): State<App>) -> Json<DelayedSettings> {
    Json(delayed::settings(&app.broker))
}

/// Changes the settings, in place of what the configuration says.
#[utoipa::path(put, path = "/mqtt/delayed", tag = "delayed", operation_id = "change_delayed_settings", request_body = DelayedSettings, responses(
    (status = 200, description = "The settings in force", body = DelayedSettings),
    (status = 400, description = "They cannot be understood", body = ApiError),
))]
pub(super) async fn change_settings(
    State(app): State<App>,
    Body(settings): Body<DelayedSettings>,
) -> Result<Json<DelayedSettings>, ApiError> {
    let settings = delayed::change_settings(&app.broker, settings).await?;
    Ok(Json(settings))
}

/// Messages that wait, in the order in which they are due.
#[utoipa::path(get, path = "/mqtt/delayed/messages", tag = "delayed", operation_id = "list_delayed_messages", params(PageQuery), responses(
    (status = 200, description = "Messages, without their payloads", body = DelayedPage),
))]
pub(super) async fn list(
    State(app): State<App>,
    Params(query): Params<PageQuery>,
) -> Result<Json<DelayedPage>, ApiError> {
    let (page, limit, skip) = query.read()?;
    let (data, count) = delayed::list(&app.broker, skip, limit).await?;
    let count = usize::try_from(count).unwrap_or(usize::MAX);
    let meta = Meta::new(page, limit, count);
    Ok(Json(DelayedPage { data, meta }))
}

/// One message that waits, with its payload.
#[utoipa::path(get, path = "/mqtt/delayed/messages/{id}", tag = "delayed", operation_id = "show_delayed_message", params(("id" = String, Path)), responses(
    (status = 200, description = "The message", body = DelayedInfo),
    (status = 404, description = "It does not wait, or not any more", body = ApiError),
))]
pub(super) async fn show(
    State(app): State<App>,
    Name(id): Name,
) -> Result<Json<DelayedInfo>, ApiError> {
    Ok(Json(delayed::show(&app.broker, &id).await?))
}

/// Cancels a message: it is not published.
#[utoipa::path(delete, path = "/mqtt/delayed/messages/{id}", tag = "delayed", operation_id = "cancel_delayed_message", params(("id" = String, Path)), responses(
    (status = 204, description = "It waits no more"),
    (status = 404, description = "It does not wait, or not any more", body = ApiError),
))]
pub(super) async fn cancel(State(app): State<App>, Name(id): Name) -> Result<StatusCode, ApiError> {
    delayed::cancel(&app.broker, &id).await?;
    Ok(StatusCode::NO_CONTENT)
}
