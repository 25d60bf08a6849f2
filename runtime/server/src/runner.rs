//! What the server asks of whatever runs plugins, beside executing calls: making code ready, and checking that a set of plugins fits
//! together. The engine is one; tests bring their own.

use std::fmt;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use kontor_core::executor::Executor;
use kontor_core::revision::{PluginSpec, Revision};

/// Why code cannot be run.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error("{}", problems.join("; "))]
pub struct Refusal {
    /// Stable code of the first problem.
    pub code: String,
    /// One sentence each.
    pub problems: Vec<String>,
}

/// How full the runner is, and what it was spared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RunnerStats {
    /// Instances alive.
    pub instances: u64,
    /// Instances that there may be; 0 is unbounded.
    pub capacity: u64,
    /// Service calls answered without executing them, since the start: nothing that an earlier answer depends on had changed.
    pub answers_given: u64,
    /// Answers kept for that.
    pub answers_kept: u64,
    /// The same of requests.
    pub responses_given: u64,
    /// Responses kept for that.
    pub responses_kept: u64,
}

/// Runs plugins.
pub trait PluginRunner: Send + Sync + fmt::Debug {
    /// Makes the code of a plugin ready. Doing it twice costs nothing.
    fn prepare(&self, spec: Arc<PluginSpec>, wasm: Arc<Vec<u8>>) -> BoxFuture<'_, Result<(), Refusal>>;
    /// Whether the plugins of `revision`, all prepared, fit together.
    fn check(&self, revision: &Revision) -> Result<(), Refusal>;
    /// For metrics.
    fn stats(&self) -> RunnerStats;
    /// What executes calls, for the machine.
    fn executor(self: Arc<Self>) -> Arc<dyn Executor>;
}
