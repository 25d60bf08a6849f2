//! `kontor backup | restore | verify | store copy`. A backup is made by the host that runs; the others need that none does.

use std::path::{Path, PathBuf};
use std::time::Duration;

use indicatif::ProgressBar;
use kontor_server::EngineKind;
use kontor_server::api::{BackupState, BackupStatus, NewBackup};
use kontor_server::backup::{self, BackupError, Verification};
use serde_json::json;

use super::serve::engine_kind;
use crate::args::{ConnectionArguments, RestoreArguments, StoreCommand, VerifyArguments};
use crate::connection::Connection;
use crate::failure::{Failure, Result};
use crate::output::{Output, grouped};

/// How often a running backup is asked for.
const ASK_EVERY: Duration = Duration::from_millis(200);

pub(crate) async fn backup(destination: &Path, connection: &Connection, output: &Output) -> Result<()> {
    let directory = std::path::absolute(destination).map_err(|error| Failure::file("find", destination, error))?;
    let new = NewBackup { directory: directory.to_string_lossy().into_owned() };
    let mut status: BackupStatus = connection.client().post("/api/v1/backup", &new).await?;
    let spinner = output.spinner("backing up");
    while status.state == BackupState::Running {
        tokio::time::sleep(ASK_EVERY).await;
        status = connection.client().get("/api/v1/backup").await?;
        spinner.set_message(format!("backing up: {} records", grouped(status.records)));
    }
    spinner.finish_and_clear();
    if let Some(error) = status.error {
        return Err(Failure::new("backup-failed", format!("the backup failed: {error}")));
    }
    output.result(&status, || {
        format!(
            "backed up {} records ({} bytes) to {}; try it with `kontor verify {}`",
            grouped(status.records),
            grouped(status.bytes),
            status.directory,
            status.directory
        )
    });
    Ok(())
}

pub(crate) fn restore(arguments: &RestoreArguments, connection: &ConnectionArguments, output: &Output) -> Result<()> {
    let summary = backup::inspect(&arguments.backup).map_err(failed)?;
    let engine = match arguments.store {
        Some(choice) => engine_kind(choice),
        None => summary.engine.parse().unwrap_or_default(),
    };
    let bar = output.bar("restoring", summary.store.records);
    let done = backup::restore(&arguments.backup, &connection.data_dir, engine, &mut counting(&bar)).map_err(failed);
    bar.finish_and_clear();
    let summary = done?;
    let result = json!({ "data_dir": connection.data_dir, "engine": engine.name(), "backup": summary });
    output.result(&result, || {
        format!(
            "restored {} records into {} (engine {engine}); start it with `kontor --data-dir {} serve`",
            grouped(summary.store.records),
            connection.data_dir.display(),
            connection.data_dir.display()
        )
    });
    Ok(())
}

pub(crate) fn verify(arguments: &VerifyArguments, connection: &ConnectionArguments, output: &Output) -> Result<()> {
    let path: PathBuf = arguments.path.clone().unwrap_or_else(|| connection.data_dir.clone());
    let spinner = output.spinner("looking at every record");
    let verified = backup::verify(&path, &mut |entries| {
        if entries.is_multiple_of(10_000) {
            spinner.set_message(format!("looking at every record: {}", grouped(entries)));
        }
    });
    spinner.finish_and_clear();
    let verified = verified.map_err(failed)?;
    output.result(&verified, || summary_of(&verified));
    match verified.audit.problem_count {
        0 => Ok(()),
        count => Err(Failure::new("store-inconsistent", format!("{} has {count} problems", path.display()))
            .with_details(verified.audit.problems.iter().map(|p| format!("[{}] {}: {}", p.code, p.at, p.what)))),
    }
}

fn summary_of(verified: &Verification) -> String {
    let audit = &verified.audit;
    let state = if audit.problem_count == 0 { "sound" } else { "not sound" };
    format!(
        "{} is {state}: version {}, {} entries, {} merchants, {} revisions, {} events ({} to be delivered), {} jobs, {} packages",
        verified.path.display(),
        grouped(verified.version),
        grouped(audit.entries),
        grouped(audit.merchants),
        grouped(audit.revisions),
        grouped(audit.events),
        grouped(audit.queued),
        grouped(audit.jobs),
        audit.packages.len()
    )
}

pub(crate) fn store(command: StoreCommand, connection: &ConnectionArguments, output: &Output) -> Result<()> {
    let StoreCommand::Copy { to, destination } = command;
    let engine: EngineKind = engine_kind(to);
    let spinner = output.spinner("copying");
    let copied = backup::copy_data(&connection.data_dir, &destination, engine, &mut counting(&spinner));
    spinner.finish_and_clear();
    let entries = copied.map_err(failed)?;
    let result = json!({ "from": connection.data_dir, "to": destination, "engine": engine.name(), "entries": entries });
    output.result(&result, || {
        format!(
            "copied {} entries to {} (engine {engine}); start it with `kontor --data-dir {} serve`",
            grouped(entries),
            destination.display(),
            destination.display()
        )
    });
    Ok(())
}

fn counting(bar: &ProgressBar) -> impl FnMut(u64) + Send {
    let bar = bar.clone();
    move |records| {
        if records.is_multiple_of(1_000) {
            bar.set_position(records);
        }
    }
}

fn failed(error: BackupError) -> Failure {
    Failure::new(error.code(), error.to_string())
}
