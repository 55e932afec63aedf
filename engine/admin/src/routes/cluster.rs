//! The cluster.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use robustmq_broker::cluster::{Cluster, ClusterStatus};
use serde::Deserialize;
use utoipa::ToSchema;

use crate::App;
use crate::error::ApiError;
use crate::query::Body;

/// Which cluster to join.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct JoinBody {
    /// Where a node of it is reached by other nodes: `host:port`.
    address: String,
}

/// Which node leaves.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct LeaveBody {
    /// Its number.
    node: u64,
}

fn part(app: &App) -> Result<Arc<Cluster>, ApiError> {
    app.broker.cluster().cloned().ok_or_else(|| {
        ApiError::conflict(
            "this node takes part in no cluster: set cluster.enabled = true and its certificates, and start it again",
        )
    })
}

/// The nodes and groups of the cluster, as the asked node sees them.
#[utoipa::path(get, path = "/cluster", tag = "cluster", operation_id = "cluster_status", responses(
    (status = 200, description = "Where it stands", body = ClusterStatus),
    (status = 409, description = "The node takes part in none", body = ApiError),
))]
pub(super) async fn status(State(app): State<App>) -> Result<Json<ClusterStatus>, ApiError> {
    Ok(Json(part(&app)?.status().await))
}

/// The asked node joins the cluster of another node.
#[utoipa::path(post, path = "/cluster/join", tag = "cluster", request_body = JoinBody, responses(
    (status = 200, description = "It is part of it, and gets what it lacks from now on", body = ClusterStatus),
    (status = 409, description = "It cannot: the message says why and what to do", body = ApiError),
    (status = 503, description = "The other node cannot be reached", body = ApiError),
))]
pub(super) async fn join(
    State(app): State<App>,
    Body(body): Body<JoinBody>,
) -> Result<Json<ClusterStatus>, ApiError> {
    let cluster = part(&app)?;
    cluster.join(&body.address).await?;
    Ok(Json(cluster.status().await))
}

/// A node leaves the cluster.
#[utoipa::path(post, path = "/cluster/leave", tag = "cluster", request_body = LeaveBody, responses(
    (status = 200, description = "It is off the list; the groups follow at once", body = ClusterStatus),
    (status = 409, description = "It cannot: the message says why and what to do", body = ApiError),
    (status = 503, description = "Nobody leads at present", body = ApiError),
))]
pub(super) async fn leave(
    State(app): State<App>,
    Body(body): Body<LeaveBody>,
) -> Result<Json<ClusterStatus>, ApiError> {
    let cluster = part(&app)?;
    cluster.leave(body.node).await?;
    Ok(Json(cluster.status().await))
}

/// Every node hands on what others should lead, so that all lead as many shards.
#[utoipa::path(post, path = "/cluster/rebalance", tag = "cluster", responses(
    (status = 200, description = "All nodes that are there were asked", body = ClusterStatus),
    (status = 409, description = "The node takes part in none", body = ApiError),
))]
pub(super) async fn rebalance(State(app): State<App>) -> Result<Json<ClusterStatus>, ApiError> {
    let cluster = part(&app)?;
    cluster.rebalance().await;
    Ok(Json(cluster.status().await))
}
