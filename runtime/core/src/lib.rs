//! The transaction machine of Kontor: invocations, read sets, commit, log, subscriptions, jobs, revisions, limits.
//!
//! Everything a plugin does happens in an *invocation*, and every invocation is one serializable transaction together with
//! all service calls it makes. This crate decides what that means. It is pure and deterministic: no clock, no
//! randomness, no files, no network, no threads; every effect comes in through a trait ([`store::TxStore`],
//! [`executor::Executor`], [`effects`]). It knows no WebAssembly (that is the engine's) and no commerce (that is the plugins').

pub mod audit;
mod codec;
pub mod effects;
pub mod error;
pub mod executor;
pub mod ids;
pub mod keys;
pub mod limits;
mod lock;
pub mod machine;
pub mod observer;
mod overlay;
mod queueing;
mod recording;
pub mod records;
pub mod revision;
pub mod store;
pub mod transaction;
