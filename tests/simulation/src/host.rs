//! The host in a run: its lives, from one crash to the next, and how clients reach it over a network that loses and repeats.

use std::cell::{Cell, RefCell};
use std::hash::{BuildHasherDefault, DefaultHasher};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures_channel::oneshot;
use futures_util::future::{Either, select};
use kontor_core::executor::{HttpRequest, HttpResponse};
use kontor_core::ids::{InvocationId, MerchantId, PluginId};
use kontor_core::machine::{Machine, Options};
use kontor_core::observer::{DeadLetterReport, InvocationReport, Observer};
use kontor_core::records::RequestContext;
use kontor_core::revision::RevisionNumber;
use kontor_core::transaction::Actor;
use kontor_store::{Cached, FaultPlan, MemoryEngine, OccStore, RecentLimits};
use kontor_testkit::find_route;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::Value;

use crate::base::Base;
use crate::market::Market;
use crate::plan::{Network, Plan};
use crate::scheduler::{Handle, Kind};
use crate::store::{Pulse, SimStore};
use crate::timeline::{HostClock, Timeline};
use crate::trace::Trace;

/// How long a client waits for an answer.
const PATIENCE_MS: u64 = 20_000;
/// How often a client tries before the run counts as stuck.
const TRIES_MAX: u32 = 100;
/// Items of background work that run at once.
const WORK_AT_ONCE: usize = 6;
/// Longest nap of the driver of background work.
const NAP_MS_MAX: u64 = 60_000;
/// Values kept in front of the store: few enough that some are dropped.
const VALUES_BYTES: u64 = 64 * 1024;

/// Without a secret: which values are dropped decides which reads the engine may refuse.
type SameHash = BuildHasherDefault<DefaultHasher>;

/// A request of a client.
#[derive(Clone, Debug)]
pub(crate) struct Ask {
    pub(crate) plugin: &'static str,
    pub(crate) method: &'static str,
    /// With the query, if any.
    pub(crate) path: String,
    pub(crate) body: Value,
    pub(crate) key: Option<String>,
}

impl Ask {
    pub(crate) fn get(plugin: &'static str, path: impl Into<String>) -> Self {
        Self { plugin, method: "GET", path: path.into(), body: Value::Null, key: None }
    }

    pub(crate) fn post(plugin: &'static str, path: impl Into<String>, body: Value) -> Self {
        Self { method: "POST", body, ..Self::get(plugin, path) }
    }

    pub(crate) fn put(plugin: &'static str, path: impl Into<String>, body: Value) -> Self {
        Self { method: "PUT", body, ..Self::get(plugin, path) }
    }

    pub(crate) fn key(self, key: impl Into<String>) -> Self {
        Self { key: Some(key.into()), ..self }
    }
}

/// An answer.
#[derive(Clone, Debug)]
pub(crate) struct Said {
    pub(crate) status: u16,
    pub(crate) body: Value,
    /// An earlier try of the same request may have been carried out without this client's knowledge, or may still be.
    pub(crate) doubtful: bool,
}

impl Said {
    fn new(response: &HttpResponse) -> Self {
        let body = serde_json::from_slice(&response.body).unwrap_or(Value::Null);
        Self { status: response.status, body, doubtful: false }
    }

    /// The code of a problem document.
    pub(crate) fn code(&self) -> &str {
        self.body.get("code").and_then(Value::as_str).unwrap_or_default()
    }

    pub(crate) fn text(&self, name: &str) -> String {
        self.body.get(name).and_then(Value::as_str).unwrap_or_default().to_owned()
    }
}

/// Counts what the host says of itself.
#[derive(Debug)]
pub(crate) struct Notes {
    pub(crate) invocations: AtomicU64,
    pub(crate) executions: AtomicU64,
    pub(crate) conflicts: AtomicU64,
    pub(crate) exclusive: AtomicU64,
    /// The newest that was switched on.
    pub(crate) revision: AtomicU64,
    trace: Arc<Trace>,
    timeline: Arc<Timeline>,
}

