//! A host for tests: one merchant, some plugins, no network.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use kontor_core::effects::Outbound;
use kontor_core::executor::{Event, HttpRequest};
use kontor_core::ids::{InvocationId, MerchantId, PluginId};
use kontor_core::machine::{Machine, Options, WorkOutcome};
use kontor_core::observer::{InvocationReport, LogLine};
use kontor_core::records::{DeadLetter, JobStatus, RequestContext, SecretValue};
use kontor_core::revision::{InstalledPlugin, Revision, RouteAuth};
use kontor_core::transaction::Actor;
use kontor_engine::{Engine, EngineOptions, PoolOptions};
use kontor_package::Package;
use kontor_store::{FaultPlan, MemoryEngine, OccStore};
use serde::Serialize;
use serde_json::Value;

use crate::build::{PluginSource, resolve};
use crate::clock::TestClock;
use crate::observer::Recorder;
use crate::outside::{Outside, Recorded, Reply};
use crate::response::Response;
use crate::{config, routes};

/// The merchant of every test host.
const MERCHANT: &str = "test";
/// Items of background work before [`TestHost::run_until_idle`] gives up: something feeds itself.
const WORK_MAX: usize = 100_000;

/// One engine for all tests of a process, and one that executes every call: code is compiled once.
fn shared_engine(executing: bool) -> &'static Arc<Engine> {
    static ENGINES: [OnceLock<Arc<Engine>>; 2] = [OnceLock::new(), OnceLock::new()];
    let [answering, all_executing] = &ENGINES;
    let engine = if executing { all_executing } else { answering };
    engine.get_or_init(|| {
        let pool = PoolOptions { instances: 200, ..PoolOptions::default() };
        // Tests lie in `target/debug/deps`: what one run compiled the next finds in `target/compiled`.
        let exe = std::env::current_exe().ok();
        let cache_dir = exe.as_deref().and_then(|exe| exe.ancestors().nth(3)).map(|target| target.join("compiled"));
        let mut options = EngineOptions { pool, cache_dir, ..EngineOptions::default() };
        if executing {
            options.answers_bytes_max = 0;
            options.responses_bytes_max = 0;
        }
        Arc::new(Engine::new(options).unwrap_or_else(|error| panic!("the engine cannot be set up: {error}")))
    })
}

/// One runtime for all: tests may call from threads of their own.
fn runtime() -> &'static tokio::runtime::Runtime {
    static RUNTIME: OnceLock<tokio::runtime::Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| {
        tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .expect("a tokio runtime starts")
    })
}

/// What a test host is made of.
#[derive(Debug, Default)]
pub struct Builder {
    plugins: Vec<PluginSource>,
    configs: BTreeMap<String, Value>,
    secrets: Vec<(String, String, String)>,
    seed: u64,
    faults: FaultPlan,
    outbound: Option<Arc<dyn Outbound>>,
    engine: Option<Arc<Engine>>,
    executing: bool,
    options: Options,
}

impl Builder {
    /// Installs a plugin: a crate's folder, the name of a plugin of this workspace, or a packed plugin.
    #[must_use]
    pub fn plugin(mut self, source: impl Into<PluginSource>) -> Self {
        self.plugins.push(source.into());
        self
    }

    /// Installs several.
    #[must_use]
    pub fn plugins<S: Into<PluginSource>>(mut self, sources: impl IntoIterator<Item = S>) -> Self {
        self.plugins.extend(sources.into_iter().map(Into::into));
        self
    }

    /// Configures a plugin; defaults of its schema are filled in.
    #[must_use]
    pub fn config(mut self, plugin: &str, config: Value) -> Self {
        self.configs.insert(plugin.to_owned(), config);
        self
    }

    /// Sets a secret of a plugin.
    #[must_use]
    pub fn secret(mut self, plugin: &str, name: &str, value: &str) -> Self {
        self.secrets.push((plugin.to_owned(), name.to_owned(), value.to_owned()));
        self
    }

    /// Another seed for everything that is random.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Faults that the store injects once the plugins are installed.
    #[must_use]
    pub fn faults(mut self, faults: FaultPlan) -> Self {
        self.faults = faults;
        self
    }

