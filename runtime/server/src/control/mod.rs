//! The control API under `/api/v1`: what an administrator's token may do.

mod background;
mod backups;
mod body;
mod health;
mod merchants;
mod openapi;
mod packages;
mod plugins;
mod revisions;
mod streams;
mod tokens;

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State as Extract};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{delete, get, post, put};

use crate::api::TokenKind;
use crate::hosted;
use crate::problem::Problem;
use crate::state::State;

pub(crate) use backups::start as start_backup;
pub use openapi::openapi_json;

/// The host's own addresses: all that are not plugins'.
pub(crate) fn router(state: &Arc<State>) -> Router {
    let merchant = Router::new()
        .route("/", get(merchants::show))
        .route("/plugins", get(plugins::list))
        .route("/plugins/{plugin}", get(plugins::show))
        .route("/plugins/{plugin}/secrets", get(plugins::secrets))
        .route("/plugins/{plugin}/secrets/{name}", put(plugins::set_secret).delete(plugins::unset_secret))
        .route("/plugins/{plugin}/logs", get(streams::logs))
        .route("/plugins/{plugin}/logs/stream", get(streams::follow_logs))
        .route("/plugins/{plugin}/jobs", get(background::jobs))
        .route("/plugins/{plugin}/dead-letters/replay", post(background::replay_all))
        .route("/revisions", get(revisions::list).post(revisions::change))
        .route("/revisions/{number}", get(revisions::show))
        .route("/rollback", post(revisions::rollback))
        .route("/dead-letters", get(background::dead_letters))
        .route("/dead-letters/{id}", delete(background::discard))
        .route("/dead-letters/{id}/replay", post(background::replay))
        .route("/tokens", get(tokens::list).post(tokens::create))
        .route("/tokens/{id}", delete(tokens::revoke))
        .route("/events", get(streams::events));
    let control = Router::new()
        .route("/merchants", get(merchants::list).post(merchants::create))
        .nest("/merchants/{merchant}", merchant)
        .route("/backup", get(backups::show).post(backups::begin))
        .route("/packages", get(packages::list).post(packages::upload))
        .route("/packages/{digest}", get(packages::show))
        .route("/tokens", get(tokens::list_admin).post(tokens::create_admin))
        .route("/tokens/{id}", delete(tokens::revoke_admin))
        .fallback(nothing_here)
        .method_not_allowed_fallback(wrong_method)
        .layer(middleware::from_fn_with_state(Arc::clone(state), only_admins));
    Router::new()
        .route("/", get(hosted::root))
        .route("/healthz", get(health::healthz))
        .route("/readyz", get(health::readyz))
        .route("/metrics", get(health::metrics))
        .route("/openapi.json", get(openapi::serve))
        .nest("/api/v1", control)
        .fallback(nothing_here)
        .method_not_allowed_fallback(wrong_method)
        .with_state(Arc::clone(state))
}

async fn nothing_here(request: Request) -> Problem {
    Problem::not_found(format!(
        "There is nothing at `{}`. The addresses are listed in /openapi.json.",
        request.uri().path()
    ))
}

async fn wrong_method(request: Request) -> Problem {
    Problem::new(
        crate::problem::Code::MethodNotAllowed,
        format!("{} is not allowed here; the header `Allow` says what is.", request.method()),
    )
}

async fn only_admins(Extract(state): Extract<Arc<State>>, request: Request, next: Next) -> Response {
    let Some(presented) = hosted::bearer(request.headers()) else {
        return Problem::unauthenticated("Send an admin token as `Authorization: Bearer <token>`. The first one is in the file `admin-token` of the data directory.")
            .into_response();
    };
    match state.tokens.verify(None, presented).await {
        Ok(Some(token)) if token.kind == TokenKind::Admin => next.run(request).await,
        Ok(_) => Problem::unauthenticated("This is not a valid admin token.").into_response(),
        Err(problem) => problem.into_response(),
    }
}
