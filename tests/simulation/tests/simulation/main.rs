//! The simulation in the test run: a thousand seeds, that a seed is one run, that the checkers see, and that a chain of calls that fails
//! leaves nothing behind.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "a failed test panics"
)]

mod chain;
mod seeds;

/// The allocator of `kontor`.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;
