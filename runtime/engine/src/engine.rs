//! The engine: prepared plugins by digest, plans by revision, and executions.

use std::collections::HashMap;
use std::fmt;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard, Weak};
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use kontor_core::executor::{Call, Executed, ExecutionError, Executor, HttpRequest, HttpResponse, Reply};
use kontor_core::ids::PluginId;
use kontor_core::limits::PLUGIN_LIMITS_MAX;
use kontor_core::revision::{PluginSpec, Revision};
use kontor_core::transaction::{Reliance, Transaction};
use tracing::Instrument;
use wasmtime::component::{Component, HasSelf, Linker};

use crate::answers::Answers;
use crate::bindings::Plugin;
use crate::bounds;
use crate::cache::Cache;
use crate::error::{EngineError, PrepareError, RevisionError};
use crate::execution::{self, Context, Finished, Guest, Held, Outcome, Salvage, Work};
use crate::long::LongThreads;
use crate::options::{self, EngineOptions};
use crate::plan::Plan;
use crate::prepared::{self, Prepared};
use crate::responses::{self, Asked, Responses};
use crate::stop;
use crate::surface::Surface;
use crate::unnamed;

/// Runs plugins. One per process: its pool of instances is shared by all merchants.
///
/// Executions need a tokio runtime with time enabled.
pub struct Engine {
    engine: wasmtime::Engine,
    host: Linker<Guest>,
    cache: Option<Cache>,
    pooling: bool,
    prepared: RwLock<HashMap<String, Arc<Prepared>>>,
    plans: Mutex<Plans>,
    counters: Counters,
    long_threads: Option<LongThreads>,
    answers: Option<Arc<Answers>>,
    responses: Option<Responses>,
}

/// Plans by the address of their revision. The weak reference keeps the address from being used again while the entry exists.
#[derive(Default)]
struct Plans {
    by_address: HashMap<usize, (Weak<Revision>, Arc<Plan>)>,
    /// Entries at which dead ones are removed.
    sweep_at: usize,
}

#[derive(Debug, Default)]
struct Counters {
    executions: AtomicU64,
    stopped: AtomicU64,
    timeouts: AtomicU64,
    pool_exhausted: AtomicU64,
    host_faults: AtomicU64,
    compiled: AtomicU64,
    compile_ms: AtomicU64,
}

/// What an engine did since it was made, for metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EngineStats {
    /// Executions begun.
    pub executions: u64,
    /// Executions whose entry plugin was stopped.
    pub stopped: u64,
    /// Of these, by the wall-clock backstop.
    pub timeouts: u64,
    /// Executions refused because no instance, or the store, was free.
    pub unavailable: u64,
    /// Executions that ended by a fault of the host.
    pub host_faults: u64,
    /// Plugins ready to run.
    pub prepared: u64,
    /// Components compiled.
    pub compiled: u64,
    /// Time spent on that.
    pub compile_ms: u64,
    /// Components found in the compile cache.
    pub cache_hits: u64,
    /// Components not found there.
    pub cache_misses: u64,
    /// Damaged entries removed from it.
    pub cache_discarded: u64,
    /// Whether instances come from a pool.
    pub pooling: bool,
    /// Component instances alive, if they come from a pool.
    pub live_instances: u64,
    /// Service calls that were answered without executing them.
    pub answers_given: u64,
    /// Answers that were kept for that.
    pub answers_kept: u64,
    /// Requests that were answered without executing them.
    pub responses_given: u64,
    /// Responses that were kept for that.
    pub responses_kept: u64,
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine").field("pooling", &self.pooling).field("cache", &self.cache).finish_non_exhaustive()
    }
}

