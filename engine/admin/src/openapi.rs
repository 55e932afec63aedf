//! The description of the interface, for programs and for people.

use axum::Json;
use axum::http::header;
use axum::response::{Html, IntoResponse};
use utoipa::OpenApi;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};

/// What all operations have in common.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "RobustMQ MQTT",
        description = "History, cursors and sessions of a broker over HTTP. Refusals are `{code, message}`. \
                       Requests carry a key as `Authorization: Basic`; the file `api-key` in the broker's \
                       data directory holds one.",
        license(name = "Apache-2.0", identifier = "Apache-2.0")
    ),
    security(("key" = [])),
    modifiers(&Key)
)]
pub(crate) struct Description;

struct Key;

impl utoipa::Modify for Key {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        let basic = HttpBuilder::new().scheme(HttpAuthScheme::Basic).build();
        let components = openapi.components.get_or_insert_with(Default::default);
        components.add_security_scheme("key", SecurityScheme::Http(basic));
    }
}

/// `/api-docs`: a page that needs nothing from the network.
pub(crate) async fn page() -> impl IntoResponse {
    let headers = [(
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; connect-src 'self'; style-src 'unsafe-inline'; script-src 'unsafe-inline'",
    )];
    (headers, Html(include_str!("openapi.html")))
}

/// `/api-docs/openapi.json`.
pub(crate) async fn json(
    axum::extract::State(description): axum::extract::State<
        std::sync::Arc<utoipa::openapi::OpenApi>,
    >,
) -> impl IntoResponse {
    Json((*description).clone())
}
