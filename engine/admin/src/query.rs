//! Parameters, bodies and paths, refused in the shape of all refusals.

use std::time::Duration;

use axum::Json;
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::request::Parts;
use serde::de::DeserializeOwned;

use crate::error::ApiError;

/// How long a client may take for a body.
const BODY_PATIENCE: Duration = Duration::from_secs(15);

/// The parameters behind the `?`. Give `T` `deny_unknown_fields`: a parameter
/// that is not known is a mistake.
pub(crate) struct Params<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Params<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let query = Query::<T>::from_request_parts(parts, state).await;
        query
            .map(|Query(params)| Self(params))
            .map_err(|rejection| ApiError::bad_request(rejection.body_text()))
    }
}

/// A JSON body.
pub(crate) struct Body<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let json = Json::<T>::from_request(request, state);
        let json = tokio::time::timeout(BODY_PATIENCE, json).await;
        let json = json.map_err(|_| {
            let patience = BODY_PATIENCE.as_secs();
            ApiError::bad_request(format!("the body did not come within {patience} seconds"))
        })?;
        json.map(|Json(body)| Self(body))
            .map_err(|rejection| ApiError::bad_request(rejection.body_text()))
    }
}

/// The one variable part of a path.
pub(crate) struct Name(pub(crate) String);

impl<S: Send + Sync> FromRequestParts<S> for Name {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let path = Path::<String>::from_request_parts(parts, state).await;
        path.map(|Path(name)| Self(name))
            .map_err(|rejection| ApiError::bad_request(rejection.body_text()))
    }
}

/// Checks a limit.
pub(crate) fn limit(asked: Option<usize>, usual: usize, max: usize) -> Result<usize, ApiError> {
    match asked {
        None => Ok(usual),
        Some(limit) if (1..=max).contains(&limit) => Ok(limit),
        Some(limit) => Err(ApiError::bad_request(format!(
            "limit={limit}: give a number from 1 to {max}"
        ))),
    }
}
