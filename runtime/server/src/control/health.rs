//! What machines ask: is it alive, is it ready, how does it do.

use std::sync::Arc;

use axum::Json;
use axum::extract::State as Extract;
use axum::response::{IntoResponse, Response};
use http::header::CONTENT_TYPE;
use http::{HeaderValue, StatusCode};
use kontor_core::error::Error;
use metrics::{counter, gauge};

use crate::api::Readiness;
use crate::problem::{Code, Problem};
use crate::state::State;
use crate::telemetry::metrics_page;

/// Entries of a queue counted at most: more than this is an alarm in any case.
const COUNTED_MAX: usize = 1_000;
/// Merchants whose queues are counted.
const COUNTED_MERCHANTS_MAX: usize = 50;

/// Alive.
#[utoipa::path(get, path = "/healthz", tag = "host", responses((status = 200, description = "The process answers.")))]
pub(crate) async fn healthz() -> &'static str {
    "ok\n"
}

/// Ready to serve: the store reads, and the host is not stopping.
#[utoipa::path(get, path = "/readyz", tag = "host",
    responses((status = 200, body = Readiness), (status = 503, body = crate::api::ProblemBody)))]
pub(crate) async fn readyz(Extract(state): Extract<Arc<State>>) -> Response {
    if let Some(reason) = state.fatal.borrow().clone() {
        return Problem::unavailable(Code::Unavailable, format!("The host has stopped: {reason}."), 30).into_response();
    }
    if state.stopping.is_cancelled() {
        return Problem::unavailable(Code::Unavailable, "The host is stopping.", 30).into_response();
    }
    if let Err(error) = state.note(state.machine.merchants().await) {
        return Problem::from(error).into_response();
    }
    Json(Readiness { state: "ready".to_owned(), version: env!("CARGO_PKG_VERSION").to_owned() }).into_response()
}

/// Prometheus metrics.
#[utoipa::path(get, path = "/metrics", tag = "host",
    responses((status = 200, description = "Metrics in the Prometheus text format.", content_type = "text/plain", body = String)))]
pub(crate) async fn metrics(Extract(state): Extract<Arc<State>>) -> Response {
    let handle = metrics_page::handle();
    refresh(&state);
    if let Err(error) = state.note(count_waiting(&state).await) {
        tracing::warn!(%error, "the depths of queues are not counted now");
    }
    handle.run_upkeep();
    let mut response = handle.render().into_response();
    let text = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, text);
    response
}

/// Numbers that are kept elsewhere are copied when somebody looks.
fn refresh(state: &State) {
    #[expect(
        clippy::cast_precision_loss,
        reason = "metrics are floating point; above 2^53 the last digits do not matter"
    )]
    let float = |n: u64| n as f64;
    gauge!("kontor_http_invocations_running").set(float(state.places.taken() as u64));
    let runner = state.runner.stats();
    gauge!("kontor_pool_instances").set(float(runner.instances));
    gauge!("kontor_pool_capacity").set(float(runner.capacity));
    counter!("kontor_service_answers_given_total").absolute(runner.answers_given);
    counter!("kontor_service_answers_kept_total").absolute(runner.answers_kept);
    counter!("kontor_http_responses_given_total").absolute(runner.responses_given);
    counter!("kontor_http_responses_kept_total").absolute(runner.responses_kept);
    let store = state.store.stats();
    gauge!("kontor_store_version").set(float(store.version));
    gauge!("kontor_store_durable_version").set(float(store.durable_version));
    for (name, total) in [
        ("commits", store.commits),
        ("read-only", store.read_only),
        ("groups", store.groups),
        ("syncs", store.syncs),
        ("conflicts", store.conflicts),
        ("too-old", store.too_old),
        ("bounds", store.bounds),
    ] {
        counter!("kontor_store_operations_total", "operation" => name).absolute(total);
    }
    gauge!("kontor_store_recent_changes").set(float(store.recent_changes as u64));
    gauge!("kontor_store_alarm").set(if store.engine.alarm.is_some() { 1.0 } else { 0.0 });
    if let Some(bytes) = store.engine.disk_bytes {
        gauge!("kontor_store_disk_bytes").set(float(bytes));
    }
    gauge!("kontor_up").set(if state.stopping.is_cancelled() { 0.0 } else { 1.0 });
    let lag = state.machine.next_due_ms().map_or(0, |due| state.environment.now_ms().saturating_sub(due));
    gauge!("kontor_background_lag_milliseconds").set(float(lag));
}

/// What waits, merchant by merchant. Counted on request and only so far: a scrape must stay cheap.
async fn count_waiting(state: &State) -> Result<(), Error> {
    for merchant in state.machine.merchants().await?.into_iter().take(COUNTED_MERCHANTS_MAX) {
        let letters = state.machine.dead_letters(&merchant, None, COUNTED_MAX).await?;
        gauge!("kontor_dead_letters_waiting", "merchant" => merchant.to_string()).set(count(letters.len()));
        let revision = state.machine.current(&merchant).await?;
        for (plugin, installed) in &revision.plugins {
            if !installed.spec.jobs.is_empty() {
                let jobs = state.machine.jobs(&merchant, plugin, COUNTED_MAX).await?;
                gauge!("kontor_jobs_waiting", "merchant" => merchant.to_string(), "plugin" => plugin.to_string())
                    .set(count(jobs.len()));
            }
        }
    }
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "at most a thousand")]
fn count(n: usize) -> f64 {
    n as f64
}

/// 204.
pub(crate) fn done() -> StatusCode {
    StatusCode::NO_CONTENT
}
