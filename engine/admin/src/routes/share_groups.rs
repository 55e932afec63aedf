//! Shared subscriptions: groups, and how they share.

use axum::Json;
use axum::extract::State;
use robustmq_broker::cursors::group_admin::{self, GroupInfo, SharedSettings};
use serde::Serialize;
use utoipa::ToSchema;

use super::Meta;
use super::cursors::PageQuery;
use crate::App;
use crate::error::ApiError;
use crate::query::{Body, Params};

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct GroupPage {
    data: Vec<GroupInfo>,
    meta: Meta,
}

/// The groups that sessions hold.
#[utoipa::path(get, path = "/mqtt/shared_subscriptions/groups", tag = "shared subscriptions", operation_id = "list_shared_groups", params(PageQuery), responses(
    (status = 200, description = "Groups by name", body = GroupPage),
))]
pub(super) async fn list(
    State(app): State<App>,
    Params(query): Params<PageQuery>,
) -> Result<Json<GroupPage>, ApiError> {
    let (page, limit, skip) = query.read()?;
    let (data, count) = group_admin::list(&app.broker, skip, limit).await?;
    let meta = Meta::new(page, limit, count);
    Ok(Json(GroupPage { data, meta }))
}

/// How groups share.
#[utoipa::path(get, path = "/mqtt/shared_subscriptions", tag = "shared subscriptions", operation_id = "show_shared_settings", responses(
    (status = 200, description = "As the configuration says, or as they were changed at run time", body = SharedSettings),
))]
pub(super) async fn settings(State(app): State<App>) -> Json<SharedSettings> {
    Json(group_admin::settings(&app.broker))
}

/// Changes how groups share, in place of what the configuration says.
#[utoipa::path(put, path = "/mqtt/shared_subscriptions", tag = "shared subscriptions", operation_id = "change_shared_settings", request_body = SharedSettings, responses(
    (status = 200, description = "The settings in force", body = SharedSettings),
    (status = 400, description = "They cannot be understood", body = ApiError),
))]
pub(super) async fn change_settings(
    State(app): State<App>,
    Body(settings): Body<SharedSettings>,
) -> Result<Json<SharedSettings>, ApiError> {
    let settings = group_admin::change_settings(&app.broker, settings).await?;
    Ok(Json(settings))
}
