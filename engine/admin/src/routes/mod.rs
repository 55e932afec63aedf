//! What can be asked.

mod auto_subscribe;
mod cluster;
mod cursors;
mod delayed;
mod explain;
mod messages;
mod metrics;
mod sessions;
mod share_groups;
mod state;
mod status;
mod tail;
mod topic_rewrite;
mod topics;

use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request};
use axum::http::Uri;
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::get;
use serde::Serialize;
use utoipa::{OpenApi, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::App;
use crate::auth;
use crate::error::ApiError;
use crate::openapi;

/// Bytes of a request's body.
const BODY_BYTES_MAX: usize = 1 << 20;

/// Entries of a page where nothing else is asked for.
const LIMIT_USUAL: usize = 100;

/// Entries of a page at most.
const LIMIT_MAX: usize = 10_000;

/// What a list says about itself.
#[derive(Debug, Serialize, ToSchema)]
struct Meta {
    /// Which page this is, from 1.
    page: usize,
    /// Most entries of a page.
    limit: usize,
    /// Entries in all.
    count: usize,
    /// Whether there is a page behind this one.
    hasnext: bool,
}

impl Meta {
    fn new(page: usize, limit: usize, count: usize) -> Self {
        Self {
            page,
            limit,
            count,
            hasnext: page.saturating_mul(limit) < count,
        }
    }
}

/// What a page of something without end says about itself.
#[derive(Debug, Serialize, ToSchema)]
struct CursorMeta {
    /// Most entries of a page.
    limit: usize,
    /// Entries of this page.
    count: usize,
    /// Whether there are more behind it.
    hasnext: bool,
    /// What to give as `cursor` for them.
    #[serde(skip_serializing_if = "Option::is_none")]
    cursor: Option<String>,
}

/// All routes.
pub(crate) fn router(app: App) -> Router {
    let guarded = OpenApiRouter::new()
        .routes(routes!(messages::messages))
        .routes(routes!(tail::tail))
        .routes(routes!(topics::topics))
        .routes(routes!(state::state))
        .routes(routes!(explain::explain))
        .routes(routes!(cursors::list))
        .routes(routes!(cursors::show, cursors::delete))
        .routes(routes!(cursors::seek))
        .routes(routes!(sessions::list))
        .routes(routes!(sessions::show, sessions::delete))
        .routes(routes!(sessions::rewind))
        .routes(routes!(
            topic_rewrite::list,
            topic_rewrite::replace,
            topic_rewrite::create
        ))
        .routes(routes!(topic_rewrite::delete))
        .routes(routes!(topic_rewrite::try_out))
        .routes(routes!(
            auto_subscribe::list,
            auto_subscribe::replace,
            auto_subscribe::create
        ))
        .routes(routes!(auto_subscribe::delete))
        .routes(routes!(cluster::status))
        .routes(routes!(cluster::join))
        .routes(routes!(cluster::leave))
        .routes(routes!(cluster::rebalance))
        .routes(routes!(delayed::settings, delayed::change_settings))
        .routes(routes!(share_groups::list))
        .routes(routes!(
            share_groups::settings,
            share_groups::change_settings
        ))
        .routes(routes!(delayed::list))
        .routes(routes!(delayed::show, delayed::cancel))
        .route_layer(middleware::from_fn_with_state(
            app.clone(),
            auth::require_key,
        ));
    let open = OpenApiRouter::new().routes(routes!(status::status));
    let (api, description) = OpenApiRouter::with_openapi(openapi::Description::openapi())
        .nest("/api/v5", guarded.merge(open))
        .with_state(app.clone())
        .split_for_parts();
    let metrics = Router::new()
        .route("/metrics", get(metrics::metrics))
        .route_layer(middleware::from_fn_with_state(
            app.clone(),
            auth::require_key,
        ))
        .with_state(app);
    let docs = Router::new()
        .route("/api-docs", get(openapi::page))
        .route("/api-docs/openapi.json", get(openapi::json))
        .with_state(Arc::new(description));
    api.merge(metrics)
        .merge(docs)
        .fallback(unknown)
        .method_not_allowed_fallback(wrong_method)
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(middleware::from_fn(log))
}

async fn unknown(uri: Uri) -> ApiError {
    ApiError::not_found(format!(
        "there is nothing at {}: /api-docs says what there is",
        uri.path()
    ))
}

async fn wrong_method(request: Request) -> ApiError {
    ApiError::method_not_allowed(format!(
        "{} cannot be done here: /api-docs says what can",
        request.method()
    ))
}

async fn log(request: Request, next: Next) -> Response {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let response = next.run(request).await;
    tracing::debug!(%method, path, status = response.status().as_u16(), "HTTP request");
    response
}