impl Observer for Notes {
    fn invocation(&self, report: &InvocationReport) {
        self.invocations.fetch_add(1, Ordering::Relaxed);
        self.executions.fetch_add(u64::from(report.executions), Ordering::Relaxed);
        self.conflicts.fetch_add(u64::from(report.conflicts), Ordering::Relaxed);
        self.exclusive.fetch_add(u64::from(report.exclusive), Ordering::Relaxed);
        let fuel: u64 = report.usage.iter().map(|(_, usage)| usage.fuel).sum();
        self.trace.note(
            self.timeline.now_ms(),
            format_args!(
                "{} {} {}: {}, revision {}, {} executions, {fuel} fuel",
                report.plugin,
                report.kind.as_str(),
                report.invocation,
                report.outcome,
                report.revision,
                report.executions,
            ),
        );
    }

    fn revision(&self, _merchant: &MerchantId, number: RevisionNumber) {
        self.revision.store(number, Ordering::Relaxed);
    }

    fn dead_letter(&self, report: &DeadLetterReport) {
        self.trace.note(self.timeline.now_ms(), format_args!("dead letter: {report:?}"));
    }
}

/// From one start of the host to its end.
struct Life {
    number: u64,
    machine: Arc<Machine>,
    memory: Arc<MemoryEngine>,
    pulse: Arc<Pulse>,
}

/// See the module.
pub(crate) struct Host {
    pub(crate) base: Arc<Base>,
    pub(crate) plan: Plan,
    pub(crate) timeline: Arc<Timeline>,
    pub(crate) trace: Arc<Trace>,
    pub(crate) market: Arc<Market>,
    pub(crate) handle: Handle,
    pub(crate) notes: Arc<Notes>,
    random: RefCell<ChaCha8Rng>,
    network: Cell<Network>,
    life: RefCell<Option<Life>>,
    lives: Cell<u64>,
    requests: Cell<u64>,
}

impl Host {
    pub(crate) fn new(
        base: Arc<Base>,
        plan: Plan,
        timeline: Arc<Timeline>,
        trace: Arc<Trace>,
        market: Arc<Market>,
        handle: Handle,
    ) -> Rc<Self> {
        let notes = Arc::new(Notes {
            invocations: AtomicU64::new(0),
            executions: AtomicU64::new(0),
            conflicts: AtomicU64::new(0),
            exclusive: AtomicU64::new(0),
            revision: AtomicU64::new(0),
            trace: Arc::clone(&trace),
            timeline: Arc::clone(&timeline),
        });
        let random = RefCell::new(ChaCha8Rng::seed_from_u64(plan.seed ^ 0x6e65_7477));
        let network = Cell::new(plan.network);
        Rc::new(Self {
            base,
            plan,
            timeline,
            trace,
            market,
            handle,
            notes,
            random,
            network,
            life: RefCell::new(None),
            lives: Cell::new(0),
            requests: Cell::new(0),
        })
    }

    pub(crate) fn note(&self, line: std::fmt::Arguments<'_>) {
        self.trace.note(self.timeline.now_ms(), line);
    }

    pub(crate) fn merchant(&self) -> &MerchantId {
        &self.base.merchant
    }

    /// How often the host was started.
    pub(crate) fn lives(&self) -> u64 {
        self.lives.get()
    }

    // ---- lives ----

    /// Starts the host on what is in the store.
    pub(crate) async fn rise(self: &Rc<Self>, memory: Arc<MemoryEngine>) -> Result<(), String> {
        let number = self.lives.get() + 1;
        self.lives.set(number);
        let changes = self.plan.remembered_changes;
        for attempt in 0..100_u64 {
            let pulse = Arc::new(Pulse::default());
            let limits = RecentLimits { changes, ..RecentLimits::default() };
            let cached = Cached::with_hasher(memory.clone(), VALUES_BYTES, SameHash::default());
            let inner = OccStore::inline_with(Arc::new(cached), limits).map_err(|error| error.to_string())?;
            let seed = self.plan.seed ^ number << 32 ^ attempt << 16;
            let store = SimStore::new(inner, self.plan.tempo, seed, self.timeline.clone(), pulse.clone());
            let opened = Machine::open(
                Arc::new(store),
                self.base.engine.clone(),
                Arc::new(HostClock(self.timeline.clone())),
                self.market.clone(),
                self.notes.clone(),
                Options::default(),
            );
            match opened.await {
                Ok(machine) => {
                    self.note(format_args!("host up, life {number}"));
                    *self.life.borrow_mut() =
                        Some(Life { number, machine: machine.clone(), memory: memory.clone(), pulse });
                    let host = Rc::clone(self);
                    self.handle.spawn(Kind::Host(number), "background work".to_owned(), host.drive(number, machine));
                    return Ok(());
                }
                Err(error) => {
                    self.note(format_args!("host does not start: {error}"));
                    self.timeline.sleep(200).await;
                }
            }
        }
        Err("the host does not start".to_owned())
    }