impl Engine {
    /// Sets wasmtime up. Where the address space is too small for the pool, instances are allocated on demand.
    pub fn new(options: EngineOptions) -> Result<Self, EngineError> {
        let setup = |error: wasmtime::Error| EngineError::Setup(format!("{error:#}"));
        let pooled = options.pool.enabled.then(|| wasmtime::Engine::new(&options::config(&options, true)));
        let (engine, pooling) = match pooled {
            Some(Ok(engine)) => (engine, true),
            Some(Err(error)) => {
                tracing::warn!(error = %format!("{error:#}"), "the instance pool cannot be set up; instances are allocated on demand, which is slower");
                (wasmtime::Engine::new(&options::config(&options, false)).map_err(setup)?, false)
            }
            None => (wasmtime::Engine::new(&options::config(&options, false)).map_err(setup)?, false),
        };
        let mut host = Linker::new(&engine);
        Plugin::add_to_linker::<Guest, HasSelf<Guest>>(&mut host, |guest| guest).map_err(setup)?;
        let cache = match &options.cache_dir {
            Some(directory) => Some(Cache::open(directory, &engine)?),
            None => None,
        };
        let long_threads = options.long_threads.map(LongThreads::start).transpose().map_err(EngineError::Threads)?;
        Ok(Self {
            engine,
            host,
            cache,
            pooling,
            prepared: RwLock::default(),
            plans: Mutex::default(),
            counters: Counters::default(),
            long_threads,
            answers: (options.answers_bytes_max > 0).then(|| Arc::new(Answers::new(options.answers_bytes_max))),
            responses: (options.responses_bytes_max > 0).then(|| Responses::new(options.responses_bytes_max)),
        })
    }

    /// Compiles a plugin's component (or loads it from the cache), checks it against the manifest, and keeps it ready to run under
    /// the manifest's digest. Blocks for as long as compiling takes: about a second per megabyte. Preparing a digest again is free.
    pub fn prepare(&self, spec: &PluginSpec, wasm: &[u8]) -> Result<Arc<Prepared>, PrepareError> {
        if let Some(prepared) = self.prepared(&spec.digest) {
            return Ok(prepared);
        }
        let prepared = Arc::new(self.check(spec, wasm)?);
        let kept = Arc::clone(self.prepared_mut().entry(spec.digest.clone()).or_insert(prepared));
        // Plans that were made without it are made again.
        self.plans().by_address.clear();
        Ok(kept)
    }

    /// Everything that [`Engine::prepare`] checks, without keeping the plugin ready.
    pub fn check(&self, spec: &PluginSpec, wasm: &[u8]) -> Result<Prepared, PrepareError> {
        bounds::check(&spec.id, wasm)?;
        let invalid = |reason| PrepareError::Invalid { plugin: spec.id.clone(), reason };
        let surface = Surface::read(wasm).map_err(invalid)?;
        let component = self.compile(spec, wasm).map_err(invalid)?;
        prepared::prepare(&self.engine, &self.host, spec, &component, &surface)
    }

    /// The prepared plugin with this digest.
    pub fn prepared(&self, digest: &str) -> Option<Arc<Prepared>> {
        self.prepared_ref().get(digest).cloned()
    }

    /// Forgets the prepared plugin. Executions that run finish with it.
    pub fn evict(&self, digest: &str) {
        self.prepared_mut().remove(digest);
        self.plans().by_address.clear();
    }

    /// Whether the plugins of a revision, all prepared before, can work together: every required interface has one provider, and caller and
    /// provider agree on the types of every function. To be asked before the revision is switched on.
    pub fn check_revision(&self, revision: &Revision) -> Result<(), RevisionError> {
        let plan = Plan::new(revision, |digest| self.prepared(digest));
        let problems = plan.problems(revision);
        if problems.is_empty() { Ok(()) } else { Err(RevisionError { problems }) }
    }

    /// What the engine did.
    pub fn stats(&self) -> EngineStats {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let cache = self.cache.as_ref().map(Cache::counts).unwrap_or_default();
        let (answers_given, answers_kept) = self.answers.as_ref().map(|answers| answers.counts()).unwrap_or_default();
        let (responses_given, responses_kept) = self.responses.as_ref().map(Responses::counts).unwrap_or_default();
        EngineStats {
            executions: read(&self.counters.executions),
            stopped: read(&self.counters.stopped),
            timeouts: read(&self.counters.timeouts),
            unavailable: read(&self.counters.pool_exhausted),
            host_faults: read(&self.counters.host_faults),
            prepared: self.prepared_ref().len() as u64,
            compiled: read(&self.counters.compiled),
            compile_ms: read(&self.counters.compile_ms),
            cache_hits: cache.hits,
            cache_misses: cache.misses,
            cache_discarded: cache.discarded,
            pooling: self.pooling,
            live_instances: self.engine.pooling_allocator_metrics().map_or(0, |metrics| metrics.component_instances()),
            answers_given,
            answers_kept,
            responses_given,
            responses_kept,
        }
    }

