//! A store that is a map, a clock that is a number, plugins that are closures: the machine without anything around it.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, poll_fn};
use kontor_core::effects::{Environment, Outbound, OutboundContext, OutboundError, OutboundRequest, OutboundResponse};
use kontor_core::executor::{Call, Executed, ExecutionError, Executor, HttpRequest, HttpResponse, Reply, Usage};
use kontor_core::ids::{InvocationId, MerchantId, PluginId};
use kontor_core::machine::{Machine, Options, WorkOutcome};
use kontor_core::observer::{DeadLetterReport, FetchReport, InvocationReport, LogLine, Observer};
use kontor_core::records::{Answer, RequestContext};
use kontor_core::revision::{Grants, InstalledPlugin, JobSpec, OutboundGrant, OutboundHost, PluginSpec, Revision};
use kontor_core::store::{
    Commit, CommitError, Committed, CounterPredicate, Durability, Key, KeyRange, ReadSet, ReadView, Scanned,
    StoreError, TxStore, Value, Version, Write,
};
use kontor_core::transaction::{Actor, Transaction};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

// ---- running futures ----

/// Runs a future that never waits for anything but itself.
pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    let mut future = Box::pin(future);
    let mut context = Context::from_waker(Waker::noop());
    for _ in 0..10_000_000_u64 {
        if let Poll::Ready(result) = future.as_mut().poll(&mut context) {
            return result;
        }
    }
    panic!("the future never ends");
}

/// Polls futures in an order that the seed decides, until all have ended.
pub fn interleave<T>(seed: u64, futures: Vec<BoxFuture<'_, T>>) -> Vec<T> {
    let mut random = SmallRng::seed_from_u64(seed);
    let mut results: Vec<Option<T>> = futures.iter().map(|_| None).collect();
    let mut open: Vec<(usize, BoxFuture<'_, T>)> = futures.into_iter().enumerate().collect();
    let mut context = Context::from_waker(Waker::noop());
    for _ in 0..50_000_000_u64 {
        if open.is_empty() {
            return results.into_iter().map(Option::unwrap).collect();
        }
        let pick = random.random_range(0..open.len());
        if let Poll::Ready(result) = open[pick].1.as_mut().poll(&mut context) {
            let (index, _) = open.swap_remove(pick);
            results[index] = Some(result);
        }
    }
    panic!("{} futures never end", open.len());
}

/// Lets others run.
pub fn pause() -> impl Future<Output = ()> {
    let mut paused = false;
    poll_fn(move |context| {
        if std::mem::replace(&mut paused, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
}

// ---- the store ----

/// What the store does besides its duty, in thousandths of commits.
#[derive(Clone, Copy, Debug, Default)]
pub struct Faults {
    pub conflicts: u32,
    pub too_old: u32,
    pub unknown: u32,
    pub unavailable: u32,
}

#[derive(Debug, Default)]
struct Rows {
    version: Version,
    rows: BTreeMap<Key, (Option<Value>, Version)>,
}

pub struct MapStore {
    rows: Arc<Mutex<Rows>>,
    faults: Mutex<(Faults, SmallRng)>,
    pub conflicts: AtomicU64,
    pub commits: AtomicU64,
}

impl fmt::Debug for MapStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MapStore")
    }
}

struct MapView {
    version: Version,
    rows: Arc<Mutex<Rows>>,
}

impl MapStore {
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            rows: Arc::default(),
            faults: Mutex::new((Faults::default(), SmallRng::seed_from_u64(0))),
            conflicts: AtomicU64::new(0),
            commits: AtomicU64::new(0),
        })
    }

    pub fn set_faults(&self, faults: Faults, seed: u64) {
        *self.faults.lock().unwrap() = (faults, SmallRng::seed_from_u64(seed));
    }

    /// Rows that there are, to see that nothing is left behind.
    pub fn keys(&self) -> Vec<Key> {
        let rows = self.rows.lock().unwrap();
        rows.rows.iter().filter(|(_, (value, _))| value.is_some()).map(|(key, _)| key.clone()).collect()
    }

    /// What a crash leaves: the same rows, nothing else.
    pub fn reopened(&self) -> Arc<Self> {
        let new = Self::new();
        let (from, mut to) = (self.rows.lock().unwrap(), new.rows.lock().unwrap());
        (to.version, to.rows) = (from.version, from.rows.clone());
        drop(to);
        new
    }
}

