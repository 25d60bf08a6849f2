//! The machine against a map of a store, scripted plugins and a clock that the tests turn.
#![allow(
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a failed test panics"
)]

#[macro_use]
mod support;

mod deliveries;
mod exchanges;
mod jobs;
mod recalls;
mod requests;
mod revisions;
mod transactions;
mod write_rates;
