//! A host that runs: where it listens, how it is stopped, how one learns that it cannot go on.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use kontor_core::machine::Machine;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::Pumps;
use crate::state::State;

/// How long background work in flight may take after requests are done.
const PUMP_TIMEOUT: Duration = Duration::from_secs(10);

/// A host that runs. Dropping it does not stop it in order: call [`RunningHost::shutdown`].
#[derive(Debug)]
pub struct RunningHost {
    pub(super) state: Arc<State>,
    pub(super) address: SocketAddr,
    pub(super) admin_token: Option<String>,
    pub(super) drain_timeout: Duration,
    pub(super) accepting: JoinHandle<()>,
    pub(super) connections: TaskTracker,
    pub(super) pumps: Pumps,
    pub(super) cut: CancellationToken,
}

/// Begins the end from elsewhere.
#[derive(Clone, Debug)]
pub struct HostHandle {
    stopping: CancellationToken,
}

impl HostHandle {
    /// No new connections from now on; [`RunningHost::stopped`] resolves.
    pub fn begin_shutdown(&self) {
        self.stopping.cancel();
    }
}

/// How a shutdown went.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ShutdownReport {
    /// Connections that were cut because they did not finish in time.
    pub connections_cut: usize,
    /// Invocations that were still running.
    pub invocations_cut: usize,
    /// Why the store did not close in order.
    pub store_error: Option<String>,
    /// Why the host could not go on, if that is why it stopped: the process should exit with an error.
    pub fatal: Option<String>,
}

impl RunningHost {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The first admin token, if it was made at this start. It is also in the file `admin-token` of the data directory.
    pub fn first_admin_token(&self) -> Option<&str> {
        self.admin_token.as_deref()
    }

    /// The machine, for what runs in the same process (imports, the demo).
    pub fn machine(&self) -> &Arc<Machine> {
        &self.state.machine
    }

    /// For beginning the end from elsewhere.
    pub fn handle(&self) -> HostHandle {
        HostHandle { stopping: self.state.stopping.clone() }
    }

    /// Resolves when the host begins to stop: asked to, or because it cannot go on; then with the reason. Call
    /// [`RunningHost::shutdown`] next.
    pub async fn stopped(&self) -> Option<String> {
        self.state.stopping.cancelled().await;
        self.state.fatal.borrow().clone()
    }

    /// Stops in order: no new connections, requests in flight finish (up to the drain time), background work ends, the store is
    /// durable and closed.
    pub async fn shutdown(self) -> ShutdownReport {
        let Self { state, accepting, connections, pumps, drain_timeout, cut, .. } = self;
        state.stopping.cancel();
        tracing::info!(connections = connections.len(), invocations = state.invocations.len(), "stopping");
        if let Err(panic) = accepting.await {
            tracing::error!(%panic, "the listener broke off");
        }
        connections.close();
        state.invocations.close();
        let deadline = Instant::now() + drain_timeout;
        let _in_time = timeout_at(deadline, connections.wait()).await;
        let _in_time = timeout_at(deadline, state.invocations.wait()).await;
        let mut report = ShutdownReport {
            connections_cut: connections.len(),
            invocations_cut: state.invocations.len(),
            ..ShutdownReport::default()
        };
        cut.cancel();
        pumps.stop.cancel();
        let deadline = Instant::now() + PUMP_TIMEOUT;
        for mut task in pumps.tasks {
            if timeout_at(deadline, &mut task).await.is_err() {
                tracing::warn!("background work did not end in time and is broken off; it is done at the next start");
                task.abort();
            }
        }
        let store = state.store.clone();
        report.store_error = match tokio::task::spawn_blocking(move || store.close()).await {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(error.to_string()),
            Err(panic) => Some(panic.to_string()),
        };
        report.fatal = state.fatal.borrow().clone();
        tracing::info!(?report, "stopped");
        report
    }
}
