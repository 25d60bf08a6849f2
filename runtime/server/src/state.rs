//! What every handler has at hand.

use std::path::PathBuf;
use std::sync::Arc;

use kontor_core::effects::Environment;
use kontor_core::error::Error;
use kontor_core::ids::MerchantId;
use kontor_core::machine::Machine;
use kontor_store::StoreHandle;
use tokio::sync::{Mutex, Semaphore, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::api::BackupStatus;
use crate::limits::EVENT_STREAMS_MAX;
use crate::packages::PackageStore;
use crate::places::Places;
use crate::problem::Problem;
use crate::runner::PluginRunner;
use crate::telemetry::log_ring::LogRings;
use crate::tokens::Tokens;

/// Shared by all handlers.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) machine: Arc<Machine>,
    pub(crate) runner: Arc<dyn PluginRunner>,
    pub(crate) environment: Arc<dyn Environment>,
    pub(crate) store: StoreHandle,
    pub(crate) data_dir: PathBuf,
    /// The backup that runs, or the last one.
    pub(crate) backup: std::sync::Mutex<Option<BackupStatus>>,
    pub(crate) packages: PackageStore,
    pub(crate) tokens: Tokens,
    pub(crate) logs: Arc<LogRings>,
    /// In front of the engine's pool.
    pub(crate) places: Places,
    /// Event and log streams that may be open.
    pub(crate) streams: Arc<Semaphore>,
    /// Changes of plugin sets are planned and switched one at a time: they are rare, and each is planned on the one before.
    pub(crate) changes: Mutex<()>,
    pub(crate) dev_mode: bool,
    pub(crate) secure_cookies: bool,
    /// Cancelled when the host begins to stop.
    pub(crate) stopping: CancellationToken,
    /// Invocations go on when their client is gone; shutdown waits for them here.
    pub(crate) invocations: TaskTracker,
    /// Set once when the host cannot go on.
    pub(crate) fatal: watch::Sender<Option<String>>,
}

impl State {
    /// The streams' semaphore in its initial state.
    pub(crate) fn stream_places() -> Arc<Semaphore> {
        Arc::new(Semaphore::new(EVENT_STREAMS_MAX))
    }

    /// A merchant's id as a client gave it.
    pub(crate) fn merchant_id(text: &str) -> Result<MerchantId, Problem> {
        MerchantId::new(text).map_err(|_| Problem::not_found(format!("There is no merchant `{}`.", shorten(text))))
    }

    /// Stops the host: the store (or something as vital) is gone.
    pub(crate) fn fail(&self, reason: &str) {
        self.fatal.send_if_modified(|fatal| {
            let first = fatal.is_none();
            if first {
                tracing::error!(%reason, "the host cannot go on and stops");
                *fatal = Some(reason.to_owned());
            }
            first
        });
        self.stopping.cancel();
    }

    /// Watches for what means the end.
    pub(crate) fn note<T>(&self, result: Result<T, Error>) -> Result<T, Error> {
        if let Err(Error::StoreStopped(reason)) = &result {
            self.fail(reason);
        }
        result
    }
}

/// User input for messages: short and without control characters.
pub(crate) fn shorten(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(64).collect()
}
