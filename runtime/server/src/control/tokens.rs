//! Tokens: created (and shown once), listed, revoked.

use std::sync::Arc;

use axum::Json as Reply;
use axum::extract::State as Extract;
use http::StatusCode;

use super::body::{Json, Path};
use super::health::done;
use crate::api::{CreatedToken, NewAdminToken, NewToken, ProblemBody, Token, TokenKind};
use crate::problem::Problem;
use crate::state::State;
use crate::tokens::TokenRequest;

/// Lists a merchant's tokens.
#[utoipa::path(get, path = "/api/v1/merchants/{merchant}/tokens", tag = "tokens", security(("admin" = [])),
    params(("merchant" = String, Path)), responses((status = 200, body = [Token])))]
pub(crate) async fn list(
    Extract(state): Extract<Arc<State>>,
    Path(merchant): Path<String>,
) -> Result<Reply<Vec<Token>>, Problem> {
    let merchant = State::merchant_id(&merchant)?;
    state.note(state.machine.current(&merchant).await)?;
    Ok(Reply(state.tokens.list(Some(&merchant)).await?))
}

/// Creates a token of a merchant. The answer is the only place where it is shown.
#[utoipa::path(post, path = "/api/v1/merchants/{merchant}/tokens", tag = "tokens", security(("admin" = [])),
    params(("merchant" = String, Path)), request_body = NewToken,
    responses((status = 201, body = CreatedToken), (status = 400, body = ProblemBody)))]
pub(crate) async fn create(
    Extract(state): Extract<Arc<State>>,
    Path(merchant): Path<String>,
    Json(new): Json<NewToken>,
) -> Result<(StatusCode, Reply<CreatedToken>), Problem> {
    let merchant = State::merchant_id(&merchant)?;
    state.note(state.machine.current(&merchant).await)?;
    let request = TokenRequest { name: new.name, kind: new.kind, scopes: new.scopes, expires_at_ms: new.expires_at_ms };
    Ok((StatusCode::CREATED, Reply(state.tokens.create(Some(&merchant), request).await?)))
}

/// Revokes a token at once.
#[utoipa::path(delete, path = "/api/v1/merchants/{merchant}/tokens/{id}", tag = "tokens", security(("admin" = [])),
    params(("merchant" = String, Path), ("id" = String, Path)),
    responses((status = 204, description = "It is revoked."), (status = 404, body = ProblemBody)))]
pub(crate) async fn revoke(
    Extract(state): Extract<Arc<State>>,
    Path((merchant, id)): Path<(String, String)>,
) -> Result<StatusCode, Problem> {
    let merchant = State::merchant_id(&merchant)?;
    state.tokens.revoke(Some(&merchant), &id).await?;
    Ok(done())
}

/// Lists the admin tokens.
#[utoipa::path(get, path = "/api/v1/tokens", tag = "tokens", security(("admin" = [])),
    responses((status = 200, body = [Token])))]
pub(crate) async fn list_admin(Extract(state): Extract<Arc<State>>) -> Result<Reply<Vec<Token>>, Problem> {
    Ok(Reply(state.tokens.list(None).await?))
}

/// Creates an admin token. The answer is the only place where it is shown.
#[utoipa::path(post, path = "/api/v1/tokens", tag = "tokens", security(("admin" = [])), request_body = NewAdminToken,
    responses((status = 201, body = CreatedToken), (status = 400, body = ProblemBody)))]
pub(crate) async fn create_admin(
    Extract(state): Extract<Arc<State>>,
    Json(new): Json<NewAdminToken>,
) -> Result<(StatusCode, Reply<CreatedToken>), Problem> {
    let request =
        TokenRequest { name: new.name, kind: TokenKind::Admin, scopes: Vec::new(), expires_at_ms: new.expires_at_ms };
    Ok((StatusCode::CREATED, Reply(state.tokens.create(None, request).await?)))
}

/// Revokes an admin token at once.
#[utoipa::path(delete, path = "/api/v1/tokens/{id}", tag = "tokens", security(("admin" = [])),
    params(("id" = String, Path)),
    responses((status = 204, description = "It is revoked."), (status = 404, body = ProblemBody)))]
pub(crate) async fn revoke_admin(
    Extract(state): Extract<Arc<State>>,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    state.tokens.revoke(None, &id).await?;
    Ok(done())
}
