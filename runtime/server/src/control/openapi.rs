//! The description of the control API for programs: `/openapi.json`.

use std::sync::LazyLock;

use axum::response::{IntoResponse, Response};
use http::HeaderValue;
use http::header::CONTENT_TYPE;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{Modify, OpenApi};

use super::{background, backups, health, merchants, packages, plugins, revisions, streams, tokens};

#[derive(OpenApi)]
#[openapi(
    info(title = "Kontor control API", description = "Merchants, plugins, revisions, tokens, events and logs of a Kontor host.",
        license(name = "Apache-2.0 OR MIT", identifier = "Apache-2.0 OR MIT")),
    modifiers(&AdminToken),
    paths(
        health::healthz, health::readyz, health::metrics, backups::begin, backups::show,
        merchants::list, merchants::create, merchants::show,
        packages::list, packages::upload, packages::show,
        plugins::list, plugins::show, plugins::secrets, plugins::set_secret, plugins::unset_secret,
        revisions::list, revisions::change, revisions::show, revisions::rollback,
        tokens::list, tokens::create, tokens::revoke, tokens::list_admin, tokens::create_admin, tokens::revoke_admin,
        background::jobs, background::dead_letters, background::replay, background::replay_all, background::discard,
        streams::logs, streams::follow_logs, streams::events,
    )
)]
struct Description;

struct AdminToken;

impl Modify for AdminToken {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        let scheme = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some("An admin token. The first one is in the file `admin-token` of the data directory."))
            .build();
        openapi.components.get_or_insert_default().add_security_scheme("admin", SecurityScheme::Http(scheme));
    }
}

static TEXT: LazyLock<String> = LazyLock::new(|| {
    let text = Description::openapi().to_pretty_json();
    // Plain data always serialises; an empty document would be noticed by the test that compares it.
    text.map(|t| t + "\n").unwrap_or_default()
});

/// The description, as it is served and as it is committed in `runtime/server/openapi.json`.
pub fn openapi_json() -> &'static str {
    &TEXT
}

/// `/openapi.json`
pub(crate) async fn serve() -> Response {
    let mut response = openapi_json().into_response();
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
