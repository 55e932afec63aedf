//! Rules that give topics other names.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use robustmq_broker::rules::rewrite::{self, RewriteDefinition, RewriteInfo, Trial, Tried};

use crate::App;
use crate::error::ApiError;
use crate::query::{Body, Name};

/// The rules in force, in their order: of those whose filter matches, the last one decides.
#[utoipa::path(get, path = "/mqtt/topic_rewrite", tag = "rules", operation_id = "list_topic_rewrites", responses(
    (status = 200, description = "Rules of the configuration file, then those made at run time", body = Vec<RewriteInfo>),
))]
pub(super) async fn list(State(app): State<App>) -> Json<Vec<RewriteInfo>> {
    Json(rewrite::list(&app.broker))
}

/// Takes a whole list in place of the rules there are.
#[utoipa::path(put, path = "/mqtt/topic_rewrite", tag = "rules", operation_id = "replace_topic_rewrites", request_body = Vec<RewriteDefinition>, responses(
    (status = 200, description = "The rules in force", body = Vec<RewriteInfo>),
    (status = 400, description = "A rule cannot be used", body = ApiError),
    (status = 409, description = "Rules of the configuration file do not stand first in the list", body = ApiError),
))]
pub(super) async fn replace(
    State(app): State<App>,
    Body(definitions): Body<Vec<RewriteDefinition>>,
) -> Result<Json<Vec<RewriteInfo>>, ApiError> {
    Ok(Json(rewrite::replace(&app.broker, definitions).await?))
}

/// Makes a rule behind all there are. It is in force when the answer comes.
#[utoipa::path(post, path = "/mqtt/topic_rewrite", tag = "rules", operation_id = "create_topic_rewrite", request_body = RewriteDefinition, responses(
    (status = 201, description = "The rule", body = RewriteInfo),
    (status = 400, description = "It cannot be used", body = ApiError),
    (status = 409, description = "There are too many", body = ApiError),
))]
pub(super) async fn create(
    State(app): State<App>,
    Body(definition): Body<RewriteDefinition>,
) -> Result<(StatusCode, Json<RewriteInfo>), ApiError> {
    let made = rewrite::create(&app.broker, definition).await?;
    Ok((StatusCode::CREATED, Json(made)))
}

/// Removes a rule that was made at run time.
#[utoipa::path(delete, path = "/mqtt/topic_rewrite/{id}", tag = "rules", operation_id = "delete_topic_rewrite", params(("id" = String, Path)), responses(
    (status = 204, description = "It is gone"),
    (status = 404, description = "There is none of that id", body = ApiError),
    (status = 409, description = "It comes from the configuration file", body = ApiError),
))]
pub(super) async fn delete(State(app): State<App>, Name(id): Name) -> Result<StatusCode, ApiError> {
    rewrite::delete(&app.broker, &id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Says what a topic becomes, and by which rule. Nothing is changed.
#[utoipa::path(post, path = "/mqtt/topic_rewrite/try", tag = "rules", operation_id = "try_topic_rewrite", request_body = Trial, responses(
    (status = 200, description = "What it becomes", body = Tried),
    (status = 400, description = "It is no topic", body = ApiError),
))]
pub(super) async fn try_out(
    State(app): State<App>,
    Body(trial): Body<Trial>,
) -> Result<Json<Tried>, ApiError> {
    Ok(Json(rewrite::try_out(&app.broker, &trial)?))
}
