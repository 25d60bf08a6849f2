//! The sandbox of Kontor: runs plugins, which are WebAssembly components, inside transactions of the machine (`kontor-core`).
//!
//! [`Engine::prepare`] compiles and checks a plugin once; [`Engine::check_revision`] compares the types of callers and providers
//! before a revision is switched on; [`Engine`] is the machine's [`Executor`](kontor_core::executor::Executor). It is the only
//! crate that names wasmtime, and nothing of wasmtime shows in its interface.
//!
//! How an execution runs: every plugin that is called gets a fresh store and instance of its own, made when it is first called
//! and dropped at the end. The execution's context (the transaction, the live instances, what was used) is one box. It moves
//! down into the callee's store for the time of a call and back up; calls are strictly nested, so there is no lock, and nobody
//! keeps it. Calls between plugins are forwarded by reflection over the component's types: the host knows no service interface.
//!
//! Not here: what an operation means (the machine), signatures and manifests (`kontor-package`), HTTP (`kontor-server`).

mod answers;
mod bindings;
mod bounds;
mod cache;
mod engine;
mod entry;
mod error;
mod execution;
mod habit;
mod host;
mod kept;
mod limits;
mod long;
mod meter;
mod options;
mod plan;
mod prepared;
mod responses;
mod service;
mod stop;
mod surface;
mod types;
mod unnamed;

pub use engine::{Engine, EngineStats};
pub use error::{CacheError, EngineError, LinkProblem, PrepareError, RevisionError};
pub use options::{EngineOptions, PoolOptions};
pub use prepared::Prepared;