    /// A world outside of your own, instead of [`TestHost::on`].
    #[must_use]
    pub fn outbound(mut self, outbound: Arc<dyn Outbound>) -> Self {
        self.outbound = Some(outbound);
        self
    }

    /// An engine of your own, instead of the one that all tests of a process share.
    #[must_use]
    pub fn engine(mut self, engine: Arc<Engine>) -> Self {
        self.engine = Some(engine);
        self
    }

    /// Executes every request and service call. Otherwise, as in a host, one that was answered before is given the same answer again while
    /// nothing that it depends on has changed: for tests of what a plugin uses, and of what happens when it fails.
    #[must_use]
    pub fn executing_every_call(mut self) -> Self {
        self.executing = true;
        self
    }

    /// Other options of the machine.
    #[must_use]
    pub fn machine(mut self, options: Options) -> Self {
        self.options = options;
        self
    }

    /// Builds what is not built, and installs everything. All that plugins ask for is granted.
    #[track_caller]
    pub fn start(self) -> TestHost {
        let packages = resolve(self.plugins);
        let store = Arc::new(MemoryEngine::new(FaultPlan::default()));
        let transactional = OccStore::inline(store.clone()).unwrap_or_else(|error| panic!("the store: {error}"));
        let (clock, outside, recorder) =
            (Arc::new(TestClock::new(self.seed)), Arc::new(Outside::default()), Arc::new(Recorder::default()));
        let outbound = self.outbound.unwrap_or_else(|| outside.clone());
        let engine = self.engine.unwrap_or_else(|| shared_engine(self.executing).clone());
        let machine = runtime()
            .block_on(Machine::open(
                Arc::new(transactional),
                engine.clone(),
                clock.clone(),
                outbound,
                recorder.clone(),
                self.options,
            ))
            .unwrap_or_else(|error| panic!("the machine: {error}"));
        let merchant = MerchantId::new(MERCHANT).expect("a merchant's id");
        let host = TestHost {
            machine,
            engine,
            merchant,
            clock,
            outside,
            recorder,
            store,
            configs: self.configs,
            requests: AtomicU64::new(0),
        };
        host.wait(host.machine.create_merchant(&host.merchant));
        host.switch(&packages, "install");
        for (plugin, name, value) in self.secrets {
            host.set_secret(&plugin, &name, &value);
        }
        host.store.set_faults(self.faults);
        host
    }
}

/// A host for tests: one merchant, some plugins, no network. Functions block; they may be called from several threads at once.
pub struct TestHost {
    machine: Arc<Machine>,
    engine: Arc<Engine>,
    merchant: MerchantId,
    clock: Arc<TestClock>,
    outside: Arc<Outside>,
    recorder: Arc<Recorder>,
    store: Arc<MemoryEngine>,
    configs: BTreeMap<String, Value>,
    requests: AtomicU64,
}

impl fmt::Debug for TestHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestHost").field("machine", &self.machine).finish_non_exhaustive()
    }
}

impl TestHost {
    /// Describes one.
    pub fn builder() -> Builder {
        Builder::default()
    }

    #[track_caller]
    fn wait<T, E: fmt::Display>(&self, future: impl Future<Output = Result<T, E>>) -> T {
        match runtime().block_on(future) {
            Ok(value) => value,
            Err(error) => panic!("{error}"),
        }
    }

    // ---- plugins ----

    /// Installs or upgrades plugins while everything runs, as a new revision.
    #[track_caller]
    pub fn install(&self, source: impl Into<PluginSource>) {
        self.switch(&resolve(vec![source.into()]), "install");
    }

    /// Removes a plugin, as a new revision.
    #[track_caller]
    pub fn remove(&self, plugin: &str) {
        let current = self.revision();
        let plugins = current.plugins.iter().filter(|(id, _)| id.as_str() != plugin);
        let plugins = plugins.map(|(id, installed)| (id.clone(), installed.clone())).collect();
        self.wait(self.machine.switch(&self.merchant, current.number, plugins, "remove"));
    }

