//! Subscriptions that every client gets when it connects.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use robustmq_broker::rules::auto_subscribe::{self, AutoSubscribeDefinition, AutoSubscribeInfo};

use crate::App;
use crate::error::ApiError;
use crate::query::{Body, Name};

/// The automatic subscriptions in force.
#[utoipa::path(get, path = "/mqtt/auto_subscribe", tag = "rules", operation_id = "list_auto_subscribes", responses(
    (status = 200, description = "Those of the configuration file, then those made at run time", body = Vec<AutoSubscribeInfo>),
))]
pub(super) async fn list(State(app): State<App>) -> Json<Vec<AutoSubscribeInfo>> {
    Json(auto_subscribe::list(&app.broker))
}

/// Takes a whole list in place of the automatic subscriptions there are.
#[utoipa::path(put, path = "/mqtt/auto_subscribe", tag = "rules", operation_id = "replace_auto_subscribes", request_body = Vec<AutoSubscribeDefinition>, responses(
    (status = 200, description = "Those in force", body = Vec<AutoSubscribeInfo>),
    (status = 400, description = "One cannot be used", body = ApiError),
    (status = 409, description = "One of the configuration file is missing, or there are too many", body = ApiError),
))]
pub(super) async fn replace(
    State(app): State<App>,
    Body(definitions): Body<Vec<AutoSubscribeDefinition>>,
) -> Result<Json<Vec<AutoSubscribeInfo>>, ApiError> {
    let all = auto_subscribe::replace(&app.broker, definitions).await?;
    Ok(Json(all))
}

/// Makes an automatic subscription, or changes that of the same topic. Clients get it when they connect next.
#[utoipa::path(post, path = "/mqtt/auto_subscribe", tag = "rules", operation_id = "create_auto_subscribe", request_body = AutoSubscribeDefinition, responses(
    (status = 201, description = "The subscription", body = AutoSubscribeInfo),
    (status = 400, description = "It cannot be used", body = ApiError),
    (status = 409, description = "The configuration file has it, or there are too many", body = ApiError),
))]
pub(super) async fn create(
    State(app): State<App>,
    Body(definition): Body<AutoSubscribeDefinition>,
) -> Result<(StatusCode, Json<AutoSubscribeInfo>), ApiError> {
    let made = auto_subscribe::create(&app.broker, definition).await?;
    Ok((StatusCode::CREATED, Json(made)))
}

/// Removes an automatic subscription that was made at run time. Clients keep what they have.
#[utoipa::path(delete, path = "/mqtt/auto_subscribe/{topic}", tag = "rules", operation_id = "delete_auto_subscribe", params(("topic" = String, Path)), responses(
    (status = 204, description = "It is gone"),
    (status = 404, description = "There is none of that topic", body = ApiError),
    (status = 409, description = "It comes from the configuration file", body = ApiError),
))]
pub(super) async fn delete(
    State(app): State<App>,
    Name(topic): Name,
) -> Result<StatusCode, ApiError> {
    auto_subscribe::delete(&app.broker, &topic).await?;
    Ok(StatusCode::NO_CONTENT)
}
