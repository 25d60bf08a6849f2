//! A host from its start to its end. Start: store, code, machine, plugins of the current revisions, background work, HTTP. End: no new
//! connections, requests in flight finish, background work stops, the store is made durable and closed.

mod admin_token;
mod error;
mod running;
mod upkeep;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use futures_util::{StreamExt, stream};
use kontor_core::effects::{Environment, Outbound};
use kontor_core::ids::{MerchantId, PluginId};
use kontor_core::machine::{Machine, Options};
use kontor_engine::{Engine, EngineOptions, PoolOptions};
use kontor_store::{StoreHandle, StoreOptions};
use tokio::net::TcpListener;
use tokio::sync::{Mutex, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::engine_runner::EngineRunner;
use crate::environment::SystemEnvironment;
use crate::front::Front;
use crate::install;
use crate::listener::{self, Ends};
use crate::options::{HostOptions, store_dir};
use crate::outbound::HttpOutbound;
use crate::package_reader::SignedPackages;
use crate::packages::PackageStore;
use crate::packed::PackageReader;
use crate::places::Places;
use crate::runner::PluginRunner;
use crate::state::State;
use crate::telemetry::log_ring::LogRings;
use crate::telemetry::meters::InvocationMeters;
use crate::telemetry::metrics_page;
use crate::telemetry::observer::HostObserver;
use crate::tokens::Tokens;

pub use error::StartError;
pub use running::{HostHandle, RunningHost, ShutdownReport};

/// Background items that one pump works on at a time.
const PUMP_CONCURRENCY: usize = 16;

/// What a host is made of besides its options; tests bring their own.
#[derive(Clone, Debug)]
pub struct HostParts {
    /// Runs plugins.
    pub runner: Arc<dyn PluginRunner>,
    /// Reads packed plugins.
    pub reader: Arc<dyn PackageReader>,
    /// The outside world.
    pub outbound: Arc<dyn Outbound>,
    /// Time and entropy.
    pub environment: Arc<dyn Environment>,
    /// What the machine can be tuned in.
    pub machine: Options,
}

/// Starts hosts.
#[derive(Clone, Copy, Debug)]
pub struct Host;

impl Host {
    /// Starts a host: the real engine with its compile cache, signed packages, the real outside world.
    pub async fn start(options: HostOptions) -> Result<RunningHost, StartError> {
        make_data_dir(&options)?;
        let pool = PoolOptions::default();
        let capacity = u64::from(pool.instances);
        let cache_dir = options.code_cache_dir.clone().unwrap_or_else(|| options.data_dir.join("compiled"));
        let long_threads = Some(processors().saturating_sub(1).max(1));
        let engine_options =
            EngineOptions { cache_dir: Some(cache_dir), pool, long_threads, ..EngineOptions::default() };
        let engine = match tokio::task::spawn_blocking(move || Engine::new(engine_options)).await {
            Ok(engine) => engine.map_err(|e| StartError::Engine(e.to_string()))?,
            Err(panic) => return Err(StartError::Engine(format!("setting up the engine broke off: {panic}"))),
        };
        let parts = HostParts {
            runner: Arc::new(EngineRunner { engine: Arc::new(engine), capacity }),
            reader: Arc::new(SignedPackages { trusted_keys: options.trusted_keys.clone() }),
            outbound: Arc::new(HttpOutbound::new()?),
            environment: Arc::new(SystemEnvironment),
            machine: Options::default(),
        };
        Self::start_with(options, parts).await
    }

    /// Starts a host from `parts`.
    pub async fn start_with(options: HostOptions, parts: HostParts) -> Result<RunningHost, StartError> {
        // First, so that what happens at the start is counted.
        let _recorder = crate::telemetry::metrics_page::handle();
        make_data_dir(&options)?;
        let store = open_store(&options).await?;
        match assemble(&options, parts, store.clone()).await {
            Ok(host) => Ok(host),
            Err(error) => {
                if let Err(closing) = store.close() {
                    tracing::warn!(error = %closing, "the store did not close in order");
                }
                Err(error)
            }
        }
    }
}

async fn assemble(options: &HostOptions, parts: HostParts, store: StoreHandle) -> Result<RunningHost, StartError> {
    let logs = Arc::new(LogRings::default());
    let observer = HostObserver {
        logs: Arc::clone(&logs),
        environment: Arc::clone(&parts.environment),
        meters: InvocationMeters::default(),
    };
    let machine = Machine::open(
        store.tx_store(),
        Arc::clone(&parts.runner).executor(),
        Arc::clone(&parts.environment),
        parts.outbound,
        Arc::new(observer),
        parts.machine,
    )
    .await?;
    let state = Arc::new(State {
        tokens: Tokens::new(Arc::clone(&machine), Arc::clone(&parts.environment)),
        machine,
        runner: parts.runner,
        environment: parts.environment,
        store,
        data_dir: options.data_dir.clone(),
        backup: std::sync::Mutex::new(None),
        packages: PackageStore::open(&options.data_dir, parts.reader).map_err(|e| StartError::Data(e.to_string()))?,
        logs,
        places: Places::new(options.invocations_max),
        streams: State::stream_places(),
        changes: Mutex::new(()),
        dev_mode: options.dev_mode,
        secure_cookies: options.secure_cookies,
        stopping: CancellationToken::new(),
        invocations: TaskTracker::new(),
        fatal: watch::Sender::new(None),
    });
    let admin_token = admin_token::ensure(&state, &options.data_dir).await?;
    prepare_current(&state).await?;
    let listener = TcpListener::bind(options.listen)
        .await
        .map_err(|source| StartError::Listen { address: options.listen, source })?;
    let address = listener.local_addr().map_err(|source| StartError::Listen { address: options.listen, source })?;
    let connections = TaskTracker::new();
    let ends = Ends { stopping: state.stopping.clone(), cut: CancellationToken::new() };
    let accepting =
        tokio::spawn(listener::accept(listener, Arc::new(Front::new(&state)), ends.clone(), connections.clone()));
    let pumps = start_pumps(&state);
    tokio::spawn(upkeep::run(Arc::clone(&state), options.backups.clone()));
    tracing::info!(%address, data = %options.data_dir.display(), dev_mode = options.dev_mode, "the host serves");
    Ok(RunningHost {
        state,
        address,
        admin_token,
        drain_timeout: options.drain_timeout,
        accepting,
        connections,
        pumps,
        cut: ends.cut,
    })
}

fn make_data_dir(options: &HostOptions) -> Result<(), StartError> {
    kontor_store::create_directories(&options.data_dir)
        .map_err(|e| StartError::Data(format!("the data directory {} cannot be made: {e}", options.data_dir.display())))
}

/// Opening reads (and after a crash repairs) the store: on a thread that may block.
async fn open_store(options: &HostOptions) -> Result<StoreHandle, StartError> {
    let store = StoreOptions {
        engine: options.store,
        cache_bytes: options.store_cache_bytes,
        created_by: concat!("kontor ", env!("CARGO_PKG_VERSION")).to_owned(),
        ..StoreOptions::new(store_dir(&options.data_dir))
    };
    match tokio::task::spawn_blocking(move || kontor_store::open(&store)).await {
        Ok(opened) => Ok(opened?),
        Err(panic) => Err(StartError::Data(format!("opening the store broke off: {panic}"))),
    }
}

/// Makes the code of all current revisions ready, on all processors. A plugin whose package is gone or damaged fails alone and by name;
/// the others go on.
async fn prepare_current(state: &Arc<State>) -> Result<(), StartError> {
    let mut users = BTreeMap::<String, Vec<(MerchantId, PluginId)>>::new();
    for merchant in state.machine.merchants().await? {
        let revision = state.machine.current(&merchant).await?;
        for (id, installed) in &revision.plugins {
            users.entry(installed.spec.digest.clone()).or_default().push((merchant.clone(), id.clone()));
        }
    }
    let prepared = stream::iter(users).for_each_concurrent(processors(), |(digest, users)| async move {
        let Err(reason) = prepare_package(state, &digest).await else {
            return;
        };
        for (merchant, plugin) in users {
            tracing::error!(%merchant, %plugin, %reason, "a plugin cannot run until its package is uploaded and installed again");
        }
    });
    prepared.await;
    Ok(())
}

async fn prepare_package(state: &Arc<State>, digest: &str) -> Result<(), String> {
    let unpacked = state.packages.load(digest).await.map_err(|error| error.to_string())?;
    install::prepare(state, unpacked.spec.id.as_str(), &unpacked).await.map_err(|problem| problem.detail().to_owned())
}

fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

fn start_pumps(state: &Arc<State>) -> Pumps {
    let stop = CancellationToken::new();
    let mut tasks: Vec<_> = (0..processors())
        .map(|_| {
            let (state, stop) = (Arc::clone(state), stop.clone());
            tokio::spawn(async move {
                let stopped = stop.cancelled_owned();
                let result = Arc::clone(&state.machine).pump(PUMP_CONCURRENCY, Box::pin(stopped)).await;
                if let Err(error) = result {
                    state.fail(&error.to_string());
                }
            })
        })
        .collect();
    let stopped = stop.clone();
    tasks.push(tokio::spawn(async move {
        tokio::select! {
            () = stopped.cancelled() => {}
            () = metrics_page::upkeep() => {}
        }
    }));
    Pumps { stop, tasks }
}

/// The background work.
pub(crate) struct Pumps {
    pub(crate) stop: CancellationToken,
    pub(crate) tasks: Vec<tokio::task::JoinHandle<()>>,
}

impl fmt::Debug for Pumps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pumps").field("count", &self.tasks.len()).finish_non_exhaustive()
    }
}
