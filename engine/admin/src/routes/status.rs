//! The health of the broker.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use crate::App;

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Status {
    /// `running`.
    status: &'static str,
    /// The node's name.
    node: String,
    /// The broker's version.
    version: &'static str,
    /// Seconds since it started.
    uptime_s: u64,
}

/// Whether the broker runs.
#[utoipa::path(get, path = "/status", security(()), responses((status = 200, description = "It runs", body = Status)))]
pub(super) async fn status(State(app): State<App>) -> Json<Status> {
    Json(Status {
        status: "running",
        node: app.node.name.clone(),
        version: app.node.version,
        uptime_s: app.node.since.elapsed().as_secs(),
    })
}