fn inside(range: &KeyRange, key: &Key) -> bool {
    key >= &range.start && range.end.as_ref().is_none_or(|end| key < end)
}

fn counter(value: Option<&Value>) -> i64 {
    value.map_or(0, |value| i64::from_be_bytes(value.as_ref().try_into().unwrap()))
}

impl Rows {
    fn conflicts(&self, commit: &Commit) -> Vec<Key> {
        let newer = |key: &Key| self.rows.get(key).is_some_and(|(_, version)| *version > commit.view_version);
        let mut keys: Vec<Key> = commit.reads.points.iter().filter(|key| newer(key)).cloned().collect();
        for range in &commit.reads.ranges {
            keys.extend(self.rows.keys().filter(|key| inside(range, key) && newer(key)).cloned());
        }
        for (key, predicate) in &commit.reads.counters {
            let count = counter(self.rows.get(key).and_then(|(value, _)| value.as_ref()));
            let holds = match predicate {
                CounterPredicate::AtLeast(limit) => count >= *limit,
                CounterPredicate::Below(limit) => count < *limit,
                CounterPredicate::Above(limit) => count > *limit,
            };
            if !holds {
                keys.push(key.clone());
            }
        }
        keys
    }

    fn apply(&mut self, commit: Commit) -> Result<Committed, CommitError> {
        let conflicts = self.conflicts(&commit);
        if !conflicts.is_empty() {
            return Err(CommitError::Conflict { keys: conflicts });
        }
        let mut next = Vec::new();
        for (key, write) in commit.writes {
            let value = match write {
                Write::Put(value) => Some(value),
                Write::Delete => None,
                Write::Add { delta, min, max } => {
                    let count = counter(self.rows.get(&key).and_then(|(value, _)| value.as_ref()));
                    let sum = count.checked_add(delta);
                    match sum.filter(|sum| min.is_none_or(|min| *sum >= min) && max.is_none_or(|max| *sum <= max)) {
                        Some(sum) => Some(sum.to_be_bytes().to_vec().into()),
                        None => return Err(CommitError::Bound { key }),
                    }
                }
            };
            next.push((key, value));
        }
        if next.is_empty() && commit.stamped.is_empty() {
            return Ok(Committed { version: self.version });
        }
        self.version += 1;
        for stamped in commit.stamped {
            let mut key = stamped.prefix;
            key.extend_from_slice(&self.version.to_be_bytes());
            key.extend_from_slice(&stamped.ordinal.to_be_bytes());
            key.extend_from_slice(&stamped.suffix);
            next.push((key, Some(stamped.value)));
        }
        for (key, value) in next {
            self.rows.insert(key, (value, self.version));
        }
        Ok(Committed { version: self.version })
    }
}

impl ReadView for MapView {
    fn version(&self) -> Version {
        self.version
    }

    // Shows what is newest, as an embedded engine may.
    fn get<'a>(&'a self, key: &'a [u8]) -> BoxFuture<'a, Result<Option<Value>, StoreError>> {
        async move { Ok(self.rows.lock().unwrap().rows.get(key).and_then(|(value, _)| value.clone())) }.boxed()
    }

    fn get_many<'a>(&'a self, keys: &'a [Key]) -> BoxFuture<'a, Result<Vec<Option<Value>>, StoreError>> {
        async move {
            let rows = self.rows.lock().unwrap();
            Ok(keys.iter().map(|key| rows.rows.get(key).and_then(|(value, _)| value.clone())).collect())
        }
        .boxed()
    }

    fn scan<'a>(
        &'a self,
        range: &'a KeyRange,
        reverse: bool,
        limit: usize,
    ) -> BoxFuture<'a, Result<Scanned, StoreError>> {
        async move {
            let rows = self.rows.lock().unwrap();
            let found = rows.rows.range(range.start.clone()..).take_while(|(key, _)| inside(range, key));
            let mut entries: Vec<(Key, Value)> =
                found.filter_map(|(key, (value, _))| Some((key.clone(), value.clone()?))).collect();
            if reverse {
                entries.reverse();
            }
            let more = entries.len() > limit;
            entries.truncate(limit);
            Ok(Scanned { entries, more })
        }
        .boxed()
    }

    fn unchanged_since(&self, reads: &ReadSet, version: Version) -> Option<Version> {
        let rows = self.rows.lock().unwrap();
        let commit = Commit { view_version: version, reads: reads.clone(), ..Commit::default() };
        rows.conflicts(&commit).is_empty().then_some(rows.version)
    }
}

