//! The server over real HTTP on the memory store, with a runner of plugins made for these tests.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a failed test panics"
)]

mod auth;
mod control;
mod install;
mod kit;
mod openapi;
mod outbound;
mod real;
mod routes;
mod shutdown;
mod streams;
mod traces;
