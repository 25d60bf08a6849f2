//! wasmtime alone: instantiates a plugin's component and calls its handler, with every import a trap. No transaction, no limits on
//! memory, no clean-up after the guest beyond dropping it. The settings are those that the host needs as well (pool, copy-on-write,
//! fibers); with or without fuel, because whoever runs foreign code cannot do without.

use anyhow::{Result, anyhow};
use wasmtime::component::{
    Component, ComponentExportIndex, ComponentType, InstancePre, Lift, Linker, Lower, TypedFunc,
};
use wasmtime::{Config, Enabled, Engine, InstanceAllocationStrategy, PoolingAllocationConfig, Store};

/// Linear memory and tables kept resident between two instances in a slot.
const KEEP_RESIDENT_BYTES: usize = 1024 * 1024;
/// As much as an invocation has at most.
const FUEL: u64 = 1_000_000_000;

/// `kontor:host/handler-types.header`
#[derive(Clone, Debug, ComponentType, Lift, Lower)]
#[component(record)]
struct Header {
    name: String,
    value: String,
}

/// `kontor:host/handler-types.http-request`
#[derive(Clone, Debug, ComponentType, Lower)]
#[component(record)]
struct Request {
    method: String,
    path: String,
    query: String,
    headers: Vec<Header>,
    body: Vec<u8>,
    #[component(name = "base-path")]
    base_path: String,
    #[component(name = "remote-address")]
    remote_address: String,
}

/// `kontor:host/handler-types.http-response`: all of it is lifted, as the host does, though only the status is looked at.
#[derive(Clone, Debug, ComponentType, Lift)]
#[component(record)]
struct Response {
    status: u16,
    headers: Vec<Header>,
    body: Vec<u8>,
}

/// A component, ready.
pub(crate) struct Bare {
    engine: Engine,
    instance_pre: InstancePre<()>,
    handle: ComponentExportIndex,
    fuel: bool,
}

impl Bare {
    pub(crate) fn new(wasm: &[u8], fuel: bool) -> Result<Self> {
        let engine = Engine::new(&config(fuel)).map_err(|error| anyhow!("{error:#}"))?;
        Self::prepare(engine, wasm, fuel).map_err(|error| anyhow!("wasmtime refuses the component: {error:#}"))
    }

    fn prepare(engine: Engine, wasm: &[u8], fuel: bool) -> wasmtime::Result<Self> {
        let component = Component::from_binary(&engine, wasm)?;
        let mut linker = Linker::<()>::new(&engine);
        linker.define_unknown_imports_as_traps(&component)?;
        let handle = component
            .get_export_index(None, "kontor:host/http-handler@0.1.0")
            .and_then(|interface| component.get_export_index(Some(&interface), "handle"))
            .ok_or_else(|| wasmtime::Error::msg("no handler"))?;
        let instance_pre = linker.instantiate_pre(&component)?;
        Ok(Self { engine, instance_pre, handle, fuel })
    }

    /// A fresh instance, one call, and away with it. Returns the status.
    pub(crate) async fn call(&self, path: &str) -> Result<u16> {
        self.run(path).await.map_err(|error| anyhow!("the bare call failed: {error:#}"))
    }

    async fn run(&self, path: &str) -> wasmtime::Result<u16> {
        let mut store = Store::new(&self.engine, ());
        if self.fuel {
            store.set_fuel(FUEL)?;
        }
        let instance = self.instance_pre.instantiate_async(&mut store).await?;
        let handle: TypedFunc<(Request,), (Response,)> = instance.get_typed_func(&mut store, self.handle)?;
        let request = Request {
            method: "GET".to_owned(),
            path: path.to_owned(),
            query: String::new(),
            headers: Vec::new(),
            body: Vec::new(),
            base_path: "/m/bench/probe".to_owned(),
            remote_address: "127.0.0.1".to_owned(),
        };
        let (Response { status, headers, body },) = handle.call_async(&mut store, (request,)).await?;
        std::hint::black_box((headers, body));
        Ok(status)
    }
}

fn config(fuel: bool) -> Config {
    let mut pool = PoolingAllocationConfig::new();
    if PoolingAllocationConfig::is_pagemap_scan_available() {
        pool.pagemap_scan(Enabled::Yes);
    }
    pool.linear_memory_keep_resident(KEEP_RESIDENT_BYTES)
        .table_keep_resident(KEEP_RESIDENT_BYTES)
        .max_memory_size(64 * 1024 * 1024);
    let mut config = Config::new();
    config
        .wasm_component_model(true)
        .concurrency_support(false)
        .consume_fuel(fuel)
        .memory_init_cow(true)
        .allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    config
}