impl TxStore for MapStore {
    fn begin(&self) -> BoxFuture<'_, Result<Arc<dyn ReadView>, StoreError>> {
        async move {
            let version = self.rows.lock().unwrap().version;
            Ok(Arc::new(MapView { version, rows: self.rows.clone() }) as Arc<dyn ReadView>)
        }
        .boxed()
    }

    fn commit(&self, commit: Commit, _durability: Durability) -> BoxFuture<'_, Result<Committed, CommitError>> {
        async move {
            pause().await;
            let (faults, roll, coin) = {
                let mut faults = self.faults.lock().unwrap();
                let (roll, coin) = (faults.1.random_range(0..1_000_u32), faults.1.random_bool(0.5));
                (faults.0, roll, coin)
            };
            let mut edge = faults.conflicts;
            if roll < edge {
                self.conflicts.fetch_add(1, Ordering::Relaxed);
                return Err(CommitError::Conflict {
                    keys: commit.reads.points.into_iter().rev().take(1).filter(|_| coin).collect(),
                });
            }
            edge += faults.too_old;
            if roll < edge {
                return Err(CommitError::TooOld);
            }
            edge += faults.unavailable;
            if roll < edge {
                return Err(CommitError::Unavailable("injected".into()));
            }
            edge += faults.unknown;
            let result =
                if roll >= edge || coin { self.rows.lock().unwrap().apply(commit) } else { Err(CommitError::TooOld) };
            match &result {
                Ok(_) => self.commits.fetch_add(1, Ordering::Relaxed),
                Err(_) => self.conflicts.fetch_add(1, Ordering::Relaxed),
            };
            if roll < edge {
                return Err(CommitError::OutcomeUnknown("injected".into()));
            }
            pause().await;
            result
        }
        .boxed()
    }

    fn current_version(&self) -> Version {
        self.rows.lock().unwrap().version
    }

    fn wait_newer(&self, version: Version) -> BoxFuture<'_, Version> {
        poll_fn(move |_| match self.current_version() {
            newer if newer > version => Poll::Ready(newer),
            _ => Poll::Pending,
        })
        .boxed()
    }
}

// ---- time, the outside, what is told ----

#[derive(Debug)]
pub struct Clock {
    pub now_ms: AtomicU64,
    entropy: AtomicU64,
}

impl Environment for Clock {
    fn now_ms(&self) -> u64 {
        self.now_ms.load(Ordering::Relaxed)
    }

    fn entropy(&self) -> [u8; 32] {
        let mut seed = [7; 32];
        seed[..8].copy_from_slice(&self.entropy.fetch_add(1, Ordering::Relaxed).to_be_bytes());
        seed
    }

    fn sleep(&self, duration_ms: u64) -> BoxFuture<'static, ()> {
        self.now_ms.fetch_add(duration_ms, Ordering::Relaxed);
        pause().boxed()
    }
}

#[derive(Debug, Default)]
pub struct Server {
    pub requests: Mutex<Vec<(OutboundContext, OutboundRequest)>>,
    pub answers: Mutex<VecDeque<Result<OutboundResponse, OutboundError>>>,
}

impl Outbound for Server {
    fn fetch(
        &self,
        context: OutboundContext,
        request: OutboundRequest,
    ) -> BoxFuture<'_, Result<OutboundResponse, OutboundError>> {
        async move {
            pause().await;
            let mut requests = self.requests.lock().unwrap();
            requests.push((context, request));
            let number = requests.len();
            let fallback = OutboundResponse { status: 200, headers: vec![], body: number.to_string().into_bytes() };
            self.answers.lock().unwrap().pop_front().unwrap_or(Ok(fallback))
        }
        .boxed()
    }
}

#[derive(Debug, Default)]
pub struct Notes {
    pub lines: Mutex<Vec<LogLine>>,
    pub invocations: Mutex<Vec<InvocationReport>>,
    pub dead: Mutex<Vec<DeadLetterReport>>,
    pub fetches: Mutex<Vec<FetchReport>>,
}