    #[track_caller]
    fn switch(&self, packages: &[Package], reason: &str) {
        let current = self.revision();
        let mut plugins = current.plugins.clone();
        for package in packages {
            let spec = package.spec().unwrap_or_else(|error| panic!("{error}"));
            self.engine
                .prepare(&spec, package.bytes())
                .unwrap_or_else(|error| panic!("`{}` cannot run: {error}", spec.id));
            let config = config::with_defaults(&spec, self.configs.get(spec.id.as_str()));
            let grants = config::everything(&spec, &config);
            plugins.insert(spec.id.clone(), InstalledPlugin { spec, grants, config });
        }
        let candidate = Revision { number: current.number + 1, plugins: plugins.clone(), ..Revision::default() };
        self.engine
            .check_revision(&candidate)
            .unwrap_or_else(|error| panic!("the plugins do not fit together: {error}"));
        self.wait(self.machine.switch(&self.merchant, current.number, plugins, reason));
    }

    /// The set of plugins that runs.
    pub fn revision(&self) -> Arc<Revision> {
        self.wait(self.machine.current(&self.merchant))
    }

    /// Sets a secret that the plugin declares.
    #[track_caller]
    pub fn set_secret(&self, plugin: &str, name: &str, value: &str) {
        self.wait(self.machine.set_secret(&self.merchant, &plugin_id(plugin), name, SecretValue::new(value)));
    }

    // ---- requests ----

    /// `GET`.
    pub fn get(&self, plugin: &str, path: &str) -> Response {
        self.send(plugin, TestRequest::new("GET", path))
    }

    /// `DELETE`.
    pub fn delete(&self, plugin: &str, path: &str) -> Response {
        self.send(plugin, TestRequest::new("DELETE", path))
    }

    /// `POST` with JSON.
    pub fn post_json<T: Serialize>(&self, plugin: &str, path: &str, body: &T) -> Response {
        self.send(plugin, TestRequest::new("POST", path).json(body))
    }

    /// `PUT` with JSON.
    pub fn put_json<T: Serialize>(&self, plugin: &str, path: &str, body: &T) -> Response {
        self.send(plugin, TestRequest::new("PUT", path).json(body))
    }

    /// `PATCH` with JSON.
    pub fn patch_json<T: Serialize>(&self, plugin: &str, path: &str, body: &T) -> Response {
        self.send(plugin, TestRequest::new("PATCH", path).json(body))
    }

    /// `POST` with a form.
    pub fn post_form(&self, plugin: &str, path: &str, fields: &[(&str, &str)]) -> Response {
        self.send(plugin, TestRequest::new("POST", path).form(fields))
    }

    /// Any request. The path must belong to a declared route, as on the server: otherwise the answer is 404 `route-undeclared`. Unless the
    /// request says for whom it acts, it acts for whom the route wants: nobody, a token or a member of staff with the scope, or a customer.
    pub fn send(&self, plugin: &str, request: TestRequest) -> Response {
        let revision = self.revision();
        let id = plugin_id(plugin);
        let installed = revision.plugins.get(&id).unwrap_or_else(|| panic!("`{plugin}` is not installed"));
        let TestRequest { mut http, actor, scopes, idempotency } = request;
        let Some((position, route)) = routes::find(&installed.spec, &http.method, &http.path) else {
            let detail = format!("plugin.toml of `{plugin}` declares no route for {} {}", http.method, http.path);
            return problem(404, "route-undeclared", &detail);
        };
        let (actor, scopes) = match (actor, &route.auth) {
            (Some(actor), _) => (actor, scopes),
            (None, RouteAuth::Public | RouteAuth::Webhook) => (Actor::Public, scopes),
            (None, RouteAuth::Customer) => (Actor::Customer("customer-1".to_owned()), scopes),
            (None, RouteAuth::Staff(scope)) => (Actor::Staff("anna".to_owned()), vec![scope.clone()]),
            (None, RouteAuth::Token(scope)) => (Actor::Token("test".to_owned()), vec![scope.clone()]),
        };
        http.base_path = format!("/m/{MERCHANT}/{plugin}");
        http.remote_address = if route.vary.is_none() { "127.0.0.1".to_owned() } else { String::new() };
        http.headers.retain(|(name, _)| route.varies_by(name));
        http.route = Some(position);
        let number = self.requests.fetch_add(1, Ordering::SeqCst);
        let context = RequestContext {
            invocation: InvocationId::new(&format!("req/{number}-{:016x}", self.clock.number())),
            actor,
            scopes,
            may_fetch: route.outbound,
            idempotency,
            admitted_by: None,
        };
        if let Some(response) = self.machine.recall(&self.merchant, &id, &http, None) {
            return Response::new(response.as_ref().clone());
        }
        match runtime().block_on(self.machine.request(&self.merchant, &id, http, context)) {
            Ok(answer) => Response::new(answer.response),
            Err(error) => problem(error.status(), error.code(), &error.to_string()),
        }
    }

