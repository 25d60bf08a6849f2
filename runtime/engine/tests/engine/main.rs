//! The engine, from outside: real components, run by the real machine over the memory store.
#![allow(
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a failed test panics"
)]

mod answers;
mod cache;
mod direct;
mod guests;
mod prepare;
mod responses;
mod rig;
mod services;
mod stops;
