//! Background work that a person may want to see: waiting jobs, and what was given up.

use std::sync::Arc;

use axum::Json as Reply;
use axum::extract::State as Extract;
use http::StatusCode;
use kontor_core::records::{DeadLetter as CoreLetter, DeadSubject};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::body::{Path, Query, page_entries, plugin_id};
use super::health::done;
use crate::api::{DeadLetter, JobInfo, ProblemBody};
use crate::problem::Problem;
use crate::state::State;

/// Which part of the list.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Page {
    /// Only those after this id.
    after: Option<String>,
    /// At most so many (1 to 1,000; 100 if absent).
    limit: Option<usize>,
}

/// How many.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Replayed {
    /// Dead letters put back.
    replayed: u64,
}

/// Lists jobs of a plugin that wait or run.
#[utoipa::path(get, path = "/api/v1/merchants/{merchant}/plugins/{plugin}/jobs", tag = "background", security(("admin" = [])),
    params(("merchant" = String, Path), ("plugin" = String, Path), Page), responses((status = 200, body = [JobInfo])))]
pub(crate) async fn jobs(
    Extract(state): Extract<Arc<State>>,
    Path((merchant, plugin)): Path<(String, String)>,
    Query(page): Query<Page>,
) -> Result<Reply<Vec<JobInfo>>, Problem> {
    let (merchant, plugin) = (State::merchant_id(&merchant)?, plugin_id(&plugin)?);
    let jobs = state.note(state.machine.jobs(&merchant, &plugin, page_entries(page.limit)).await)?;
    let view = |status: kontor_core::records::JobStatus| JobInfo {
        id: status.job.id,
        plugin: status.plugin.to_string(),
        name: status.job.name,
        key: status.job.key,
        attempt: status.job.attempt,
        due_ms: status.job.due_ms,
        running: status.running,
    };
    Ok(Reply(jobs.into_iter().map(view).collect()))
}

/// Lists what was given up, oldest first.
#[utoipa::path(get, path = "/api/v1/merchants/{merchant}/dead-letters", tag = "background", security(("admin" = [])),
    params(("merchant" = String, Path), Page), responses((status = 200, body = [DeadLetter])))]
pub(crate) async fn dead_letters(
    Extract(state): Extract<Arc<State>>,
    Path(merchant): Path<String>,
    Query(page): Query<Page>,
) -> Result<Reply<Vec<DeadLetter>>, Problem> {
    let merchant = State::merchant_id(&merchant)?;
    let letters = state.machine.dead_letters(&merchant, page.after.as_deref(), page_entries(page.limit)).await;
    Ok(Reply(state.note(letters)?.into_iter().map(view).collect()))
}

/// Puts a dead letter back in its queue, with attempts counted anew.
#[utoipa::path(post, path = "/api/v1/merchants/{merchant}/dead-letters/{id}/replay", tag = "background", security(("admin" = [])),
    params(("merchant" = String, Path), ("id" = String, Path)),
    responses((status = 204, description = "It will be tried again."), (status = 404, body = ProblemBody)))]
pub(crate) async fn replay(
    Extract(state): Extract<Arc<State>>,
    Path((merchant, id)): Path<(String, String)>,
) -> Result<StatusCode, Problem> {
    let merchant = State::merchant_id(&merchant)?;
    state.note(state.machine.replay_dead_letter(&merchant, &id).await)?;
    Ok(done())
}

/// Puts all dead letters of a plugin back.
#[utoipa::path(post, path = "/api/v1/merchants/{merchant}/plugins/{plugin}/dead-letters/replay", tag = "background",
    security(("admin" = [])), params(("merchant" = String, Path), ("plugin" = String, Path)),
    responses((status = 200, body = Replayed)))]
pub(crate) async fn replay_all(
    Extract(state): Extract<Arc<State>>,
    Path((merchant, plugin)): Path<(String, String)>,
) -> Result<Reply<Replayed>, Problem> {
    let (merchant, plugin) = (State::merchant_id(&merchant)?, plugin_id(&plugin)?);
    let replayed = state.note(state.machine.replay_dead_letters(&merchant, &plugin).await)?;
    Ok(Reply(Replayed { replayed }))
}

/// Forgets a dead letter.
#[utoipa::path(delete, path = "/api/v1/merchants/{merchant}/dead-letters/{id}", tag = "background", security(("admin" = [])),
    params(("merchant" = String, Path), ("id" = String, Path)),
    responses((status = 204, description = "It is gone."), (status = 404, body = ProblemBody)))]
pub(crate) async fn discard(
    Extract(state): Extract<Arc<State>>,
    Path((merchant, id)): Path<(String, String)>,
) -> Result<StatusCode, Problem> {
    let merchant = State::merchant_id(&merchant)?;
    state.note(state.machine.discard_dead_letter(&merchant, &id).await)?;
    Ok(done())
}

fn view(letter: CoreLetter) -> DeadLetter {
    let (kind, name, key, payload) = match letter.subject {
        DeadSubject::Event(event) => ("event", event.event_type, Some(event.key), event.payload),
        DeadSubject::Job(job) => ("job", job.name, job.key, job.payload),
    };
    DeadLetter {
        id: letter.id,
        kind: kind.to_owned(),
        plugin: letter.plugin.to_string(),
        name,
        key,
        payload,
        attempts: letter.attempts,
        code: letter.code,
        error: letter.message,
        time_ms: letter.at_ms,
    }
}