    /// The compiled component, without names of fields; an error says why it cannot be compiled.
    fn compile(&self, spec: &PluginSpec, wasm: &[u8]) -> Result<Component, String> {
        if let Some(component) = self.cache.as_ref().and_then(|cache| cache.load(&self.engine, wasm)) {
            return Ok(component);
        }
        let begun = Instant::now();
        let unnamed = unnamed::rewrite(wasm)?;
        let component = Component::from_binary(&self.engine, &unnamed).map_err(|error| format!("{error:#}"))?;
        let took_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.counters.compiled.fetch_add(1, Ordering::Relaxed);
        self.counters.compile_ms.fetch_add(took_ms, Ordering::Relaxed);
        tracing::debug!(plugin = %spec.id, bytes = wasm.len(), took_ms, "compiled");
        if let Some(cache) = &self.cache {
            cache.keep(wasm, &component);
        }
        Ok(component)
    }

    /// The plan of a revision, from the cache while the revision is in use.
    fn plan(&self, revision: &Arc<Revision>) -> Arc<Plan> {
        let address = Arc::as_ptr(revision) as usize;
        let mut plans = self.plans();
        if let Some((_, plan)) = plans.by_address.get(&address) {
            return Arc::clone(plan);
        }
        let plan = Arc::new(Plan::new(revision, |digest| self.prepared(digest)));
        if plans.by_address.len() >= plans.sweep_at {
            plans.by_address.retain(|_, (revision, _)| revision.strong_count() > 0);
            plans.sweep_at = (plans.by_address.len() * 2).max(64);
        }
        plans.by_address.insert(address, (Arc::downgrade(revision), Arc::clone(&plan)));
        plan
    }