impl Observer for Notes {
    fn log(&self, line: &LogLine) {
        self.lines.lock().unwrap().push(line.clone());
    }
    fn invocation(&self, report: &InvocationReport) {
        self.invocations.lock().unwrap().push(report.clone());
    }
    fn dead_letter(&self, report: &DeadLetterReport) {
        self.dead.lock().unwrap().push(report.clone());
    }
    fn fetch(&self, report: &FetchReport) {
        self.fetches.lock().unwrap().push(report.clone());
    }
}

// ---- plugins ----

pub type Outcome = Result<Reply, ExecutionError>;
type Handler = Arc<dyn for<'a> Fn(Call, &'a mut Transaction) -> BoxFuture<'a, Outcome> + Send + Sync>;

/// Plugins that are closures, by id.
#[derive(Default)]
pub struct Scripts(Mutex<BTreeMap<PluginId, Handler>>);

impl fmt::Debug for Scripts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Scripts")
    }
}

impl Scripts {
    pub fn set(
        &self,
        plugin: &str,
        handler: impl for<'a> Fn(Call, &'a mut Transaction) -> BoxFuture<'a, Outcome> + Send + Sync + 'static,
    ) {
        self.0.lock().unwrap().insert(id(plugin), Arc::new(handler));
    }
}

impl Executor for Scripts {
    fn execute<'a>(
        &'a self,
        _revision: Arc<Revision>,
        plugin: &'a PluginId,
        call: Call,
        mut transaction: Box<Transaction>,
    ) -> BoxFuture<'a, Executed> {
        async move {
            pause().await;
            let handler = self.0.lock().unwrap().get(plugin).cloned();
            let result = match (handler, call) {
                (Some(handler), call) => handler(call, &mut transaction).await,
                (None, Call::Migrate { .. }) => Ok(Reply::Migrated(None)),
                (None, _) => Err(ExecutionError::Host(format!("no script for {plugin}"))),
            };
            Executed {
                transaction,
                result,
                usage: vec![(plugin.clone(), Usage { calls: 1, fuel: 10, memory_bytes: 64 })],
            }
        }
        .boxed()
    }
}

/// A script that migrates nothing, and does `body` for every other call. What is named in brackets is cloned for each.
#[macro_export]
macro_rules! script {
    (|$call:ident, $tx:ident| $body:expr) => { script!([] |$call, $tx| $body) };
    ([$($captured:ident),*] |$call:ident, $tx:ident| $body:expr) => {
        move |$call: kontor_core::executor::Call, $tx: &mut kontor_core::transaction::Transaction| {
            $(let $captured = $captured.clone();)*
            let future = async move {
                if matches!($call, kontor_core::executor::Call::Migrate { .. }) {
                    return Ok(kontor_core::executor::Reply::Migrated(None));
                }
                $body
            };
            futures_util::FutureExt::boxed(future)
        }
    };
}

pub fn ok(body: impl Into<Vec<u8>>) -> Outcome {
    respond(200, body)
}

pub fn respond(status: u16, body: impl Into<Vec<u8>>) -> Outcome {
    Ok(Reply::Http(HttpResponse { status, headers: vec![], body: body.into() }))
}

pub fn id(name: &str) -> PluginId {
    PluginId::new(name).unwrap()
}

/// A plugin that may do most things.
pub fn plugin(name: &str) -> InstalledPlugin {
    let spec = PluginSpec {
        id: id(name),
        version: "0.1.0".into(),
        name: name.into(),
        description: String::new(),
        publisher: "tests".into(),
        digest: format!("sha256:{name}"),
        provides: vec![],
        requires: vec![],
        emits: ["said", "done", "x"].map(|fact| format!("test.{name}.{fact}")).into(),
        subscribes: vec![],
        routes: vec![],
        jobs: vec![JobSpec { name: "work".into(), max_attempts: 3, backoff_ms: 1_000, budget: None }],
        schedules: vec![],
        outbound: vec![OutboundHost { host: "api.example.com".into(), budgets: vec![] }],
        config_schema: None,
        secrets: vec![],
        data_classes: vec![],
        limits: Default::default(),
    };
    let grant = OutboundGrant { host: "api.example.com".into(), allow_http: false, allow_private: false };
    InstalledPlugin {
        spec,
        grants: Grants { outbound: vec![grant], plain_secrets: vec![] },
        config: serde_json::json!({}),
    }
}

