//! A machine over the memory store with a fixed clock, and a merchant whose plugins a test chooses.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use futures_util::future::BoxFuture;
use kontor_core::effects::{Environment, Outbound, OutboundContext, OutboundError, OutboundRequest, OutboundResponse};
use kontor_core::error::Error;
use kontor_core::executor::{HttpRequest, HttpResponse, Usage};
use kontor_core::ids::{InvocationId, MerchantId, PluginId};
use kontor_core::machine::{Machine, Options};
use kontor_core::observer::{InvocationReport, Observer};
use kontor_core::records::RequestContext;
use kontor_core::revision::{Grants, InstalledPlugin, OutboundGrant, PluginSpec, RevisionNumber};
use kontor_core::store::{
    Commit, CommitError, Committed, Durability, Key, KeyRange, ReadSet, ReadView, Scanned, StoreError, TxStore, Value,
    Version,
};
use kontor_core::transaction::Actor;
use kontor_engine::{Engine, EngineOptions, PoolOptions};
use kontor_store::{FaultPlan, MemoryEngine, OccStore};

#[derive(Debug)]
struct Fixed;

impl Environment for Fixed {
    fn now_ms(&self) -> u64 {
        1_700_000_000_000
    }
    fn entropy(&self) -> [u8; 32] {
        [7; 32]
    }
    fn sleep(&self, _duration_ms: u64) -> BoxFuture<'static, ()> {
        Box::pin(std::future::ready(()))
    }
}

/// A server that never answers, behind a client that never gives up.
#[derive(Debug)]
struct Hanging;

impl Outbound for Hanging {
    fn fetch(
        &self,
        _context: OutboundContext,
        _request: OutboundRequest,
    ) -> BoxFuture<'_, Result<OutboundResponse, OutboundError>> {
        Box::pin(std::future::pending())
    }
}

/// A store whose reads of keys with `hang` in them never end, and of keys with `break` panic.
#[derive(Debug)]
struct Trapped(OccStore);

struct TrappedView(Arc<dyn ReadView>);

fn contains(key: &[u8], part: &str) -> bool {
    key.windows(part.len()).any(|window| window == part.as_bytes())
}

impl ReadView for TrappedView {
    fn version(&self) -> Version {
        self.0.version()
    }
    fn get<'a>(&'a self, key: &'a [u8]) -> BoxFuture<'a, Result<Option<Value>, StoreError>> {
        if contains(key, "hang") {
            return Box::pin(std::future::pending());
        }
        assert!(!contains(key, "break"), "the store broke");
        self.0.get(key)
    }
    fn get_many<'a>(&'a self, keys: &'a [Key]) -> BoxFuture<'a, Result<Vec<Option<Value>>, StoreError>> {
        self.0.get_many(keys)
    }
    fn scan<'a>(
        &'a self,
        range: &'a KeyRange,
        reverse: bool,
        limit: usize,
    ) -> BoxFuture<'a, Result<Scanned, StoreError>> {
        self.0.scan(range, reverse, limit)
    }
    fn unchanged_since(&self, reads: &ReadSet, version: Version) -> Option<Version> {
        self.0.unchanged_since(reads, version)
    }
}

impl TxStore for Trapped {
    fn begin(&self) -> BoxFuture<'_, Result<Arc<dyn ReadView>, StoreError>> {
        Box::pin(async {
            let view = self.0.begin().await?;
            Ok(Arc::new(TrappedView(view)) as Arc<dyn ReadView>)
        })
    }
    fn commit(&self, commit: Commit, durability: Durability) -> BoxFuture<'_, Result<Committed, CommitError>> {
        self.0.commit(commit, durability)
    }
    fn current_version(&self) -> Version {
        self.0.current_version()
    }
    fn wait_newer(&self, version: Version) -> BoxFuture<'_, Version> {
        self.0.wait_newer(version)
    }
    fn unchanged_since(&self, key: &[u8], version: Version) -> bool {
        self.0.unchanged_since(key, version)
    }
    fn stands(&self, reads: &ReadSet, version: Version) -> Option<Version> {
        self.0.stands(reads, version)
    }
}

#[derive(Debug, Default)]
struct Reports(Mutex<Vec<InvocationReport>>);

impl Observer for Reports {
    fn invocation(&self, report: &InvocationReport) {
        self.0.lock().unwrap().push(report.clone());
    }
}

/// See the module.
pub struct Rig {
    pub engine: Arc<Engine>,
    machine: Arc<Machine>,
    merchant: MerchantId,
    reports: Arc<Reports>,
    requests: Mutex<u32>,
}

/// Every call is executed: most tests look at what an execution did.
pub fn options() -> EngineOptions {
    EngineOptions {
        pool: PoolOptions { instances: 20, ..PoolOptions::default() },
        answers_bytes_max: 0,
        responses_bytes_max: 0,
        ..EngineOptions::default()
    }
}