    // ---- time and background work ----

    /// Now, milliseconds since 1970.
    pub fn now_ms(&self) -> u64 {
        self.machine.now_ms()
    }

    /// Lets time pass. Nothing runs by itself: call [`TestHost::run_until_idle`].
    pub fn advance(&self, duration: Duration) {
        self.clock.advance_ms(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX));
    }

    /// Sets the clock.
    pub fn set_now_ms(&self, now_ms: u64) {
        self.clock.set_ms(now_ms);
    }

    /// Delivers events and runs jobs and schedules that are due now, and what follows of them, until nothing is due. Returns how many items
    /// of work succeeded or failed. What failed is tried again when its backoff is over: [`TestHost::advance`].
    #[track_caller]
    pub fn run_until_idle(&self) -> usize {
        let mut done = 0;
        for _ in 0..WORK_MAX {
            let items = self.wait(self.machine.due_work(self.now_ms(), 64));
            if items.is_empty() {
                return done;
            }
            for item in items {
                let outcome = runtime().block_on(self.machine.run(item));
                done += usize::from(matches!(outcome, WorkOutcome::Done | WorkOutcome::Retried | WorkOutcome::Dead));
            }
        }
        panic!("background work does not end: something feeds itself");
    }

    /// Lets time pass in steps, running what becomes due: for schedules, backoff and rate budgets.
    #[track_caller]
    pub fn run_for(&self, duration: Duration, step: Duration) -> usize {
        let mut done = self.run_until_idle();
        let mut left = duration;
        while !left.is_zero() {
            let step = step.max(Duration::from_millis(1)).min(left);
            self.advance(step);
            left -= step;
            done += self.run_until_idle();
        }
        done
    }

    // ---- events, jobs, logs ----

    /// All events that were committed, in order.
    pub fn events(&self) -> Vec<Event> {
        let mut events = Vec::new();
        let mut position = None;
        loop {
            let page = self.wait(self.machine.events_since(&self.merchant, position.as_deref(), 1_000));
            events.extend(page.events.into_iter().map(|logged| logged.event));
            if !page.more {
                return events;
            }
            position = Some(page.next);
        }
    }

    /// The events of a type that were committed, in order.
    pub fn emitted(&self, event_type: &str) -> Vec<Event> {
        self.events().into_iter().filter(|event| event.event_type == event_type).collect()
    }

    /// What was given up.
    pub fn dead_letters(&self) -> Vec<DeadLetter> {
        self.wait(self.machine.dead_letters(&self.merchant, None, 1_000))
    }

    /// Puts a dead letter back in the queue.
    #[track_caller]
    pub fn replay(&self, dead_letter: &str) {
        self.wait(self.machine.replay_dead_letter(&self.merchant, dead_letter));
    }

    /// The jobs of a plugin that wait or run.
    pub fn jobs(&self, plugin: &str) -> Vec<JobStatus> {
        self.wait(self.machine.jobs(&self.merchant, &plugin_id(plugin), 1_000))
    }

    /// Log lines of all plugins.
    pub fn logs(&self) -> Vec<LogLine> {
        self.recorder.lines()
    }

    /// How every invocation ended.
    pub fn invocations(&self) -> Vec<InvocationReport> {
        self.recorder.reports()
    }

    // ---- outside ----

    /// Answers requests to a URL (a trailing `*` stands for any rest; the query counts only if it is given), every time.
    pub fn on(&self, method: &str, url: &str, reply: Reply) {
        self.outside.always(method, url, Arc::new(move |_| reply.clone()));
    }

    /// Answers the next request to a URL that is not answered by an earlier call of this; before what [`TestHost::on`] says.
    pub fn on_once(&self, method: &str, url: &str, reply: Reply) {
        self.outside.once(method, url, reply);
    }

    /// Answers requests to a URL by a function.
    pub fn on_with(&self, method: &str, url: &str, answer: impl Fn(&Recorded) -> Reply + Send + Sync + 'static) {
        self.outside.always(method, url, Arc::new(answer));
    }

    /// All requests that went out.
    pub fn requests(&self) -> Vec<Recorded> {
        self.outside.requests()
    }

    // ---- below ----

    /// The machine, for what is not offered here.
    pub fn machine(&self) -> &Arc<Machine> {
        &self.machine
    }

    /// The merchant.
    pub fn merchant(&self) -> &MerchantId {
        &self.merchant
    }

    /// The store's engine, for faults.
    pub fn store(&self) -> &Arc<MemoryEngine> {
        &self.store
    }

    /// Runs a future of the machine to its end.
    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        runtime().block_on(future)
    }
}

