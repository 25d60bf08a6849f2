//! The sandbox without HTTP and without a disk: executions of plugins on the real engine, in this thread.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use kontor_core::executor::{Call, Executor, HttpRequest, Reply};
use kontor_core::ids::{InvocationId, MerchantId, PluginId};
use kontor_core::revision::{Grants, InstalledPlugin, Revision};
use kontor_core::store::TxStore;
use kontor_core::transaction::{Actor, Begin, Secrets, Transaction};
use kontor_engine::{Engine, EngineOptions};
use kontor_package::Built;
use kontor_store::{FaultPlan, MemoryEngine, OccStore};

/// An engine with plugins installed.
#[derive(Debug)]
pub(crate) struct Sandbox {
    engine: Engine,
    store: OccStore,
    revision: Arc<Revision>,
    merchant: MerchantId,
    plugin: PluginId,
    secrets: Arc<Secrets>,
}

impl Sandbox {
    /// With these plugins; `entry` is the one that is called. Every service call is executed.
    pub(crate) fn new(plugins: &[&Built], entry: &str) -> Result<Self> {
        Self::with(EngineOptions { answers_bytes_max: 0, ..EngineOptions::default() }, plugins, entry)
    }

    /// The same with answers given again, as in a host.
    pub(crate) fn answering(plugins: &[&Built], entry: &str) -> Result<Self> {
        Self::with(EngineOptions::default(), plugins, entry)
    }

    fn with(options: EngineOptions, plugins: &[&Built], entry: &str) -> Result<Self> {
        let engine = Engine::new(options)?;
        let mut installed = BTreeMap::new();
        for built in plugins {
            let spec = built.package.spec()?;
            engine.prepare(&spec, built.package.bytes())?;
            let grants = Grants { outbound: Vec::new(), plain_secrets: Vec::new() };
            installed.insert(spec.id.clone(), InstalledPlugin { spec, grants, config: serde_json::json!({}) });
        }
        let revision = Revision { number: 1, plugins: installed, ..Revision::default() };
        engine.check_revision(&revision)?;
        Ok(Self {
            engine,
            store: OccStore::inline(Arc::new(MemoryEngine::new(FaultPlan::default())))?,
            revision: Arc::new(revision),
            merchant: MerchantId::new("bench").context("the merchant's id")?,
            plugin: PluginId::new(entry).context("the plugin's id")?,
            secrets: Arc::default(),
        })
    }

    /// One execution: a transaction begins, the plugin gets a fresh instance and is called, the instance is dropped. The transaction is
    /// not committed. Returns the status.
    pub(crate) async fn call(&self, method: &str, path: &str) -> Result<u16> {
        let transaction = Transaction::begin(Begin {
            merchant: self.merchant.clone(),
            invocation: InvocationId::new("req/0190c5a0-0000-7000-8000-000000000000"),
            plugin: self.plugin.clone(),
            revision: Arc::clone(&self.revision),
            view: self.store.begin().await?,
            now_ms: 1_700_000_000_000,
            seed: [7; 32],
            actor: Actor::Public,
            scopes: Vec::new(),
            secrets: Arc::clone(&self.secrets),
            outside: None,
        })?;
        let call = Call::Http(Arc::new(HttpRequest {
            method: method.to_owned(),
            path: path.to_owned(),
            base_path: "/m/bench/probe".to_owned(),
            remote_address: "127.0.0.1".to_owned(),
            ..HttpRequest::default()
        }));
        let executed = self.engine.execute(Arc::clone(&self.revision), &self.plugin, call, Box::new(transaction)).await;
        match executed.result {
            Ok(Reply::Http(response)) => Ok(response.status),
            other => bail!("{method} {path}: {other:?}"),
        }
    }
}
