//! Options of the engine, and what they and the measured settings make of wasmtime's configuration.

use std::path::PathBuf;

use wasmtime::{Config, Enabled, InstanceAllocationStrategy, OptLevel, PoolingAllocationConfig};

use crate::limits;

/// How an engine is set up.
#[derive(Clone, Debug)]
pub struct EngineOptions {
    /// Directory of the compile cache, created with mode 0700 when missing. `None`: nothing is cached.
    pub cache_dir: Option<PathBuf>,
    /// Size of the instance pool.
    pub pool: PoolOptions,
    /// Threads of their own for executions that take long, so that quick ones need not wait for them. `None`: all are executed by the
    /// threads that ask for them.
    pub long_threads: Option<usize>,
    /// Whether Cranelift optimises. Off compiles faster; for tests of compilation only.
    pub optimise: bool,
    /// Memory for answers of service calls that are given again while nothing that they depend on has changed, bytes. 0: every call is
    /// executed.
    pub answers_bytes_max: usize,
    /// The same for responses to GET requests.
    pub responses_bytes_max: usize,
}

impl Default for EngineOptions {
    fn default() -> Self {
        Self {
            cache_dir: None,
            pool: PoolOptions::default(),
            long_threads: None,
            optimise: true,
            answers_bytes_max: limits::ANSWERS_BYTES_MAX,
            responses_bytes_max: limits::RESPONSES_BYTES_MAX,
        }
    }
}

/// Size of the instance pool. Slots are address space, not memory, until they are used.
#[derive(Clone, Copy, Debug)]
pub struct PoolOptions {
    /// Whether to pool at all. Without a pool an instance costs about ten times as much and their number is not bounded.
    pub enabled: bool,
    /// Plugin instances alive at once: executions running at once, times the plugins that each calls.
    pub instances: u32,
    /// Largest linear memory of an instance, bytes.
    pub memory_bytes_max: usize,
}

impl Default for PoolOptions {
    fn default() -> Self {
        Self { enabled: true, instances: 1_000, memory_bytes_max: 64 * 1024 * 1024 }
    }
}

/// The configuration, with or without the pool.
pub(crate) fn config(options: &EngineOptions, pooling: bool) -> Config {
    let mut config = Config::new();
    config
        .wasm_component_model(true)
        // On, it makes every call two to four times dearer. Off, wasmtime checks no re-entrance: the transaction does.
        .concurrency_support(false)
        .consume_fuel(true)
        // The same result on every machine.
        .cranelift_nan_canonicalization(true)
        .relaxed_simd_deterministic(true)
        .wasm_relaxed_simd(false)
        .max_wasm_stack(limits::WASM_STACK_BYTES)
        .async_stack_size(limits::FIBER_STACK_BYTES)
        // Packed plugins carry no names; a panic's place is in the plugin's log.
        .wasm_backtrace_max_frames(None)
        .memory_init_cow(true)
        .parallel_compilation(true)
        .cranelift_opt_level(if options.optimise { OptLevel::Speed } else { OptLevel::None });
    if pooling {
        config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool(&options.pool)));
    }
    config
}

fn pool(options: &PoolOptions) -> PoolingAllocationConfig {
    let mut pool = PoolingAllocationConfig::new();
    let keep_resident = if PoolingAllocationConfig::is_pagemap_scan_available() {
        pool.pagemap_scan(Enabled::Yes);
        limits::KEEP_RESIDENT_BYTES
    } else {
        limits::KEEP_RESIDENT_WITHOUT_PAGEMAP_BYTES
    };
    let instances = options.instances;
    // `kontor build` makes components of two instances. Others have two small instances of glue beside their own, and a table for them.
    pool.linear_memory_keep_resident(keep_resident)
        .table_keep_resident(keep_resident)
        .total_component_instances(instances)
        .total_core_instances(instances.saturating_mul(4))
        .total_memories(instances)
        .total_tables(instances.saturating_mul(2))
        .total_stacks(instances)
        .max_core_instances_per_component(limits::CORE_INSTANCES_PER_COMPONENT_MAX)
        .max_memories_per_component(limits::MEMORIES_PER_COMPONENT_MAX)
        .max_tables_per_component(limits::TABLES_PER_COMPONENT_MAX)
        .max_tables_per_module(2)
        .max_memories_per_module(1)
        .table_elements(limits::TABLE_ELEMENTS_MAX)
        .max_memory_size(options.memory_bytes_max);
    pool
}