#[track_caller]
fn plugin_id(plugin: &str) -> PluginId {
    PluginId::new(plugin).unwrap_or_else(|error| panic!("{error}"))
}

fn problem(status: u16, code: &str, detail: &str) -> Response {
    let body = serde_json::json!({ "status": status, "code": code, "detail": detail }).to_string();
    let headers = vec![("content-type".to_owned(), "application/problem+json".to_owned())];
    Response { status, headers, body: body.into_bytes() }
}

/// A request of a test: `TestRequest::new("POST", "/orders?dry=1").json(&order).staff("anna", &["orders:write"])`.
#[derive(Clone, Debug)]
pub struct TestRequest {
    http: HttpRequest,
    actor: Option<Actor>,
    scopes: Vec<String>,
    idempotency: Option<String>,
}

impl TestRequest {
    /// Without headers and body.
    pub fn new(method: &str, path_and_query: &str) -> Self {
        let (path, query) = path_and_query.split_once('?').unwrap_or((path_and_query, ""));
        let http = HttpRequest {
            method: method.to_owned(),
            path: path.to_owned(),
            query: query.to_owned(),
            ..HttpRequest::default()
        };
        Self { http, actor: None, scopes: Vec::new(), idempotency: None }
    }

    /// With a header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.http.headers.push((name.to_ascii_lowercase(), value.to_owned()));
        self
    }

    /// With a body.
    #[must_use]
    pub fn body(mut self, content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        self.http.body = body.into();
        self.header("content-type", content_type)
    }

    /// With JSON.
    #[must_use]
    pub fn json<T: Serialize>(self, body: &T) -> Self {
        self.body("application/json", serde_json::to_vec(body).expect("the body of a test is JSON"))
    }

    /// With a form.
    #[must_use]
    pub fn form(self, fields: &[(&str, &str)]) -> Self {
        let encode = crate::outside::percent_encoded;
        let pairs: Vec<String> =
            fields.iter().map(|(name, value)| format!("{}={}", encode(name), encode(value))).collect();
        self.body("application/x-www-form-urlencoded", pairs.join("&"))
    }

    /// As a member of staff.
    #[must_use]
    pub fn staff(self, name: &str, scopes: &[&str]) -> Self {
        self.acting(Actor::Staff(name.to_owned()), scopes)
    }

    /// With a token.
    #[must_use]
    pub fn token(self, name: &str, scopes: &[&str]) -> Self {
        self.acting(Actor::Token(name.to_owned()), scopes)
    }

    /// As a customer.
    #[must_use]
    pub fn customer(self, id: &str) -> Self {
        self.acting(Actor::Customer(id.to_owned()), &[])
    }

    fn acting(mut self, actor: Actor, scopes: &[&str]) -> Self {
        self.actor = Some(actor);
        self.scopes = scopes.iter().map(|scope| (*scope).to_owned()).collect();
        self
    }

    /// With an `Idempotency-Key`.
    #[must_use]
    pub fn idempotency_key(mut self, key: &str) -> Self {
        self.idempotency = Some(key.to_owned());
        self
    }
}
