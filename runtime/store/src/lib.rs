//! Storage engines behind the transaction store of Kontor: sled, fjall and memory.
//!
//! Two layers. An [`Engine`] is a blocking, ordered map of bytes that applies a batch atomically. [`OccStore`] makes a
//! transactional store ([`kontor_core::store::TxStore`]) of any engine, by optimistic concurrency with group commit. [`open`]
//! gives the store that options ask for. Not here: what keys and values mean.

mod archive;
mod cached;
mod committer;
mod directory;
mod engine;
mod fjall_engine;
mod fjall_journal;
mod give_way;
mod layout;
mod memory;
mod occ;
mod open;
mod recent;
mod shared;
mod sled_engine;
mod sled_layout;
mod sled_snapshots;
mod space;

pub use archive::{
    ArchiveError, ArchiveSummary, Progress, VisitRecord, copy_store, read_archive, restore_archive, write_archive,
};
pub use cached::Cached;
pub use directory::create_directories;
pub use engine::{Batch, Engine, EngineError, EngineStats, Injected, Visit};
pub use memory::{FaultPlan, MemoryEngine};
pub use occ::{OccStore, StoreStats, VisitLive};
pub use open::{EngineKind, OpenError, StoreHandle, StoreOptions, engine_in, open};
pub use recent::RecentLimits;
