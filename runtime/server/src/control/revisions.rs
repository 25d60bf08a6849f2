//! Revisions: every change of a merchant's set of plugins, and the way back.

use std::sync::Arc;

use axum::Json as Reply;
use axum::extract::State as Extract;
use kontor_core::revision::Revision;
use serde::Deserialize;
use utoipa::IntoParams;

use super::body::{Json, Path, Query, page_entries};
use super::plugins;
use crate::api::{ChangeResult, ChangeSet, ProblemBody, RevisionDetail, RevisionSummary, Rollback};
use crate::install;
use crate::problem::Problem;
use crate::state::State;

/// Which part of the list.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Page {
    /// Only revisions below this number.
    before: Option<u64>,
    /// At most so many (1 to 1,000; 100 if absent).
    limit: Option<usize>,
}

/// Lists revisions, newest first.
#[utoipa::path(get, path = "/api/v1/merchants/{merchant}/revisions", tag = "revisions", security(("admin" = [])),
    params(("merchant" = String, Path), Page), responses((status = 200, body = [RevisionSummary])))]
pub(crate) async fn list(
    Extract(state): Extract<Arc<State>>,
    Path(merchant): Path<String>,
    Query(page): Query<Page>,
) -> Result<Reply<Vec<RevisionSummary>>, Problem> {
    let merchant = State::merchant_id(&merchant)?;
    let revisions = state.note(state.machine.revisions(&merchant, page.before, page_entries(page.limit)).await)?;
    let view = |r: kontor_core::records::RevisionSummary| RevisionSummary {
        number: r.number,
        parent: r.parent,
        created_at_ms: r.created_at_ms,
        reason: r.reason,
        current: r.current,
        plugins: r.plugins.into_iter().map(|(id, version)| (id.to_string(), version)).collect(),
    };
    Ok(Reply(revisions.into_iter().map(view).collect()))
}

/// Installs, upgrades, configures and removes plugins, all in one new revision. With `dry_run` nothing changes, and the answer is the
/// permission screen.
#[utoipa::path(post, path = "/api/v1/merchants/{merchant}/revisions", tag = "revisions", security(("admin" = [])),
    params(("merchant" = String, Path)), request_body = ChangeSet,
    responses((status = 200, body = ChangeResult), (status = 409, body = ProblemBody), (status = 422, body = ProblemBody)))]
pub(crate) async fn change(
    Extract(state): Extract<Arc<State>>,
    Path(merchant): Path<String>,
    Json(set): Json<ChangeSet>,
) -> Result<Reply<ChangeResult>, Problem> {
    let merchant = State::merchant_id(&merchant)?;
    Ok(Reply(install::change(&state, &merchant, &set).await?))
}

/// Shows a revision with its plugins.
#[utoipa::path(get, path = "/api/v1/merchants/{merchant}/revisions/{number}", tag = "revisions", security(("admin" = [])),
    params(("merchant" = String, Path), ("number" = u64, Path)),
    responses((status = 200, body = RevisionDetail), (status = 404, body = ProblemBody)))]
pub(crate) async fn show(
    Extract(state): Extract<Arc<State>>,
    Path((merchant, number)): Path<(String, u64)>,
) -> Result<Reply<RevisionDetail>, Problem> {
    let merchant = State::merchant_id(&merchant)?;
    let revision = state.note(state.machine.revision(&merchant, number).await)?;
    let current = state.note(state.machine.current(&merchant).await)?.number == number;
    let installed = revision.plugins.values().map(|p| plugins::view(&merchant, p)).collect();
    Ok(Reply(RevisionDetail { summary: summary(&revision, current), installed }))
}

/// Returns to an earlier set of plugins, as a new revision.
#[utoipa::path(post, path = "/api/v1/merchants/{merchant}/rollback", tag = "revisions", security(("admin" = [])),
    params(("merchant" = String, Path)), request_body = Rollback,
    responses((status = 200, body = RevisionSummary), (status = 404, body = ProblemBody), (status = 409, body = ProblemBody)))]
pub(crate) async fn rollback(
    Extract(state): Extract<Arc<State>>,
    Path(merchant): Path<String>,
    Json(rollback): Json<Rollback>,
) -> Result<Reply<RevisionSummary>, Problem> {
    let merchant = State::merchant_id(&merchant)?;
    let revision = install::rollback(&state, &merchant, rollback.to).await?;
    Ok(Reply(summary(&revision, true)))
}

fn summary(revision: &Revision, current: bool) -> RevisionSummary {
    RevisionSummary {
        number: revision.number,
        parent: revision.parent,
        created_at_ms: revision.created_at_ms,
        reason: revision.reason.clone(),
        current,
        plugins: revision.plugins.iter().map(|(id, p)| (id.to_string(), p.spec.version.clone())).collect(),
    }
}