    /// Ends the host in the middle of whatever it does; what its store holds then. Nothing if it is down already.
    pub(crate) fn fall(&self, power_cut: bool) -> Option<Arc<MemoryEngine>> {
        let life = self.life.borrow_mut().take()?;
        self.handle.end_life(life.number);
        self.note(format_args!("host down, power cut: {power_cut}"));
        let memory = if power_cut { life.memory.crash() } else { life.memory.restart() };
        Some(Arc::new(memory))
    }

    /// The machine of this life, if there is one.
    pub(crate) fn machine(&self) -> Option<Arc<Machine>> {
        self.life.borrow().as_ref().map(|life| life.machine.clone())
    }

    /// The store of this life, if there is one.
    pub(crate) fn memory(&self) -> Option<Arc<MemoryEngine>> {
        self.life.borrow().as_ref().map(|life| life.memory.clone())
    }

    /// Commits of this life so far, with its number; nothing while the host is down.
    pub(crate) fn pulse(&self) -> Option<(u64, u64)> {
        self.life.borrow().as_ref().map(|life| (life.number, life.pulse.commits.load(Ordering::Relaxed)))
    }

    /// Whether the store has stopped and the host must be started anew.
    pub(crate) fn has_stopped(&self) -> bool {
        self.life.borrow().as_ref().is_some_and(|life| life.pulse.stopped.load(Ordering::Relaxed))
    }

    /// From now on nothing goes wrong any more.
    pub(crate) fn calm_down(&self) {
        self.network.set(Network::default());
        if let Some(memory) = self.memory() {
            memory.set_faults(FaultPlan::default());
        }
    }

    /// Finds background work and starts it, each piece as a task of its own.
    async fn drive(self: Rc<Self>, life: u64, machine: Arc<Machine>) {
        let running = Rc::new(Cell::new(0_usize));
        loop {
            let generation = machine.work_generation();
            let now_ms = machine.now_ms();
            let room = WORK_AT_ONCE.saturating_sub(running.get());
            if room > 0 {
                for item in machine.due_work(now_ms, room).await.unwrap_or_default() {
                    running.set(running.get() + 1);
                    let (machine, running, name) = (machine.clone(), running.clone(), item.describe());
                    self.handle.spawn(Kind::Host(life), name, async move {
                        machine.run(item).await;
                        running.set(running.get() - 1);
                    });
                }
            }
            // The end of a piece of work is news of work too.
            let due_ms = if room > 0 { machine.next_due_ms().unwrap_or(u64::MAX) } else { u64::MAX };
            let nap = self.timeline.sleep(due_ms.saturating_sub(now_ms).clamp(1, NAP_MS_MAX));
            select(machine.wait_for_work(generation), nap).await;
        }
    }

    // ---- requests ----

    /// Asks once. Nothing: no answer came; the request may or may not have been carried out, or may be carried out later.
    pub(crate) async fn ask(self: &Rc<Self>, ask: &Ask) -> Option<Said> {
        let network = self.network.get();
        let (lost_request, lost_answer, doubled, latency_ms) = {
            let mut random = self.random.borrow_mut();
            let mut happens = |share: u32| share > 0 && random.random_ratio(share, 1_000);
            let drawn =
                (happens(network.lost_requests), happens(network.lost_answers), happens(network.doubled_requests));
            (drawn.0, drawn.1, drawn.2, random.random_range(0..4))
        };
        self.timeline.sleep(latency_ms).await;
        if lost_request {
            self.timeline.sleep(PATIENCE_MS).await;
            return None;
        }
        let answer = self.send(ask)?;
        if doubled {
            drop(self.send(ask));
        }
        if lost_answer {
            drop(answer);
            self.timeline.sleep(PATIENCE_MS).await;
            return None;
        }
        match select(answer, self.timeline.sleep(PATIENCE_MS)).await {
            Either::Left((answer, _)) => answer.ok(),
            Either::Right(_) => None,
        }
    }

