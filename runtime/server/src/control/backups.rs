//! Backups of the running host.

use std::path::PathBuf;
use std::sync::{Arc, PoisonError};

use axum::Json as Reply;
use axum::extract::State as Extract;
use http::StatusCode;

use super::body::Json;
use crate::api::{BackupState, BackupStatus, NewBackup, ProblemBody};
use crate::backup;
use crate::problem::{Code, Problem};
use crate::state::State;

/// Begins a backup into a directory of the host's machine. One at a time; ask for its state until it is done.
#[utoipa::path(post, path = "/api/v1/backup", tag = "host", security(("admin" = [])), request_body = NewBackup,
    responses((status = 202, body = BackupStatus), (status = 409, body = ProblemBody)))]
pub(crate) async fn begin(
    Extract(state): Extract<Arc<State>>,
    Json(new): Json<NewBackup>,
) -> Result<(StatusCode, Reply<BackupStatus>), Problem> {
    let directory = PathBuf::from(&new.directory);
    if !directory.is_absolute() {
        return Err(Problem::invalid(format!("`directory` is `{}`: give an absolute path.", new.directory)));
    }
    let status = start(&state, directory)?;
    Ok((StatusCode::ACCEPTED, Reply(status)))
}

/// The backup that runs, or the last one since the host started.
#[utoipa::path(get, path = "/api/v1/backup", tag = "host", security(("admin" = [])),
    responses((status = 200, body = BackupStatus), (status = 404, body = ProblemBody)))]
pub(crate) async fn show(Extract(state): Extract<Arc<State>>) -> Result<Reply<BackupStatus>, Problem> {
    let status = state.backup.lock().unwrap_or_else(PoisonError::into_inner).clone();
    status.map(Reply).ok_or_else(|| Problem::not_found("No backup was made since the host started."))
}

/// Begins a backup on a thread of its own.
pub(crate) fn start(state: &Arc<State>, directory: PathBuf) -> Result<BackupStatus, Problem> {
    let status = BackupStatus {
        directory: directory.to_string_lossy().into_owned(),
        state: BackupState::Running,
        records: 0,
        bytes: 0,
        version: 0,
        error: None,
    };
    {
        let mut current = state.backup.lock().unwrap_or_else(PoisonError::into_inner);
        if current.as_ref().is_some_and(|current| current.state == BackupState::Running) {
            return Err(Problem::new(Code::Conflict, "A backup runs already; wait until it is done."));
        }
        *current = Some(status.clone());
    }
    let state = Arc::clone(state);
    tokio::task::spawn_blocking(move || run(&state, &directory));
    Ok(status)
}

/// Makes a backup and keeps what came of it.
pub(crate) fn run(state: &State, directory: &std::path::Path) {
    let update = |change: &dyn Fn(&mut BackupStatus)| {
        if let Some(status) = state.backup.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
            change(status);
        }
    };
    let now_ms = state.environment.now_ms();
    let done = backup::write(&state.store, &state.data_dir, directory, now_ms, &mut |records| {
        if records.is_multiple_of(1_000) {
            update(&|status| status.records = records);
        }
    });
    match done {
        Ok(summary) => {
            tracing::info!(directory = %directory.display(), records = summary.store.records, "a backup was made");
            metrics::gauge!("kontor_backup_last_success_seconds").set(now_ms as f64 / 1_000.0);
            update(&|status| {
                status.state = BackupState::Done;
                (status.records, status.bytes) = (summary.store.records, summary.store.bytes);
                status.version = summary.store.version;
            });
        }
        Err(error) => {
            tracing::error!(directory = %directory.display(), %error, "a backup failed");
            metrics::counter!("kontor_backup_failures_total").increment(1);
            update(&|status| {
                status.state = BackupState::Failed;
                status.error = Some(format!("[{}] {error}", error.code()));
            });
        }
    }
}