    fn prepared_ref(&self) -> RwLockReadGuard<'_, HashMap<String, Arc<Prepared>>> {
        self.prepared.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn prepared_mut(&self) -> RwLockWriteGuard<'_, HashMap<String, Arc<Prepared>>> {
        self.prepared.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn plans(&self) -> MutexGuard<'_, Plans> {
        self.plans.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count(&self, result: &Result<Reply, ExecutionError>) {
        let counter = match result {
            Err(ExecutionError::Stopped { code, .. }) => {
                if *code == stop::TIMEOUT {
                    self.counters.timeouts.fetch_add(1, Ordering::Relaxed);
                }
                &self.counters.stopped
            }
            Err(ExecutionError::Unavailable(_)) => &self.counters.pool_exhausted,
            Err(ExecutionError::Host(_)) => &self.counters.host_faults,
            _ => return,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    async fn run(
        &self,
        revision: Arc<Revision>,
        plugin: &PluginId,
        call: Call,
        mut transaction: Box<Transaction>,
    ) -> Executed {
        let plan = self.plan(&revision);
        let Some(position) = plan.position(plugin) else {
            return Executed {
                transaction,
                result: Err(ExecutionError::Host(format!("{plugin} is not in revision {}", revision.number))),
                usage: Vec::new(),
            };
        };
        let asked = self.responses.as_ref().and_then(|responses| Asked::new(responses, &plan, position, &call));
        let recorded = asked.map(|asked| (asked, transaction.begin_recording()));
        self.counters.executions.fetch_add(1, Ordering::Relaxed);
        let pace = plan.plugins.get(position).and_then(|planned| planned.prepared.clone());
        let work =
            run_at(position, revision, Arc::clone(&plan), plugin.clone(), call, transaction, self.answers.clone());
        let (mut executed, personal) = match (&self.long_threads, pace) {
            (Some(threads), Some(prepared)) => {
                let broke =
                    |(executed, _): &(Executed, bool)| matches!(executed.result, Err(ExecutionError::Stopped { .. }));
                threads.run(&prepared.pace, work, broke).await
            }
            _ => work.await,
        };
        self.count(&executed.result);
        if let Some((asked, recording)) = recorded {
            asked.keep(recording, &mut executed, personal);
        }
        executed
    }
}

/// Executes `call` in the plugin at `position`, whatever happens to it, and tells whether the execution was personal
/// ([`execution::Finished`]). Owns all that it needs: it may end on another thread.
async fn run_at(
    position: usize,
    revision: Arc<Revision>,
    plan: Arc<Plan>,
    plugin: PluginId,
    call: Call,
    transaction: Box<Transaction>,
    answers: Option<Arc<Answers>>,
) -> (Executed, bool) {
    let timeout_ms =
        plan.plugins.get(position).map_or(PLUGIN_LIMITS_MAX.timeout_ms, |planned| planned.limits.timeout_ms);
    // Declared first, so dropped last: whatever becomes of the future below, the context ends up here.
    let salvage = Arc::new(Salvage::default());
    let context = Box::new(Context::new(transaction, revision, plan, answers, &salvage));
    let held = Held::new(context);
    // In a box of its own: what is put around it would else move all of its state, each time.
    let work = Box::pin(execution::invoke(held, position, Work::Entry(&call)));
    let guarded = AssertUnwindSafe(work).catch_unwind();
    let ended = tokio::time::timeout(Duration::from_millis(timeout_ms), guarded).await;
    let (mut context, result) = match ended {
        Ok(Ok((held, outcome))) => {
            let context = salvaged(held, &salvage);
            let result = conclude(&plugin, outcome);
            (context, result)
        }
        Ok(Err(panic)) => {
            let text = panic_text(panic.as_ref());
            let context = salvage.take();
            let invocation = context.as_ref().map(|context| context.transaction.invocation().as_str());
            tracing::error!(panic = text, plugin = plugin.as_str(), invocation, "a host function panicked");
            (context, Err(ExecutionError::Host(format!("a host function panicked: {text}"))))
        }
        Err(_elapsed) => {
            let context = salvage.take();
            let running =
                context.as_ref().map_or_else(|| plugin.clone(), |context| context.transaction.plugin().clone());
            let message = format!("the invocation took longer than {timeout_ms} ms");
            let error = ExecutionError::Stopped { plugin: running, code: stop::TIMEOUT, message };
            (context, Err(error))
        }
    };
    #[expect(clippy::expect_used, reason = "dropping what holds the context puts it into the salvage")]
    let context = context.take().expect("the context came back");
    let Finished { transaction, abort, usage, personal } = context.finish();
    let result = abort.map_or(result, Err);
    (Executed { transaction, result, usage }, personal)
}

/// The context of an execution that ended.
fn salvaged(held: Held, salvage: &Salvage) -> Option<Box<Context>> {
    drop(held);
    salvage.take()
}

fn conclude(plugin: &PluginId, outcome: Outcome) -> Result<Reply, ExecutionError> {
    match outcome {
        Outcome::Replied(reply) => reply,
        Outcome::Stopped(stop) => {
            Err(ExecutionError::Stopped { plugin: plugin.clone(), code: stop.code, message: stop.message.into_owned() })
        }
        Outcome::Refused(refused) => Err(ExecutionError::Host(format!("{plugin} cannot be called: {refused}"))),
        // The context knows why.
        Outcome::Aborted | Outcome::Returned | Outcome::ReturnedError => {
            Err(ExecutionError::Host("the execution was given up without a reason".to_owned()))
        }
    }
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
}

fn call_name(call: &Call) -> &'static str {
    match call {
        Call::Http(_) => "http",
        Call::Event(..) => "event",
        Call::Job(_) => "job",
        Call::Migrate { .. } => "migrate",
    }
}

impl Executor for Engine {
    fn execute<'a>(
        &'a self,
        revision: Arc<Revision>,
        plugin: &'a PluginId,
        call: Call,
        transaction: Box<Transaction>,
    ) -> BoxFuture<'a, Executed> {
        let span = tracing::debug_span!(
            "execution",
            merchant = transaction.merchant().as_str(),
            plugin = plugin.as_str(),
            invocation = transaction.invocation().as_str(),
            call = call_name(&call)
        );
        Box::pin(self.run(revision, plugin, call, transaction).instrument(span))
    }
    fn recall(
        &self,
        revision: &Arc<Revision>,
        plugin: &PluginId,
        request: &HttpRequest,
        stands: &dyn Fn(&Reliance) -> bool,
    ) -> Option<Arc<HttpResponse>> {
        let responses = self.responses.as_ref()?;
        let plan = self.plan(revision);
        responses::recall(responses, &plan, plan.position(plugin)?, request, stands)
    }
}