    /// Hands a request to the host; nothing when it is down.
    fn send(self: &Rc<Self>, ask: &Ask) -> Option<oneshot::Receiver<Said>> {
        let (life, machine) = {
            let life = self.life.borrow();
            let life = life.as_ref()?;
            (life.number, life.machine.clone())
        };
        let number = self.requests.get() + 1;
        self.requests.set(number);
        let plugin = PluginId::new(ask.plugin).ok()?;
        let (path, query) = ask.path.split_once('?').unwrap_or((&ask.path, ""));
        let mut request = HttpRequest {
            method: ask.method.to_owned(),
            path: path.to_owned(),
            query: query.to_owned(),
            headers: vec![("content-type".to_owned(), "application/json".to_owned())],
            body: if ask.body.is_null() { Vec::new() } else { ask.body.to_string().into_bytes() },
            base_path: format!("/m/{}/{}", self.merchant(), ask.plugin),
            remote_address: "127.0.0.1".to_owned(),
            route: None,
        };
        let is_public = matches!(ask.plugin, "storefront" | "witness");
        let context = RequestContext {
            invocation: InvocationId::new(&format!("req/{number}")),
            actor: if is_public { Actor::Public } else { Actor::Token("simulation".to_owned()) },
            scopes: Vec::new(),
            may_fetch: false,
            idempotency: ask.key.clone(),
            admitted_by: None,
        };
        let (reply, answer) = oneshot::channel();
        let merchant = self.merchant().clone();
        let name = format!("{} {} {}", ask.plugin, ask.method, ask.path);
        self.handle.spawn(Kind::Host(life), name, async move {
            // As the server does, so that responses are given again.
            if let Ok(revision) = machine.current(&merchant).await
                && let Some(installed) = revision.plugins.get(&plugin)
            {
                request.route =
                    find_route(&installed.spec, &request.method, &request.path).map(|(position, _)| position);
            }
            if let Some(response) = machine.recall(&merchant, &plugin, &request, None) {
                let _ = reply.send(Said::new(&response));
                return;
            }
            let said = match machine.request(&merchant, &plugin, request, context).await {
                Ok(answer) => Said::new(&answer.response),
                Err(error) => Said {
                    status: error.status(),
                    body: serde_json::json!({ "code": error.code(), "detail": error.to_string() }),
                    doubtful: false,
                },
            };
            // Whoever asked may have gone away.
            let _ = reply.send(said);
        });
        Some(answer)
    }

    /// Asks until there is an answer that means something, as a good client does.
    pub(crate) async fn insist(self: &Rc<Self>, ask: &Ask) -> Result<Said, String> {
        let mut doubtful = false;
        let mut last = String::new();
        for attempt in 0..TRIES_MAX {
            match self.ask(ask).await {
                Some(said) if said.status < 500 => return Ok(Said { doubtful: doubtful || self.may_double(), ..said }),
                Some(said) => last = format!("{}: {}", said.status, said.body),
                None => last = "no answer".to_owned(),
            }
            doubtful = true;
            let most_ms = 200_u64 << attempt.min(5);
            let wait_ms = self.random.borrow_mut().random_range(most_ms / 2..=most_ms);
            self.timeline.sleep(wait_ms).await;
        }
        Err(format!("{} {} {} was tried {TRIES_MAX} times; last: {last}", ask.method, ask.plugin, ask.path))
    }

    /// Whether the network repeats requests at times.
    pub(crate) fn may_double(&self) -> bool {
        self.network.get().doubled_requests > 0
    }

    /// As [`Host::insist`], where any other answer than a success is a fault of the run.
    pub(crate) async fn must(self: &Rc<Self>, ask: &Ask) -> Result<Value, String> {
        let said = self.insist(ask).await?;
        match said.status {
            ..300 => Ok(said.body),
            status => Err(format!("{} {} {} answered {status}: {}", ask.method, ask.plugin, ask.path, said.body)),
        }
    }
}
