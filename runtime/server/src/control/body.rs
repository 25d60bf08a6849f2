//! Reading requests: JSON bodies, ids in paths, pages. Errors are problems, not the framework's plain text.

use axum::extract::{FromRequest, FromRequestParts, Request};
use http::header::CONTENT_TYPE;
use http::request::Parts;
use kontor_core::ids::PluginId;
use serde::de::DeserializeOwned;

use crate::hosted::read_body_within;
use crate::limits::{CONTROL_BODY_BYTES_MAX, PAGE_ENTRIES_DEFAULT, PAGE_ENTRIES_MAX};
use crate::problem::{Code, Problem};
use crate::state::shorten;

/// A JSON body.
#[derive(Debug)]
pub(crate) struct Json<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _state: &S) -> Result<Self, Problem> {
        let content_type = request.headers().get(CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
        let media_type = content_type.split(';').next().unwrap_or_default().trim();
        if !media_type.eq_ignore_ascii_case("application/json") {
            return Err(Problem::new(Code::UnsupportedMediaType, "Send `content-type: application/json`."));
        }
        let (parts, body) = request.into_parts();
        let bytes = read_body_within(&parts.headers, body, CONTROL_BODY_BYTES_MAX).await?;
        serde_json::from_slice(&bytes)
            .map(Json)
            .map_err(|e| Problem::invalid(format!("The JSON body does not fit: {e}.")))
    }
}

/// Parts of the path.
#[derive(Debug)]
pub(crate) struct Path<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Path<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let path = axum::extract::Path::<T>::from_request_parts(parts, state).await;
        path.map(|p| Self(p.0)).map_err(|e| Problem::invalid(format!("The address does not fit: {e}.")))
    }
}

/// The query.
#[derive(Debug)]
pub(crate) struct Query<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let query = axum::extract::Query::<T>::from_request_parts(parts, state).await;
        query.map(|q| Self(q.0)).map_err(|e| Problem::invalid(format!("The query does not fit: {e}.")))
    }
}

/// A plugin's id as a client gave it.
pub(crate) fn plugin_id(text: &str) -> Result<PluginId, Problem> {
    PluginId::new(text).map_err(|_| Problem::not_found(format!("There is no plugin `{}`.", shorten(text))))
}

/// How many entries a page has.
pub(crate) fn page_entries(asked: Option<usize>) -> usize {
    asked.unwrap_or(PAGE_ENTRIES_DEFAULT).clamp(1, PAGE_ENTRIES_MAX)
}
