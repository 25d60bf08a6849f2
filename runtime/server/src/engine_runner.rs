//! The engine as the server's runner of plugins. Compiling blocks for about a second per megabyte, hence the threads that may block.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use kontor_core::executor::Executor;
use kontor_core::revision::{PluginSpec, Revision};
use kontor_engine::Engine;

use crate::runner::{PluginRunner, Refusal, RunnerStats};

/// See the module.
#[derive(Debug)]
pub(crate) struct EngineRunner {
    pub(crate) engine: Arc<Engine>,
    /// Size of the instance pool.
    pub(crate) capacity: u64,
}

impl PluginRunner for EngineRunner {
    fn prepare(&self, spec: Arc<PluginSpec>, wasm: Arc<Vec<u8>>) -> BoxFuture<'_, Result<(), Refusal>> {
        let engine = Arc::clone(&self.engine);
        Box::pin(async move {
            let refusal = |code: &str, problem: String| Refusal { code: code.to_owned(), problems: vec![problem] };
            match tokio::task::spawn_blocking(move || engine.prepare(&spec, &wasm)).await {
                Ok(Ok(_prepared)) => Ok(()),
                Ok(Err(error)) => Err(refusal(error.code(), error.to_string())),
                Err(panic) => Err(refusal("compile-broke-off", format!("compiling broke off: {panic}"))),
            }
        })
    }

    fn check(&self, revision: &Revision) -> Result<(), Refusal> {
        self.engine.check_revision(revision).map_err(|error| Refusal {
            code: error.problems.first().map_or("revision-invalid", |p| p.code()).to_owned(),
            problems: error.problems.iter().map(ToString::to_string).collect(),
        })
    }

    fn stats(&self) -> RunnerStats {
        let stats = self.engine.stats();
        RunnerStats {
            instances: stats.live_instances,
            capacity: if stats.pooling { self.capacity } else { 0 },
            answers_given: stats.answers_given,
            answers_kept: stats.answers_kept,
            responses_given: stats.responses_given,
            responses_kept: stats.responses_kept,
        }
    }

    fn executor(self: Arc<Self>) -> Arc<dyn Executor> {
        Arc::clone(&self.engine) as Arc<dyn Executor>
    }
}
