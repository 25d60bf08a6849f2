//! The whole system: the real binary, sold from by three channels at once, attacked, upgraded, killed.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a failed test panics"
)]

mod authors;
mod buyers;
mod demo;
mod hostile;
mod import;
mod pages;