// ---- all together ----

/// A machine with everything it needs, for the merchant `m`.
pub struct Bench {
    pub machine: Arc<Machine>,
    pub store: Arc<MapStore>,
    pub scripts: Arc<Scripts>,
    pub clock: Arc<Clock>,
    pub server: Arc<Server>,
    pub notes: Arc<Notes>,
    pub merchant: MerchantId,
    requests: AtomicU64,
}

impl Bench {
    pub fn new(plugins: impl IntoIterator<Item = InstalledPlugin>) -> Self {
        let bench = Self::over(MapStore::new(), Arc::default(), Arc::default());
        block_on(bench.machine.create_merchant(&bench.merchant)).unwrap();
        bench.switch(plugins);
        bench
    }

    pub fn over(store: Arc<MapStore>, scripts: Arc<Scripts>, server: Arc<Server>) -> Self {
        let clock = Arc::new(Clock { now_ms: AtomicU64::new(1_700_000_000_000), entropy: AtomicU64::new(1) });
        let notes = Arc::new(Notes::default());
        let machine = Machine::open(
            store.clone(),
            scripts.clone(),
            clock.clone(),
            server.clone(),
            notes.clone(),
            Options::default(),
        );
        let machine = block_on(machine).unwrap();
        let merchant = MerchantId::new("m").unwrap();
        Self { machine, store, scripts, clock, server, notes, merchant, requests: AtomicU64::new(0) }
    }

    /// What another process finds after this one was killed.
    pub fn crashed(&self) -> Self {
        let next = Self::over(self.store.reopened(), self.scripts.clone(), self.server.clone());
        next.clock.now_ms.store(self.clock.now_ms(), Ordering::Relaxed);
        next.clock.entropy.store(1_000_000, Ordering::Relaxed);
        next.requests.store(1_000_000, Ordering::Relaxed);
        next
    }

    pub fn switch(&self, plugins: impl IntoIterator<Item = InstalledPlugin>) {
        let plugins = plugins.into_iter().map(|plugin| (plugin.spec.id.clone(), plugin)).collect();
        let parent = block_on(self.machine.current(&self.merchant)).unwrap().number;
        block_on(self.machine.switch(&self.merchant, parent, plugins, "test")).unwrap();
    }

    pub fn context(&self) -> RequestContext {
        let number = self.requests.fetch_add(1, Ordering::Relaxed);
        RequestContext {
            invocation: InvocationId::new(&format!("req/{number}")),
            actor: Actor::Public,
            scopes: vec![],
            may_fetch: false,
            idempotency: None,
            admitted_by: None,
        }
    }

    pub fn ask<'a>(
        &'a self,
        plugin: &str,
        path: &str,
        context: RequestContext,
    ) -> BoxFuture<'a, Result<Answer, kontor_core::error::Error>> {
        let request = HttpRequest { method: "POST".into(), path: path.into(), ..HttpRequest::default() };
        let plugin = id(plugin);
        async move { self.machine.request(&self.merchant, &plugin, request, context).await }.boxed()
    }

    pub fn get(&self, plugin: &str, path: &str) -> Answer {
        block_on(self.ask(plugin, path, self.context())).unwrap()
    }

    pub fn body(&self, plugin: &str, path: &str) -> String {
        String::from_utf8(self.get(plugin, path).response.body).unwrap()
    }

    /// Does everything that is due now, one after the other; what came of it, housekeeping aside.
    pub fn settle(&self) -> Vec<WorkOutcome> {
        let mut outcomes = Vec::new();
        for _ in 0..10_000 {
            let items = block_on(self.machine.due_work(self.clock.now_ms(), 8)).unwrap();
            if items.is_empty() {
                return outcomes;
            }
            for item in items {
                let quiet = item.describe() == "housekeeping";
                let outcome = block_on(self.machine.run(item));
                if !quiet && outcome != WorkOutcome::Nothing {
                    outcomes.push(outcome);
                }
            }
        }
        panic!("work never ends");
    }

    /// Lets time pass.
    pub fn pass(&self, ms: u64) {
        self.clock.now_ms.fetch_add(ms, Ordering::Relaxed);
    }
}

/// What a closure of a test writes down.
pub type Journal<T> = Arc<Mutex<Vec<T>>>;