/// A GET of `/`.
pub fn get() -> HttpRequest {
    HttpRequest { method: "GET".to_owned(), path: "/".to_owned(), ..HttpRequest::default() }
}

impl Rig {
    pub async fn new(plugins: Vec<(PluginSpec, Vec<u8>)>) -> Self {
        Self::with(options(), plugins).await
    }

    pub async fn with(options: EngineOptions, plugins: Vec<(PluginSpec, Vec<u8>)>) -> Self {
        let engine = Arc::new(Engine::new(options).unwrap());
        let store = Trapped(OccStore::inline(Arc::new(MemoryEngine::new(FaultPlan::default()))).unwrap());
        let reports = Arc::new(Reports::default());
        let machine = Machine::open(
            Arc::new(store),
            Arc::clone(&engine) as _,
            Arc::new(Fixed),
            Arc::new(Hanging),
            Arc::clone(&reports) as _,
            Options::default(),
        )
        .await
        .unwrap();
        let merchant = MerchantId::new("demo").unwrap();
        machine.create_merchant(&merchant).await.unwrap();
        let mut installed = BTreeMap::new();
        for (spec, wasm) in plugins {
            engine.prepare(&spec, &wasm).unwrap();
            let grants = Grants {
                outbound: spec
                    .outbound
                    .iter()
                    .map(|outbound| OutboundGrant {
                        host: outbound.host.clone(),
                        allow_http: false,
                        allow_private: false,
                    })
                    .collect(),
                plain_secrets: Vec::new(),
            };
            let plugin = InstalledPlugin { grants, config: serde_json::json!({}), spec };
            installed.insert(plugin.spec.id.clone(), plugin);
        }
        machine.switch(&merchant, 0, installed, "test").await.unwrap();
        reports.0.lock().unwrap().clear();
        Self { engine, machine, merchant, reports, requests: Mutex::new(0) }
    }

    /// A GET of a plugin, with a query.
    pub async fn get(&self, plugin: &str, query: &str) -> Result<HttpResponse, Error> {
        self.send(plugin, HttpRequest { query: query.to_owned(), ..get() }).await
    }

    /// Any request of a plugin.
    pub async fn send(&self, plugin: &str, request: HttpRequest) -> Result<HttpResponse, Error> {
        let id = {
            let mut requests = self.requests.lock().unwrap();
            *requests += 1;
            InvocationId::new(&format!("req/{requests}"))
        };
        let context = RequestContext {
            invocation: id,
            actor: Actor::Public,
            scopes: Vec::new(),
            may_fetch: true,
            idempotency: None,
            admitted_by: None,
        };
        let plugin = PluginId::new(plugin).unwrap();
        if let Some(response) = self.machine.recall(&self.merchant, &plugin, &request, None) {
            return Ok(response.as_ref().clone());
        }
        let answer = self.machine.request(&self.merchant, &plugin, request, context).await?;
        Ok(answer.response)
    }

    /// The body of a successful GET.
    pub async fn body(&self, plugin: &str, query: &str) -> Vec<u8> {
        let response = self.get(plugin, query).await.unwrap();
        assert_eq!(response.status, 200);
        response.body
    }

    /// The plugin that was stopped by a GET, and why.
    pub async fn stopped(&self, plugin: &str, query: &str) -> (String, String, String) {
        match self.get(plugin, query).await {
            Err(Error::PluginStopped { plugin, reason, message }) => (plugin.to_string(), reason, message),
            other => panic!("not stopped: {other:?}"),
        }
    }

    /// Switches to a revision with the same plugins; its number.
    pub async fn switch(&self) -> RevisionNumber {
        let current = self.machine.current(&self.merchant).await.unwrap();
        self.machine.switch(&self.merchant, current.number, current.plugins.clone(), "again").await.unwrap();
        current.number + 1
    }

    /// Whether a plugin's response to the request is remembered, for a request that was admitted by this revision.
    pub fn recalls(&self, plugin: &str, request: &HttpRequest, admitted_by: RevisionNumber) -> bool {
        self.machine.recall(&self.merchant, &PluginId::new(plugin).unwrap(), request, Some(admitted_by)).is_some()
    }

    /// Invocations that began in a plugin.
    pub fn invocations(&self, plugin: &str) -> u64 {
        let of = (self.merchant.clone(), PluginId::new(plugin).unwrap());
        self.machine.usage().get(&of).map_or(0, |usage| usage.invocations)
    }

    /// What a plugin used in the last invocation.
    pub fn usage(&self, plugin: &str) -> Usage {
        let reports = self.reports.0.lock().unwrap();
        let usage = &reports.last().unwrap().usage;
        let found = usage.iter().find(|(id, _)| id.as_str() == plugin);
        found.map(|(_, usage)| usage.clone()).unwrap_or_default()
    }
}
