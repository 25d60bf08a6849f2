//! `kontor serve`: runs a host until it is told to stop.

use std::time::Duration;

use kontor_server::{BackupSchedule, EngineKind, HostOptions, LogFormat, init_telemetry};
use serde_json::json;

use crate::args::{ConnectionArguments, ServeArguments, StoreChoice};
use crate::connection::{self, RunningNote};
use crate::failure::{Failure, Result};
use crate::output::Output;

pub(crate) async fn run(arguments: ServeArguments, connection: &ConnectionArguments, output: &Output) -> Result<()> {
    let format = if arguments.log_json { LogFormat::Json } else { LogFormat::Human };
    let _telemetry = init_telemetry(format, None).map_err(|error| Failure::new("telemetry", error.to_string()))?;
    let mut options = HostOptions::new(&connection.data_dir);
    options.code_cache_dir.clone_from(&connection.code_cache);
    options.listen = arguments.listen;
    if let Some(choice) = arguments.store {
        options.store = engine_kind(choice);
    }
    options.store_cache_bytes = arguments.cache_mib << 20;
    options.backups = arguments.backup_to.map(|directory| BackupSchedule {
        directory,
        every: Duration::from_secs(arguments.backup_every_hours * 60 * 60),
        keep: arguments.backup_keep.max(1),
    });
    options.dev_mode = arguments.dev;
    options.secure_cookies = arguments.secure_cookies;
    let host = connection::start(options).await?;
    let url = connection::url_of(&host);
    let _note = RunningNote::write(&connection.data_dir, &url)?;
    let token_file = connection.data_dir.join("admin-token");
    let ready = json!({ "url": url, "admin_token_file": token_file });
    output.result(&ready, || format!("Kontor listens on {}\nadmin token: {}", url, token_file.display()));

    let fatal = tokio::select! {
        () = stop_signal() => None,
        reason = host.stopped() => reason,
    };
    if fatal.is_none() {
        output.say("stopping: requests under way are finished first (once more to stop at once)");
    }
    let report = tokio::select! {
        report = host.shutdown() => report,
        () = stop_signal() => return Err(Failure::new("interrupted", "stopped at once; whatever was acknowledged is safe")),
    };
    match fatal.or(report.fatal).or(report.store_error) {
        Some(reason) => Err(Failure::new("host-stopped", format!("the host could not go on: {reason}"))),
        None => Ok(()),
    }
}

pub(crate) fn engine_kind(choice: StoreChoice) -> EngineKind {
    match choice {
        StoreChoice::Sled => EngineKind::Sled,
        StoreChoice::Fjall => EngineKind::Fjall,
        StoreChoice::Memory => EngineKind::Memory,
    }
}

/// Ctrl-C, or SIGTERM from whoever manages services.
pub(crate) async fn stop_signal() {
    #[cfg(unix)]
    {
        let terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate());
        if let Ok(mut terminate) = terminate {
            tokio::select! {
                _ = tokio::signal::ctrl_c() => {}
                _ = terminate.recv() => {}
            }
            return;
        }
    }
    let _ = tokio::signal::ctrl_c().await;
}
