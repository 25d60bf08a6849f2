//! Packed plugins of this host: uploaded once, installed for any merchant.

use std::sync::Arc;

use axum::Json as Reply;
use axum::extract::{Request, State as Extract};
use http::StatusCode;
use http::header::CONTENT_TYPE;

use super::body::Path;
use crate::api::{Package, ProblemBody};
use crate::hosted::read_body_within;
use crate::limits::PACKAGE_BYTES_MAX;
use crate::packed::Unpacked;
use crate::problem::{Code, Problem};
use crate::state::State;

/// The media type of a packed plugin.
const MEDIA_TYPE: &str = "application/vnd.kontor.plugin";

/// Lists the packages that were uploaded.
#[utoipa::path(get, path = "/api/v1/packages", tag = "packages", security(("admin" = [])),
    responses((status = 200, body = [Package])))]
pub(crate) async fn list(Extract(state): Extract<Arc<State>>) -> Result<Reply<Vec<Package>>, Problem> {
    let mut packages = Vec::new();
    for digest in state.packages.digests().await? {
        match state.packages.load(&digest).await {
            Ok(unpacked) => packages.push(view(&unpacked)),
            // One damaged file must not hide the others.
            Err(error) => tracing::warn!(%error, digest, "a package is left out of the list"),
        }
    }
    Ok(Reply(packages))
}

/// Uploads a package. Doing it twice changes nothing.
#[utoipa::path(post, path = "/api/v1/packages", tag = "packages", security(("admin" = [])),
    request_body(content = Vec<u8>, content_type = "application/vnd.kontor.plugin"),
    responses((status = 201, body = Package), (status = 403, body = ProblemBody), (status = 422, body = ProblemBody)))]
pub(crate) async fn upload(
    Extract(state): Extract<Arc<State>>,
    request: Request,
) -> Result<(StatusCode, Reply<Package>), Problem> {
    let media_type = request.headers().get(CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    if media_type != MEDIA_TYPE && media_type != "application/octet-stream" {
        return Err(Problem::new(
            Code::UnsupportedMediaType,
            format!("Send the package file as `content-type: {MEDIA_TYPE}`."),
        ));
    }
    let (parts, body) = request.into_parts();
    let bytes = read_body_within(&parts.headers, body, PACKAGE_BYTES_MAX).await?;
    let unpacked = state.packages.keep(bytes.to_vec(), state.dev_mode).await?;
    Ok((StatusCode::CREATED, Reply(view(&unpacked))))
}

/// Shows a package.
#[utoipa::path(get, path = "/api/v1/packages/{digest}", tag = "packages", security(("admin" = [])),
    params(("digest" = String, Path)), responses((status = 200, body = Package), (status = 404, body = ProblemBody)))]
pub(crate) async fn show(
    Extract(state): Extract<Arc<State>>,
    Path(digest): Path<String>,
) -> Result<Reply<Package>, Problem> {
    let unpacked = state.packages.load(&digest).await?;
    Ok(Reply(view(&unpacked)))
}

fn view(unpacked: &Unpacked) -> Package {
    let spec = &unpacked.spec;
    Package {
        digest: spec.digest.clone(),
        plugin: spec.id.to_string(),
        version: spec.version.clone(),
        name: spec.name.clone(),
        description: spec.description.clone(),
        publisher: spec.publisher.clone(),
        signature: unpacked.signature,
        config_schema: spec.config_schema.clone(),
    }
}
