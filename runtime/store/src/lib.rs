//! Storage engines behind the transaction store of Kontor: sled and memory.
//!
//! Two layers. An [`Engine`] is a blocking, ordered map of bytes that applies a batch atomically. [`OccStore`] makes a
//! transactional store ([`kontor_core::store::TxStore`]) of any engine, by optimistic concurrency with group commit. [`open`]
//! gives the store that options ask for. Not here: what keys and values mean.

mod committer;
mod engine;
mod memory;
mod occ;
mod recent;
mod shared;

pub use engine::{Batch, Engine, EngineError, EngineStats, Injected};
pub use memory::{FaultPlan, MemoryEngine};
pub use occ::{OccStore, StoreStats};
pub use recent::RecentLimits;
